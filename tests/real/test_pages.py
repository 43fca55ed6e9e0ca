"""Every page: readable by everybody, in light and dark, narrow and wide, by keyboard alone."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from portals import LOOKS, RunningPortal, log_in, shot, violations

pytestmark = [pytest.mark.browser, pytest.mark.portal]

PAGES = {
    "catalogue": "usecases",
    "use-case": "usecases/pyfai",
    "use-case-with-closed-notebooks": "usecases/crystfel",
    "open": "open/pyfai?notebook=01_calibrate.ipynb&size=medium",
    "refused": "open/pyfai?size=huge",
    "home-empty": "home",
    "reproduce": "reproduce",
    "software": "software",
    "about": "about",
    "error": "nothing",
    "unreachable": "error/503?url=/user/nobody/pyfai/lab",
    "tokens": "token",
}


Look = tuple[str, int]


@pytest.fixture(params=LOOKS, ids=lambda look: f"{look[0]}-{look[1]}")
def look(request: pytest.FixtureRequest) -> Look:
    """A scheme of colours and a width in pixels."""
    found: Look = request.param
    return found


@pytest.fixture(scope="module")
def session(browser: Browser, portal: RunningPortal) -> dict:
    context = browser.new_context()
    log_in(context.new_page(), portal, "paula")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def page(browser: Browser, session: dict, look: Look) -> Iterator[Page]:
    scheme, width = look
    size = {"width": width, "height": 800}
    context = browser.new_context(color_scheme=scheme, viewport=size, storage_state=session)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_page_is_accessible_and_fits(
    page: Page, portal: RunningPortal, name: str, look: Look
) -> None:
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: complaints.append(str(e)))
    page.goto(f"{portal.url}/hub/{PAGES[name]}")
    page.wait_for_load_state("networkidle")
    # Before pictures and axe, which set styles of their own and so offend the policy themselves.
    failing = ("refused", "error", "unreachable")
    expected = "Failed to load resource" if name in failing else "\0"
    assert [c for c in complaints if not c.startswith(expected)] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "scrolls sideways"
    shot(page, f"{name}-{look[0]}-{look[1]}")
    assert violations(page) == []


@pytest.fixture(scope="module")
def ended(portal: RunningPortal, session: dict) -> str:
    """The address of a server that its user has shut down from within."""
    client = portal.client()
    for cookie in session["cookies"]:
        client.cookies.set(cookie["name"], cookie["value"], path=cookie["path"])
    portal.start_server(client, "pyfai")
    base = "/user/paula/pyfai/"
    token = {"X-XSRFToken": client.cookies.get("_xsrf", path=base) or ""}
    assert client.post(f"{base}api/shutdown", headers=token).status_code == 200
    return f"{portal.url}{base}lab"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_page_of_a_server_that_has_ended(page: Page, ended: str, look: Look) -> None:
    page.goto(ended)
    # At first the portal may not know of it, and its page goes on by itself.
    expect(page.get_by_role("alert")).to_contain_text("shut down from inside")
    page.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "scrolls sideways"
    shot(page, f"ended-{look[0]}-{look[1]}")
    assert violations(page) == []


def test_login_page(browser: Browser, portal: RunningPortal, look: Look) -> None:
    scheme, width = look
    size = {"width": width, "height": 800}
    context = browser.new_context(color_scheme=scheme, viewport=size)
    page = context.new_page()
    page.goto(portal.url)
    assert violations(page) == []
    shot(page, f"login-{look[0]}-{look[1]}")
    page.get_by_label("Name").fill("paula")
    page.get_by_label("Code").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("Each code works once")
    assert violations(page) == []
    context.close()


def test_everything_by_keyboard(browser: Browser, portal: RunningPortal) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(portal.url)
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("kay")
    page.keyboard.press("Tab")
    page.keyboard.type(portal.code)
    page.keyboard.press("Enter")
    page.wait_for_url("**/hub/usecases")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    target = page.get_by_role("link", name="Open Powder diffraction with pyFAI")
    for _ in range(20):
        page.keyboard.press("Tab")
        if target.evaluate("e => e === document.activeElement"):
            break
    expect(target).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/hub/open/pyfai")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Start Powder diffraction")
    context.close()


def test_pages_read_without_javascript(browser: Browser, portal: RunningPortal) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    log_in(page, portal, "nora")
    expect(page.get_by_role("heading", name="Powder diffraction with pyFAI")).to_be_visible()
    page.get_by_role("link", name="Open Powder diffraction with pyFAI").click()
    expect(page.get_by_role("button", name="Start Powder diffraction with pyFAI")).to_be_visible()
    context.close()
