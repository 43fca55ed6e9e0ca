"""A notification when a server is ready or has failed, for those who want one."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from portals import BEAMHUB, RunningPortal, log_in, shot, violations

pytestmark = [pytest.mark.browser, pytest.mark.portal, pytest.mark.slow]

WATCHED = """\
window.shown = JSON.parse(sessionStorage.shown ?? "[]");
const Real = window.Notification;
if (Real) window.Notification = class extends Real {
  constructor(title, options) {
    super(title, options);
    sessionStorage.shown = JSON.stringify([...window.shown, title]);
    window.shown.push(title);
  }
};
"""
"""Keeps what the browser's own notifications say, which no page can read."""
PACKAGE = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
"""Of one that takes a while to fail, so that its page is seen."""
BUTTON = "Notify me when it is ready"


@pytest.fixture(scope="module")
def own_portal(
    tmp_path_factory: pytest.TempPathFactory, state_folder: Callable[[], Path]
) -> Iterator[RunningPortal]:
    """A portal with a use case that starts and one that never does."""
    folder = tmp_path_factory.mktemp("notebooks")
    for name in ("spectra", "broken"):
        subprocess.run([BEAMHUB, "new", "use-case", name, "--in", folder], check=True)
    package = folder / "package"
    package.mkdir()
    (package / "pyproject.toml").write_text(PACKAGE)
    (package / "backend.py").write_text("import time; time.sleep(5); raise SystemExit(1)\n")
    (folder / "broken/requirements.txt").write_text(f"package @ file://{package}\n")
    running = RunningPortal(state_folder(), "laptop", f"--use-cases={folder}")
    yield running
    running.stop()


def begin(page: Page, portal: RunningPortal, name: str) -> None:
    page.goto(f"{portal.url}/hub/open/{name}")
    page.get_by_role("button", name=f"Start {name.title()}").click()


def hide(page: Page, hidden: bool) -> None:
    """Let the page believe that its tab is behind others: Playwright shows all of them."""
    value = f"{{value: {str(hidden).lower()}, writable: true}}"
    page.evaluate(f"Object.defineProperty(document, 'hidden', {value})")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_who_wants_it_is_notified(own_portal: RunningPortal, context: BrowserContext) -> None:
    context.grant_permissions(["notifications"])
    context.add_init_script(WATCHED)
    page = context.new_page()
    log_in(page, own_portal, "ada")
    begin(page, own_portal, "spectra")
    button = page.get_by_role("button", name=BUTTON)
    expect(button).to_have_attribute("aria-pressed", "false")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    shot(page, "pending-notify")
    assert violations(page) == []
    hide(page, True)
    # A tab that nobody looks at keeps its title until somebody does.
    expect(page).to_have_title("Ready: Spectra")
    assert page.evaluate("shown") == ["Ready: Spectra"]
    hide(page, False)
    page.wait_for_url("**/user/ada/spectra/**")
    # The choice is remembered.
    begin(page, own_portal, "broken")
    failed = page.get_by_role("heading", level=1)
    expect(failed).to_contain_text("Broken did not start")
    assert page.evaluate("shown") == ["Ready: Spectra", "Did not start: Broken"]


def waiting(context: BrowserContext, portal: RunningPortal, user: str) -> Page:
    """Return a page that waits for a server."""
    page = context.new_page()
    log_in(page, portal, user)
    begin(page, portal, "broken")
    page.wait_for_url("**/spawn-pending/**")
    expect(page.locator("#steps li").first).to_be_attached()  # its script runs
    return page


def test_who_refuses_is_not_asked_again(own_portal: RunningPortal, context: BrowserContext) -> None:
    page = waiting(context, own_portal, "eve")
    page.get_by_role("button", name=BUTTON).click()
    expect(page.get_by_text("Your browser doesn't allow it on this site.")).to_be_visible()
    expect(page.locator("#notify")).to_be_hidden()


def test_a_browser_without_notifications_is_offered_none(
    own_portal: RunningPortal, context: BrowserContext
) -> None:
    context.add_init_script("delete window.Notification")
    page = waiting(context, own_portal, "fred")
    expect(page.locator("#notify")).to_be_hidden()
