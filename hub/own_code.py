"""Whether what root runs can be changed by others: then the portal is whoever changes it."""

import inspect
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import workbench
from spawners.backends import BACKENDS
from spawners.child_processes import changed_by_others, own
from spawners.state_folders import ENVIRONMENTS

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
    packages = {Path(__file__).parent, Path(workbench.__file__).parent}
    # Those of other packages may lie anywhere.
    packages |= {package_folder(backend) for backend in BACKENDS}
    use_cases = [case.folder for case in deployment.use_cases.values()]
    environments = deployment.state / ENVIRONMENTS
    return [
        *sorted(packages),
        Path(sys.prefix),
        Path(sys.executable).resolve(),
        *proxy_folders(),
        *use_cases,
        *([environments] if environments.is_dir() else []),
    ]


def package_folder(thing: type) -> Path:
    """Return where the package lies that a class comes with."""
    package = sys.modules[thing.__module__.partition(".")[0]]
    # A package without a file of its own has its modules' folders only.
    return Path(package.__file__ or inspect.getfile(thing)).parent


def changeable(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield what others can change of folders, what is in them, and what is above them."""
    for folder in folders:
        if changed_by_others(folder):
            yield folder
        yield from changeable_in(folder)


def changeable_in(folder: Path) -> Iterator[Path]:
    """Yield what others can change inside of a folder; links count by what they lead to.

    What goes meanwhile is left out: an environment may be in the making, by `beamhub run` for one.
    """
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if is_changeable(entry):
            yield Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield from changeable_in(Path(entry.path))


def is_changeable(entry: os.DirEntry[str]) -> bool:
    """Return whether others can change what a folder holds; not what is gone by now."""
    if entry.is_symlink():
        return changed_by_others(Path(entry.path))
    try:
        return entry.name != UV_LOCK and not own(entry.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False
