"""Decompress gzip so that it can go on in the middle later, and hash likewise.

Python's zlib and hashlib can't hand out their state; the libraries below them can. The way to
restart inflate at a block's boundary is that of zlib's own example zran.c: the last 32 KiB that
came out, and the bits of the byte in which the block begins. Where a library isn't found, the
caller falls back on Python's.
"""

import ctypes
import ctypes.util
import zlib
from dataclasses import dataclass
from functools import cache

PIECE = 1 << 20
WINDOW = 32 << 10
RAW, GZIP = -15, 31
"""Of inflateInit2: a bare stream of blocks, and one with gzip's header."""
Z_BLOCK = 5
Z_NO_FLUSH = 0
Z_OK, Z_STREAM_END, Z_BUF_ERROR = 0, 1, -5
AT_BLOCK, LAST_BLOCK, BITS = 128, 64, 7
"""Of z_stream.data_type after Z_BLOCK."""
SHA256_STATE = 112
"""Bytes of OpenSSL's SHA256_CTX."""


class Stream(ctypes.Structure):
    """z_stream of zlib.h."""

    _fields_ = (
        ("next_in", ctypes.c_void_p),
        ("avail_in", ctypes.c_uint),
        ("total_in", ctypes.c_ulong),
        ("next_out", ctypes.c_void_p),
        ("avail_out", ctypes.c_uint),
        ("total_out", ctypes.c_ulong),
        ("msg", ctypes.c_char_p),
        ("state", ctypes.c_void_p),
        ("zalloc", ctypes.c_void_p),
        ("zfree", ctypes.c_void_p),
        ("opaque", ctypes.c_void_p),
        ("data_type", ctypes.c_int),
        ("adler", ctypes.c_ulong),
        ("reserved", ctypes.c_ulong),
    )


@dataclass(frozen=True)
class Point:
    """Where decompressing can begin again.

    Parameters
    ----------
    packed, unpacked : int
        Bytes that had gone in and come out.
    bits : int
        How many bits of the byte before `packed` belong to what follows.
    byte : int
        That byte.
    window : bytes
        The last that had come out.
    """

    packed: int
    unpacked: int
    bits: int
    byte: int
    window: bytes


@cache
def zlib_library() -> ctypes.CDLL | None:
    """Return zlib, None where there is none to load."""
    return library("z", "libz.so.1", "inflateGetDictionary")


@cache
def crypto_library() -> ctypes.CDLL | None:
    """Return OpenSSL's libcrypto, None where there is none to load."""
    return library("crypto", "libcrypto.so.3", "SHA256_Update")


def library(name: str, file: str, function: str) -> ctypes.CDLL | None:
    """Return a library that has a function, None where there is none to load."""
    for candidate in (file, ctypes.util.find_library(name)):
        try:
            found = ctypes.CDLL(candidate) if candidate else None
        except OSError:
            continue
        if found is not None and hasattr(found, function):
            return found
    return None


class Inflater:
    """A gzip member, read block by block.

    Parameters
    ----------
    point : Point, optional
        Where to begin; None means at the member's header.
    """

    def __init__(self, point: Point | None = None) -> None:
        found = zlib_library()
        assert found is not None
        self._library, self._stream = found, Stream()
        self._out = ctypes.create_string_buffer(PIECE)
        self.eof = False
        self._call("inflateInit2_", RAW if point else GZIP, b"1.2.11", ctypes.sizeof(Stream))
        if point and point.bits:
            self._call("inflatePrime", point.bits, point.byte >> (8 - point.bits))
        if point:
            self._call("inflateSetDictionary", point.window, len(point.window))

    def __del__(self) -> None:
        self._library.inflateEnd(ctypes.byref(self._stream))

    def step(self, data: bytes, start: int, *, block: bool = False) -> tuple[int, bytes]:
        """Decompress from `start` of `data` to the end of the data or of the room.

        With `block`, to the end of a block at most: these are small, about 16 kB come out of one.

        Returns
        -------
        used : int
            Bytes of `data` that went in.
        found : bytes
            What came out, at most `PIECE`.

        Raises
        ------
        zlib.error
            It's no gzip stream.
        """
        stream = self._stream
        base = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0
        stream.next_in, stream.avail_in = base + start, len(data) - start
        stream.next_out, stream.avail_out = ctypes.addressof(self._out), PIECE
        before = stream.avail_in
        status = self._library.inflate(ctypes.byref(stream), Z_BLOCK if block else Z_NO_FLUSH)
        if status not in (Z_OK, Z_STREAM_END, Z_BUF_ERROR):
            raise zlib.error((stream.msg or b"it's no such stream").decode())
        self.eof = status == Z_STREAM_END
        return before - stream.avail_in, ctypes.string_at(self._out, PIECE - stream.avail_out)

    @property
    def between_blocks(self) -> bool:
        """Whether the last step ended where a `Point` can be."""
        kind = self._stream.data_type
        return bool(kind & AT_BLOCK) and not kind & LAST_BLOCK and not self.eof

    def point(self, packed: int, unpacked: int, byte: int) -> Point:
        """Return where the last step ended, as a place to begin again."""
        window = ctypes.create_string_buffer(WINDOW)
        size = ctypes.c_uint(0)
        self._call("inflateGetDictionary", window, ctypes.byref(size))
        bits = self._stream.data_type & BITS
        return Point(packed, unpacked, bits, byte, window.raw[: size.value])

    def _call(self, name: str, *arguments: object) -> None:
        status = getattr(self._library, name)(ctypes.byref(self._stream), *arguments)
        if status != Z_OK:
            raise zlib.error(f"{name} returned {status}")


class Sha256:
    """SHA-256 whose state can be kept; as fast as hashlib, being the same code.

    Parameters
    ----------
    state : bytes, optional
        What `state` returned.
    """

    def __init__(self, state: bytes = b"") -> None:
        found = crypto_library()
        assert found is not None
        self._library = found
        self._context = ctypes.create_string_buffer(state, SHA256_STATE)
        if not state:
            self._library.SHA256_Init(self._context)

    def update(self, data: bytes | memoryview) -> None:
        """Add bytes."""
        text = bytes(data)
        self._library.SHA256_Update(self._context, text, ctypes.c_size_t(len(text)))

    def state(self) -> bytes:
        """Return what `Sha256` can begin with later."""
        return self._context.raw

    def hexdigest(self) -> str:
        """Return the digest of what was added."""
        copy = ctypes.create_string_buffer(self._context.raw, SHA256_STATE)
        digest = ctypes.create_string_buffer(32)
        self._library.SHA256_Final(digest, copy)
        return digest.raw.hex()
