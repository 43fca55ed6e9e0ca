"""Copies that every account may read: the notebooks of a use case, the workbench."""

import hashlib
import os
import shutil
from pathlib import Path

LEFT_OUT = {"__pycache__", ".ipynb_checkpoints", "checks", "output"}
"""Folders that running a notebook makes."""


def payload(folder: Path, use_case: Path) -> Path:
    """Return a copy of a use case's folder that every account may read.

    Copies are named by their contents and put in place in one step, so that a start never sees a
    half one and an edit of the original never reaches a server that has begun.

    Parameters
    ----------
    folder : Path
        Where copies lie.
    use_case : Path
        The folder to copy.
    """
    shared_folder(folder)
    files = files_below(use_case)
    target = folder / f"{use_case.name}-{contents_name(use_case, files)}"
    if target.exists():
        return target
    partial = folder / f".{target.name}.{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    copy_for_all(use_case, files, partial)
    try:
        partial.rename(target)
    except OSError:
        if not target.exists():
            raise
        shutil.rmtree(partial, ignore_errors=True)
    return target


def files_below(folder: Path) -> list[Path]:
    """Return the files of a use case, without what running its notebooks makes."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not LEFT_OUT.intersection(path.relative_to(folder).parts)
    )


def contents_name(folder: Path, files: list[Path]) -> str:
    """Return a name that changes with any of the files."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def shared_folder(folder: Path) -> None:
    """Make a folder that every account may read and only this one may change."""
    missing = [parent for parent in folder.parents if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in (folder, *missing):
        made.chmod(0o755)


def copy_for_all(source: Path, files: list[Path], target: Path) -> None:
    """Copy files below `source` to the same places below `target`, readable by every account."""
    shared_folder(target)
    for path in files:
        name = path.relative_to(source)
        for parent in reversed(name.parents):
            shared_folder(target / parent)
        shutil.copyfile(path, target / name)
        (target / name).chmod(0o644)


def readable_by_others(path: Path) -> bool:
    """Return whether every account may pass the folders above `path`, those that are there."""
    return all(folder.stat().st_mode & 0o001 for folder in path.parents if folder.exists())
