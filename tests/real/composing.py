"""docker-compose.yml, brought up under a name, ports and folders of the tests' own."""

import json
import os
import shutil
import ssl
import subprocess
import time
from pathlib import Path

import httpx
from portals import BEAMHUB, ROOT, free_port, xsrf

from hub.images.docker import environment

FILE = ROOT / "docker-compose.yml"
ADDRESSES = "10.214.0.0/16"
OFFICIAL = {"database": "postgres:17", "tls": "caddy:2"}
PROFILE = """\
extends: compose
title: Tried by Compose
registry: {name}.test/beamhub
backend:
  prefix: {name}
  addresses: {addresses}
  companions: {{hub: {name}-hub, proxy: {name}-proxy}}
storage: [{{source: {name}_data, target: /srv/data}}]
"""
TLS = """\
extends: plain
serving: {{tls: proxy, public_url: "https://localhost:{port}"}}
"""


def run(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)


def said(*command: object) -> str:
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def compose_command() -> list[str] | None:
    """Return the Compose of this machine, None where there is none."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    return ["docker", "compose"] if run("docker", "compose", "version").returncode == 0 else None


class Composed:
    """A portal that Compose has started, and the ways of a user into it."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.name = f"bhtest{os.getpid()}"
        self.folder = folder
        self.port = free_port()
        self.http_port, self.https_port = self.port + 2, self.port + 3
        self.url = f"http://127.0.0.1:{self.port}"
        self.secure_url = f"https://localhost:{self.https_port}"
        self.command = [*command, "--file", str(FILE)]
        socket = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        self.environment = {
            **os.environ,
            "COMPOSE_PROJECT_NAME": self.name,
            "BEAMHUB_NAME": self.name,
            "BEAMHUB_REGISTRY": f"{self.name}.test/beamhub",
            "BEAMHUB_PROFILE": "/site/plain.yaml",
            "BEAMHUB_PROFILES": str(folder / "site"),
            "BEAMHUB_SECRETS": str(folder / "secrets"),
            "BEAMHUB_CERTIFICATES": str(folder / "certificates"),
            "BEAMHUB_DOCKER_SOCKET": socket.removeprefix("unix://"),
            "BEAMHUB_PORT": str(self.port),
            "BEAMHUB_HTTP_PORT": f"127.0.0.1:{self.http_port}",
            "BEAMHUB_HTTPS_PORT": f"127.0.0.1:{self.https_port}",
            "BEAMHUB_HOST": "localhost",
            "BEAMHUB_TLS": "tls internal",
        }

    def make(self) -> None:
        """Make images, secrets and profiles."""
        site = self.folder / "site"
        site.mkdir()
        (self.folder / "certificates").mkdir()
        (site / "plain.yaml").write_text(PROFILE.format(name=self.name, addresses=ADDRESSES))
        (site / "tls.yaml").write_text(TLS.format(port=self.https_port))
        said(ROOT / "scripts/secrets", self.folder / "secrets")
        where = [f"--site={site / 'plain.yaml'}", f"--state={self.folder / 'state'}"]
        said(BEAMHUB, "images", "build", "hub", "pyfai", *where)
        for part, official in OFFICIAL.items():
            image = official
            if run("docker", "image", "inspect", official).returncode:
                image = f"{self.name}.test/{part}"
                folder = ROOT / "tests/real/compose" / part
                run("docker", "build", "--tag", image, folder, env=environment(), check=True)
            self.environment[f"BEAMHUB_{part.upper()}_IMAGE"] = image

    def call(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Compose."""
        return run(*self.command, *arguments, env={**self.environment, **environment})

    def up(self, *options: str) -> None:
        """Bring it up and wait until all parts are well."""
        done = self.call(*options, "up", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr
        self.wait_until_well()

    def wait_until_well(self) -> None:
        end = time.monotonic() + 120
        while set(self.health().values()) != {"healthy"}:
            assert time.monotonic() < end, f"{self.health()}\n{self.logs()}"
            time.sleep(1)

    def containers(self) -> dict[str, dict]:
        """Return what Docker knows of each service's container."""
        label = f"label=com.docker.compose.project={self.name}"
        ids = said("docker", "ps", "--all", "--quiet", "--filter", label).split()
        found = json.loads(said("docker", "inspect", *ids)) if ids else []
        return {c["Config"]["Labels"]["com.docker.compose.service"]: c for c in found}

    def health(self) -> dict[str, str]:
        return {name: c["State"]["Health"]["Status"] for name, c in self.containers().items()}

    def logs(self) -> str:
        ids = [c["Id"] for c in self.containers().values()]
        outputs = [run("docker", "logs", i) for i in ids]
        return "\n".join(o.stdout + o.stderr for o in outputs)

    def secrets(self) -> dict[str, str]:
        return {p.name: p.read_text().strip() for p in (self.folder / "secrets").iterdir()}

    def certificates(self) -> ssl.SSLContext:
        """Return what trusts the authority of this Caddy only."""
        path = self.folder / "root.crt"
        inside = "/data/caddy/pki/authorities/local/root.crt"
        said("docker", "cp", f"{self.containers()['tls']['Id']}:{inside}", path)
        return ssl.create_default_context(cafile=str(path))

    def client(self, url: str = "", verify: ssl.SSLContext | bool = True) -> httpx.Client:
        """Return a client that follows links as a browser does."""
        client = httpx.Client(
            base_url=url or self.url, follow_redirects=True, timeout=60, verify=verify
        )
        client.headers["Sec-Fetch-Mode"] = "navigate"
        return client

    def clear(self) -> None:
        """Take away all that was made, users' containers too."""
        named = f"name=^/?{self.name}"
        for kind, list_, remove in (
            ("container", ["ls", "--all"], ["rm", "--force"]),
            ("network", ["ls"], ["rm"]),
            ("volume", ["ls"], ["rm"]),
        ):
            if kind == "network":
                self.call("--profile", "tls", "down", "--volumes", "--remove-orphans")
            ids = said("docker", kind, *list_, "--quiet", "--filter", named).split()
            if ids:
                run("docker", kind, *remove, *ids)
        images = said("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
        if mine := [i for i in images if i.startswith(f"{self.name}.test/")]:
            run("docker", "image", "rm", *mine)


def log_in(client: httpx.Client, name: str, password: str) -> httpx.Response:
    """Send the form of the log-in page."""
    form = {"username": name, "password": password}
    return client.post("/hub/login", data={**form, "_xsrf": xsrf(client.get("/hub/login").text)})
