"""Each ready use case, as a scientist uses it: in the browser, and without a person."""

import os
import subprocess
from collections.abc import Iterator

import pytest
from lab import run_all, start, verdict_of
from playwright.sync_api import BrowserContext, expect
from portals import BEAMHUB, ROOT, RunningPortal, log_in, shot, violations
from widgets import Heard, drive, show_all_cells

from hub.cli.run import runnable
from hub.usecases import NOTEBOOKS, load_use_cases

READY = {n: u for n, u in load_use_cases([NOTEBOOKS]).items() if not u.manifest.coming}
PASSED = r"All \d+ checks passed"
FEWER = {"ptycho": ["--set=SEEDS=(1,)"]}
"""Parameters with which notebooks do the same for less: one seed where two are ranked."""


def chosen() -> list[tuple[str, str]]:
    """Return which notebooks are run in the browser: of each use case the first, or all."""
    every = os.environ.get("BEAMHUB_TEST_WIDGETS") == "all"
    return [
        (name, notebook)
        for name, use_case in READY.items()
        for notebook in runnable(use_case, list(use_case.notebooks))[0][: None if every else 1]
    ]


@pytest.fixture
def nothing_stays(portal: RunningPortal) -> Iterator[None]:
    """Ends what a failed test leaves running, which the next one would take for its own."""
    yield
    client = portal.login("tess")
    for name in READY:
        portal.stop_server(client, name)


@pytest.mark.browser
@pytest.mark.portal
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("name", "notebook"), chosen())
@pytest.mark.usefixtures("nothing_stays")
def test_a_notebook_runs_in_jupyterlab_and_its_controls_answer(
    context: BrowserContext, portal: RunningPortal, name: str, notebook: str
) -> None:
    page = context.new_page()
    heard = Heard(page)
    log_in(page, portal, "tess")
    start(page, READY[name].manifest.title)
    server = f"{portal.url}/user/tess/{name}/"
    show_all_cells(page, server)
    page.goto(f"{server}lab/tree/beamhub/{name}/{notebook}?reset")
    run_all(page)
    verdict_of(page)
    heard.failures.clear()
    drive(page, heard)
    shot(page, f"jupyterlab-{name}-{notebook}", full=False)
    page.goto(f"{portal.url}/hub/home")
    expect(page.get_by_role("listitem").filter(has_text="ends in")).to_have_count(1)
    shot(page, f"home-{name}")
    assert violations(page) == []
    page.get_by_role("link", name="Stop").first.click()
    expect(page.get_by_role("button", name="Stop it")).to_be_visible()
    assert violations(page) == []
    shot(page, "stop")
    page.get_by_role("button", name="Stop it").click()
    page.wait_for_url("**/hub/home")
    expect(page.get_by_text("Nothing of yours is running")).to_be_visible(timeout=60_000)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", READY)
def test_all_notebooks_pass_without_a_person(portal: RunningPortal, name: str) -> None:
    """The portal's state is used for its environment, so that it's built once."""
    keep = ROOT / "artefacts/notebooks" / name
    done = subprocess.run(
        [BEAMHUB, "run", name, f"--state={portal.state}", f"--keep={keep}", *FEWER.get(name, [])],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    left, left_out = runnable(READY[name], list(READY[name].notebooks))
    assert f"All {len(left)} notebooks passed" in done.stdout
    assert all(f"Skipped: {sentence}" in done.stdout for sentence in left_out)
