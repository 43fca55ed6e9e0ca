"""Copies of use cases that every account may read."""

import os
import stat

import pytest

from hub.usecases import NOTEBOOKS
from spawners.payload import copy_for_all, files_below, payload


@pytest.fixture
def use_case(tmp_path):
    folder = tmp_path / "fit"
    (folder / "data/deep").mkdir(parents=True)
    (folder / "01_fit.ipynb").write_text("v1")
    (folder / "data/deep/a.csv").write_text("1")
    return folder


@pytest.fixture(autouse=True)
def careful_umask():
    """The portal's own, under which nobody else could read a new file."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def modes(folder) -> set[tuple[bool, int]]:
    found = [folder, *folder.rglob("*")]
    return {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in found}


def test_every_account_may_read_a_copy_and_only_one_may_change_it(use_case, tmp_path):
    copied = payload(tmp_path / "shared", use_case)
    assert modes(copied) == {(True, 0o755), (False, 0o644)}
    assert (copied / "data/deep/a.csv").read_text() == "1"


def test_a_private_original_is_copied_readable(use_case, tmp_path):
    (use_case / "01_fit.ipynb").chmod(0o600)
    use_case.chmod(0o700)
    assert modes(payload(tmp_path / "shared", use_case)) == {(True, 0o755), (False, 0o644)}


def test_the_same_contents_are_copied_once(use_case, tmp_path):
    first = payload(tmp_path / "shared", use_case)
    inode = (first / "01_fit.ipynb").stat().st_ino
    assert payload(tmp_path / "shared", use_case) == first
    assert (first / "01_fit.ipynb").stat().st_ino == inode


def test_an_edit_makes_another_copy_and_leaves_the_first(use_case, tmp_path):
    first = payload(tmp_path / "shared", use_case)
    (use_case / "01_fit.ipynb").write_text("v2")
    second = payload(tmp_path / "shared", use_case)
    assert second != first
    assert (first / "01_fit.ipynb").read_text() == "v1"


def test_a_renamed_file_makes_another_copy(use_case, tmp_path):
    first = payload(tmp_path / "shared", use_case)
    (use_case / "01_fit.ipynb").rename(use_case / "02_fit.ipynb")
    assert payload(tmp_path / "shared", use_case) != first


def test_what_running_made_is_left_out(use_case, tmp_path):
    first = payload(tmp_path / "shared", use_case)
    for folder in ("__pycache__", ".ipynb_checkpoints", "checks", "output", "data/output"):
        (use_case / folder).mkdir()
        (use_case / folder / "x").write_text("x")
    assert payload(tmp_path / "shared", use_case) == first


def test_a_half_copy_of_a_crash_is_not_used(use_case, tmp_path):
    target = payload(tmp_path / "probe", use_case).name
    left = tmp_path / "shared" / f".{target}.{os.getpid()}"
    left.mkdir(parents=True)
    (left / "half").touch()
    assert not (payload(tmp_path / "shared", use_case) / "half").exists()
    assert [path.name for path in (tmp_path / "shared").iterdir()] == [target]


def test_the_shipped_use_cases_can_be_copied(tmp_path):
    copied = payload(tmp_path, NOTEBOOKS / "pyfai")
    assert files_below(copied)
    assert {p.relative_to(copied) for p in files_below(copied)} == {
        p.relative_to(NOTEBOOKS / "pyfai") for p in files_below(NOTEBOOKS / "pyfai")
    }


def test_copied_over_what_is_there_every_file_is_new(use_case, tmp_path):
    copy_for_all(use_case, files_below(use_case), tmp_path / "out")
    (use_case / "01_fit.ipynb").write_text("v2")
    copy_for_all(use_case, files_below(use_case), tmp_path / "out")
    assert (tmp_path / "out/01_fit.ipynb").read_text() == "v2"
