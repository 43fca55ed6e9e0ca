"""Checks told to the hub: what leaves the server, and that a notebook never notices."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from workbench import Checks, own_hub, reporting

Heard = list[tuple[str, str, object]]


class Listener(BaseHTTPRequestHandler):
    """Takes whatever is told."""

    heard: Heard

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.heard.append((self.path, self.headers["Authorization"], json.loads(body)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class UnixServer(HTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "localhost", 0

    def get_request(self):
        made, _ = self.socket.accept()
        return made, ("local", 0)


@pytest.fixture(params=["port", "socket"])
def hub(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Heard]:
    """A hub at a port or at a socket, and what it has heard."""
    heard: Heard = []
    handler = type("Own", (Listener,), {"heard": heard})
    if request.param == "port":
        server = HTTPServer(("127.0.0.1", 0), handler)
        url = f"http://127.0.0.1:{server.server_port}"
    else:
        server = UnixServer(str(tmp_path / "hub"), handler)
        url = f"http+unix://{quote(str(tmp_path / 'hub'), safe='')}"
    in_a_server(monkeypatch, url)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield heard
    server.shutdown()
    server.server_close()
    thread.join()


def in_a_server(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Let this process look as if a portal had started it as a notebook's kernel."""
    names = {"API_URL": f"{url}/hub/api", "API_TOKEN": "t0ken", "USER": "a@b", "SERVER_NAME": "x"}
    for name, value in names.items():
        monkeypatch.setenv(f"JUPYTERHUB_{name}", value)
    monkeypatch.setenv(reporting.SESSION, "/home/ada/beamhub/x/01_look.ipynb")


def test_names_and_outcomes_are_told_and_nothing_else(hub: Heard) -> None:
    thread = reporting.report({"Distance": True, "Tilt\n\x1b[31m" + "x" * 300: False})
    assert thread is not None
    thread.join()
    [(path, token, body)] = hub
    assert (path, token) == ("/hub/api/beamhub/checks/a%40b/x", "token t0ken")
    told = [
        {"name": "Distance", "passed": True},
        {"name": "Tilt [31m" + "x" * 191, "passed": False},
    ]
    assert body == {"notebook": "01_look.ipynb", "checks": told}


def test_a_tutorials_checks_are_told_without_those_that_could_not_be_judged(
    hub: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    checks = Checks("Calibration")
    checks.equal("Rings", got=7, truth=7)
    checks.not_judged("Tilt", why="no truth")
    checks.report()
    for thread in threading.enumerate():
        if thread.name == "checks-to-the-hub":
            thread.join()
    [(_, _, body)] = hub
    assert body == {"notebook": "01_look.ipynb", "checks": [{"name": "Rings", "passed": True}]}


@pytest.mark.parametrize("missing", [*own_hub.VARIABLES, reporting.SESSION])
def test_without_a_portal_nobody_is_told(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_server(monkeypatch, "http://127.0.0.1:9")
    monkeypatch.delenv(missing)
    assert reporting.report({"Distance": True}) is None


def test_what_runs_outside_a_notebook_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_server(monkeypatch, "http://127.0.0.1:9")
    monkeypatch.setenv(reporting.SESSION, "/home/ada/beamhub/x/Console 1")
    assert reporting.report({"Distance": True}) is None


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9", "http+unix://%2Fnonexistent", "https://127.0.0.1:9", "http://[x"]
)
def test_a_hub_that_is_away_is_no_error_in_the_notebook(
    url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    in_a_server(monkeypatch, url)
    thread = reporting.report({"Distance": True})
    assert thread is not None
    thread.join()
    assert capfd.readouterr() == ("", "")


def test_a_hub_that_does_not_answer_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        in_a_server(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        thread = reporting.report({"Distance": True})
        assert thread is not None
        thread.join()  # it ends by itself: nobody has to wait for the hub


def test_more_than_the_portal_takes_is_left_out(hub: Heard) -> None:
    thread = reporting.report({str(number): True for number in range(150)})
    assert thread is not None
    thread.join()
    [(_, _, body)] = hub
    assert isinstance(body, dict) and len(body["checks"]) == 100
