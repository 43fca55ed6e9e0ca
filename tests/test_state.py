"""The state folder: made safely, for one portal at a time."""

import os
import subprocess
import sys

import pytest

from hub.state import StateError, end_leftover_proxy, hold_state, prepare_state


def mode(path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture
def passable(tmp_path):
    """A folder that other accounts may reach: pytest's own are private."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        if folder.owner() == tmp_path.owner() and folder.name.startswith("pytest-"):
            folder.chmod(0o755)
    tmp_path.chmod(0o755)
    return tmp_path


def test_it_is_made_with_its_parents_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        prepare_state(tmp_path / "a/b")
    finally:
        assert os.umask(before) == 0o077
    assert mode(tmp_path / "a") == 0o755
    assert mode(tmp_path / "a/b") == 0o711
    assert mode(tmp_path / "a/b/logs") == 0o700
    prepare_state(tmp_path / "a/b")


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    tmp_path.chmod(0o750)
    with pytest.raises(StateError, match="is no portal's state folder"):
        prepare_state(tmp_path)
    assert mode(tmp_path) == 0o750


def test_a_file_in_its_place_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"can't keep its state in .*file: Not a directory"):
        prepare_state(tmp_path / "file")


def test_one_portal_at_a_time(passable):
    prepare_state(passable / "state")
    with hold_state(passable / "state"), pytest.raises(StateError, match="already runs"):
        hold_state(passable / "state")
    hold_state(passable / "state").close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's portals have other accounts' servers")
def test_root_refuses_a_place_that_others_cannot_reach(tmp_path):
    (tmp_path / "private").mkdir(mode=0o700)
    prepare_state(tmp_path / "private/state")
    with pytest.raises(StateError, match="Other accounts can't pass the folders above"):
        hold_state(tmp_path / "private/state")


@pytest.mark.parametrize(("name", "ends"), [("configurable-http-proxy", True), ("editor", False)])
def test_only_a_leftover_proxy_is_ended(tmp_path, name, ends):
    program = [sys.executable, "-c", "input()", name]
    with subprocess.Popen(program, stdin=subprocess.PIPE) as process:
        (tmp_path / "proxy.pid").write_text(str(process.pid))
        end_leftover_proxy(tmp_path)
        assert (process.poll() is not None) == ends
        process.kill()


@pytest.mark.parametrize("text", ["", "no number", "999999999"])
def test_a_stale_note_of_the_proxy_harms_nothing(tmp_path, text):
    (tmp_path / "proxy.pid").write_text(text)
    end_leftover_proxy(tmp_path)
