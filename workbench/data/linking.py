"""Have files in a second folder without a second copy of their contents."""

import fcntl
import filecmp
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from .errors import DataError

FICLONE = 0x40049409
"""The request of ioctl_ficlone(2): two files share their blocks until one is changed."""


def link_into(files: Iterable[Path], folder: Path) -> None:
    """Make each of `files` appear in `folder`: as a hard link, a clone, or a symbolic link.

    A hard link is made where the file system and the owner allow it, a clone (Btrfs, XFS) where
    it knows how, and a symbolic link everywhere else. A link that an earlier call has made to
    another file is replaced.

    Parameters
    ----------
    files : iterable of Path
        What `fetch` returned.
    folder : Path
        Made where it isn't there yet.

    Raises
    ------
    DataError
        A file that somebody has made is in the way; it stays as it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = getattr(files, "folder", None)
    for path in files:
        target = folder / (path.relative_to(source) if source else path.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not target.is_symlink() and target.stat().st_mode & stat.S_IWUSR:
            refuse_another(path, target)
            continue
        target.unlink(missing_ok=True)
        link(path, target)


def refuse_another(path: Path, target: Path) -> None:
    """Raise where `target` isn't the file that shall appear there."""
    if not filecmp.cmp(path, target, shallow=False):
        raise DataError(
            f"{target} is there already, and it isn't the file of that name that was asked for. "
            "It has been left alone; choose another folder."
        )


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
