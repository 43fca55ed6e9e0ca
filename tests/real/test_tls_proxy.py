"""A portal behind nginx as the how-to has it, each user's servers at a host name of their own."""

import os
import re
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from accounts import PASSWORD, PLAIN, Machine
from conftest import lacking
from lab import stop
from playwright.sync_api import Browser, Page, expect
from portals import PATIENCE_S, ROOT, RunningPortal, free_port, shot
from slapd import program

pytestmark = [
    pytest.mark.browser,
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

HOW_TO = ROOT / "docs/how-to/tls-proxy.md"
NAME = "portal.localhost"
"""Chromium finds all names below localhost on its own machine."""
AROUND = """
user root;
daemon off;
pid {folder}/pid;
error_log {folder}/errors;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/answers;
    {settings}
}}
"""


class Nginx:
    """nginx with the how-to's settings, and a certificate of its own."""

    def __init__(self, folder: Path, port: int, portal_port: int) -> None:
        self.folder = folder
        key, certificate = folder / "key.pem", folder / "certificate.pem"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME},DNS:*.{NAME}"),
                *("-keyout", key, "-out", certificate),
            ],
            check=True,
            capture_output=True,
        )
        server, common = re.findall(r"```nginx\n(.*?)```", HOW_TO.read_text(), re.DOTALL)
        (folder / "beamhub.conf").write_text(
            common.replace("127.0.0.1:8000", f"127.0.0.1:{portal_port}")
        )
        for old, new in {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "server_name portal.example.org": f"server_name {NAME} *.{NAME}",
            "/etc/ssl/portal.example.org.pem": str(certificate),
            "/etc/ssl/private/portal.example.org.key": str(key),
            "/etc/nginx/beamhub.conf": f"{folder}/beamhub.conf",
        }.items():
            assert old in server, f"the how-to has changed: {old}"
            server = server.replace(old, new)
        settings = folder / "nginx.conf"
        settings.write_text(AROUND.format(folder=folder, settings=server))
        self.process = subprocess.Popen([program("nginx") or "nginx", "-c", settings])
        self.url = f"https://{NAME}:{port}"
        self._wait(port, certificate)

    def _wait(self, port: int, certificate: Path) -> None:
        end = time.monotonic() + PATIENCE_S
        # Not every resolver knows names below localhost, as browsers do.
        with httpx.Client(
            base_url=f"https://127.0.0.1:{port}",
            headers={"Host": f"{NAME}:{port}"},
            verify=ssl.create_default_context(cafile=str(certificate)),
        ) as client:
            while self.process.poll() is None and time.monotonic() < end:
                with suppress(httpx.TransportError):
                    answer = client.get("/hub/health", extensions={"sni_hostname": NAME})
                    assert answer.status_code == 200
                    return
                time.sleep(0.1)
        self.stop()
        raise AssertionError((self.folder / "errors").read_text())

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    if os.geteuid() != 0:
        lacking("only root can make accounts")
    if not program("nginx"):
        lacking("this machine lacks nginx")
    made = Machine(f"bht{os.getpid()}", Path(tempfile.mkdtemp(prefix="bh-tls-")))
    made.folder.chmod(0o711)
    try:
        made.add("ada")
        made.add("eve")
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def url(machine: Machine, state_folder: Callable[[], Path]) -> Iterator[str]:
    """The portal's address, which leads through nginx."""
    state, portal_port = state_folder(), free_port()
    # One that nothing of the portal's is derived to.
    port = portal_port + 2
    profile = state / "tls.yaml"
    profile.write_text(
        f"extends: laptop\nlogin: {{kind: pam, service: {machine.service(PLAIN)}}}\n"
        "backend: {kind: local, accounts: system}\nserving: {tls: proxy, user_subdomains: true, "
        f'public_url: "https://{NAME}:{port}"}}\n'
    )
    running = RunningPortal(state, str(profile), port=portal_port)
    try:
        nginx = Nginx(Path(tempfile.mkdtemp(dir=machine.folder)), port, portal_port)
        yield nginx.url
        nginx.stop()
    finally:
        running.stop()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(PATIENCE_S * 1000)
    yield context.new_page()
    context.close()


def log_in(page: Page, url: str, name: str) -> None:
    page.goto(f"{url}/hub/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/hub/usecases")


def test_a_user_works_at_a_host_name_of_their_own(machine: Machine, url: str, page: Page) -> None:
    name = machine.name("ada")
    own = url.replace(NAME, f"{name}.{NAME}")
    log_in(page, url, name)
    page.goto(f"{url}/hub/open/pyfai")
    page.get_by_role("button", name=re.compile("^Start ")).click()
    page.wait_for_url(f"{own}/user/{name}/pyfai/**", timeout=600_000)
    # A kernel that answers came through WebSockets.
    expect(page.locator(".jp-Notebook-ExecutionIndicator").first).to_have_attribute(
        "data-status", "idle"
    )
    shot(page, "lab-at-a-name-of-its-own", full=False)
    log_in_cookies = [c for c in page.context.cookies(own) if "hub-login" in c["name"]]
    assert log_in_cookies == []
    assert (
        page.evaluate(
            "where => fetch(where, {credentials: 'include'}).then(() => 'read', () => 'refused')",
            f"{url}/hub/api/user",
        )
        == "refused"
    )
    stop(page, url, "pyfai")
