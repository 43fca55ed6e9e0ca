"""The end of a server, as JupyterLab's reader sees it: warned, saved, told why."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab import open_file, type_into
from playwright.sync_api import BrowserContext, Page, Response, expect
from portals import RunningPortal, log_in, shot

pytestmark = [pytest.mark.browser, pytest.mark.portal, pytest.mark.slow]

SAVE_S = (60, 30, 10)
"""As the extension's moments.js has it."""
BRIEF = """\
extends: laptop
title: Brief
sizes:
  small: {title: Small, cores: 1, memory_gib: 4, walltime_h: 8}
  brief: {title: Brief, cores: 1, memory_gib: 4, walltime_h: 0.025}
"""


@pytest.fixture
def brief_portal(state_folder: Callable[[], Path], tmp_path: Path) -> Iterator[RunningPortal]:
    """A portal one of whose sizes grants a minute and a half."""
    profile = tmp_path / "brief.yaml"
    profile.write_text(BRIEF)
    state = state_folder()
    # Its software is made ahead, so that the server's time isn't spent on that.
    running = RunningPortal(state, str(profile))
    running.start_server(client := running.login("ada"), "pyfai", size="small")
    running.stop_server(client, "pyfai")
    yield running
    running.stop()


def write(home: Path, name: str, text: str) -> None:
    """Write a file as the home's owner would."""
    (home / name).write_text(text)
    owner = home.stat()
    if os.geteuid() == 0:
        shutil.os.chown(home / name, owner.st_uid, owner.st_gid)


def open_lab(page: Page, portal: RunningPortal, size: str) -> None:
    page.goto(f"{portal.url}/hub/open/pyfai")
    page.get_by_label(size).check()
    page.get_by_role("button", name="Start Powder diffraction with pyFAI").click()
    page.wait_for_url("**/user/**", timeout=120_000)
    page.locator(".jp-NotebookPanel").wait_for(timeout=60_000)


def last_look(answer: Response) -> bool:
    """Return whether JupyterLab looks at its time, and saves by the clock, for the last time."""
    return "/hub/lifetime/" in answer.url and answer.json()["left_s"] <= SAVE_S[-1]


def test_the_end_of_a_servers_time(brief_portal: RunningPortal, context: BrowserContext) -> None:
    [home] = (brief_portal.state / "homes").iterdir()
    for name in ("mine.txt", "shared.txt"):
        write(home, name, "begun\n")
    page = context.new_page()
    log_in(page, brief_portal, "ada")
    open_lab(page, brief_portal, "Brief")
    status = page.get_by_role("link", name="Ends in")
    expect(status).to_contain_text("min")
    notice = page.get_by_role("alert").filter(has_text="This server ends in")
    expect(notice).to_contain_text("start it again with a longer size")
    shot(page, "ending-light", full=False)
    for name in ("mine.txt", "shared.txt"):
        open_file(page, name)
        type_into(page, name, f"typed into {name}\n")
    write(home, "shared.txt", "changed elsewhere\n")
    # A minute before the end all is saved, but nothing over what has changed.
    expect(page.get_by_text("Changed on disk meanwhile").first).to_be_visible(timeout=90_000)
    assert (home / "mine.txt").read_text() == "begun\ntyped into mine.txt\n"
    assert (home / "shared.txt").read_text() == "changed elsewhere\n"
    [beside] = home.glob("shared (unsaved *).txt")
    assert beside.read_text() == "begun\ntyped into shared.txt\n"
    # The last words are saved when the server is told to end.
    with page.expect_response(last_look, timeout=90_000):
        pass
    type_into(page, "mine.txt", "last words\n")
    dialog = page.get_by_role("dialog", name="This server has ended")
    expect(dialog).to_contain_text("Its time was over.", timeout=90_000)
    shot(page, "ended-light", full=False)
    assert (home / "mine.txt").read_text() == "begun\ntyped into mine.txt\nlast words\n"
    assert (home / "shared.txt").read_text() == "changed elsewhere\n"
    dialog.get_by_role("button", name="Open it again").click()
    page.wait_for_url("**/hub/open/pyfai")
