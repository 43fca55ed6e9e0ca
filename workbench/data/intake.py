"""One pass over one declared file: it is hashed and written, or unpacked, while it arrives."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Protocol

from ..manifest import DataFile
from .box import Box, blocks
from .errors import WrongContents
from .tape import Helper

OpenAt = Callable[[int], Iterator[bytes]]
"""Begins a download at a byte and yields what follows, in order."""

TAR_KINDS = {
    ".tar": "",
    ".tar.gz": ".gz",
    ".tgz": ".gz",
    ".tar.bz2": ".bz2",
    ".tbz2": ".bz2",
    ".tar.xz": ".xz",
    ".txz": ".xz",
}
"""Endings of tar archives, and how their stream is compressed."""
SINGLE_KINDS = (".gz", ".bz2", ".xz")


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


def receive(file: DataFile, box: Box, open_at: OpenAt, contents: dict[str, str]) -> None:
    """Bring one declared file into the box, from where the last try ended.

    Parameters
    ----------
    file : DataFile
        What is declared.
    box : Box
        Takes what is complete.
    open_at : callable
        The source.
    contents : dict of str to str
        What an archive is declared to hold, by name with SHA-256; may be empty.

    Raises
    ------
    WrongContents
        The checksum differs; what came is gone.
    Refused
        An archive holds what it must not.
    """
    if not file.unpack:
        receive_plain(file, box, open_at)
        return
    from .archive import receive_single, receive_tar, receive_zip

    ending = archive_ending(file.name)
    if ending in TAR_KINDS:
        receive_tar(file, TAR_KINDS[ending], box, open_at, contents)
    elif ending == ".zip":
        receive_zip(file, box, open_at, contents)
    else:
        receive_single(file, ending, box, open_at, contents)


def archive_ending(name: str) -> str:
    """Return how the name of an archive ends.

    Raises
    ------
    WrongContents
        Nothing here can unpack such a file.
    """
    endings = (*TAR_KINDS, ".zip", *SINGLE_KINDS)
    for ending in sorted(endings, key=len, reverse=True):
        if name.lower().endswith(ending):
            return ending
    raise WrongContents(f"{name} can't be unpacked: known are {', '.join(endings)}.")


def receive_plain(file: DataFile, box: Box, open_at: OpenAt) -> None:
    """Bring a file that isn't unpacked."""
    if file.name not in box.done:  # else the last try ended right after it was complete
        sums = collect(file, box, open_at)
        box.accept(file.name, sums.sha256.hexdigest())


def collect(file: DataFile, box: Box, open_at: OpenAt) -> Sums:
    """Write a file to its part, from where it ends, and return its verified checksums."""
    start = box.here(file.name)
    sums = sums_for(file)
    helper = Helper()
    try:
        if start:
            helper.add(partial(replay, box, file.name, start, sums))
        with box.part(file.name).open("ab", buffering=0) as part:
            for chunk in open_at(start):
                helper.add(partial(sums.update, chunk))
                write_all(part, chunk)
        helper.finish()
    finally:
        helper.end()
    try:
        verify(file, sums)
    except WrongContents:
        box.drop(file.name)
        raise
    return sums


def replay(box: Box, name: str, size: int, sums: Sums) -> None:
    """Hash what an earlier try has left."""
    for block in blocks(box.part(name), size):
        sums.update(block)


def write_all(file: IO[bytes], data: bytes | memoryview) -> None:
    """Write all of `data` to an unbuffered file."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
