"""Unpack an archive while it arrives: tar in any compression, a file compressed by itself, zip.

The archive grows in a file of its own, from which an interrupted download goes on. Another thread
unpacks what has arrived, from memory as long as it keeps up; a zip, whose table of contents comes
last, is unpacked once all of it is here. What came out is kept only if the archive's checksum is
right.
"""

import hashlib
import os
import struct
import tarfile
import threading
import zipfile
import zlib
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from io import FileIO
from pathlib import Path

from ...manifest import DataFile
from ..errors import Refused, WrongContents
from .decompress import inflate
from .forward_stream import ForwardStream, Helper
from .staging import BLOCK, Staging, write_all
from .unpack_limits import Unpacking, link_target, tar_file_name, zip_file_name

ZIP_PROBLEMS = (
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What zipfile makes of a damaged archive."""
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
KINDS = (*TAR_KINDS, ".zip", ".gz", ".bz2", ".xz")
VOLUME_LABEL = b"V"
IN_MEMORY = 16 << 20
"""Bytes that wait in memory for being unpacked; what is older is read from the disk."""
MOST_LINKS = 40
"""Links to links that are followed, as the kernel does."""


class Stopped(Exception):  # noqa: N818
    """The rest of the archive will not come."""


class Growing:
    """A file that one thread writes while another reads it.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0
        self._recent: deque[tuple[int, bytes]] = deque()
        self._kept = 0
        self._ended = self._stopped = False
        self._change = threading.Condition()

    def grow(self, latest: bytes, size: int) -> None:
        """Say that the file has so many bytes now, the last of them these."""
        with self._change:
            if latest:
                self._recent.append((size - len(latest), latest))
            self._kept += len(latest)
            while self._kept > IN_MEMORY:
                self._forget()
            self._size = size
            self._change.notify_all()

    def _forget(self) -> bytes:
        """Return what has been in memory for longest, which is there no more."""
        _, data = self._recent.popleft()
        self._kept -= len(data)
        return data

    def end(self) -> None:
        """Say that it is complete."""
        with self._change:
            self._ended = True
            self._change.notify_all()

    def stop(self) -> None:
        """Say that it will never be."""
        with self._change:
            self._stopped = True
            self._change.notify_all()

    def chunks(self) -> Iterator[bytes]:
        """Yield its bytes as they come: from memory, or what isn't there any more from the file.

        Raises
        ------
        Stopped
            The rest will not come.
        """
        place = 0
        with self._path.open("rb", buffering=0) as file:
            while data := self._after(place, file):
                place += len(data)
                yield data

    def _after(self, place: int, file: FileIO) -> bytes:
        """Return some bytes from `place` on, once there are any; none at the end."""
        with self._change:
            self._change.wait_for(lambda: self._size > place or self._ended or self._stopped)
            if self._stopped:
                raise Stopped
            stop = self._recent[0][0] if self._recent else self._size
            if stop == place and self._recent:
                return self._forget()
        return os.pread(file.fileno(), min(BLOCK, stop - place), place)


class Unpacker:
    """Unpacks an archive in a thread of its own, as far as it has come.

    Parameters
    ----------
    file : DataFile
        The archive.
    staging : Staging
        Where it grows, and where its files go.
    kind : str
        How its name ends, one of `KINDS`.
    """

    def __init__(self, file: DataFile, staging: Staging, kind: str) -> None:
        self.growing = Growing(staging.packed(file.name))
        self._contents = Contents(file, staging)
        self._kind = kind
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._work, daemon=True, name="data-unpack")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def raise_problem(self) -> None:
        """Raise what made it end too early."""
        if self._problem is not None:
            raise self._problem

    def finish(self) -> None:
        """Wait until all of the archive is unpacked.

        Raises
        ------
        WrongContents
            It is damaged.
        Refused
            It holds what it must not.
        """
        self.growing.end()
        self._thread.join()
        self.raise_problem()

    def accept(self) -> None:
        """Take the files that came out, after the archive was verified."""
        self._contents.accept()

    def stop(self, *, keep: bool = False) -> None:
        """End, and throw away what came out unless it is to be kept."""
        self.growing.stop()
        if self._thread.is_alive():
            self._thread.join()
        if not keep:
            self._contents.drop()

    def _work(self) -> None:
        try:
            unpack(self.growing, self._kind, self._contents)
        except Stopped:
            return
        except BaseException as problem:  # noqa: BLE001 - raised by the thread that waits
            self._problem = problem
        finally:
            self._contents.helper.end()


