"""One pass over one declared file: it is hashed and written, or unpacked, while it arrives."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from ...manifest import DataFile
from ..errors import Refused, WrongContents
from .checksums import Sums, sums_for, verify
from .forward_stream import Helper
from .staging import Staging, blocks, write_all
from .unpack import Unpacker, kind_of

OpenAt = Callable[[int], Iterator[bytes]]
"""Begins a download at a byte and yields what follows, in order."""


def receive(file: DataFile, staging: Staging, open_at: OpenAt) -> None:
    """Bring one declared file into the staging folder, from where the last try ended.

    Parameters
    ----------
    file : DataFile
        What is declared.
    staging : Staging
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
        receive_archive(file, staging, open_at)
    elif file.name not in staging.done:  # else the last try ended right after it was complete
        sums = collect(file, staging.part(file.name), open_at)
        staging.accept(file.name, sums.sha256.hexdigest())


def receive_archive(file: DataFile, staging: Staging, open_at: OpenAt) -> None:
    """Bring an archive, and unpack it while it arrives."""
    packed = staging.packed(file.name)
    packed.touch()
    unpacker = Unpacker(file, staging, kind_of(file.name))
    unpacker.start()

    def written(latest: bytes, size: int) -> None:
        unpacker.raise_problem()
        unpacker.growing.grow(latest, size)

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
    staging.finish(file.name)
    packed.unlink()


def collect(
    file: DataFile,
    part: Path,
    open_at: OpenAt,
    written: Callable[[bytes, int], None] = lambda latest, size: None,
) -> Sums:
    """Write a file to its part, from where it ends, and return its verified checksums.

    Parameters
    ----------
    file, open_at
        As `receive` has them.
    part : Path
        Where it grows.
    written : callable
        Told what has been written, and how many bytes are there now.
    """
    start = part.stat().st_size if part.exists() else 0
    sums = sums_for(file)
    helper = Helper()
    try:
        if start:
            helper.add(partial(replay, part, start, sums))
            written(b"", start)
        size = start
        with part.open("ab", buffering=0) as target:
            for chunk in open_at(start):
                helper.add(partial(sums.update, chunk))
                write_all(target, chunk)
                size += len(chunk)
                written(chunk, size)
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
