"""A real portal, started by its command, and the ways of a user into it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
BEAMHUB = Path(sys.executable).with_name("beamhub")
SHOTS = ROOT / "artefacts/screenshots"
AXE = ROOT / "node_modules/axe-core/axe.min.js"
LOOKS = [("light", 1280), ("dark", 360)]
"""Both colours and both widths in pixels: what spoils one, spoils it whatever the other is."""
PATIENCE_S = 180.0
"""How long anything may take before a test gives up: machines that run tests are busy."""
XSRF = re.compile(r'name="_xsrf" value="([^"]+)"')


def free_port() -> int:
    """Return a port that is free, with those that are derived from it."""
    for port in range(18000 + os.getpid() % 1000 * 10, 60000, 200):
        if all(is_free(p) for p in (port, port + 1, port + 81, port + 82)):
            return port
    raise AssertionError("no free ports")


def is_free(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) != 0


class RunningPortal:
    """A portal started by the real command, and the ways of a user into it."""

    def __init__(
        self,
        state: Path,
        *arguments: str,
        port: int | None = None,
        prefix: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
        folder: Path | None = None,
        program: Path = BEAMHUB,
    ) -> None:
        self.state = state
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.lines: list[str] = []
        self.clients: list[httpx.Client] = []
        command = [*prefix, program, "serve", *(arguments or ("laptop",))]
        self.process = subprocess.Popen(
            [*map(str, command), f"--port={self.port}", f"--state={state}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            cwd=folder,
        )
        threading.Thread(target=self._read, daemon=True).start()
        self.wait_for("Ctrl-C ends")

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as lines:
            for line in lines:
                self.lines.append(line)

    def wait_for(self, text: str) -> str:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if found := [line for line in self.lines if text in line]:
                return found[-1]
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"{text!r} did not come:\n{''.join(self.lines)}\n{self.log()}")

    def log(self) -> str:
        path = self.state / "logs/portal.log"
        return path.read_text()[-4000:] if path.exists() else ""

    @property
    def hub(self) -> psutil.Process:
        """The process that serves the pages: of a local backend that root started, a child."""
        started = psutil.Process(self.process.pid)
        running = [c for c in started.children() if c.status() != psutil.STATUS_ZOMBIE]
        return next((c for c in running if "serve" in c.cmdline()), started)

    def commands(self) -> Iterator[tuple[psutil.Process, str]]:
        """Yield the processes that it has started, each with its command; some are gone soon."""
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                yield process, " ".join(process.cmdline())

    @property
    def code(self) -> str:
        return re.findall(r"(?:code is|once:) (\S+)", "".join(self.lines))[-1]

    def client(self, cookies: httpx.Cookies | None = None) -> httpx.Client:
        """Return a client that follows links as a browser does."""
        client = httpx.Client(
            base_url=self.url, follow_redirects=True, timeout=PATIENCE_S, cookies=cookies
        )
        client.headers["Sec-Fetch-Mode"] = "navigate"
        self.clients.append(client)
        return client

    def login(self, name: str) -> httpx.Client:
        """Return a client with the cookies of a user who has just logged in."""
        client = self.client()
        before = self.code
        form = {"username": name, "password": before, "_xsrf": xsrf(client.get("/hub/login").text)}
        answer = client.post("/hub/login", data=form)
        assert "/hub/login" not in answer.url.path, answer.text
        self.wait_for(f"{name} has logged in")
        end = time.monotonic() + PATIENCE_S
        while self.code == before:  # the line above may be of an earlier time
            assert time.monotonic() < end
            time.sleep(0.05)
        return client

    def start_server(self, client: httpx.Client, use_case: str, **options: str) -> None:
        """Start a use case and wait until it answers."""
        start_server(client, use_case, **options)

    def stop_server(self, client: httpx.Client, use_case: str) -> None:
        """Stop a use case and wait until it's gone."""
        page = client.get(f"/hub/stop/{use_case}")
        if page.url.path != f"/hub/stop/{use_case}":
            return  # it isn't running any more
        client.post(f"/hub/stop/{use_case}", data={"_xsrf": xsrf(page.text)})
        end = time.monotonic() + PATIENCE_S
        while f"/hub/stop/{use_case}" in client.get("/hub/home").text:
            assert time.monotonic() < end
            time.sleep(0.3)

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(PATIENCE_S)


def xsrf(text: str) -> str:
    found = XSRF.search(text)
    assert found, text
    return found[1]


def start_server(client: httpx.Client, use_case: str, **options: str) -> None:
    """Start a use case and wait until it answers."""
    page = client.get(f"/hub/open/{use_case}")
    data = {"_xsrf": xsrf(page.text), **options}
    answer = client.post(f"/hub/open/{use_case}", data=data)
    end = time.monotonic() + 2 * PATIENCE_S
    while "/user/" not in answer.url.path:
        assert time.monotonic() < end and "did not start" not in answer.text, answer.text
        time.sleep(0.5)
        answer = client.get(str(answer.url))


def log_in(page: Page, portal: RunningPortal, name: str) -> None:
    """Log in as a person does."""
    page.goto(f"{portal.url}/hub/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Code").fill(portal.code)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/hub/usecases")


def shot(page: Page, name: str, *, full: bool = True) -> None:
    """Keep a picture of the page for people to look at."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=full)


def violations(page: Page) -> list[str]:
    """Return what an accessibility checker finds wrong on the page."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    return [
        f"{v['id']}: {v['help']}: {json.dumps([n['target'] for n in v['nodes']])}" for v in found
    ]
