"""One pass over one declared file: it is hashed and written, or unpacked, while it arrives."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from ..manifest import DataFile
from .archive import Unpacker, kind_of
from .box import Box, blocks, write_all
from .errors import Refused, WrongContents
from .tape import Helper

OpenAt = Callable[[int], Iterator[bytes]]
"""Begins a download at a byte and yields what follows, in order."""


class Digest(Protocol):
    """What hashlib offers, and what else may stand for it."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Return the digest of what was added."""


@dataclass
class Sums:
    """The checksums of one stream, computed beside the thread that brings it."""

    sha256: Digest = field(default_factory=hashlib.sha256)
    md5: Digest | None = None

    def update(self, data: bytes | memoryview) -> None:
        """Add bytes."""
        self.sha256.update(data)
        if self.md5 is not None:
            self.md5.update(data)


def sums_for(file: DataFile) -> Sums:
    """Return the checksums that the manifest's declaration of a file needs."""
    only_md5 = file.sha256 == "unknown" and file.md5
    md5 = hashlib.md5(usedforsecurity=False) if only_md5 else None
    return Sums(md5=md5)


def verify(file: DataFile, sums: Sums) -> None:
    """Compare what arrived with what is declared.

    Raises
    ------
    WrongContents
        They differ.
    """
    got, declared = sums.sha256.hexdigest(), file.sha256
    word = "SHA-256"
    if declared == "unknown":
        if sums.md5 is None:
            return
        got, declared, word = sums.md5.hexdigest(), file.md5 or "", "MD5"
    if got != declared:
        raise WrongContents(
            f"{file.name} arrived with the {word} {got[:16]}…, and the manifest declares "
            f"{declared[:16]}…: the publisher has changed it, or it was damaged on the way. "
            "It has been thrown away."
        )


def receive(file: DataFile, box: Box, open_at: OpenAt) -> None:
    """Bring one declared file into the box, from where the last try ended.

    Parameters
    ----------
    file : DataFile
        What is declared.
    box : Box
        Takes what is complete.
    open_at : callable
        The source.

    Raises
    ------
    WrongContents
        The checksum differs; what came is gone.
    Refused
        An archive holds what it must not.
    """
    if file.unpack:
        receive_archive(file, box, open_at)
    elif file.name not in box.done:  # else the last try ended right after it was complete
        sums = collect(file, box.part(file.name), open_at)
        box.accept(file.name, sums.sha256.hexdigest())


def receive_archive(file: DataFile, box: Box, open_at: OpenAt) -> None:
    """Bring an archive, and unpack it while it arrives."""
    packed = box.packed(file.name)
    packed.touch()
    unpacker = Unpacker(file, box, kind_of(file.name))
    unpacker.start()

    def written(size: int) -> None:
        unpacker.raise_problem()
        unpacker.growing.grow(size)

    keep = False
    try:
        collect(file, packed, open_at, written)
        unpacker.finish()
        keep = True
    except (WrongContents, Refused):
        packed.unlink(missing_ok=True)
        raise
    finally:
        unpacker.stop(keep=keep)
    unpacker.accept()
    box.finish(file.name)
    packed.unlink()


def collect(
    file: DataFile, part: Path, open_at: OpenAt, written: Callable[[int], None] = lambda size: None
) -> Sums:
    """Write a file to its part, from where it ends, and return its verified checksums.

    Parameters
    ----------
    file, open_at
        As `receive` has them.
    part : Path
        Where it grows.
    written : callable
        Told how many bytes are there, whenever there are more.
    """
    start = part.stat().st_size if part.exists() else 0
    sums = sums_for(file)
    helper = Helper()
    try:
        if start:
            helper.add(partial(replay, part, start, sums))
            written(start)
        size = start
        with part.open("ab", buffering=0) as target:
            for chunk in open_at(start):
                helper.add(partial(sums.update, chunk))
                write_all(target, chunk)
                size += len(chunk)
                written(size)
        helper.finish()
    finally:
        helper.end()
    try:
        verify(file, sums)
    except WrongContents:
        part.unlink(missing_ok=True)
        raise
    return sums


def replay(part: Path, size: int, sums: Sums) -> None:
    """Hash what an earlier try has left."""
    for block in blocks(part, size):
        sums.update(block)