class Contents:
    """The files that come out of one archive: each is written and hashed.

    Parameters
    ----------
    file : DataFile
        The archive.
    staging : Staging
        Takes what is complete.
    """

    def __init__(self, file: DataFile, staging: Staging) -> None:
        self.file, self.staging = file, staging
        self.helper = Helper()
        self.links: dict[str, str] = {}
        self._done: dict[str, str] = {}

    @property
    def proven(self) -> bool:
        """Whether a checksum will show that nothing is missing."""
        return self.file.sha256 != "unknown" or self.file.md5 is not None

    def unpack(self, name: str, pieces: Iterable[bytes | memoryview]) -> None:
        """Write a file; one that came under the same name before is replaced, as tar does."""
        digest = hashlib.sha256()
        part = self.staging.part(name)
        part.unlink(missing_ok=True)
        with part.open("wb", buffering=0) as target:
            for piece in pieces:
                self.helper.add(partial(digest.update, piece))
                write_all(target, piece)
        self.links.pop(name, None)
        self._done[name] = ""
        self.helper.add(partial(self._complete, name, digest))

    def _complete(self, name: str, digest: "hashlib._Hash") -> None:
        self._done[name] = digest.hexdigest()

    def finish(self, unpacking: Unpacking) -> None:
        """Wait for the checksums, and give files their further names."""
        self.helper.finish()
        names = sorted(self._done)
        for name in self.links:
            self._link(name, names, unpacking)

    def _link(self, name: str, names: list[str], unpacking: Unpacking) -> None:
        """Let a link be the file that it means, or all files of the folder that it means.

        One that means nothing here is left out, as nothing could be read by it.
        """
        target = name
        for _ in range(MOST_LINKS):
            target = self.links.get(target, target)
        inside = names[bisect_left(names, f"{target}/") : bisect_left(names, f"{target}0")]
        for each in [target] if target in self._done else inside:
            place = name + each[len(target) :]
            if place not in self._done:
                unpacking.count()
                part = self.staging.part(place)
                part.unlink(missing_ok=True)
                part.hardlink_to(self.staging.part(each))
                self._done[place] = self._done[each]

    def accept(self) -> None:
        """Take all of it."""
        for name, digest in self._done.items():
            self.staging.accept(name, digest)

    def drop(self) -> None:
        """Throw all of it away."""
        for name in self._done:
            with suppress(OSError):
                self.staging.part(name).unlink()


def kind_of(name: str) -> str:
    """Return how the name of an archive ends.

    Raises
    ------
    WrongContents
        Nothing here can unpack such a file.
    """
    for kind in sorted(KINDS, key=len, reverse=True):
        if name.lower().endswith(kind):
            return kind
    raise WrongContents(f"{name} can't be unpacked: known are {', '.join(KINDS)}.")


def unpack(growing: Growing, kind: str, contents: Contents) -> None:
    """Unpack an archive as it arrives."""
    name = contents.file.name
    unpacking = Unpacking(name)
    if kind == ".zip":
        for chunk in growing.chunks():
            unpacking.grow(len(chunk), 0)
        unpack_zip(contents, unpacking)
    elif kind in TAR_KINDS:
        stream = growing.chunks()
        if TAR_KINDS[kind]:
            stream = inflate(stream, TAR_KINDS[kind], unpacking)
        walk(ForwardStream(stream), contents, unpacking)
    else:
        stream = inflate(growing.chunks(), kind, unpacking)
        contents.unpack(name[: -len(kind)], stream)
    contents.finish(unpacking)


