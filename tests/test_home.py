"""Homes in which no server could run: each is said before the start, with what to do about it."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from spawners import telling
from workbench import home
from workbench.home import CANNOT_START, SAFE_START, obstacle, own_places

NOBODY = 65534


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of an ordinary account."""
    folder = Path(tempfile.mkdtemp())
    monkeypatch.setenv("HOME", str(folder))
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
        monkeypatch.delenv(name, raising=False)
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def seen(folder: Path) -> str:
    """Return what the home's owner is told; root could write everywhere."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            os.write(writing, obstacle(folder, "pyfai").encode())
        except OSError as error:
            os.write(writing, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        text = said.read()
    os.waitpid(child, 0)
    return text


def owned(path: Path) -> Path:
    """Give what was made to the home's owner."""
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    return path


def folder_without_rights(path: Path) -> None:
    path.mkdir(parents=True)
    owned(path).chmod(0o500)


def file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    owned(path.parent)
    path.write_text("mine")


def test_an_ordinary_home_lets_a_server_run_and_nothing_is_left_in_it(place):
    assert seen(place) == ""
    assert list(place.iterdir()) == []


def test_folders_elsewhere_are_followed_by_link(place):
    elsewhere = Path(tempfile.mkdtemp())
    owned(elsewhere)
    (place / ".local").symlink_to(elsewhere)
    assert seen(place) == ""
    elsewhere.rmdir()


def test_places_that_a_site_has_set_elsewhere_are_looked_at_there(place, monkeypatch):
    monkeypatch.setenv("JUPYTER_DATA_DIR", "/nowhere/jupyter")
    (place / ".local").write_text("mine")
    assert seen(place) == ""
    monkeypatch.setenv("JUPYTER_DATA_DIR", "/proc")
    assert "/proc" in seen(place)


@pytest.mark.parametrize(
    ("name", "make", "words", "remedy"),
    [
        (
            "beamhub",
            lambda path: path.symlink_to("/scratch/gone"),
            "~/beamhub is a link to /scratch/gone, which is not there.",
            "rm ~/beamhub",
        ),
        ("beamhub", file, "~/beamhub is a file", "mv ~/beamhub ~/beamhub.mine"),
        ("beamhub/pyfai", file, "~/beamhub/pyfai is a file", "mv ~/beamhub/pyfai"),
        (".local", file, "~/.local is a file", "mv ~/.local ~/.local.mine"),
        (
            ".local",
            folder_without_rights,
            "~/.local is yours, but its mode forbids",
            "chmod u+rwx ~/.local",
        ),
        (".ipython", folder_without_rights, "~/.ipython is yours", "chmod u+rwx ~/.ipython"),
        (".jupyter", folder_without_rights, "~/.jupyter is yours", "chmod u+rwx ~/.jupyter"),
    ],
)
def test_what_is_in_the_way_is_named_with_its_remedy(place, name, make, words, remedy):
    make(place / name)
    said = seen(place)
    assert words in said
    assert remedy in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make folders of root's")
@pytest.mark.parametrize(
    ("path", "mode", "named"),
    [
        (".local", 0o755, "~/.local"),
        (".local", 0o700, "~/.local"),
        (".local/share", 0o755, "~/.local/share"),
        (".ipython", 0o755, "~/.ipython"),
        (".jupyter", 0o700, "~/.jupyter"),
        ("beamhub", 0o755, "~/beamhub"),
        ("beamhub/pyfai", 0o755, "~/beamhub/pyfai"),
    ],
)
def test_folders_that_sudo_has_made_are_named_with_their_owner(place, path, mode, named):
    made = place / path
    made.mkdir(parents=True)
    if made.parent != place:
        owned(made.parent)
    made.chmod(mode)
    said = seen(place)
    assert f"{named} belongs to root" in said
    assert f"sudo chown -R nobody {named}" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make folders of root's")
def test_a_folder_of_roots_above_one_of_ones_own_is_in_nobodys_way(place):
    made = place / ".local/share/jupyter"
    made.mkdir(parents=True)
    owned(made)
    assert seen(place) == ""


def test_a_home_that_is_missing_or_forbids_itself_is_said(place):
    place.chmod(0o500)
    assert f"Your home folder {place} is yours, but its mode" in seen(place)
    assert "is not there, or out of reach" in seen(place / "nowhere")
    assert "is not there" in seen(Path("/dev/null"))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk that holds your files is full"),
        (errno.EDQUOT, "disk that holds your files is full"),
        (errno.EROFS, "on a file system that can only be read now"),
        (errno.EIO, "Nothing can be written into your home folder: Input/output error"),
    ],
)
def test_a_disk_that_takes_nothing_is_said(place, monkeypatch, number, words):
    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(home.os, "fsync", refuse)
    assert words in obstacle(place, "pyfai")


@pytest.mark.parametrize("make", [file, folder_without_rights])
def test_a_safe_start_needs_no_more_of_a_home_than_that_it_can_be_read(place, monkeypatch, make):
    monkeypatch.setenv(f"BEAMHUB_{SAFE_START}", "yes")
    make(place / ".local")
    make(place / "beamhub")
    place.chmod(0o500)
    assert seen(place) == ""
    place.chmod(0o000)
    assert "chmod u+rwx" in seen(place)
    place.chmod(0o700)


def test_a_safe_start_lets_jupyter_write_nowhere_but_into_its_own_folder(tmp_path):
    places = own_places(str(tmp_path))
    assert {"JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"} <= places.keys()
    assert all(value.startswith(f"{tmp_path}/") for value in places.values() if "/" in value)


def started(place: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-P", "-m", "workbench.start"],
        env={**os.environ, "HOME": str(place), "BEAMHUB_USE_CASE": "pyfai", **variables},
        capture_output=True,
        text=True,
    )


def test_a_server_that_can_not_begin_says_so_in_one_line(place):
    (place / "beamhub").symlink_to("/scratch/gone")
    ended = started(place)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"{CANNOT_START}~/beamhub is a link to /scratch/gone")
    assert ended.stderr.count("\n") == 1
    assert telling.CANNOT_START == CANNOT_START
    assert telling.said_reason(f"Warning\n{ended.stderr}").startswith("~/beamhub is a link")
