"""Unpack archives while they arrive: tar in any compression, single files, zip."""

import ctypes
import hashlib
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from ..manifest import DataFile
from .box import BLOCK, Box, blocks
from .errors import WrongContents
from .inflate import inflate
from .intake import OpenAt, Sums, collect, sums_for, verify, write_all
from .journal import Entry, Journal
from .rules import Unpacking, tar_file_name, zip_file_name
from .tape import Helper, Tape

KEEP_SIZE, PUNCH_HOLE = 1, 2
"""Of fallocate(2)."""


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
        self.helper = Helper()
        self._done: dict[str, str] = {}

    def unpack(self, name: str, pieces: Iterable[bytes | memoryview], here: int = 0) -> None:
        """Write a file, or go on where `here` bytes of it are there already."""
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
            self.helper.add(partial(self.sums.update, data))

    def packed(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Take the compressed bytes on their way to the decompressor."""
        for chunk in chunks:
            if self._hash_packed:
                self.helper.add(partial(self.sums.update, chunk))
            yield chunk

    def again(self, entry: Entry, here: int) -> None:
        """Take once more what an earlier try has unpacked: the first `here` bytes of a file.

        Where the archive's checksum is what counts, it needs all that came before; otherwise
        only a file that is complete and not yet verified is read again.
        """
        path = self.box.path_of(entry.name)
        if self._hash_stream:
            self.stream(entry.head)
            self.helper.add(partial(hash_start, self.sums, path, here))
        if here == entry.size and entry.name not in self.box.done:
            digest = hashlib.sha256()
            self.helper.add(partial(hash_start, digest, path, here))
            self.helper.add(partial(self._complete, entry.name, digest))

    def finish(self) -> None:
        """Verify the whole, then hand on what has waited for that."""
        self.helper.finish()
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

    def _complete(self, name: str, digest: "hashlib._Hash") -> None:
        if not self.listed and not self._verified:
            self._done[name] = digest.hexdigest()
        elif not self.listed or self.listed.get(name) == digest.hexdigest():
            self.box.accept(name, digest.hexdigest())
        else:
            self.box.drop(name)
            why = "differs from" if name in self.listed else "is not in"
            raise WrongContents(
                f"'{name}' in {self.file.name} {why} the manifest's list. It has been thrown away."
            )


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
        if kind:
            unpack_compressed(file, kind, open_at, contents)
        else:
            unpack_plain(file, open_at, contents, journal)
        contents.finish()
    except WrongContents:
        journal.remove()
        shutil.rmtree(box.work / "parts", ignore_errors=True)
        raise
    finally:
        contents.helper.end()
    journal.remove()


def unpack_plain(file: DataFile, open_at: OpenAt, contents: Contents, journal: Journal) -> None:
    """Unpack a stream of tar, from where the last try ended."""
    unpacking = Unpacking(file.name)
    entries = usable(journal, contents.box)
    for entry in entries:
        unpacking.name(entry.name)
    if not entries:
        tape = Tape(open_at(0))
    else:
        last = entries[-1]
        here = contents.box.path_of(last.name).stat().st_size
        for entry in entries[:-1]:
            contents.again(entry, entry.size)
        contents.again(last, here)
        tape = Tape(open_at(last.data + here), last.data + here)
        if here < last.size:
            contents.unpack(last.name, tape.take(last.size - here), here)
        tape.seek(padded(last.end))
    walk(tape, contents, journal, unpacking)


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


def walk(tape: Tape, contents: Contents, journal: Journal | None, unpacking: Unpacking) -> None:
    """Unpack every file from where the tape is to the archive's end."""
    name = contents.file.name
    try:
        archive = tarfile.TarFile(fileobj=tape, errors="surrogateescape")  # type: ignore[arg-type]
        while (member := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]
            target = tar_file_name(member, unpacking)
            if target is None:
                continue
            head = bytes(tape.head)
            tape.head.clear()
            contents.stream(head)
            if journal is not None:
                journal.add(Entry(target, tape.tell(), member.size, head))
            contents.unpack(target, tape.take(member.size))
    except tarfile.TarError as problem:
        raise WrongContents(f"{name} is not a tar archive that can be read ({problem}).") from None
    except EOFError:
        raise WrongContents(f"{name} ends in the middle of a file.") from None
    contents.stream(bytes(tape.head))
    tape.head.clear()
    for rest in tape.rest():
        contents.stream(bytes(rest))


def unpack_compressed(file: DataFile, kind: str, open_at: OpenAt, contents: Contents) -> None:
    """Unpack a compressed stream of tar.

    A decompressor's state can't be kept, so that the next try begins at the first byte again; what
    has been verified by then is passed over.
    """
    unpacking = Unpacking(file.name)
    tape = Tape(inflate(contents.packed(open_at(0)), kind, unpacking))
    walk(tape, contents, None, unpacking)


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
        contents.helper.end()


def receive_zip(file: DataFile, box: Box, open_at: OpenAt, listed: dict[str, str]) -> None:
    """Unpack a zip archive, whose table of contents comes last.

    So it is fetched as a whole, and the room of each file is given back once it is unpacked.
    """
    path, verified = box.part(file.name), box.work / f"{Path(file.name).name}.verified"
    if not verified.exists():
        collect(file, box, open_at)
        verified.touch()
    contents = Contents(file, box, listed, plain=False, verified=True)
    unpacking = Unpacking(file.name, packed_bytes=path.stat().st_size)
    try:
        with path.open("r+b") as raw, zipfile.ZipFile(raw) as archive:
            for member, target in zip_members(archive, unpacking):
                if target in box.done:
                    continue
                with archive.open(member) as stream:
                    contents.unpack(target, iter(partial(stream.read, BLOCK), b""))
                contents.helper.add(partial(give_back, path, member))
        contents.finish()
    except (zipfile.BadZipFile, NotImplementedError, zlib.error) as problem:
        verified.unlink()
        box.drop(file.name)
        raise WrongContents(f"{file.name} is no zip archive that can be read: {problem}.") from None
    finally:
        contents.helper.end()
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
    return sorted(found, key=lambda pair: pair[0].header_offset)


def give_back(path: Path, member: zipfile.ZipInfo) -> None:
    """Give the room of an unpacked file back to the disk, where its file system can do that."""
    place, length = (ctypes.c_int64(n) for n in (member.header_offset, member.compress_size))
    with path.open("r+b") as file:
        ctypes.CDLL(None).fallocate(file.fileno(), PUNCH_HOLE | KEEP_SIZE, place, length)
