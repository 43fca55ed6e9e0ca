"""The end of a job, as JupyterLab's reader sees it: the batch system moves it, and ends it."""

import re
import shutil
import time
from pathlib import Path

import pytest
from cluster import PATIENCE_MS, PATIENCE_S, Cluster
from lab import open_file, type_into
from playwright.sync_api import BrowserContext, Locator, Page, expect
from portals import RunningPortal, log_in, shot

pytestmark = [
    pytest.mark.browser,
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.timeout(1800),
]


def notes_of(cluster: Cluster, user: str) -> Path:
    """Make a file in a user's home."""
    notes = cluster.folder / f"homes/{user}/notes.txt"
    notes.write_text("begun\n")
    shutil.chown(notes, user, user)
    return notes


def move_end(cluster: Cluster, job: str, minutes: int) -> re.Pattern[str]:
    """Let an operator leave a job so many minutes, and return how that is said."""
    begun = cluster.said("squeue", "-h", f"--jobs={job}", "-o", "%M").split(":")
    elapsed = int(begun[-2]) + 1
    cluster.said("scontrol", "update", f"JobId={job}", f"TimeLimit={elapsed + minutes}")
    return re.compile(rf"nds in ({minutes - 1}|{minutes}|{minutes + 1}) min")


def come_back_until(page: Page, told: Locator) -> None:
    """Come back to the tab until the portal has heard of the new end."""
    end = time.monotonic() + PATIENCE_S
    while not told.is_visible():
        assert time.monotonic() < end, told
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.wait_for_timeout(1000)


def test_a_jobs_end_is_followed_and_what_is_open_saved(
    slurm_portal: RunningPortal, cluster: Cluster, context: BrowserContext
) -> None:
    notes = notes_of(cluster, "ada")
    page = context.new_page()
    log_in(page, slurm_portal, "ada")
    page.goto(f"{slurm_portal.url}/hub/open/pyfai")
    page.get_by_label("Small").check()
    page.get_by_role("button", name="Start Powder diffraction with pyFAI").click()
    page.wait_for_url("**/user/ada/pyfai/lab/**", timeout=PATIENCE_MS)
    page.locator(".jp-NotebookPanel").wait_for(timeout=PATIENCE_MS)
    status = page.get_by_role("link", name="Ends in")
    expect(status).to_contain_text("h", timeout=PATIENCE_MS)
    job = cluster.job_of("ada")
    notice = page.get_by_role("alert").filter(has_text="This server ends")
    # Asked for every minute, and whenever its reader comes back to the tab.
    expect(status).to_contain_text(move_end(cluster, job, 19), timeout=PATIENCE_MS)
    assert notice.count() == 0
    for minutes in (14, 4):
        said = move_end(cluster, job, minutes)
        come_back_until(page, notice.filter(has_text=said))
        expect(status).to_contain_text(said)
        assert notice.count() == 1
    open_file(page, "notes.txt")
    type_into(page, "notes.txt", "typed\n")
    shot(page, "ending-job", full=False)
    cluster.said("scancel", job)
    dialog = page.get_by_role("dialog", name="This server has ended")
    expect(dialog).to_contain_text("cancelled from outside of the portal", timeout=PATIENCE_MS)
    assert notes.read_text() == "begun\ntyped\n"
