"""Whether what root runs can be changed by others: then the portal is whoever changes it."""

import inspect
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import spawners
import workbench
from spawners.backends import BACKENDS
from spawners.child_processes import changed_by_others, own

from .deployment import Deployment
from .proxy import proxy_folders

UV_LOCK = ".lock"
"""An empty file that uv leaves in an environment, for every account to lock."""


def changeable_code(deployment: Deployment) -> Path | None:
    """Return the first thing found that root would run and that others can change.

    None where there is none, and where this isn't root.
    """
    if os.geteuid() != 0:
        return None
    return next(changeable(code_folders(deployment)), None)


def code_folders(deployment: Deployment) -> list[Path]:
    """Return where the code of a portal lies: its packages, Python, proxy and use cases."""
    packages = {Path(__file__), Path(spawners.__file__), Path(workbench.__file__)}
    # Those of other packages may lie anywhere.
    packages |= {Path(inspect.getfile(backend)) for backend in BACKENDS}
    use_cases = [case.folder for case in deployment.use_cases.values()]
    environments = deployment.state / "environments"
    return [
        *sorted({path.parent for path in packages}),
        Path(sys.prefix),
        Path(sys.executable).resolve(),
        *proxy_folders(),
        *use_cases,
        *([environments] if environments.is_dir() else []),
    ]


def changeable(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield what others can change of folders, what is in them, and what is above them."""
    for folder in folders:
        if changed_by_others(folder):
            yield folder
        yield from changeable_in(folder)


def changeable_in(folder: Path) -> Iterator[Path]:
    """Yield what others can change inside of a folder; links count by what they lead to."""
    try:
        entries = list(os.scandir(folder))
    except NotADirectoryError:
        return
    for entry in entries:
        if entry.is_symlink():
            if changed_by_others(Path(entry.path)):
                yield Path(entry.path)
        elif entry.name != UV_LOCK and not own(entry.stat(follow_symlinks=False)):
            yield Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield from changeable_in(Path(entry.path))
