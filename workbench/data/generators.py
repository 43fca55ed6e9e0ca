"""Make simulated data sets with what their manifests name."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from .catalogue import Known
from .errors import DataError


def generate(known: Known, folder: Path) -> None:
    """Make a simulated data set in `folder`.

    Raises
    ------
    DataError
        Its generator needs a package that isn't installed here.
    """
    module, _, function = (known.data.generator or "").partition(":")
    try:
        getattr(load_module(known.folder / f"{module}.py"), function)(folder, known.data.seed)
    except ModuleNotFoundError as problem:
        raise DataError(
            f"{known.label} is computed with {problem.name}, which isn't installed here. Fetch it "
            f"inside a server of the use case, where all that it needs is."
        ) from None


def load_module(path: Path) -> ModuleType:
    """Return a module of a use case's folder, beside which others of it can be imported."""
    name = f"beamhub_generator_{path.parent.name.replace('-', '_').replace('.', '_')}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module
