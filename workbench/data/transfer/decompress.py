"""Decompress a stream in pieces of bounded size."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from ..errors import WrongContents
from .unpack_limits import Unpacking

PIECE = 1 << 20
LZMA_MEMORY = 128 << 20


class Decompressor(Protocol):
    """What bz2 and lzma offer, and zlib by `Gunzip`."""

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes without further bytes."""

    @property
    def unused_data(self) -> bytes:
        """What follows the stream."""

    def decompress(self, data: bytes, /, max_length: int) -> bytes:
        """Return at most `max_length` bytes."""


class Gunzip:
    """A gzip member, with the interface of bz2's and lzma's decompressors."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self._waiting = b""

    @property
    def eof(self) -> bool:
        """Whether the member has ended."""
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes without further bytes."""
        return not self._waiting and not self._inner.eof

    @property
    def unused_data(self) -> bytes:
        """What follows the member."""
        return self._inner.unused_data

    def decompress(self, data: bytes, /, max_length: int) -> bytes:
        """Return at most `max_length` bytes."""
        found = self._inner.decompress(self._waiting + data, max_length)
        self._waiting = self._inner.unconsumed_tail
        return found


KINDS: dict[str, Callable[[], Decompressor]] = {
    ".gz": Gunzip,
    ".bz2": bz2.BZ2Decompressor,
    ".xz": lambda: lzma.LZMADecompressor(memlimit=LZMA_MEMORY),
}


MARKS = {".gz": b"\x1f\x8b", ".bz2": b"BZh", ".xz": b"\xfd7zXZ"}
"""How a member begins."""


def inflate(chunks: Iterable[bytes], kind: str, unpacking: Unpacking) -> Iterator[bytes]:
    """Yield what a compressed stream holds, at most a mebibyte at a time.

    Parameters
    ----------
    chunks : iterable of bytes
        The compressed stream; several members one after the other are one stream.
    kind : str
        A key of `KINDS`.
    unpacking : Unpacking
        Counts, and refuses what grows too large.

    Raises
    ------
    WrongContents
        It isn't such a stream, or ends in the middle of one.
    """
    current = KINDS[kind]()
    begun = over = False
    mark = MARKS[kind]
    try:
        for chunk in chunks:
            unpacking.grow(len(chunk), 0)
            data: bytes | memoryview = chunk
            while data or not (current.needs_input or current.eof):
                if current.eof:
                    data = bytes(data).lstrip(b"\0")
                    # What doesn't begin as another member does isn't part of the stream, as gzip
                    # and its like see it.
                    over = over or not (data.startswith(mark) or mark.startswith(data))
                    if over or not data:
                        break
                    current = KINDS[kind]()
                found = current.decompress(bytes(data), PIECE)
                begun = True
                data = current.unused_data if current.eof else b""
                unpacking.grow(0, len(found))
                if found:
                    yield found
    except (zlib.error, lzma.LZMAError, OSError, EOFError) as problem:
        raise WrongContents(f"{unpacking.archive} can't be decompressed ({problem}).") from None
    if not begun or not current.eof:
        raise WrongContents(f"{unpacking.archive} ends in the middle.")
