"""Decompressing and hashing that go on where a killed process was."""

import gzip
import hashlib
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data import restart
from workbench.data.errors import WrongContents
from workbench.data.intake import Sums
from workbench.data.restart import Gunzipping, Restarts
from workbench.data.rules import Unpacking
from workbench.data.tape import Helper
from workbench.data.zlibblocks import Inflater, Sha256, crypto_library, zlib_library

pytestmark = pytest.mark.skipif(
    zlib_library() is None or crypto_library() is None, reason="there is no zlib or libcrypto"
)


def noise(size: int, seed: int = 1) -> bytes:
    """Return bytes that can be compressed to about half."""
    return random.Random(seed).randbytes(size).translate(bytes(i & 15 for i in range(256)))


RAW = noise(300_000) + bytes(100_000) + noise(130_000, 2)
PACKED = gzip.compress(RAW, 1)


def points():
    """Return every place of PACKED where inflating can begin again."""
    inflater, place, out, found = Inflater(), 0, 0, []
    while not inflater.eof:
        used, data = inflater.step(PACKED, place, block=True)
        place, out = place + used, out + len(data)
        if inflater.between_blocks and used:
            found.append(inflater.point(place, out, PACKED[place - 1]))
    return found


POINTS = points()


def test_blocks_begin_anywhere_in_a_byte():
    assert len({point.bits for point in POINTS}) > 2


@given(st.sampled_from(POINTS))
def test_from_every_point_the_rest_comes_out(point):
    inflater, place, out = Inflater(point), point.packed, []
    while not inflater.eof:
        used, data = inflater.step(PACKED, place)
        place += used
        out.append(data)
    assert b"".join(out) == RAW[point.unpacked :]


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_a_checksum_goes_on_from_its_state(first, second):
    begun = Sha256()
    begun.update(first)
    resumed = Sha256(begun.state())
    resumed.update(memoryview(second))
    assert resumed.hexdigest() == hashlib.sha256(first + second).hexdigest()
    assert begun.hexdigest() == hashlib.sha256(first).hexdigest()


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(restart, "EVERY", 5_000)


def gunzip(folder, chunks, sums, begin=None):
    """Return what comes out, piece by piece, as an archive's reader takes it."""
    helper = Helper()
    stream = Gunzipping(Unpacking("a.gz"), helper, sums, Restarts(folder / "points"), begin)
    found = []
    try:
        for piece in stream.run(chunks(stream.packed)):
            found.append(piece)
        helper.finish()
    finally:
        helper.end()
    return b"".join(found)


def in_chunks(size, packed=PACKED, stop=None):
    def chunks(start):
        yield from (
            packed[i : min(i + size, stop or len(packed))]
            for i in range(start, stop or len(packed), size)
        )

    return chunks


@settings(max_examples=15)
@given(size=st.integers(500, 70_000), cut=st.integers(120_000, len(PACKED) - 1))
def test_what_was_cut_off_anywhere_goes_on_near_there(tmp_path_factory, size, cut):
    folder = tmp_path_factory.mktemp("restart")
    restart.EVERY, before = 5_000, restart.EVERY
    try:
        with pytest.raises(WrongContents, match="ends in the middle"):
            gunzip(folder, in_chunks(size, stop=cut), Sums())
        begin = Restarts(folder / "points").latest(10**9)
        assert begin is not None and cut - begin.point.packed < 110_000
        sums = Sums()
        assert gunzip(folder, in_chunks(size), sums, begin) == RAW[begin.point.unpacked :]
        assert sums.sha256.hexdigest() == hashlib.sha256(PACKED).hexdigest()
    finally:
        restart.EVERY = before


def test_members_and_padding_after_a_restart_are_read_as_before(tmp_path, often):
    packed = PACKED + gzip.compress(b"more") + bytes(1000)
    with pytest.raises(WrongContents):
        gunzip(tmp_path, in_chunks(5000, packed, stop=len(PACKED) - 20), None)
    begin = Restarts(tmp_path / "points").latest(10**9)
    found = gunzip(tmp_path, in_chunks(777, packed), None, begin)
    assert found == (RAW + b"more")[begin.point.unpacked :]


def test_the_point_chosen_is_the_last_before_what_was_written(tmp_path, often):
    gunzip(tmp_path, in_chunks(5000), Sums())
    restarts = Restarts(tmp_path / "points")
    last = restarts.latest(10**9)
    assert restarts.latest(last.point.unpacked) == last
    earlier = restarts.latest(last.point.unpacked - 1)
    assert earlier.point.unpacked < last.point.unpacked
    assert restarts.latest(0) is None


@pytest.mark.parametrize("text", ["", "[", "[[1, 2]]", "{}", '[["a", 1, 2, 3, "", ""]]'])
def test_a_file_of_points_that_is_damaged_is_none(tmp_path, text):
    (tmp_path / "points").write_text(text)
    assert Restarts(tmp_path / "points").latest(10**9) is None


def test_what_is_no_gzip_is_told():
    with pytest.raises(zlib.error):
        Inflater().step(b"<html>", 0)


def test_md5_alone_has_no_state_that_could_be_kept(tmp_path, often):
    sums = Sums(md5=hashlib.md5(usedforsecurity=False))
    assert gunzip(tmp_path, in_chunks(5000), sums) == RAW
    assert not (tmp_path / "points").exists()
    assert sums.sha256.hexdigest() == hashlib.sha256(PACKED).hexdigest()
