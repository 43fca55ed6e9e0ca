"""Archives unpacked while they arrive: whole, interrupted anywhere, damaged, hostile."""

import bz2
import gzip
import io
import lzma
import stat
import struct
import subprocess
import tarfile
import tempfile
import threading
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import cycle, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data_helpers import known_set, make_fetch, noise, published, sha256, tar_of, visible
from tests.data_processes import until
from tests.data_server import DataServer
from workbench.data.errors import DataError, Refused, WrongContents
from workbench.data.transfer import forward_stream, unpack, unpack_limits
from workbench.data.transfer.receive import receive
from workbench.data.transfer.staging import Staging
from workbench.manifest import DataFile

PACKERS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
SIZES = [0, 1, 511, 512, 513, 1023, 1024, (1 << 20) - 1, 1 << 20, (1 << 20) + 1]
FEW = {"a.bin": noise(700), "d/b.bin": noise(2000, 1), "empty": b""}
MANY = {
    f"scan/{n}/{size}.bin": (noise(997, n) * (size // 997 + 1))[:size]
    for n, size in enumerate(SIZES)
}


class Cut(Exception):  # noqa: N818
    """The connection is gone."""


class Sender:
    """A server of one file that ends each connection where it is told to."""

    def __init__(self, data: bytes, pieces: list[int]) -> None:
        self.data, self.pieces = data, pieces
        self.sent = 0
        self.starts: list[int] = []
        self.limit: int | None = None

    def open_at(self, start: int) -> Iterator[bytes]:
        self.starts.append(start)
        left = self.limit
        for size in cycle(self.pieces):
            if start >= len(self.data):
                return
            chunk = self.data[start : start + (size if left is None else min(size, left))]
            if not chunk:
                raise Cut
            left = None if left is None else left - len(chunk)
            start += len(chunk)
            self.sent += len(chunk)
            yield chunk


def inside(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


@contextmanager
def folder() -> Iterator[Path]:
    """A new one for each example of hypothesis, which would share pytest's."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def bring(
    place: Path,
    name: str,
    sender: Sender,
    cuts: list[int] | None = None,
    checksum: str = "",
) -> tuple[dict[str, bytes], list[str]]:
    """Unpack an archive, each try but the last cut after so many bytes; return what came."""
    file = DataFile(name=name, sha256=checksum or sha256(sender.data), unpack=True)
    told: list[str] = []
    for limit in [*(cuts or []), None]:
        sender.limit = limit
        told.clear()
        staging = Staging(place / "set", place / "work", lambda arrived: told.append(arrived.name))
        try:
            receive(file, staging, sender.open_at)
        except Cut:
            continue
        break
    return inside(place / "set"), told


def zip_of(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def archives(files: Mapping[str, bytes]) -> dict[str, bytes]:
    tar = tar_of(files)
    found = {f"all.tar{kind}": pack(tar) for kind, pack in PACKERS.items()}
    found["all.tgz"] = found["all.tar.gz"]
    found["stored.zip"] = zip_of(files, zipfile.ZIP_STORED)
    found["deflated.zip"] = zip_of(files)
    return found


@pytest.fixture(scope="module")
def large() -> dict[str, bytes]:
    return archives(MANY)


KINDS = list(archives({}))


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_archive_gives_every_size_of_file(tmp_path, large, name):
    files, told = bring(tmp_path, name, Sender(large[name], [70_001]))
    assert files == MANY
    assert sorted(told) == sorted(MANY)


@pytest.mark.parametrize("kind", [".gz", ".bz2", ".xz"])
@pytest.mark.parametrize("size", [0, 1, (1 << 20) + 1])
def test_a_file_compressed_by_itself_gets_its_name_without_the_ending(tmp_path, kind, size):
    data = noise(size)
    sender = Sender(PACKERS[kind](data), [999])
    assert bring(tmp_path, f"run7/scan.h5{kind}", sender)[0] == {"run7/scan.h5": data}


@pytest.mark.parametrize("dialect", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_folders_are_read_in_every_dialect_of_tar(tmp_path, dialect):
    name = f"{'d' * 60}/{'e' * 60}/{'f' * 90}.bin"
    if dialect != tarfile.USTAR_FORMAT:
        name = f"{'ä' * 90}/{'g' * 200}/{name}"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=dialect) as archive:
        for path, kind in ((name.partition("/")[0], tarfile.DIRTYPE), ("./", tarfile.DIRTYPE)):
            member = tarfile.TarInfo(path)
            member.type = kind
            archive.addfile(member)
        member = tarfile.TarInfo(f"./{name}")
        member.size = 700
        archive.addfile(member, io.BytesIO(FEW["a.bin"]))
    assert bring(tmp_path, "a.tar", Sender(buffer.getvalue(), [100]))[0] == {name: FEW["a.bin"]}


def test_a_name_without_a_known_ending_is_told_with_those_that_are_known(tmp_path):
    with pytest.raises(WrongContents, match=r"a\.rar can't be unpacked: known are \.tar, "):
        bring(tmp_path, "a.rar", Sender(b"x", [1]))


SMALL_FILES = st.lists(st.sampled_from([0, 1, 511, 512, 513, 1024, 5000, 30_000]), max_size=6).map(
    lambda sizes: {f"{n % 3}/{n}.bin": noise(size, n) for n, size in enumerate([10, *sizes])}
)
PIECES = st.lists(st.sampled_from([1, 7, 511, 512, 513, 4096, 9000]), max_size=5).map(
    lambda sizes: [*sizes, 9000]
)
CUTS = st.lists(st.integers(0, 60_000), max_size=5)


@settings(max_examples=40)
@given(SMALL_FILES, PIECES, CUTS, st.sampled_from(KINDS), st.sampled_from([0, 9000, 1 << 24]))
def test_an_interrupted_archive_comes_out_right_and_no_byte_is_asked_for_twice(
    files, pieces, cuts, name, in_memory
):
    sender = Sender(archives(files)[name], pieces)
    with folder() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(unpack, "IN_MEMORY", in_memory)
        found, _ = bring(place, name, sender, cuts)
        assert found == files
        assert not [p for p in (place / "work").rglob("*") if p.is_file() and p.name != "arrived"]
    assert sender.sent == len(sender.data)


def test_what_came_last_is_taken_from_memory_and_the_rest_from_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "IN_MEMORY", 25)
    data = noise(70)
    path = tmp_path / "all.tar"
    path.write_bytes(data[:45])
    growing = unpack.Growing(path)
    growing.grow(b"", 15)  # of an earlier try
    for start, stop in pairwise((15, 25, 35, 45, 55, 65, 70)):
        growing.grow(data[start:stop], stop)
    growing.end()
    assert list(growing.chunks()) == [data[:45], data[45:55], data[55:65], data[65:]]


def test_a_download_that_stalls_has_been_unpacked_as_far_as_it_came(tmp_path):
    """Unpacking goes on beside the download, and begins again from the disk after a break."""
    files = {f"{n}.bin": noise(60_000, n) for n in range(20)}
    sender = Sender(tar_of(files), [10_000])
    reached = threading.Event()

    def stalling(start: int) -> Iterator[bytes]:
        for chunk in sender.open_at(start):
            yield chunk
            if sender.sent == 700_000:
                until(lambda: (tmp_path / "work/parts/10.bin").exists())
                reached.set()
                raise Cut

    staging = Staging(tmp_path / "set", tmp_path / "work", lambda arrived: None)
    file = DataFile(name="a.tar", sha256=sha256(sender.data), unpack=True)
    with pytest.raises(Cut):
        receive(file, staging, stalling)
    assert reached.is_set()
    assert inside(tmp_path / "set") == {}
    assert bring(tmp_path, "a.tar", sender)[0] == files
    assert sender.starts == [0, 700_000]


@settings(max_examples=25)
@given(PIECES, st.sampled_from([".gz", ".bz2", ".xz"]), st.integers(0, 9), st.booleans())
def test_several_compressed_streams_and_padding_are_one_file(pieces, kind, padding, single):
    tar = tar_of(FEW)
    data = b"".join(PACKERS[kind](part) for part in (tar[:700], tar[700:701], b"", tar[701:]))
    data += bytes(512 * padding)
    with folder() as place:
        found, _ = bring(place, f"a{'' if single else '.tar'}{kind}", Sender(data, pieces))
        assert found == ({"a": tar} if single else FEW)


def fails(place: Path, name: str, data: bytes, checksum="") -> str:
    with pytest.raises(WrongContents) as caught:
        bring(place, name, Sender(data, [4096]), checksum=checksum)
    return str(caught.value)


@pytest.mark.parametrize("name", KINDS)
def test_an_archive_that_differs_from_its_checksum_leaves_nothing(tmp_path, name):
    data = archives(FEW)[name]
    text = fails(tmp_path, name, data, checksum="0" * 64)
    assert text.startswith(f"{name} arrived with the SHA-256 {sha256(data)[:16]}…")
    assert inside(tmp_path / "set") == {}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("part", [0.0, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("checksum", ["", "unknown"])
def test_an_archive_that_ends_too_early_gives_nothing(tmp_path, name, part, checksum):
    data = archives({"a.bin": noise(40_000), "b.bin": noise(40_000, 1)})[name]
    text = fails(tmp_path, name, data[: int(len(data) * part)], checksum=checksum)
    assert text.startswith(name)
    assert inside(tmp_path / "set") == {}


def test_a_tar_cut_between_two_files_is_not_taken_for_whole_without_a_checksum(tmp_path):
    data = tar_of({"a.bin": noise(1024), "b.bin": noise(1024)})
    text = fails(tmp_path, "a.tar", data[:1536], checksum="unknown")
    assert text == "a.tar is a damaged tar archive, or ends too early."


def test_a_tar_with_a_damaged_header_is_not_taken_for_one_that_ends_there(tmp_path):
    data = bytearray(tar_of({"a.bin": noise(1024), "b.bin": noise(1024)}))
    data[1536:1540] = b"\xff\xff\xff\xff"
    text = fails(tmp_path, "a.tar", bytes(data), checksum="unknown")
    assert text == "a.tar is a damaged tar archive, or ends too early."


def test_a_tar_without_an_end_mark_is_taken_where_its_checksum_is_right(tmp_path):
    data = tar_of(FEW)
    end = len(data.rstrip(b"\0")) // 512 * 512 + 512
    assert bring(tmp_path, "a.tar", Sender(data[:end], [100]))[0] == FEW


@pytest.mark.parametrize("name", [*KINDS, "a.h5.gz", "a.h5.bz2", "a.h5.xz"])
@pytest.mark.parametrize("data", [b"<html>no</html>" * 99, noise(30_000)], ids=["page", "noise"])
def test_what_is_no_archive_is_told_by_its_name(tmp_path, name, data):
    assert fails(tmp_path, name, data).startswith(name)
    assert inside(tmp_path / "set") == {}


@pytest.mark.parametrize("name", KINDS)
def test_an_archive_without_files_is_told(tmp_path, name):
    assert fails(tmp_path, name, archives({})[name]) == f"{name} holds no files."


# ------------------------------------------------------------------ hostile


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", **about) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, link
    for key, value in about.items():
        setattr(found, key, value)
    return found


def tar_with(*members: tarfile.TarInfo, dialect: int = tarfile.PAX_FORMAT, good: bool = True):
    """A tar that begins and ends with a good file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=dialect) as archive:
        for each in [*([member("good", size=3)] if good else []), *members]:
            data = io.BytesIO(b"evil" * 300) if each.name != "good" else io.BytesIO(b"yes")
            archive.addfile(each, data if each.size else None)
    return buffer.getvalue()


def with_size(size: int) -> bytes:
    """A tar whose second member claims a size."""
    data = bytearray(tar_with(member("evil", size=5)))
    at = 1024
    data[at + 124 : at + 136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)
    data[at + 148 : at + 156] = b" " * 8
    data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    return bytes(data)


def sparse(pax: dict[str, str], data: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(
            member("evil", size=len(data), pax_headers=pax), io.BytesIO(data) if data else None
        )
    return buffer.getvalue()


SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}
SPARSE |= {"GNU.sparse.name": "evil"}

HOSTILE_TARS = {
    "up": (tar_with(member("../evil", size=5)), "'../evil', which would lie outside"),
    "up-later": (tar_with(member("a/../../evil", size=5)), "which would lie outside"),
    "absolute": (tar_with(member("/tmp/evil", size=5)), "'/tmp/evil', which would lie outside"),
    "drive": (tar_with(member("C:\\evil", size=5)), "which would lie outside"),
    "drive-only": (tar_with(member("C:evil", size=5)), "which would lie outside"),
    "backslash": (tar_with(member("..\\evil", size=5)), "which would lie outside"),
    "folder-up": (tar_with(member("../evil", tarfile.DIRTYPE)), "which would lie outside"),
    "no-name": (tar_with(member(".", size=5)), "which would lie outside"),
    "symlink-out": (tar_with(member("evil", tarfile.SYMTYPE, "/etc")), "a link to '/etc'"),
    "symlink-up": (tar_with(member("a/evil", tarfile.SYMTYPE, "../../x")), "a link to '../../x'"),
    "hardlink-up": (tar_with(member("a/evil", tarfile.LNKTYPE, "../x")), "a link to '../x'"),
    "hardlink-out": (
        tar_with(member("evil", tarfile.LNKTYPE, "/etc/passwd")),
        "a link to '/etc/passwd'",
    ),
    "character": (tar_with(member("evil", tarfile.CHRTYPE)), "which is not an ordinary file"),
    "block": (tar_with(member("evil", tarfile.BLKTYPE)), "which is not an ordinary file"),
    "fifo": (tar_with(member("evil", tarfile.FIFOTYPE)), "which is not an ordinary file"),
    "other": (tar_with(member("evil", b"Z")), "which is not an ordinary file"),
    "sparse-huge": (
        sparse(SPARSE | {"GNU.sparse.realsize": str(1 << 50)}, b"0\n" + bytes(510)),
        "unpacks to more than 200 times its size",
    ),
    "sparse-end": (sparse(SPARSE, b"9" * 512), "not a tar archive that can be read"),
    "sparse-map": (sparse({"GNU.sparse.map": "0,x"}), "not a tar archive that can be read"),
    "file-as-folder": (tar_with(member("good/evil", size=5)), "'good/evil', both as a file and"),
    "folder-as-file": (
        tar_with(member("evil/a", size=5), member("evil", size=5)),
        "'evil', both as a file and as a folder",
    ),
    "through-a-link": (
        tar_with(member("evil", tarfile.SYMTYPE, "good"), member("evil/a", size=5)),
        "both as a file and as a folder",
    ),
    "escape": (tar_with(member("evil\x1b[31m", size=5)), "'evil?[31m', whose name has characters"),
    "newline": (tar_with(member("evil\nname", size=5)), "characters that can't be printed"),
    "direction": (tar_with(member("evil\u202egnp", size=5)), "characters that can't be printed"),
    "long-name": (tar_with(member("e" * 256, size=5)), "whose name is too long"),
    "long-letters": (tar_with(member("ä" * 128, size=5)), "whose name is too long"),
    "deep-name": (tar_with(member("evil/" * 500 + "e", size=5)), "whose name is too long"),
    "long-header": (tar_with(member("e" * 2_000_000, size=5)), "too long to be honest"),
    "long-link": (
        tar_with(member("evil", tarfile.SYMTYPE, "e" * 2_000_000), dialect=tarfile.GNU_FORMAT),
        "too long to be honest",
    ),
    "negative": (with_size(-512), "evil.tar"),
    "negative-odd": (with_size(-1), "evil.tar"),
    "endless": (with_size(1 << 60), "ends in the middle of a file"),
    "pax-size": (
        tar_with(member("evil", size=5, pax_headers={"size": "-1024"})),
        "evil.tar",
    ),
    "chain": (
        (member("x" * 300, size=5).tobuf(tarfile.GNU_FORMAT)[:1024]) * 3000,
        "evil.tar is not a tar archive that can be read",
    ),
}


def refused_by_a_fetch(tmp_path: Path, name: str, data: bytes) -> str:
    """Return the refusal of an archive that a real server offers; nothing of it is left."""
    before = set(tmp_path.parent.iterdir())
    with DataServer({name: data}) as server:
        known = known_set(tmp_path / "uc", server, {name: data}, unpack=[name])
        with pytest.raises(DataError) as caught:
            make_fetch(known, tmp_path).run()
    assert published(tmp_path) == []
    assert visible(tmp_path) == {}
    outside = [p for p in tmp_path.rglob("*") if "evil" in p.name and ".work" not in str(p)]
    assert outside == []
    assert set(tmp_path.parent.iterdir()) == before
    if isinstance(caught.value, Refused):
        assert [p for p in (tmp_path / "cache").glob("*/sets/**/*") if p.is_file()] == []
    return str(caught.value)


@pytest.mark.parametrize("kind", HOSTILE_TARS)
def test_a_hostile_tar_is_refused_as_a_whole(tmp_path, kind):
    data, words = HOSTILE_TARS[kind]
    text = refused_by_a_fetch(tmp_path, "evil.tar", data)
    assert "evil.tar" in text
    assert words in text
    assert "\x1b" not in text


@pytest.mark.parametrize("kind", ["up", "symlink-out", "file-as-folder", "escape", "chain"])
@pytest.mark.parametrize("packer", [".gz", ".bz2", ".xz"])
def test_a_hostile_tar_is_refused_in_every_compression(tmp_path, kind, packer):
    data, words = HOSTILE_TARS[kind]
    name = f"evil.tar{packer}"
    text = refused_by_a_fetch(tmp_path, name, PACKERS[packer](data))
    assert name in text
    assert words.replace("evil.tar", name) in text


@pytest.mark.parametrize("global_", [False, True], ids=["folders", "headers"])
def test_headers_without_end_do_not_fill_the_memory(tmp_path, monkeypatch, global_):
    monkeypatch.setattr(forward_stream, "LONGEST_HEAD", 1 << 20)
    if global_:
        block = tarfile.TarInfo.create_pax_global_header({"comment": "x" * 500_000})
    else:
        block = tar_with(member("d", tarfile.DIRTYPE), good=False)[:512] * 1000
    text = refused_by_a_fetch(tmp_path, "evil.tar", block * 5)
    assert text == "evil.tar is refused. The archive has more headers in a row than can be honest."


@pytest.mark.parametrize("name", ["many.tar", "many.tar.gz", "many.zip"])
def test_more_files_than_anybody_needs_are_refused(tmp_path, monkeypatch, name):
    monkeypatch.setattr(unpack_limits, "MOST_FILES", 20)
    files = {f"evil{n}": b"" for n in range(21)}
    data = zip_of(files) if name.endswith("zip") else tar_of(files)
    text = refused_by_a_fetch(tmp_path, name, gzip.compress(data) if ".gz" in name else data)
    assert text == f"{name} holds more than 20 files. It is refused."


@pytest.mark.parametrize(
    "name", ["evil.tar.gz", "evil.tar.bz2", "evil.tar.xz", "evil.h5.gz", "evil.zip"]
)
def test_an_archive_made_to_fill_the_disk_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setattr(unpack_limits, "ALWAYS_ALLOWED", 1 << 20)
    files = {"evil": bytes(12 << 20)}
    if name.endswith(".zip"):
        data = zip_of(files)
    else:
        pack = PACKERS[f".{name.rpartition('.')[2]}"]
        data = pack(tar_of(files) if ".tar" in name else files["evil"])
    text = refused_by_a_fetch(tmp_path, name, data)
    assert text.startswith(f"{name} unpacks to more than 200 times its size (")
    assert text.endswith("It is refused, and nothing of it is kept.")


def test_what_packs_well_is_allowed_up_to_a_gibibyte(tmp_path):
    data = {"dark.h5": bytes(3 << 20)}
    assert bring(tmp_path, "a.tar.xz", Sender(lzma.compress(tar_of(data)), [99]))[0] == data


# ------------------------------------------------------------------ hostile zip


def zip_with(name: str, data: bytes = b"evil", mode: int = 0, method: int = 0, also: str = ""):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a name is there twice
        archive.writestr("good", b"yes")
        for each in [name, *([also] if also else [])]:
            about = zipfile.ZipInfo(each)
            about.filename = about.orig_filename = each
            about.external_attr = mode << 16
            about.compress_type = method
            archive.writestr(about, data)
    return buffer.getvalue()


def flagged(flag: int) -> bytes:
    """A zip whose second member has a flag, in both of its headers."""
    data = bytearray(zip_with("evil"))
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.rfind(signature)
        data[start + at : start + at + 2] = struct.pack("<H", flag)
    return bytes(data)


def central(field: int, value: int, length: str = "<I") -> bytes:
    """A zip whose table of contents says something else of the second member."""
    data = bytearray(zip_with("evil", b"evil" * 50))
    struct.pack_into(length, data, data.rfind(b"PK\x01\x02") + field, value)
    return bytes(data)


HOSTILE_ZIPS = {
    "up": (zip_with("../evil"), "'../evil', which would lie outside"),
    "absolute": (zip_with("/tmp/evil"), "which would lie outside"),
    "drive": (zip_with("C:\\evil"), "which would lie outside"),
    "backslash": (zip_with("..\\evil"), "which would lie outside"),
    "folder-up": (zip_with("../evil/", b""), "which would lie outside"),
    "symlink": (zip_with("evil", b"/etc", stat.S_IFLNK | 0o777), "'evil', a link"),
    "folder-link": (zip_with("evil/", b"/etc", stat.S_IFLNK | 0o777), "'evil/', a link"),
    "device": (zip_with("evil", b"", stat.S_IFCHR), "which is not an ordinary file"),
    "fifo": (zip_with("evil", b"", stat.S_IFIFO), "which is not an ordinary file"),
    "file-as-folder": (zip_with("good/evil"), "'good/evil', both as a file and as a folder"),
    "folder-as-file": (zip_with("evil/a", also="evil"), "'evil', both as a file and as a folder"),
    "escape": (zip_with("evil\x1b"), "characters that can't be printed"),
    "long-name": (zip_with("e" * 256), "whose name is too long"),
    "deep-name": (zip_with("evil/" * 500 + "e"), "whose name is too long"),
    "encrypted": (flagged(1), "'evil', which is encrypted"),
    "encrypted-more": (flagged(0x40), "evil.zip isn't a zip archive that can be read"),
    "patched": (flagged(0x20), "evil.zip isn't a zip archive that can be read"),
    "bzip2": (zip_with("evil", method=zipfile.ZIP_BZIP2), "compressed in an unusual way"),
    "lzma": (zip_with("evil", method=zipfile.ZIP_LZMA), "compressed in an unusual way"),
    "unknown-method": (central(10, 99, "<H"), "compressed in an unusual way"),
    "other-name": (zip_with("evil").replace(b"evil", b"live", 1), "isn't a zip archive"),
    "other-sum": (central(16, 1), "isn't a zip archive that can be read: Bad CRC-32"),
    "smaller": (central(24, 7), "isn't a zip archive that can be read"),
    "larger-packed": (central(20, 1 << 30), "isn't a zip archive that can be read"),
    "elsewhere": (central(42, 3), "isn't a zip archive that can be read"),
    "overlapping": (central(42, 0), "isn't a zip archive that can be read"),
    "behind": (central(42, 1 << 30), "isn't a zip archive that can be read"),
}


@pytest.mark.parametrize("kind", HOSTILE_ZIPS)
def test_a_hostile_zip_is_refused_as_a_whole(tmp_path, kind):
    data, words = HOSTILE_ZIPS[kind]
    text = refused_by_a_fetch(tmp_path, "evil.zip", data)
    assert "evil.zip" in text
    assert words in text
    assert "\x1b" not in text


def overlapping(count: int) -> bytes:
    """A zip whose members all use the same packed bytes, each one header further back."""
    kernel = zip_with("evil", bytes(100_000), method=zipfile.ZIP_DEFLATED)
    data = bytearray(kernel)
    start = data.rfind(b"PK\x01\x02")
    entry = bytes(data[start : data.rfind(b"PK\x05\x06")])
    names = [b"evi%d" % n for n in range(count)]
    table = b"".join(entry.replace(b"evil", name) for name in names)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(table), start, 0)
    return bytes(data[:start]) + table + end


def test_a_zip_whose_members_share_their_bytes_is_refused(tmp_path):
    text = refused_by_a_fetch(tmp_path, "evil.zip", overlapping(5))
    assert "evil.zip isn't a zip archive that can be read" in text


MUTATED = {"a.tar": tar_of(FEW), "a.zip": zip_of(FEW), "a.tar.gz": gzip.compress(tar_of(FEW))}


@settings(max_examples=120)
@given(
    st.sampled_from(sorted(MUTATED)),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_whatever_is_damaged_in_an_archive_ends_in_a_sentence(name, flips):
    data = bytearray(MUTATED[name])
    for at, value in flips:
        data[at % len(data)] = value
    with folder() as place:
        try:
            bring(place, name, Sender(bytes(data), [997]), checksum="unknown")
        except DataError as problem:
            assert name in str(problem)
        assert {p.name for p in place.iterdir()} <= {"set", "work"}


# ------------------------------------------------------------------ as publishers make them


def unpacked(tmp_path: Path, name: str, data: bytes) -> dict[str, bytes]:
    return bring(tmp_path, name, Sender(data, [700]))[0]


EVIL = b"evil" * 300
PUBLISHED_TARS = {
    "a label": (tar_with(member("Volume 1", b"V")), {}),
    "the same name twice": (
        tar_with(member("a", size=9), member("./a", size=5)),
        {"a": EVIL[:5]},
    ),
    "backslashes": (tar_with(member("run\\a", size=5)), {"run/a": EVIL[:5]}),
    "Latin-1": (
        tar_with(member("M\udcfcnchen", size=5), dialect=tarfile.GNU_FORMAT),
        {"München": EVIL[:5]},
    ),
    "a soft hyphen": (
        tar_with(member("de\N{SOFT HYPHEN}tector", size=5)),
        {"de\xadtector": EVIL[:5]},
    ),
    "a link": (tar_with(member("d/a", tarfile.SYMTYPE, "../good")), {"d/a": b"yes"}),
    "a hard link": (tar_with(member("d/a", tarfile.LNKTYPE, "good")), {"d/a": b"yes"}),
    "a link to a link, before both": (
        tar_with(
            member("a", tarfile.SYMTYPE, "b"),
            member("b", tarfile.SYMTYPE, "c/./d"),
            member("c/d", size=5),
        ),
        {"a": EVIL[:5], "b": EVIL[:5], "c/d": EVIL[:5]},
    ),
    "a link to a folder": (
        tar_with(member("c/d", size=5), member("latest", tarfile.SYMTYPE, "c")),
        {"c/d": EVIL[:5], "latest/d": EVIL[:5]},
    ),
    "links in a circle": (
        tar_with(member("a", tarfile.SYMTYPE, "b"), member("b", tarfile.SYMTYPE, "a")),
        {},
    ),
    "a link that means nothing": (tar_with(member("a", tarfile.SYMTYPE, "gone")), {}),
}


@pytest.mark.parametrize("kind", PUBLISHED_TARS)
def test_what_publishers_put_into_a_tar_is_unpacked(tmp_path, kind):
    data, files = PUBLISHED_TARS[kind]
    assert unpacked(tmp_path, "a.tar", data) == {"good": b"yes"} | files
    assert not [p for p in tmp_path.rglob("*") if p.is_symlink()]


@pytest.mark.parametrize("form", ["gnu", "oldgnu", "posix"])
def test_a_sparse_file_has_its_zeros(tmp_path, form):
    """As the system's own tar packs it, in each of its ways."""
    source = tmp_path / "source"
    source.mkdir()
    with (source / "map.bin").open("wb") as file:
        for at in (200_000, 900_000):
            file.seek(at)
            file.write(b"data" * 1000)
        file.truncate(1_500_000)
    (source / "z").write_bytes(b"after")
    files = inside(source)
    tar = subprocess.run(
        ["tar", f"--format={form}", "-cSf", "-", "map.bin", "z"],
        cwd=source,
        check=True,
        capture_output=True,
    ).stdout
    assert len(tar) < 200_000, "it is sparse"
    assert unpacked(tmp_path / "to", "a.tar", tar) == files


@pytest.mark.parametrize("name", ["a.tar.gz", "a.h5.gz", "a.tar.bz2", "a.tar.xz"])
@pytest.mark.parametrize("after", [b"\0" * 700, b"garbage", b"\n", b"\0\0x" * 500])
def test_what_follows_a_compressed_stream_is_no_part_of_it(tmp_path, name, after):
    data = tar_of(FEW) if "tar" in name else FEW["d/b.bin"]
    packed = PACKERS[f".{name.rpartition('.')[2]}"](data) + after
    expected = FEW if "tar" in name else {"a.h5": data}
    assert unpacked(tmp_path, name, packed) == expected


def zip_entries(*entries: tuple[str, bytes, int]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for name, data, attributes in entries:
            about = zipfile.ZipInfo(name)
            about.filename = about.orig_filename = name
            about.external_attr = attributes
            archive.writestr(about, data)
    return buffer.getvalue()


FOLDER = (stat.S_IFDIR | 0o755) << 16
PUBLISHED_ZIPS = {
    "a folder twice": [("d/", b"", FOLDER), ("d/", b"", FOLDER), ("d/a", b"1", 0)],
    "a folder without a slash": [("d", b"", FOLDER), ("e", b"", 0x10), ("d/a", b"1", 0)],
    "the top": [("/", b"", FOLDER), ("./", b"", FOLDER), ("d/a", b"1", 0)],
    "the same name twice": [("d/a", b"0", 0), ("d/a", b"1", 0)],
    "backslashes": [("d\\a", b"1", 0)],
}


@pytest.mark.parametrize("kind", PUBLISHED_ZIPS)
def test_what_publishers_put_into_a_zip_is_unpacked(tmp_path, kind):
    assert unpacked(tmp_path, "a.zip", zip_entries(*PUBLISHED_ZIPS[kind])) == {"d/a": b"1"}
