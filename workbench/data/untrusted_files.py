"""Open, read and remove what another account may have made: never by a link, never with a wait.

Everything is reached step by step from a folder that can be trusted, by descriptors, so that
nothing changes under the feet of whoever looks. A pipe, a device, a link, a file of another owner
or one that is too large is refused before a byte of it is read.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path, PurePosixPath

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
MOST_NAMES = 1000
"""Names of one folder that are looked at."""
MOST_COUNTED = 50_000
"""Files and folders of one account that are counted."""
MOST_ROUNDS = 2000
"""How often the names of a folder are asked for while it is emptied: somebody may go on adding."""
DEEPEST = 64
"""Folders in folders that are entered."""
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
BLOCK = 512
"""Bytes of what st_blocks counts."""


class Untrusted(PermissionError):  # noqa: N818
    """What is there isn't what it has to be; nothing of it was read or changed."""


@contextmanager
def folder_of(top: Path, names: str | PurePosixPath, owner: int) -> Iterator[int]:
    """Give a descriptor of a folder below one that can be trusted.

    Parameters
    ----------
    top : Path
        Where to begin; it may be reached by links.
    names : str or path
        The way from there, relative; empty for `top` itself, whose owner isn't asked.
    owner : int
        Whom each folder on the way must belong to.

    Raises
    ------
    OSError
        There is no such folder, or another account's hand can be in it.
    """
    descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in PurePosixPath(names).parts:
            if name in ("..", "/"):
                raise Untrusted(f"{names} leads out of {top}")
            inner = os.open(name, FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
            refuse_others(os.fstat(descriptor), owner, top / names)
        yield descriptor
    finally:
        os.close(descriptor)


def refuse_others(about: os.stat_result, owner: int, path: Path) -> None:
    """Raise where anybody but `owner` may write a file or folder."""
    if about.st_uid != owner or about.st_mode & WRITABLE_BY_OTHERS:
        raise Untrusted(f"{path} is not account {owner}'s alone")


@contextmanager
def file_of(
    top: Path, names: str | PurePosixPath, owner: int, most_bytes: int | None = None
) -> Iterator[int]:
    """Give a descriptor of an ordinary file below a folder that can be trusted.

    Parameters
    ----------
    top, names, owner
        As `folder_of` has them.
    most_bytes : int, optional
        A larger file is refused.

    Raises
    ------
    OSError
        There is none.
    """
    path = PurePosixPath(names)
    with folder_of(top, path.parent, owner) as folder:
        descriptor = os.open(path.name, FILE, dir_fd=folder)
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise Untrusted(f"{top / path} is not an ordinary file")
        refuse_others(about, owner, top / path)
        if most_bytes is not None and about.st_size > most_bytes:
            raise Untrusted(f"{top / path} is larger than {most_bytes} bytes")
        yield descriptor
    finally:
        os.close(descriptor)


def read_of(top: Path, names: str | PurePosixPath, owner: int, most_bytes: int) -> bytes:
    """Return what a small file holds, read to `most_bytes` at most even where it grows.

    Raises
    ------
    OSError
        There is none, or it is too large.
    """
    with file_of(top, names, owner, most_bytes) as descriptor:
        data = read_all(descriptor, most_bytes + 1)
    if len(data) > most_bytes:
        raise Untrusted(f"{top / names} is larger than {most_bytes} bytes")
    return data


def read_ordinary(path: Path, most_bytes: int) -> bytes:
    """Return what a small file holds, whoever owns it; a pipe or a device is not waited for.

    Raises
    ------
    OSError
        It can't be read, isn't an ordinary file, or is too large.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Untrusted(f"{path} is not an ordinary file")
        data = read_all(descriptor, most_bytes + 1)
    finally:
        os.close(descriptor)
    if len(data) > most_bytes:
        raise Untrusted(f"{path} is larger than {most_bytes} bytes")
    return data


def read_all(descriptor: int, most_bytes: int) -> bytes:
    """Return what can be read of a file, `most_bytes` at most."""
    with open(descriptor, "rb", closefd=False) as file:
        return file.read(most_bytes)


def names_in(descriptor: int, most: int = MOST_NAMES) -> list[str]:
    """Return the names in a folder, the first `most` that come."""
    with os.scandir(descriptor) as entries:
        return sorted(entry.name for entry in islice(entries, most))


def used_bytes(folder: int, left: list[int] | None = None, depth: int = 0) -> int:
    """Return what the files below a folder take on the disk.

    A sparse file counts what it takes, not what it says. Beyond `MOST_COUNTED` files and folders,
    or `DEEPEST` folders in folders, nothing is counted any more.
    """
    left = [MOST_COUNTED] if left is None else left
    total = 0
    with os.scandir(folder) as entries:
        found = list(islice(entries, left[0]))
    left[0] -= len(found)
    for entry in found:
        with suppress(OSError):
            about = entry.stat(follow_symlinks=False)
            if not stat.S_ISDIR(about.st_mode):
                total += min(about.st_size, about.st_blocks * BLOCK)
            elif depth < DEEPEST:
                with opened(entry.name, folder) as inner:
                    total += used_bytes(inner, left, depth + 1)
    return total


@contextmanager
def opened(name: str, folder: int) -> Iterator[int]:
    """Give a descriptor of a folder in another one."""
    descriptor = os.open(name, FOLDER, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def remove_tree(name: str, folder: int, depth: int = 0) -> None:
    """Remove a file, or a folder with all that is in it; what a link leads to is left alone.

    Only the mode of a folder of this account's own is changed, so that what it made read-only can
    be removed.

    Raises
    ------
    OSError
        Something can't be removed.
    """
    try:
        inner = os.open(name, FOLDER, dir_fd=folder)
    except PermissionError:
        raise
    except OSError:  # a file, a link, or whatever else isn't a folder
        os.unlink(name, dir_fd=folder)
        return
    try:
        if depth > DEEPEST:
            raise Untrusted(f"'{name}' holds folders in folders without end")
        if os.fstat(inner).st_uid == os.geteuid():
            os.fchmod(inner, 0o700)
        for _ in range(MOST_ROUNDS):
            found = names_in(inner)
            for each in found:
                remove_tree(each, inner, depth + 1)
            if not found:
                break
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=folder)


def remove_own(path: Path) -> None:
    """Remove something below a folder that no other account can write, where it is there."""
    with suppress(FileNotFoundError), folder_of(path.parent, "", os.geteuid()) as folder:
        remove_tree(path.name, folder)
