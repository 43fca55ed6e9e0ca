"""The state folder: made safely, for one portal at a time."""

import os
import subprocess
import sys

import pytest

from hub.state import (
    StateError,
    end_leftover_proxy,
    give_to_hub,
    hold_state,
    is_given,
    prepare_state,
)
from spawners.reserved_accounts import HUB


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
    with pytest.raises(StateError, match="isn't a portal's state folder"):
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


only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give")


def owner(path) -> int:
    return path.lstat().st_uid


@only_root
def test_a_state_of_roots_is_taken_over_once_and_nothing_is_lost(tmp_path):
    state, elsewhere = tmp_path / "state", tmp_path / "elsewhere"
    prepare_state(state)
    elsewhere.mkdir()
    (elsewhere / "user-1-pyfai.log").write_text("said")
    (state / "logs").rmdir()
    (state / "logs").symlink_to(elsewhere)
    (state / "homes/ada").mkdir(parents=True)
    os.chown(state / "homes/ada", 1234, 1234)
    (state / "portal.sqlite").write_text("kept")
    (state / "reproduce/1-a").mkdir(parents=True)
    (state / "reproduce/1-a/run.json").write_text("kept")
    give_to_hub(state)
    for mine in ("portal.sqlite", "reproduce", "reproduce/1-a", "reproduce/1-a/run.json"):
        assert owner(state / mine) == HUB
    assert owner(elsewhere) == owner(elsewhere / "user-1-pyfai.log") == HUB
    for roots in (".", "lock", "identity", "homes", "data", "environments", "usecases", "rights"):
        assert owner(state / roots) == 0
    assert owner(state / "homes/ada") == 1234
    assert (state / "portal.sqlite").read_text() == "kept"
    assert state.stat().st_mode & 0o7777 == 0o1771 and is_given(state)
    assert mode(state / "rights") == 0o700
    # From now on the hub writes here: what it puts in place is left alone.
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("root's")
    (state / "planted").symlink_to(victim)
    os.link(victim / "file", state / "other name")
    prepare_state(state)
    # The hub that runs here while another is tried goes on writing.
    assert state.stat().st_mode & 0o7777 == 0o1771
    give_to_hub(state)
    assert owner(victim) == owner(victim / "file") == 0


@only_root
@pytest.mark.parametrize("name", ["homes", "data", "environments", "usecases", "rights", "lock"])
def test_what_is_to_be_roots_and_is_anothers_is_not_used(tmp_path, name):
    prepare_state(tmp_path / "state")
    there = tmp_path / "state" / name
    there.unlink() if name == "lock" else None
    there.symlink_to(tmp_path)
    os.chown(there, HUB, HUB, follow_symlinks=False)
    with pytest.raises(StateError, match="is not root's"):
        give_to_hub(tmp_path / "state")


@only_root
def test_root_believes_no_number_that_another_account_has_written(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", "input()", "configurable-http-proxy"], stdin=subprocess.PIPE
    ) as process:
        (tmp_path / "proxy.pid").write_text(str(process.pid))
        os.chown(tmp_path / "proxy.pid", HUB, HUB)
        end_leftover_proxy(tmp_path)
        assert process.poll() is None
        process.kill()
