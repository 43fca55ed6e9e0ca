"""Unpack archives while they arrive: tar in any compression, single files, zip."""

import ctypes
import hashlib
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from ..manifest import DataFile
from .box import BLOCK, Box, blocks
from .errors import Refused, WrongContents
from .inflate import inflate
from .intake import OpenAt, Sums, collect, sums_for, verify, write_all
from .journal import Entry, Journal
from .restart import Gunzipping, Restarts
from .rules import Unpacking, tar_file_name, zip_file_name
from .tape import Helper, Tape
from .zlibblocks import zlib_library

KEEP_SIZE, PUNCH_HOLE = 1, 2
"""Of fallocate(2)."""
ZIP_PROBLEMS = (
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    WrongContents,
    struct.error,
    zlib.error,
)
"""What zipfile makes of a damaged archive."""
UNPACKED = b"unpacked"


class Contents:
    """The files that come out of one archive: each is hashed, checked and handed on.

    Where the manifest lists what the archive holds, a file is verified and handed on as soon as
    it is complete, and the archive's own checksum adds nothing. Otherwise all wait for that.

    Parameters
    ----------
    file : DataFile
        The archive.
    box : Box
        Takes what is complete.
    listed : dict of str to str
        Name to SHA-256; empty where nobody lists them.
    plain : bool
        Whether the archive is the stream that is unpacked, not a compressed form of it.
    verified : bool
        Whether the archive's own checksum has been compared already.
    """

    def __init__(
        self,
        file: DataFile,
        box: Box,
        listed: dict[str, str],
        *,
        plain: bool,
        verified: bool = False,
    ) -> None:
        self.file, self.box, self.listed = file, box, listed
        self.sums = sums_for(file)
        self._verified = verified
        self._hash_stream = plain and not listed and not verified
        self._hash_packed = not plain and not listed and not verified
        # The archive's checksum and those of its files are computed side by side.
        self.helper, self.whole = Helper(), Helper()
        self._done: dict[str, str] = {}

    @property
    def proven(self) -> bool:
        """Whether a checksum will show that nothing is missing."""
        return bool(self.listed) or self._verified or has_sum(self.file)

    def unpack(self, name: str, pieces: Iterable[bytes | memoryview], here: int = 0) -> None:
        """Write a file, or go on where `here` bytes of it are there already."""
        if self.listed and name not in self.listed:
            raise self._wrong(name)
        digest = hashlib.sha256()
        if name in self.box.done:
            for piece in pieces:
                self.stream(piece)
            return
        part = self.box.part(name)
        if here:
            self.helper.add(partial(hash_start, digest, part, here))
        with part.open("ab" if here else "wb", buffering=0) as target:
            for piece in pieces:
                self.helper.add(partial(digest.update, piece))
                self.stream(piece)
                write_all(target, piece)
        self.helper.add(partial(self._complete, name, digest))

    def stream(self, data: bytes | memoryview) -> None:
        """Take bytes of the stream that is unpacked: contents, and what lies between them."""
        if self._hash_stream:
            self.whole.add(partial(self.sums.update, data))

    def packed(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Take the compressed bytes on their way to the decompressor."""
        for chunk in chunks:
            if self._hash_packed:
                self.whole.add(partial(self.sums.update, chunk))
            yield chunk

    def again(self, entry: Entry, here: int) -> None:
        """Take once more what an earlier try has unpacked: the first `here` bytes of a file.

        Where the archive's checksum is what counts, it needs all that came before; otherwise
        only a file that is complete and not yet verified is read again.
        """
        path = self.box.path_of(entry.name)
        if self._hash_stream:
            self.stream(entry.head)
            self.whole.add(partial(hash_start, self.sums, path, here))
        if here == entry.size and entry.name not in self.box.done:
            digest = hashlib.sha256()
            self.helper.add(partial(hash_start, digest, path, here))
            self.helper.add(partial(self._complete, entry.name, digest))

    def finish(self) -> None:
        """Verify the whole, then hand on what has waited for that."""
        self.helper.finish()
        self.whole.finish()
        if self.listed:
            missing = sorted(self.listed.keys() - self.box.done.keys())
            if missing:
                raise WrongContents(
                    f"{self.file.name} lacks {len(missing)} of the files that the manifest lists: "
                    f"{', '.join(missing[:3])}."
                )
            return
        if not self._verified:
            verify(self.file, self.sums)
        for name, digest in self._done.items():
            self.box.accept(name, digest)

    def end(self) -> None:
        """End both helpers, without telling what failed."""
        self.helper.end()
        self.whole.end()

    def _complete(self, name: str, digest: "hashlib._Hash") -> None:
        if not self.listed and not self._verified:
            self._done[name] = digest.hexdigest()
        elif not self.listed or self.listed.get(name) == digest.hexdigest():
            self.box.accept(name, digest.hexdigest())
        else:
            self.box.drop(name)
            raise self._wrong(name)

    def _wrong(self, name: str) -> WrongContents:
        why = "differs from" if name in self.listed else "is not in"
        return WrongContents(
            f"'{name}' in {self.file.name} {why} the manifest's list. It has been thrown away."
        )


def has_sum(file: DataFile) -> bool:
    """Return whether a checksum of the archive itself is declared."""
    return file.sha256 != "unknown" or file.md5 is not None


def hash_start(digest: "hashlib._Hash | Sums", part: Path, size: int) -> None:
    """Hash the first bytes of a file."""
    for block in blocks(part, size):
        digest.update(block)


def receive_tar(
    file: DataFile, kind: str, box: Box, open_at: OpenAt, listed: dict[str, str]
) -> None:
    """Unpack a tar archive while it arrives.

    Parameters
    ----------
    file, box, open_at, listed
        As `intake.receive` has them.
    kind : str
        How it is compressed, empty for not at all.
    """
    journal = Journal(box.work / f"{Path(file.name).name}.journal")
    contents = Contents(file, box, listed, plain=not kind)
    try:
        unpack(file, kind, open_at, contents, journal)
        contents.finish()
    except WrongContents:
        journal.remove()
        restarts_of(file, box).remove()
        shutil.rmtree(box.work / "parts", ignore_errors=True)
        raise
    finally:
        contents.end()


def restarts_of(file: DataFile, box: Box) -> Restarts:
    """Return where the decompressing of an archive can begin again."""
    return Restarts(box.work / f"{Path(file.name).name}.restarts")


def unpack(
    file: DataFile, kind: str, open_at: OpenAt, contents: Contents, journal: Journal
) -> None:
    """Unpack a stream of tar, from where the last try ended or as near before as can be."""
    unpacking = Unpacking(file.name)
    entries = usable(journal, contents.box)
    here = contents.box.path_of(entries[-1].name).stat().st_size if entries else 0
    wanted = entries[-1].data + here if entries else 0
    stream, begins = streamed(file, kind, open_at, contents, unpacking, wanted)
    tape = Tape(stream, begins)
    if begins == 0:
        journal.rewrite([])
        walk(tape, contents, journal, unpacking)
        return
    for _ in tape.take(wanted - begins):
        pass
    go_on(entries, here, tape, contents, unpacking)
    walk(tape, contents, journal, unpacking)


def streamed(
    file: DataFile,
    kind: str,
    open_at: OpenAt,
    contents: Contents,
    unpacking: Unpacking,
    wanted: int,
) -> tuple[Iterator[bytes], int]:
    """Return the uncompressed stream, and at which of its bytes it begins: `wanted` or before."""
    if not kind:
        return open_at(wanted), wanted
    if kind != ".gz" or zlib_library() is None:
        return inflate(contents.packed(open_at(0)), kind, unpacking), 0
    restarts = restarts_of(file, contents.box)
    begin = restarts.latest(wanted)
    sums = None if contents.listed else contents.sums
    if begin is None:
        restarts.remove()
    elif sums is not None and not begin.sums:
        begin = None
    stream = Gunzipping(unpacking, contents.whole, sums, restarts, begin)
    return stream.run(open_at(stream.packed)), stream.unpacked


def go_on(
    entries: list[Entry], here: int, tape: Tape, contents: Contents, unpacking: Unpacking
) -> None:
    """Take up what an earlier try has unpacked, and complete the file in which it ended."""
    last = entries[-1]
    for entry in entries:
        unpacking.name(entry.name)
        contents.again(entry, here if entry is last else entry.size)
    if here < last.size:
        contents.unpack(last.name, tape.take(last.size - here), here)
    tape.seek(padded(last.end))


def usable(journal: Journal, box: Box) -> list[Entry]:
    """Return the entries whose files are all there, the last one perhaps in part."""
    found = []
    for entry in journal.entries():
        path = box.path_of(entry.name)
        size = path.stat().st_size if path.exists() else -1
        if not 0 <= size <= entry.size:
            break
        found.append(entry)
        if size < entry.size:
            break
    journal.rewrite(found)
    return found


def padded(position: int) -> int:
    """Return where the next header of a tar archive may begin."""
    return -(-position // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def walk(tape: Tape, contents: Contents, journal: Journal, unpacking: Unpacking) -> None:
    """Unpack every file from where the tape is to the archive's end."""
    name = contents.file.name
    try:
        for member in members(tape, contents):
            target = tar_file_name(member, unpacking)
            if target is None:
                continue
            head = bytes(tape.head)
            tape.head.clear()
            contents.stream(head)
            journal.add(Entry(target, tape.tell(), member.size, head))
            contents.unpack(target, tape.take(member.size))
    except EOFError:
        raise WrongContents(f"{name} ends in the middle of a file.") from None
    except Refused as problem:  # the tape doesn't know whose it is
        text = str(problem)
        raise Refused(text if name in text else f"{name} is refused. {text}") from None
    if not unpacking.files:
        raise WrongContents(f"{name} holds no files.")
    contents.stream(bytes(tape.head))
    tape.head.clear()
    for rest in tape.rest():
        contents.stream(bytes(rest))


def members(tape: Tape, contents: Contents) -> Iterator[tarfile.TarInfo]:
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
                    fileobj=tape,  # type: ignore[arg-type]
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
    length = tape.tell() - archive.offset
    mark = bytes(tape.head[-length:]) if length else b""
    if mark.strip(b"\0") or not (mark or contents.proven):
        raise WrongContents(f"{name} is a damaged tar archive, or ends too early.")


def receive_single(
    file: DataFile, kind: str, box: Box, open_at: OpenAt, listed: dict[str, str]
) -> None:
    """Decompress a file that is compressed by itself, under its name without the ending."""
    contents = Contents(file, box, listed, plain=False)
    try:
        stream = inflate(contents.packed(open_at(0)), kind, Unpacking(file.name))
        contents.unpack(file.name[: -len(kind)], stream)
        contents.finish()
    finally:
        contents.end()


def receive_zip(file: DataFile, box: Box, open_at: OpenAt, listed: dict[str, str]) -> None:
    """Unpack a zip archive, whose table of contents comes last.

    So it is fetched as a whole, and the room of each file is given back once it is unpacked;
    unless there is nothing to verify it by, when all files wait for the last.
    """
    path, verified = box.part(file.name), box.work / f"{Path(file.name).name}.verified"
    if verified.exists() and verified.read_bytes() == UNPACKED:
        return
    if not (verified.exists() and path.exists()):
        verified.unlink(missing_ok=True)
        collect(file, box, open_at)
        verified.touch()
    contents = Contents(file, box, listed, plain=False, verified=has_sum(file))
    unpacking = Unpacking(file.name, packed_bytes=path.stat().st_size)
    try:
        with path.open("r+b") as raw, zipfile.ZipFile(raw) as archive:
            for member, target in zip_members(archive, unpacking):
                if target in box.done:
                    continue
                with archive.open(member) as stream:
                    contents.unpack(target, iter(partial(stream.read, BLOCK), b""))
                if contents.proven:
                    contents.helper.add(partial(give_back, path, member))
        contents.finish()
    except ZIP_PROBLEMS as problem:
        verified.unlink()
        box.drop(file.name)
        if isinstance(problem, WrongContents):
            raise
        raise WrongContents(f"{file.name} is no zip archive that can be read: {problem}.") from None
    finally:
        contents.end()
    verified.write_bytes(UNPACKED)
    box.drop(file.name)


def zip_members(
    archive: zipfile.ZipFile, unpacking: Unpacking
) -> list[tuple[zipfile.ZipInfo, str]]:
    """Return the files of a zip archive with the names to unpack them under."""
    found = []
    for member in archive.infolist():
        name = zip_file_name(member, unpacking)
        unpacking.grow(0, member.file_size)
        if name is not None:
            found.append((member, name))
    if not found:
        raise WrongContents(f"{unpacking.archive} holds no files.")
    return sorted(found, key=lambda pair: pair[0].header_offset)


def give_back(path: Path, member: zipfile.ZipInfo) -> None:
    """Give the room of an unpacked file back to the disk, where its file system can do that."""
    place, length = (ctypes.c_int64(n) for n in (member.header_offset, member.compress_size))
    fallocate = getattr(ctypes.CDLL(None), "fallocate", None)
    if fallocate:
        with path.open("r+b") as file:
            fallocate(file.fileno(), PUNCH_HOLE | KEEP_SIZE, place, length)
