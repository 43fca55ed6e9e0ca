"""A desktop in the browser, through the portal and its proxy, as a scientist reaches it."""

import subprocess
from pathlib import Path

import pytest
from desktop import FIRST_BUTTON, wait_for_board, wait_for_window
from lab import start, stop
from playwright.sync_api import BrowserContext, expect
from portals import BEAMHUB, RunningPortal, log_in, shot

pytestmark = [
    pytest.mark.browser,
    pytest.mark.docker,
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
]


@pytest.fixture(scope="module")
def image_of_quasar(docker_site: Path) -> None:
    """Quasar's image, which no other test with a portal needs."""
    command = [BEAMHUB, "images", "build", "quasar", f"--site={docker_site}"]
    subprocess.run([*command, f"--state={docker_site.parent}/state"], check=True)


def test_a_server_has_a_desktop_that_nobody_else_sees(
    docker_portal: RunningPortal, context: BrowserContext
) -> None:
    page = context.new_page()
    log_in(page, docker_portal, "tilda")
    start(page, "X-ray fluorescence with PyMca")
    page.goto(f"{docker_portal.url}/user/tilda/pymca/desktop/")
    wait_for_board(page)
    page.mouse.click(**FIRST_BUTTON)
    wait_for_window(page)
    page.wait_for_timeout(3000)
    shot(page, "pymca-on-the-desktop", full=False)
    eve = docker_portal.login("eve")
    for path in ("desktop/", "desktop-websockify/"):
        assert eve.get(f"/user/tilda/pymca/{path}").status_code in (403, 404)
    stop(page, docker_portal.url, "pymca")


@pytest.mark.parametrize(
    ("use_case", "title", "program"),
    [
        ("pyfai", "Powder diffraction with pyFAI", "pyFAI-calib2, calibrate with the mouse"),
        ("pymca", "X-ray fluorescence with PyMca", "PyMca, fit and map with the mouse"),
        (
            "quasar",
            "Infrared maps with Quasar",
            "Quasar, with a workflow from raw map to components",
        ),
    ],
)
@pytest.mark.usefixtures("image_of_quasar")
def test_a_program_opens_from_the_page_of_its_use_case(
    docker_portal: RunningPortal, context: BrowserContext, use_case: str, title: str, program: str
) -> None:
    page = context.new_page()
    log_in(page, docker_portal, "wanda")
    page.goto(f"{docker_portal.url}/hub/usecases/{use_case}")
    shot(page, f"{use_case}-with-windows")
    page.get_by_role("link", name=program).click()
    page.get_by_role("button", name=f"Start {title}").click()
    page.wait_for_url(f"**/user/wanda/{use_case}/desktop/**", timeout=300_000)
    expect(page.locator("#status")).to_have_text("Connected", timeout=60_000)
    wait_for_window(page)
    page.wait_for_timeout(6000)
    shot(page, f"{use_case}-on-the-desktop", full=False)
    # Once more, while it runs: from the page to the window with one click.
    page.goto(f"{docker_portal.url}/hub/usecases/{use_case}")
    page.get_by_role("link", name=program).click()
    page.wait_for_url(f"**/user/wanda/{use_case}/desktop/**", timeout=30_000)
    stop(page, docker_portal.url, use_case)
