"""Real portals, a real browser. What they leave on the machine is taken away again."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright
from portals import RunningPortal

from hub.state import LOCK


def accounts() -> set[str]:
    return {entry.pw_name for entry in pwd.getpwall() if entry.pw_name.startswith("bh-")}


@pytest.fixture(scope="session")
def state_folder() -> Iterator[Callable[[], Path]]:
    """Makes state folders that other accounts may pass, and takes all away at the end."""
    before, folders = accounts(), []
    shared = Path(tempfile.mkdtemp(prefix="beamhub-test-"))
    shared.chmod(0o755)

    def make() -> Path:
        """A state that a portal has used before, whose environments are everybody's."""
        folders.append(Path(tempfile.mkdtemp(prefix="beamhub-test-")))
        folders[-1].chmod(0o711)
        (folders[-1] / LOCK).touch()
        (folders[-1] / "environments").symlink_to(shared)
        return folders[-1]

    yield make
    for folder in (shared, *folders):
        shutil.rmtree(folder, ignore_errors=True)
    for name in accounts() - before:
        subprocess.run(["userdel", name], check=False, capture_output=True)


@pytest.fixture(scope="session")
def portal(state_folder: Callable[[], Path]) -> Iterator[RunningPortal]:
    """One portal for all tests that leave it as it is."""
    running = RunningPortal(state_folder())
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium of its own for each module: Playwright's event loop must not outlive it."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        if os.environ.get("BEAMHUB_TEST_ALL"):
            pytest.fail("there is no chromium, and BEAMHUB_TEST_ALL is set")
        pytest.skip("there is no chromium on this machine")
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=path, args=["--disable-gpu", "--disable-quic", *quiet, *sandbox]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1280, "height": 900})
    yield made
    made.close()
