"""A user's folder as one archive: whole, without links, made while it is sent."""

import io
import os
import zipfile
from pathlib import Path

import pytest

from workbench.packing import CHUNK_BYTES, LEFT_OUT, archive


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "beamhub/pyfai"
    (made / "data/deep").mkdir(parents=True)
    (made / "01.ipynb").write_text("{}")
    (made / "data/deep/größe µ.txt").write_text("12 µm")
    (made / "empty").touch()
    return made


def opened(folder: Path) -> zipfile.ZipFile:
    packed = zipfile.ZipFile(io.BytesIO(b"".join(archive(folder))))
    assert packed.testzip() is None
    return packed


def test_everything_is_in_it_below_the_folders_name(folder: Path) -> None:
    packed = opened(folder)
    assert packed.namelist() == ["pyfai/01.ipynb", "pyfai/empty", "pyfai/data/deep/größe µ.txt"]
    assert packed.read("pyfai/data/deep/größe µ.txt").decode() == "12 µm"


def test_a_large_file_goes_in_pieces(folder: Path) -> None:
    large = os.urandom(3 * CHUNK_BYTES + 5)
    (folder / "large.bin").write_bytes(large)
    pieces = list(archive(folder))
    assert b"".join(pieces)[:2] == b"PK"
    assert max(map(len, pieces)) < 2 * CHUNK_BYTES
    assert zipfile.ZipFile(io.BytesIO(b"".join(pieces))).read("pyfai/large.bin") == large


def test_nothing_outside_is_in_it_and_what_is_left_out_is_named(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret.txt").write_text("not yours")
    (folder / "to-secret").symlink_to(tmp_path / "secret.txt")
    (folder / "round").symlink_to(folder)
    (folder / "gone").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints/01-checkpoint.ipynb").write_text("{}")
    (folder / os.fsdecode(b"bad-\xff")).write_text("no text")
    packed = opened(folder)
    told = packed.read(f"pyfai/{LEFT_OUT}").decode().splitlines()[1:]
    names = ["bad-\\udcff", "gone", "pipe", "round", "to-secret"]
    assert sorted(told) == [f"pyfai/{name}" for name in names]
    assert len(packed.namelist()) == 4
    assert not [name for name in packed.namelist() if "not yours" in packed.read(name).decode()]


def test_a_file_older_than_the_format_knows_is_in_it(folder: Path) -> None:
    os.utime(folder / "empty", (0, 0))
    assert opened(folder).getinfo("pyfai/empty").date_time[0] == 1980


def test_a_folder_that_is_not_there_is_an_empty_archive(tmp_path: Path) -> None:
    assert opened(tmp_path / "beamhub/none").namelist() == []
