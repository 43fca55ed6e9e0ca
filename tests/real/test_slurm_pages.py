"""The way through a queue in a browser.

A module of its own: Playwright's loop must not be there where others run theirs.
"""

import pytest
from cluster import Cluster
from playwright.sync_api import BrowserContext, expect
from portals import RunningPortal, log_in, shot, violations

pytestmark = [
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.timeout(600),
]


@pytest.mark.browser
def test_a_scientist_waits_in_the_queue_and_gets_jupyterlab(
    slurm_portal: RunningPortal, cluster: Cluster, context: BrowserContext
) -> None:
    page = context.new_page()
    log_in(page, slurm_portal, "ada")
    page.goto(f"{slurm_portal.url}/hub/usecases/pyfai")
    expect(page.get_by_text("room now on 2 of 2 nodes").first).to_be_visible()
    assert violations(page) == []
    number = cluster.fill()
    page.get_by_label("Small").check()
    page.get_by_role("button", name="Start Powder diffraction with pyFAI").click()
    expect(page.get_by_text("number 1 in the queue").first).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Slurm expects it to begin in").first).to_be_visible(timeout=60_000)
    assert violations(page) == []
    shot(page, "waiting-in-the-queue")
    cluster.said("scancel", number)
    page.wait_for_url("**/user/ada/pyfai/lab/**", timeout=120_000)
    expect(page.get_by_role("tab", name="01_calibrate.ipynb")).to_be_visible(timeout=120_000)
    page.goto(f"{slurm_portal.url}/hub/home")
    expect(page.get_by_text("ends in 8 h").first).to_be_visible()
    page.get_by_role("link", name="Stop").first.click()
    page.get_by_role("button", name="Stop it").click()
    expect(page.get_by_text("Nothing of yours is running")).to_be_visible(timeout=60_000)
