"""The shipped declarations are the fixtures: every test sees what users get."""

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import settings
from jupyterhub import orm
from jupyterhub.objects import Hub
from jupyterhub.user import User
from traitlets.config import Config
from traitlets.utils.importstring import import_item

from hub.deployment import Deployment, load_deployment
from hub.launching import launcher
from hub.tunnels.process import serving
from hub.usecases import NOTEBOOKS, load_use_cases
from spawners import server_log
from spawners.tunnels import Tunnels
from tests.strays import Watch

OWN = "0123456789abcdef"
"""The name of a server's way in."""

settings.register_profile("beamhub", deadline=None, derandomize=True, database=None)
settings.load_profile("beamhub")


STRAYS = Watch()


def pytest_sessionstart() -> None:
    """Watch from the beginning what is started."""
    STRAYS.begin()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that leaves processes behind: so would a portal on a user's machine."""
    if left := STRAYS.left():
        lines = "\n".join(left)
        sys.stderr.write(f"\nLeft behind by this run, and ended now:\n{lines}\n")
        for process in left.values():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return NOTEBOOKS.parent


@pytest.fixture(scope="session")
def use_cases() -> dict[str, Any]:
    """Every shipped use case."""
    return load_use_cases([NOTEBOOKS])


@pytest.fixture
def laptop(tmp_path: Path) -> Deployment:
    """The portal that `beamhub serve` starts, with a state folder of its own."""
    (tmp_path / "state").mkdir()
    return load_deployment("laptop", state=tmp_path / "state")


@pytest.fixture
def change() -> Callable[..., Deployment]:
    """Return a deployment whose site profile says something else."""

    def changed(deployment: Deployment, **values: Any) -> Deployment:
        site = deployment.site.model_copy(update=values)
        return replace(deployment, site=site)

    return changed


@pytest.fixture
def keeper(monkeypatch: pytest.MonkeyPatch) -> Iterator[server_log.Keeper]:
    """A keeper of servers' logs for one test, which ends with the last pipe."""
    made = server_log.Keeper()
    monkeypatch.setattr(server_log, "keeper", made)
    yield made
    if made._control is not None and made._process is not None:
        made._control.close()
        made._process.wait(60)


@pytest.fixture
def cluster_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster's address that nothing answers: enough to build pods, not to start them."""
    path = tmp_path / "kubeconfig"
    path.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: t\n"
        "clusters: [{name: t, cluster: {server: 'https://127.0.0.1:1'}}]\n"
        "users: [{name: t, user: {}}]\ncontexts: [{name: t, context: {cluster: t, user: t}}]\n"
    )
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.setattr(
        "kubernetes_asyncio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path)
    )


@pytest.fixture(scope="session")
def database() -> Iterator[Any]:
    """JupyterHub's own database, in memory."""
    session = orm.new_session_factory("sqlite:///:memory:")()
    yield session
    session.close()
    session.get_bind().dispose()


@pytest.fixture
def a_user(database: Any) -> Iterator[Callable[..., User]]:
    """Return a maker of real JupyterHub users of a deployment."""

    def made(deployment: Deployment, name: str = "ada") -> User:
        for row in database.query(orm.User).filter_by(name=name):
            database.delete(row)
        database.commit()
        row = orm.User(name=name)
        database.add(row)
        database.commit()
        config = Config()
        config.Spawner.apply_user_options = launcher(deployment)
        config.TellingSpawner.state_folder = str(deployment.state)
        settings = {
            "config": config,
            "hub": Hub(ip="127.0.0.1", port=8081, base_url="/hub/"),
            "spawner_class": import_item(deployment.site.backend.spawner_class),
        }
        return User(row, settings)

    yield made
    database.rollback()
    for row in database.query(orm.User):
        database.delete(row)
    database.commit()


@dataclass
class Reports:
    """What jobs have told a hub: path, authorization and body of each report.

    `tunnel` is what a job is told of the way there, `tunnels` are all ways.
    """

    port: int = 0
    tunnel: str = ""
    tunnels: Tunnels = field(default_factory=lambda: Tunnels(Path("/nonexistent")))
    got: list[tuple[str, str, Any]] = field(default_factory=list)


def reached(port: int) -> bool:
    """Return whether somebody listens at a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reports]:
    """A hub that takes jobs' reports, and the real process at which jobs dial in for it."""
    told = Reports()

    class Hub(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.got.append((self.path, self.headers["Authorization"], json.loads(body)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    told.tunnels = Tunnels(tmp_path_factory.mktemp("state"))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        told.port = probe.getsockname()[1]
    hub = f"http://127.0.0.1:{server.server_port}"
    with serving(told.tunnels.folder.parent, "127.0.0.1", told.port, hub):
        while not reached(told.port):
            time.sleep(0.05)
        told.tunnel = told.tunnels.told(OWN, told.tunnels.open(OWN), "127.0.0.1", told.port)
        yield told
    server.shutdown()
    server.server_close()
