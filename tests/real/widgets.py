"""The controls of a notebook, moved in the browser as a reader moves them."""

import json
import re

from playwright.sync_api import Locator, Page, WebSocket, expect

SETTING = "@jupyterlab/notebook-extension:tracker"
CONTROLS = (
    ".jp-OutputArea .noUi-handle, .jp-OutputArea select, .jp-OutputArea .jupyter-button, "
    ".jp-OutputArea input[type=checkbox], .jp-OutputArea input[type=number]"
)
SPARED = re.compile(r"Archive this notebook")
"""Has tests of its own."""
FAILED = re.compile(rb'"msg_type": ?"error"|"name": ?"stderr"')
LATE = b"No such comm"
"""What a page says to a figure that the kernel has closed meanwhile: no cell shows it."""


def show_all_cells(page: Page, server: str) -> None:
    """Let JupyterLab draw all cells at once, not only those in view, from the next load on."""
    path = f"/user/{server.split('/user/')[1]}"
    token = next(
        c["value"] for c in page.context.cookies() if (c["name"], c["path"]) == ("_xsrf", path)
    )
    answer = page.request.put(
        f"{server}lab/api/settings/{SETTING}",
        headers={"X-XSRFToken": token},
        data=json.dumps({"raw": '{"windowingMode": "none"}'}),
    )
    assert answer.status == 204, answer.text()


class Heard:
    """What kernels say to the page while a control is moved."""

    def __init__(self, page: Page) -> None:
        self.messages = 0
        self.failures: list[str] = []
        page.on("websocket", self._follow)

    def _follow(self, channel: WebSocket) -> None:
        if "/channels" in channel.url:
            channel.on("framereceived", self._take)

    def _take(self, frame: bytes | str) -> None:
        raw = frame if isinstance(frame, bytes) else frame.encode()
        self.messages += 1
        if FAILED.search(raw) and LATE not in raw:
            self.failures.append(raw.decode(errors="replace")[-600:])


def drive(page: Page, heard: Heard) -> list[str]:
    """Move every control of the open notebook, and return the names of those moved.

    Each has to make the kernel answer, and none may raise anything there.
    """
    moved = []
    wait_for_idle(page)
    controls = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)").locator(CONTROLS)
    for i in range(controls.count()):
        control = controls.nth(i)
        name = name_of(control)
        if SPARED.search(name) or not control.is_visible() or not control.is_enabled():
            continue
        before = heard.messages
        move(control)
        wait_for_answer(page, heard, before, name)
        moved.append(name)
    return moved


def name_of(control: Locator) -> str:
    """Return what stands on a control, or beside it."""
    name: str = control.evaluate(
        "e => (e.closest('.widget-inline-hbox') || e).innerText || e.textContent"
    )
    return name.strip(" \n\u200b")


def move(control: Locator) -> None:
    """Change a control by a step, as its kind is changed."""
    control.scroll_into_view_if_needed()
    kind = control.evaluate("e => e.type || e.className")
    if kind == "checkbox":
        control.click()
    elif kind == "number":
        control.press("ArrowUp")
        control.press("Enter")
    elif kind == "select-one":
        count = control.locator("option").count()
        control.select_option(index=(control.evaluate("e => e.selectedIndex") + 1) % count)
    elif "noUi-handle" in kind:
        control.press("ArrowUp" if at_its_least(control) else "ArrowDown")
    else:
        control.click()


def at_its_least(slider: Locator) -> bool:
    """Return whether a slider can't go down."""
    return slider.get_attribute("aria-valuenow") == slider.get_attribute("aria-valuemin")


def wait_for_answer(page: Page, heard: Heard, before: int, name: str) -> None:
    """Wait until the kernel has answered, and is done."""
    for _ in range(600):
        if heard.messages > before:
            break
        page.wait_for_timeout(100)
    assert heard.messages > before, f"{name} changed nothing"
    wait_for_idle(page)
    page.wait_for_timeout(300)
    assert not heard.failures, f"{name}: {heard.failures[0]}"


def wait_for_idle(page: Page) -> None:
    """Wait until the kernel of the open notebook has nothing to do."""
    status = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook-ExecutionIndicator")
    expect(status).to_have_attribute("data-status", "idle", timeout=180_000)
