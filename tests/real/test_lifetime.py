"""The end of a server, as JupyterLab's reader sees it: warned, saved, told why."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab import open_file, type_into
from playwright.sync_api import BrowserContext, Locator, Page, expect
from portals import RunningPortal, log_in, shot

pytestmark = [
    pytest.mark.browser,
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.unhurried,
]

BRIEF = """\
extends: laptop
title: Brief
sizes:
  small: {title: Small, cores: 1, memory_gib: 4, walltime_h: 8}
  brief: {title: Brief, cores: 1, memory_gib: 4, walltime_h: 0.06}
"""


@pytest.fixture(scope="module")
def brief_portal(
    state_folder: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningPortal]:
    """A portal one of whose sizes grants three and a half minutes."""
    profile = tmp_path_factory.mktemp("site") / "brief.yaml"
    profile.write_text(BRIEF)
    state = state_folder()
    # Its software is made ahead, so that the server's time isn't spent on that.
    running = RunningPortal(state, str(profile))
    running.start_server(client := running.login("ada"), "pyfai", size="small")
    running.stop_server(client, "pyfai")
    yield running
    running.stop()


DOCUMENTS = ".jupyter/lab/user-settings/@jupyterlab/docmanager-extension/plugin.jupyterlab-settings"


def write(home: Path, name: str, text: str) -> None:
    """Write a file as the home's owner would."""
    path, owner = home / name, home.stat()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if os.geteuid() == 0:
        for made in (path, *path.parents[: len(Path(name).parts) - 1]):
            os.chown(made, owner.st_uid, owner.st_gid)


def home_with(portal: RunningPortal, *names: str) -> Path:
    """Return the home of the only user there is, with files of one line."""
    [home] = (portal.state / "homes").iterdir()
    for name in names:
        write(home, name, "begun\n")
    return home


def open_lab(page: Page, portal: RunningPortal, size: str) -> None:
    """Log in and open the use case's JupyterLab."""
    log_in(page, portal, "ada")
    page.goto(f"{portal.url}/hub/open/pyfai")
    page.get_by_label(size).check()
    page.get_by_role("button", name="Start Powder diffraction with pyFAI").click()
    page.wait_for_url("**/user/**")
    page.locator(".jp-NotebookPanel").wait_for()


def end_of(page: Page) -> Locator:
    """Return the dialog that tells why the server has ended."""
    return page.get_by_role("dialog", name="This server has ended")


def test_the_end_of_a_servers_time(brief_portal: RunningPortal, context: BrowserContext) -> None:
    home = home_with(brief_portal, "mine.txt", "shared.txt")
    # JupyterLab's own saving every two minutes would ask about what has changed elsewhere.
    write(home, DOCUMENTS, '{"autosave": false}')
    page = context.new_page()
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
    saved = page.get_by_text("Changed on disk meanwhile").first
    expect(saved).to_be_visible(timeout=300_000)
    assert (home / "mine.txt").read_text() == "begun\ntyped into mine.txt\n"
    [beside] = home.glob("shared (unsaved *).txt")
    assert beside.read_text() == "begun\ntyped into shared.txt\n"
    dialog = end_of(page)
    expect(dialog).to_contain_text("Its time was over.", timeout=240_000)
    shot(page, "ended-light", full=False)
    assert (home / "shared.txt").read_text() == "changed elsewhere\n"
    dialog.get_by_role("button", name="Open it again").click()
    page.wait_for_url("**/hub/open/pyfai")


def test_a_server_that_its_user_stops_lets_pages_save_first(
    brief_portal: RunningPortal, context: BrowserContext
) -> None:
    home = home_with(brief_portal, "mine.txt")
    page = context.new_page()
    open_lab(page, brief_portal, "Small")
    expect(page.get_by_role("link", name="Ends in")).to_contain_text("h")
    open_file(page, "mine.txt")
    type_into(page, "mine.txt", "last words\n")
    other = context.new_page()
    other.goto(f"{brief_portal.url}/hub/stop/pyfai")
    other.get_by_role("button", name="Stop it").click()
    expect(end_of(page)).to_contain_text("It was stopped.")
    expect(other.get_by_text("Nothing of yours is running")).to_be_visible()
    other.goto(f"{brief_portal.url}/user/ada/pyfai/lab")
    expect(other.get_by_role("heading", name="is not running")).to_be_visible()
    assert (home / "mine.txt").read_text() == "begun\nlast words\n"
