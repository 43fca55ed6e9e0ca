"""Have files in a second folder without a second copy of their contents."""

import fcntl
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

FICLONE = 0x40049409
"""The request of ioctl_ficlone(2): two files share their blocks until one is changed."""


def link_into(files: Iterable[Path], folder: Path) -> None:
    """Make each of `files` appear in `folder`: as a hard link, a clone, or a symbolic link.

    A hard link is made where the file system and the owner allow it, a clone (Btrfs, XFS) where
    it knows how, and a symbolic link everywhere else. What is there already stays.

    Parameters
    ----------
    files : iterable of Path
        What `fetch` returned.
    folder : Path
        Made where it isn't there yet.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = getattr(files, "folder", None)
    for path in files:
        target = folder / (path.relative_to(source) if source else path.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            link(path, target)


def link(path: Path, target: Path) -> None:
    """Make one file appear in a second place."""
    with suppress(OSError):
        target.hardlink_to(path)
        return
    if not clone(path, target):
        target.symlink_to(path)


def clone(path: Path, target: Path) -> bool:
    """Return whether the file system could make a clone."""
    try:
        with path.open("rb") as source, target.open("xb") as copy:
            fcntl.ioctl(copy, FICLONE, source.fileno())
    except OSError:
        target.unlink(missing_ok=True)
        return False
    target.chmod(0o444)
    return True
