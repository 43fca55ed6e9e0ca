"""A desktop in the browser, through the portal and its proxy, as a scientist reaches it."""

import pytest
from desktop import FIRST_BUTTON, wait_for_board, wait_for_window
from lab import start
from playwright.sync_api import BrowserContext
from portals import RunningPortal, log_in, shot

pytestmark = [
    pytest.mark.browser,
    pytest.mark.docker,
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.timeout(600),
]


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
    docker_portal.stop_server(docker_portal.login("tilda"), "pymca")
