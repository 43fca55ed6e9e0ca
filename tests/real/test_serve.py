"""The life of a portal: it ends with all that it started, and finds its state again."""

import os
import signal
import socket
import sqlite3
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import unquote

import httpx
import psutil
import pytest
from kernels import socket_to
from portals import BEAMHUB, PATIENCE_S, RunningPortal, xsrf

from spawners.payload import readable_by_others

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
    with socket_to(first, client, "/user/ada/pyfai/beamhub/ending") as page:
        first.process.send_signal(signal.SIGINT)
        assert page.recv(timeout=PATIENCE_S) == "ending"
    assert first.stop(signal.SIGINT) == 0
    assert first.wait_for("Ending 1 server")
    # Half a minute of orders to a proxy that has ended is what Ctrl-C once took.
    assert "api_request to the proxy failed" not in first.log()
    _, alive = psutil.wait_procs(started, timeout=PATIENCE_S)
    assert alive == []

    second = RunningPortal(state, port=first.port)
    try:
        client = second.client(client.cookies)
        assert client.get("/hub/usecases").url.path == "/hub/usecases"
        second.start_server(client, "pyfai", size="small")
        assert notebook.read_bytes() == mine
    finally:
        second.stop()


@pytest.fixture
def without_nohup() -> Iterator[None]:
    """Let portals hear of a closed terminal, even where these tests were started not to."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP], ids=lambda s: s.name)
@pytest.mark.usefixtures("without_nohup")
def test_other_ways_to_end_it_end_everything_too(
    state_folder: Callable[[], Path], how: signal.Signals
) -> None:
    portal = RunningPortal(state_folder())
    started = descendants(portal.process.pid)
    assert len(started) >= 2
    portal.stop(how)
    _, alive = psutil.wait_procs(started, timeout=PATIENCE_S)
    assert alive == []


def test_after_a_crash_the_next_start_finds_the_running_server(
    state_folder: Callable[[], Path],
) -> None:
    state = state_folder()
    first = RunningPortal(state)
    client = first.login("ada")
    first.start_server(client, "pyfai", size="small")
    pid = server_pid(first)
    cookies = client.cookies
    first.process.kill()
    first.stop()
    # Whoever takes the ports that a portal once had beside its public one gets nothing, and keeps
    # nobody from the restart.
    with taken(first.port + 1) as orders, taken(first.port + 81) as hub:
        with pytest.raises(httpx.HTTPStatusError, match="503"):
            httpx.get(f"{first.url}/hub/login").raise_for_status()
        second = RunningPortal(state, port=first.port)
        assert [nobody_came(thief) for thief in (orders, hub)] == [True, True]
    try:
        again = second.client(cookies)
        assert again.get("/user/ada/pyfai/api/status").status_code == 200
        assert psutil.pid_exists(pid)
        assert again.get("/hub/open/pyfai").url.path.startswith("/user/ada/pyfai/lab")
    finally:
        second.stop()
    _, alive = psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], 10)
    assert alive == []


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Let nobody write to a database, for longer than is waited for that."""
    with closing(sqlite3.connect(database, timeout=PATIENCE_S)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_a_database_out_of_reach_for_a_while_is_used_again_and_lets_the_portal_end(
    state_folder: Callable[[], Path],
) -> None:
    portal = RunningPortal(state_folder())
    database, client = portal.state / "portal.sqlite", portal.client()
    form = {"username": "ada", "password": portal.code}
    form["_xsrf"] = xsrf(client.get("/hub/login").text)
    with locked(database):
        assert client.post("/hub/login", data=form).status_code == 500
    portal.start_server(portal.login("ada"), "pyfai", size="small")
    started = descendants(portal.process.pid)
    with locked(database):
        portal.stop()
    _, alive = psutil.wait_procs(started, timeout=PATIENCE_S)
    assert alive == []


def taken(port: int) -> socket.socket:
    """Return a socket that listens at a port of this machine, as another account's could."""
    thief = socket.create_server(("127.0.0.1", port))
    thief.setblocking(False)
    return thief


def nobody_came(thief: socket.socket) -> bool:
    try:
        thief.accept()
    except BlockingIOError:
        return True
    return False


def server_pid(portal: RunningPortal) -> int:
    """Return the process of the one server that a portal runs."""
    found = [p.pid for p, command in portal.commands() if "jupyterhub-singleuser" in command]
    assert len(found) == 1
    return found[0]


def test_stop_ends_what_was_put_into_the_background(state_folder: Callable[[], Path]) -> None:
    portal = RunningPortal(state_folder())
    try:
        client = portal.login("ada")
        portal.start_server(client, "pyfai", size="small")
        server = psutil.Process(server_pid(portal))
        marks = {k: v for k, v in server.environ().items() if k.startswith("JUPYTERHUB_")}
        # Under the server's account, as what its user starts is.
        sleeper = subprocess.Popen(
            ["sleep", "600"], env=marks, start_new_session=True, user=server.uids().real
        )
        page = client.get("/hub/stop/pyfai")
        client.post("/hub/stop/pyfai", data={"_xsrf": xsrf(page.text)})
        assert sleeper.wait(PATIENCE_S) == -signal.SIGKILL
    finally:
        portal.stop()


def test_a_file_of_the_users_does_not_break_the_start(state_folder: Callable[[], Path]) -> None:
    portal = RunningPortal(state_folder())
    try:
        client = portal.login("ada")
        portal.start_server(client, "pyfai", size="small")
        client.post("/hub/stop/pyfai", data={"_xsrf": xsrf(client.get("/hub/stop/pyfai").text)})
        (portal.state / "homes/ada/random.py").write_text("raise SystemExit('mine')\n")
        portal.start_server(client, "pyfai", size="small")
    finally:
        portal.stop()


NOBODY = 65534


@pytest.fixture(scope="module")
def olga(portal: RunningPortal) -> Iterator[httpx.Client]:
    """Somebody of root's portal, whose server has made the environment that others only use."""
    client = portal.login("olga")
    portal.start_server(client, "pyfai", size="small")
    yield client
    portal.stop_server(client, "pyfai")


@pytest.fixture(params=["", "Ada's " + "long " * 20], ids=["a usual path", "no path of sockets"])
def state_of_nobody(request: pytest.FixtureRequest, state_folder: Callable[[], Path]) -> Path:
    """A state folder of an ordinary account, which holds its sockets or can't."""
    made = state_folder()
    state = made / request.param
    state.mkdir(exist_ok=True)
    for link in {"environments"} - {path.name for path in state.iterdir()}:
        (state / link).symlink_to((made / link).readlink())
    (state / "lock").touch()
    for path in (made, state, state / "lock"):
        os.chown(path, NOBODY, NOBODY)
    return state


@pytest.mark.skipif(os.geteuid() != 0, reason="every other test is about an ordinary account then")
def test_an_ordinary_account_runs_a_portal_and_is_told_what_that_means(
    olga: httpx.Client, state_of_nobody: Path
) -> None:
    if not readable_by_others(BEAMHUB):
        pytest.skip(f"other accounts can't read {BEAMHUB}")
    root, state = olga, state_of_nobody
    ordinary = RunningPortal(
        state,
        prefix=("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
        environment={"PATH": os.environ["PATH"], "HOME": str(state)},
    )
    try:
        client = ordinary.login("ada")
        about = client.get("/hub/about").text
        assert "not protected from each other" in about
        assert "not protected from each other" not in root.get("/hub/about").text
        ordinary.start_server(client, "pyfai", size="small")
        server = psutil.Process(server_pid(ordinary))
        assert server.uids().real == NOBODY
        assert stat.S_IMODE((state / "homes/ada").stat().st_mode) == 0o700
        url = unquote(server.environ()["JUPYTERHUB_SERVICE_URL"])
        sockets = Path(url.removeprefix("http+unix://").partition("/servers/")[0])
        place = Path("/tmp") if "long" in str(state) else state
        assert (sockets.parent, sockets.owner()) == (place, "nobody")
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    finally:
        ordinary.stop()
    assert not sockets.exists()


def test_one_portal_a_state(portal: RunningPortal) -> None:
    done = subprocess.run(
        [BEAMHUB, "serve", f"--state={portal.state}"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 1
    assert "A portal already runs with its state in" in done.stderr


def test_a_folder_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    tmp_path.chmod(0o1777)
    done = subprocess.run(
        [BEAMHUB, "serve", f"--state={tmp_path}"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 1
    assert "isn't a portal's state folder" in done.stderr
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777


def test_a_port_in_use_is_said_in_words(
    portal: RunningPortal, state_folder: Callable[[], Path]
) -> None:
    done = subprocess.run(
        [BEAMHUB, "serve", f"--port={portal.port}", f"--state={state_folder()}"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 1
    assert f"port {portal.port}" in done.stdout + done.stderr


def test_announcements_appear_without_a_restart(
    state_folder: Callable[[], Path],
) -> None:
    # Where the hub's own account may look.
    folder = state_folder()
    news = folder / "news.md"
    profile = folder / "mine.yaml"
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
