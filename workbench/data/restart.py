"""Where the decompressing of a gzipped archive can go on after its process was killed."""

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .errors import WrongContents
from .intake import Sums
from .rules import Unpacking
from .tape import Helper
from .zlibblocks import Inflater, Point, Sha256, crypto_library, zlib_library

EVERY = 4 << 20
"""Compressed bytes between two points."""
KEPT = 4
TRAILER = 8
"""Bytes after the blocks of a gzip member: a checksum and a length."""


@dataclass(frozen=True)
class Restart:
    """A point, and the state of the archive's checksum there; empty where that isn't needed."""

    point: Point
    sums: bytes


class Restarts:
    """The last few points of one archive, in a file.

    An older one is kept for the case that what came out since had not yet been written down.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: list[list[object]] = []

    def latest(self, most: int) -> Restart | None:
        """Return the last point before which at most `most` bytes had come out, if there is one."""
        if zlib_library() is None or not self._path.is_file():
            return None
        try:
            self._kept = json.loads(self._path.read_text(encoding="ascii"))
            found = [restart_of(line) for line in self._kept]
        except (ValueError, TypeError):
            return None
        fitting = [r for r in found if r.point.unpacked <= most]
        return max(fitting, key=lambda r: r.point.unpacked, default=None)

    def keep(self, point: Point, sums: Callable[[], bytes]) -> None:
        """Add a point; called once everything before it has been written and hashed."""
        window, state = (base64.b64encode(b).decode() for b in (point.window, sums()))
        line = [point.packed, point.unpacked, point.bits, point.byte, window, state]
        self._kept = [*self._kept[1 - KEPT :], line]
        partial_file = self._path.with_name(f"{self._path.name}.new")
        partial_file.write_text(json.dumps(self._kept), encoding="ascii")
        partial_file.replace(self._path)

    def remove(self) -> None:
        """Forget them."""
        self._kept = []
        self._path.unlink(missing_ok=True)


def restart_of(line: list[object]) -> Restart:
    """Return a restart as it was written."""
    packed, unpacked, bits, byte, window, state = line
    in_out, rest = (int(str(packed)), int(str(unpacked))), (int(str(bits)), int(str(byte)))
    point = Point(*in_out, *rest, window=base64.b64decode(str(window)))
    return Restart(point, base64.b64decode(str(state)))


def resumable_sums(sums: Sums) -> bool:
    """Return whether a checksum's state can be kept."""
    return sums.md5 is None and crypto_library() is not None


class Gunzipping:
    """Decompresses a gzip stream, and keeps points to begin again at.

    Parameters
    ----------
    unpacking : Unpacking
        Counts, and refuses what grows too large.
    helper : Helper
        Hashes beside this thread.
    sums : Sums or None
        The archive's checksums, None where its contents are verified one by one.
    restarts : Restarts
        Takes the points.
    begin : Restart, optional
        Where to begin.
    """

    def __init__(
        self,
        unpacking: Unpacking,
        helper: Helper,
        sums: Sums | None,
        restarts: Restarts,
        begin: Restart | None,
    ) -> None:
        self._unpacking, self._helper, self._sums = unpacking, helper, sums
        self._restarts = restarts
        point = begin.point if begin else None
        self.packed, self.unpacked = (point.packed, point.unpacked) if point else (0, 0)
        self._inflater = Inflater(point)
        self._skip = TRAILER if point else 0
        self._raw = point is not None
        self._last_point = self.packed
        unpacking.grow(self.packed, self.unpacked)
        if begin and sums is not None:
            sums.sha256 = Sha256(begin.sums)
        elif sums is not None and resumable_sums(sums):
            sums.sha256 = Sha256()

    def run(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield what comes out of `chunks`, which begin at `packed`.

        Raises
        ------
        WrongContents
            It's no gzip stream, or ends in the middle of one.
        """
        try:
            for chunk in chunks:
                self._unpacking.grow(len(chunk), 0)
                yield from self._chunk(chunk)
        except zlib.error as problem:
            raise WrongContents(
                f"{self._unpacking.archive} can't be decompressed ({problem})."
            ) from None
        if not self._inflater.eof:
            raise WrongContents(f"{self._unpacking.archive} ends in the middle.")

    def _chunk(self, chunk: bytes) -> Iterator[bytes]:
        place = 0
        while place < len(chunk):
            if self._inflater.eof:
                place = self._after_a_member(chunk, place)
                continue
            due = self.packed - self._last_point > EVERY
            used, found = self._inflater.step(chunk, place, block=due)
            self._take(chunk[place : place + used])
            place += used
            self.unpacked += len(found)
            self._unpacking.grow(0, len(found))
            if found:
                yield found
            if used and due and self._inflater.between_blocks:
                self._keep(chunk[place - 1])
        # What is left in the decompressor comes without further input.
        while not self._inflater.eof:
            _, found = self._inflater.step(b"", 0)
            if not found:
                return
            self.unpacked += len(found)
            self._unpacking.grow(0, len(found))
            yield found

    def _after_a_member(self, chunk: bytes, place: int) -> int:
        """Pass over a member's trailer and padding; return where the next member begins."""
        if self._raw:
            step = min(self._skip, len(chunk) - place)
            self._skip -= step
            self._raw = self._skip > 0
        elif not chunk[place:].strip(b"\0"):
            step = len(chunk) - place
        else:
            step = 0
            self._inflater = Inflater()
        self._take(chunk[place : place + step])
        return place + step

    def _take(self, data: bytes) -> None:
        """Count and hash bytes that have gone in."""
        self.packed += len(data)
        if self._sums is not None and data:
            self._helper.add(partial(self._sums.update, data))

    def _keep(self, byte: int) -> None:
        """Keep this place; what came out before it has been written by whoever reads."""
        if self._sums is not None and not isinstance(self._sums.sha256, Sha256):
            return
        self._last_point = self.packed
        point = self._inflater.point(self.packed, self.unpacked, byte)
        self._helper.add(partial(self._restarts.keep, point, self._state))

    def _state(self) -> bytes:
        sums = self._sums.sha256 if self._sums is not None else None
        return sums.state() if isinstance(sums, Sha256) else b""
