"""JupyterLab in the browser, as a scientist uses it."""

import re

from playwright.sync_api import Locator, Page, expect


def start(page: Page, title: str) -> None:
    """Start the use case from its card, its link clicked as a person does."""
    page.get_by_role("link", name=f"Open {title}").click()
    page.get_by_role("button", name=f"Start {title}").click()
    page.wait_for_url("**/user/**", timeout=900_000)


def run_all(page: Page) -> None:
    """Run the open notebook from JupyterLab's own menu."""
    notebook = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    notebook.wait_for(timeout=60_000)
    # Before there is a kernel, its name says so, and running would ask for one.
    expect(notebook.locator(".jp-KernelName")).to_contain_text("Python 3", timeout=60_000)
    expect(notebook.locator(".jp-Notebook-ExecutionIndicator")).to_have_attribute(
        "data-status", "idle", timeout=60_000
    )
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()


def verdict_of(page: Page) -> Locator:
    """Return the line in which the running notebook says that its checks passed."""
    outputs = page.locator(".jp-OutputArea-output")
    verdict = outputs.get_by_text("checks passed")
    otherwise = outputs.get_by_text(re.compile(r"\d checks? failed|Traceback \(most recent"))
    # Outputs below the window are drawn only when they come into view.
    while not verdict.or_(otherwise).count():
        page.locator(".jp-WindowedPanel-outer").last.evaluate("e => e.scrollTo(0, e.scrollHeight)")
        page.wait_for_timeout(1000)
    expect(verdict.first, " ".join(otherwise.all_text_contents())).to_be_visible()
    verdict.first.scroll_into_view_if_needed()
    return verdict.first


def open_hdf5(page: Page, name: str) -> Locator:
    """Open an HDF5 file by double click, and return the figure that its data become."""
    page.get_by_role("listitem", name=f"Name: {name}").dblclick(timeout=60_000)
    figure = page.get_by_role("figure", name="frames")
    expect(figure).to_be_visible(timeout=60_000)
    return figure


def stop(page: Page, url: str, use_case: str) -> None:
    """Stop a use case by its page, which goes on to a list that says when nothing is running."""
    page.goto(f"{url}/hub/stop/{use_case}")
    page.get_by_role("button", name="Stop it").click()
    expect(page.get_by_text("Nothing of yours is running")).to_be_visible()


def open_file(page: Page, name: str) -> None:
    """Open a text file of the home folder from the file browser."""
    page.get_by_title("Home", exact=False).first.click()
    page.locator(".jp-DirListing-item", has_text=name).dblclick()
    page.locator(".jp-FileEditor:visible .cm-content").wait_for()


def type_into(page: Page, name: str, text: str) -> None:
    """Write at the end of an open text file, and don't save it."""
    page.get_by_role("tab", name=name).click()
    page.locator(".jp-FileEditor:visible .cm-content").click()
    page.keyboard.press("Control+End")
    page.keyboard.type(text)
    expect(page.locator(f".jp-mod-dirty[title*='{name}']").first).to_be_visible()