def walk(stream: ForwardStream, contents: Contents, unpacking: Unpacking) -> None:
    """Unpack every file from where the stream is to the archive's end."""
    name = contents.file.name
    try:
        for member in members(stream, contents):
            if member.type == VOLUME_LABEL:
                continue
            target = tar_file_name(member, unpacking)
            if target is None:
                continue
            if member.issym() or member.islnk():
                contents.links[target] = link_target(member, target, unpacking)
                continue
            stream.head.clear()
            contents.unpack(target, pieces_of(member, stream, unpacking))
    except EOFError:
        raise WrongContents(f"{name} ends in the middle of a file.") from None
    except Refused as problem:  # the stream doesn't know whose it is
        text = str(problem)
        raise Refused(text if name in text else f"{name} is refused. {text}") from None
    if not unpacking.files:
        raise WrongContents(f"{name} holds no files.")
    for _ in stream.rest():
        pass


def pieces_of(
    member: tarfile.TarInfo, stream: ForwardStream, unpacking: Unpacking
) -> Iterator[bytes | memoryview]:
    """Yield what a member holds, with zeros where it is sparse."""
    if not member.issparse():
        yield from stream.take(member.size)
        return
    kept = [(offset, size) for offset, size in getattr(member, "sparse", []) if size]
    stored = sum(size for _, size in kept)
    unpacking.grow(stored, member.size)
    place = 0
    for offset, size in [*kept, (member.size, 0)]:
        if offset < place or size < 0:
            raise WrongContents(f"{unpacking.archive} holds a sparse file that is damaged.")
        while place < offset:
            step = min(BLOCK, offset - place)
            yield bytes(step)
            place += step
        yield from stream.take(size)
        place += size


def members(stream: ForwardStream, contents: Contents) -> Iterator[tarfile.TarInfo]:
    """Yield every member of a tar archive, whatever is in its headers.

    Raises
    ------
    WrongContents
        It is none, or damaged. tarfile itself takes a damaged header for the archive's end.
    """
    name = contents.file.name
    archive = member = None
    while archive is None or member is not None:
        try:
            if archive is None:
                archive = tarfile.TarFile(
                    fileobj=stream,  # type: ignore[arg-type]
                    errors="surrogateescape",
                )
                # It has read the first header already; after an end, it must not be asked again.
                member = archive.firstmember  # type: ignore[attr-defined]
                archive.firstmember = None  # type: ignore[attr-defined]
            else:
                member = archive.next()
        except (tarfile.TarError, ValueError, OverflowError, RecursionError) as problem:
            raise WrongContents(
                f"{name} is not a tar archive that can be read ({problem})."
            ) from None
        archive.members = []  # type: ignore[attr-defined]
        if member is not None:
            yield member
    length = stream.tell() - archive.offset
    mark = bytes(stream.head[-length:]) if length else b""
    if mark.strip(b"\0") or not (mark or contents.proven):
        raise WrongContents(f"{name} is a damaged tar archive, or ends too early.")


def unpack_zip(contents: Contents, unpacking: Unpacking) -> None:
    """Unpack a zip archive that is complete."""
    name = contents.file.name
    try:
        with zipfile.ZipFile(contents.staging.packed(name)) as archive:
            for member, target in zip_members(archive, unpacking):
                with archive.open(member) as stream:
                    contents.unpack(target, iter(partial(stream.read, BLOCK), b""))
    except ZIP_PROBLEMS as problem:
        raise WrongContents(f"{name} isn't a zip archive that can be read: {problem}.") from None


def zip_members(
    archive: zipfile.ZipFile, unpacking: Unpacking
) -> list[tuple[zipfile.ZipInfo, str]]:
    """Return the files of a zip archive with the names to unpack them under."""
    found: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name = zip_file_name(member, unpacking)
        unpacking.grow(0, member.file_size)
        if name is not None:
            found[name] = member  # of two with one name the last counts
    if not found:
        raise WrongContents(f"{unpacking.archive} holds no files.")
    return sorted(((m, n) for n, m in found.items()), key=lambda pair: pair[0].header_offset)
