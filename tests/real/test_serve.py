"""The life of a portal: it ends with all that it started, and finds its state again."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from portals import BEAMHUB, RunningPortal

pytestmark = [pytest.mark.portal, pytest.mark.slow]


def descendants(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def test_ctrl_c_ends_everything_and_the_next_start_finds_the_state(
    state_folder: Callable[[], Path],
) -> None:
    state = state_folder()
    first = RunningPortal(state)
    client = first.login("ada")
    first.start_server(client, "pyfai", size="small")
    notebook = state / "homes/ada/beamhub/pyfai/01_calibrate.ipynb"
    notebook.write_text(notebook.read_text().replace("Calibrate", "My calibration"))
    mine = notebook.read_bytes()
    started = descendants(first.process.pid)
    assert any("jupyterhub-singleuser" in " ".join(p.cmdline()) for p in started)
    assert first.stop(signal.SIGINT) == 0
    _, alive = psutil.wait_procs(started, timeout=10)
    assert alive == []

    second = RunningPortal(state, port=first.port)
    try:
        client = second.client(client.cookies)
        assert client.get("/hub/usecases").url.path == "/hub/usecases"
        second.start_server(client, "pyfai", size="small")
        assert notebook.read_bytes() == mine
    finally:
        second.stop()


def test_a_port_in_use_is_said_in_words(portal: RunningPortal, tmp_path: Path) -> None:
    done = subprocess.run(
        [BEAMHUB, "serve", f"--port={portal.port}", f"--state={tmp_path}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert f"port {portal.port}" in done.stdout + done.stderr


def test_announcements_appear_without_a_restart(
    state_folder: Callable[[], Path], tmp_path: Path
) -> None:
    news = tmp_path / "news.md"
    profile = tmp_path / "mine.yaml"
    profile.write_text(f"extends: laptop\nannouncements: {news}\n")
    portal = RunningPortal(state_folder(), str(profile))
    try:
        client = portal.login("ada")
        assert "Beam is down" not in client.get("/hub/usecases").text
        news.write_text("**Beam is down** until 14:00 <script>alert(1)</script>")
        page = client.get("/hub/usecases").text
        assert "<strong>Beam is down</strong> until 14:00" in page
        assert "<script>alert" not in page
    finally:
        portal.stop()
