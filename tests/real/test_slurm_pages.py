"""The way through a queue in a browser.

A module of its own: Playwright's loop must not be there where others run theirs.
"""

import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cluster import PATIENCE_MS, Cluster, wait_until
from playwright.sync_api import Browser, BrowserContext, Page, expect
from portals import LOOKS, RunningPortal, log_in, shot, violations

pytestmark = [
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.browser,
    pytest.mark.timeout(1800),
]
START = "Start Powder diffraction with pyFAI"


@pytest.fixture(autouse=True)
def nobodys(cluster: Cluster) -> Iterator[None]:
    """Leave the cluster as it was, however a test ends."""
    yield
    cluster.cancel_all()


@pytest.fixture
def full(cluster: Cluster) -> Iterator[str]:
    """A cluster that somebody else has all of, until the test ends."""
    number = cluster.fill()
    yield number
    cluster.run("scancel", number)
    wait_until(cluster.all_idle, "an idle cluster")


def looks(browser: Browser, page: Page, name: str) -> None:
    """Look at a page in its `LOOKS`: pictures, and what axe finds wrong."""
    cookies = page.context.storage_state()
    for scheme, width in LOOKS:
        made = browser.new_context(
            storage_state=cookies,
            color_scheme=scheme,
            viewport={"width": width, "height": 900},
        )
        other = made.new_page()
        other.goto(page.url)
        other.wait_for_timeout(1500)
        shot(other, f"{name}-{scheme}-{width}")
        assert violations(other) == [], (name, scheme, width)
        sideways = other.evaluate("document.documentElement.scrollWidth > innerWidth")
        assert not sideways, (name, scheme, width)
        made.close()


def sees(page: Page, text: str | re.Pattern[str]) -> None:
    """Wait until a page says something."""
    expect(page.get_by_text(text).first).to_be_visible(timeout=PATIENCE_MS)


def wait_in_the_queue(page: Page, portal: RunningPortal, name: str) -> None:
    log_in(page, portal, name)
    page.goto(f"{portal.url}/hub/usecases/pyfai")
    page.get_by_label("Small").check()
    page.get_by_role("button", name=START).click()
    sees(page, "number 1 in the queue")


def test_a_scientist_waits_in_the_queue_and_gets_jupyterlab(
    slurm_portal: RunningPortal, cluster: Cluster, context: BrowserContext
) -> None:
    page = context.new_page()
    log_in(page, slurm_portal, "ada")
    page.goto(f"{slurm_portal.url}/hub/usecases/pyfai")
    sees(page, "room now on 2 of 2 nodes")
    sees(page, "Can't run for you: 64 cores asked")
    expect(page.get_by_label("Huge")).to_be_disabled()
    # Slurm is asked in the background, and the page tells it while one chooses.
    sees(page, "would begin at once")
    assert violations(page) == []
    number = cluster.fill()
    page.get_by_label("Small").check()
    page.get_by_role("button", name=START).click()
    sees(page, "number 1 in the queue")
    sees(page, "Slurm expects it to begin in")
    assert violations(page) == []
    shot(page, "waiting-in-the-queue")
    cluster.said("scancel", number)
    page.wait_for_url("**/user/ada/pyfai/lab/**", timeout=PATIENCE_MS)
    expect(page.get_by_role("tab", name="01_calibrate.ipynb")).to_be_visible(timeout=PATIENCE_MS)
    page.goto(f"{slurm_portal.url}/hub/home")
    sees(page, re.compile(r"ends in (8 h|7 h [45]\d min)"))
    page.get_by_role("link", name="Stop").first.click()
    page.get_by_role("button", name="Stop it").click()
    sees(page, "Nothing of yours is running")


def test_cancelling_in_the_queue_really_cancels(
    slurm_portal: RunningPortal,
    cluster: Cluster,
    full: str,
    browser: Browser,
    context: BrowserContext,
) -> None:
    page = context.new_page()
    wait_in_the_queue(page, slurm_portal, "eve")
    number = cluster.job_of("eve")
    sees(page, "Slurm expects it to begin in")
    looks(browser, page, "pending-in-the-queue")
    page.get_by_role("button", name="Stop").click()
    wait_until(lambda: cluster.state(number) == "CANCELLED", "the end of the job")
    sees(page, "Nothing of yours is running")
    shot(page, "cancelled-in-the-queue")
    # What somebody who comes now finds, also without a script.
    page.goto(f"{slurm_portal.url}/hub/open/pyfai")
    sees(page, "Yours would begin in about")
    looks(browser, page, "choosing-a-size")
    plain = browser.new_context(
        storage_state=page.context.storage_state(), java_script_enabled=False
    )
    unscripted = plain.new_page()
    unscripted.goto(page.url)
    expect(unscripted.get_by_text("no room now; 0 jobs waiting").first).to_be_visible()
    expect(unscripted.get_by_text("Yours would begin in about").first).to_be_visible()
    plain.close()


def test_the_page_goes_on_through_a_restart_of_the_portal(
    cluster: Cluster,
    state_folder: Callable[[], Path],
    full: str,
    context: BrowserContext,
) -> None:
    state = state_folder()
    with ThreadPoolExecutor(1) as thread:  # which has no loop of Playwright's
        first = thread.submit(cluster.portal, state).result()
        page = context.new_page()
        try:
            wait_in_the_queue(page, first, "fred")
            number = cluster.job_of("fred")
        finally:
            first.stop(signal.SIGINT)
        sees(page, "The portal is not answering")
        second = thread.submit(cluster.portal, state, port=first.port).result()
        try:
            bar = page.locator("#progress")
            sees(page, "number 1 in the queue")
            # Told by the stream: each step is in the list, and the bar stands where it stood.
            expect(page.locator("#steps li", has_text="number 1 in the queue")).not_to_have_count(0)
            assert int(bar.get_attribute("value") or 0) >= 10
            assert cluster.job_of("fred") == number
            cluster.said("scancel", full)
            page.wait_for_url(re.compile(r"/user/fred/pyfai/lab"), timeout=PATIENCE_MS)
        finally:
            second.stop(signal.SIGINT)
            cluster.run("scancel", number)
