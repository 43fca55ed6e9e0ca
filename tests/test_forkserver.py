"""Copies of a process that become servers: what each has of its own, and nothing of another's.

The process is real, its Python and the workbench in it too. Of Jupyter there is what tells what it
has become.
"""

import json
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import workbench
from spawners.confine import Walls
from spawners.entering import Entry
from spawners.environments import base_python
from spawners.forkserver import ROOM_BYTES
from spawners.forkservers import Forked, Forkservers
from spawners.state_folders import READY
from spawners.system_accounts import Account
from spawners.told_variables import told_names

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
PATIENCE_S = 60.0
NUMBER = 65534
PORTALS = {name: os.environ[name] for name in told_names() if name in os.environ}
SINGLEUSER = """
import json, multiprocessing, os, random, resource, signal, sys, tempfile, threading, time

FILE = "/proc/self/fd/%s"
process = multiprocessing.current_process()

def main():
    umask = os.umask(0)
    told = {
        "account": [os.getresuid(), os.getresgid(), os.getgroups()],
        "session": [os.getsid(0), os.getpgrp(), os.getpid()],
        "umask": umask, "folder": os.getcwd(), "argv": sys.argv, "variables": dict(os.environ),
        "shown": open("/proc/self/environ").read().strip(chr(0)),
        "command": open("/proc/self/cmdline").read(),
        "owner": os.stat("/proc/self").st_uid, "cores": sorted(os.sched_getaffinity(0)),
        "data": resource.getrlimit(resource.RLIMIT_DATA), "prefix": sys.prefix, "path": sys.path,
        "files": sorted(int(f) for f in os.listdir("/proc/self/fd") if os.path.exists(FILE % f)),
        "chance": [random.random(), process.authkey.hex(), tempfile.mktemp()],
        "copy": sys.flags.no_site == 1, "parent": os.getppid(),
        "threads": len(os.listdir("/proc/self/task")),
    }
    print(json.dumps(told), flush=True)
    do = os.environ.get("THEN", "")
    if do == "wait":
        time.sleep(600)
    if do == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return int(do or 0)
"""
PROGRAM = """#!{python}
import sys
from jupyterhub.singleuser import main
sys.exit(main())
"""


@dataclass
class Site:
    """An environment, and what has been started in it."""

    folder: Path
    forkservers: Forkservers = field(default_factory=Forkservers)
    started: list[Forked] = field(default_factory=list)

    @property
    def environment(self) -> Path:
        return self.folder / "environment"

    @property
    def packages(self) -> Path:
        return next(self.environment.glob("lib/python*/site-packages"))

    def package(self, name: str, text: str) -> None:
        """Put a package into the environment."""
        (self.packages / name).mkdir(parents=True, exist_ok=True)
        (self.packages / name / "__init__.py").write_text(text)

    def start(self, **variables: str) -> tuple[Forked | None, Path]:
        """Start a server, if there is something to be copied, and return its log."""
        home = self.folder / secrets.token_hex(4)
        home.mkdir()
        number = NUMBER if os.geteuid() == 0 else os.getuid()
        if os.geteuid() == 0:
            os.chown(home, number, number)
        account = Account("ada", number, number, home)
        groups = [number, 12345] if os.geteuid() == 0 else []
        core = min(os.sched_getaffinity(0))
        entry = Entry(account, groups, Walls(privileges=True), [core], 1 << 30, 0o027)
        own = {"HOME": str(home), "USER": "ada", "PATH": "/bin", "BEAMHUB_SOCKET": "77", **PORTALS}
        log = self.folder / f"{home.name}.log"
        listener = os.open(os.devnull, os.O_RDWR)
        with log.open("wb") as file:
            files = [listener, file.fileno()]
            made = self.forkservers.start(
                self.environment, entry, ["--own"], {**own, **variables}, files
            )
        os.close(listener)
        if made:
            self.started.append(made)
        return made, log

    def copied(self, **variables: str) -> tuple[Forked, Path]:
        """Start a server as soon as there is something to be copied."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            made, log = self.start(**variables)
            if made:
                return made, log
            assert not self.process.has_ended() or self.process.begun
            time.sleep(0.05)
        raise AssertionError("nothing could be copied")

    @property
    def process(self) -> Any:
        return self.forkservers._all[self.environment]


def said(log: Path) -> dict[str, Any]:
    """Return what a server has said, once it has."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        for line in log.read_text().splitlines():
            if line.startswith("{"):
                return dict(json.loads(line))
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def ended(server: Forked) -> int:
    """Return how a server has ended, once it has."""
    end = time.monotonic() + PATIENCE_S
    while (status := server.poll()) is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    return status


@pytest.fixture
def site() -> Iterator[Site]:
    """An environment of its own; what is started in it ends with the test."""
    # Below a folder that other accounts can pass.
    folder = Path(f"/tmp/beamhub-forkserver-{secrets.token_hex(4)}")
    folder.mkdir(mode=0o755)
    made = Site(folder)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (made.environment / "bin").mkdir(parents=True)
    (made.environment / f"lib/{version}/site-packages").mkdir(parents=True)
    (made.environment / "bin/python").symlink_to(base_python())
    (made.environment / "pyvenv.cfg").write_text(f"home = {Path(base_python()).parent}\n")
    (made.environment / READY).touch()
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(workbench.__file__).parent, made.packages / "workbench", ignore=ignored)
    made.package("jupyterhub", "")
    made.package("jupyterhub/singleuser", SINGLEUSER)
    program = made.environment / "bin/jupyterhub-singleuser"
    program.write_text(PROGRAM.format(python=made.environment / "bin/python"))
    program.chmod(0o755)
    yield made
    for server in made.started:
        server.signalled(signal.SIGKILL)
        ended(server)
    made.forkservers.end()
    shutil.rmtree(folder)


def test_a_copy_is_a_server_of_its_own(site: Site) -> None:
    first, log = site.copied(MINE="1")
    one = said(log)
    second, log = site.copied(SECRET="2")
    two = said(log)
    assert (ended(first), ended(second)) == (0, 0)
    number = NUMBER if os.geteuid() == 0 else os.getuid()
    assert one["session"] == [first.pid] * 3
    assert one["account"][:2] == [[number] * 3] * 2
    assert one["umask"] == 0o027
    assert one["cores"] == [min(os.sched_getaffinity(0))]
    assert one["data"] == [1 << 30, 1 << 30]
    assert one["threads"] == 1
    assert one["files"] == [0, 1, 2, 3]
    assert one["owner"] == number
    assert one["folder"] == one["variables"]["HOME"]
    assert one["argv"][0] == str(site.environment / "bin/jupyterhub-singleuser")
    assert one["argv"][-1] == "--own"
    assert one["prefix"] == str(site.environment)
    assert [path for path in one["path"] if "spawners" in path or path == ""] == []
    if os.geteuid() == 0:
        assert sorted(one["account"][2]) == [12345, number]
    # Nothing that one has of chance is the other's.
    assert not set(map(str, one["chance"])) & set(map(str, two["chance"]))
    assert "SECRET" not in one["variables"] and "MINE" not in two["variables"]


def test_the_variables_are_those_given_and_the_kernel_shows_them(site: Site) -> None:
    given = {"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/pyfai/", "JUPYTERHUB_API_URL": "http://hub"}
    server, log = site.copied(**given, ODD="ünicode\nand more")
    told = said(log)
    ended(server)
    shown = dict(part.partition("=")[::2] for part in told["shown"].split("\0"))
    own = {"HOME": told["folder"], "USER": "ada", "PATH": "/bin", "BEAMHUB_SOCKET": "3"}
    own |= PORTALS
    assert shown == {**own, **given, "ODD": "ünicode\nand more"}
    set_by_workbench = {"JUPYTER_RUNTIME_DIR", "JUPYTER_PATH", "JUPYTERLAB_WORKSPACES_DIR"}
    # Python sets it where no language is told.
    assert told["variables"].keys() - shown.keys() - {"LC_CTYPE"} == set_by_workbench
    assert told["command"].startswith(f"{site.environment}/bin/python {told['argv'][0]}\0")


def test_how_a_copy_ends_is_told_as_of_any_process(site: Site) -> None:
    statuses = [ended(site.copied(THEN=then)[0]) for then in ("0", "3", "kill")]
    assert statuses == [0, 3, -signal.SIGKILL]
    server, log = site.copied(THEN="wait")
    said(log)
    assert server.poll() is None
    assert server.signalled(signal.SIGTERM)
    assert ended(server) == -signal.SIGTERM
    assert not server.signalled(0)


def test_nothing_of_one_server_is_in_the_memory_of_the_next(site: Site) -> None:
    secret = secrets.token_hex(32)
    first, log = site.copied(JUPYTERHUB_API_TOKEN=secret, THEN="wait")
    assert secret in said(log)["variables"].values()
    second, log = site.copied(THEN="wait")
    said(log)
    assert secret.encode() in memory_of(first.pid)
    assert secret.encode() not in memory_of(second.pid)
    assert secret.encode() not in memory_of(site.process._process.pid)


def memory_of(pid: int) -> bytes:
    """Return all that a process can write."""
    found = []
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, modes, *_ = line.split()
            if modes.startswith("rw"):
                first, last = (int(part, 16) for part in place.split("-"))
                memory.seek(first)
                found.append(memory.read(last - first))
    return b"\n".join(found)


def test_copies_outlive_the_process_and_the_next_start_begins_another(site: Site) -> None:
    server, log = site.copied(THEN="wait")
    said(log)
    before = site.process._process
    before.kill()
    before.wait(60)
    assert server.poll() is None
    assert site.start()[0] is None  # by itself, as if there were none of all this
    other, log = site.copied()
    assert said(log)["parent"] == site.process._process.pid != before.pid
    assert ended(other) == 0
    server.signalled(signal.SIGKILL)
    assert ended(server) == 0  # nobody knows how, as after a restart of the portal


def test_one_that_stands_still_is_given_up_and_nothing_runs_twice(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spawners.forkservers.COPY_S", 0.5)
    ended(site.copied()[0])
    still = site.process._process
    still.send_signal(signal.SIGSTOP)
    made, log = site.start()
    assert made is None
    still.send_signal(signal.SIGCONT)
    still.wait(60)  # nobody asks it any more
    assert log.read_text() == ""


def test_an_environment_made_anew_has_another(site: Site) -> None:
    _, log = site.copied()
    before = said(log)["parent"]
    (site.environment / READY).unlink()
    (site.environment / READY).touch()
    assert site.start()[0] is None
    _, log = site.copied()
    assert said(log)["parent"] != before


def test_it_runs_nothing_of_a_home_a_folder_or_a_shell(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = f"open({str(tmp_path / 'run')!r}, 'a').write('x')"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for folder in (tmp_path, tmp_path / f".local/lib/{version}/site-packages"):
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("sitecustomize", "usercustomize", "json", "workbench"):
            (folder / f"{name}.py").write_text(evil)
        (folder / "evil.pth").write_text(f"import os; {evil}")
    monkeypatch.chdir(tmp_path)
    for name, value in {"HOME": tmp_path, "PYTHONPATH": tmp_path, "PYTHONSTARTUP": evil}.items():
        monkeypatch.setenv(name, str(value))
    # Nor what packages have run at each start of Python, but as the server's own account.
    who = f"open('/tmp/{site.folder.name}/who', 'a').write(str(os.getuid()) + ' ')"
    (site.folder / "who").touch(mode=0o666)
    (site.folder / "who").chmod(0o666)
    (site.packages / "some.pth").write_text(f"import os; {who}\n")
    server, log = site.copied()
    said(log)
    ended(server)
    assert not (tmp_path / "run").exists()
    number = NUMBER if os.geteuid() == 0 else os.getuid()
    assert set((site.folder / "who").read_text().split()) == {str(number)}


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (
            "import threading, time\nthreading.Thread(target=time.sleep, args=[9]).start()",
            "threads",
        ),
        ("import socket\nkept = socket.socket()", "opens socket:"),
    ],
)
def test_what_cannot_be_copied_is_not_and_not_tried_again(
    site: Site, capfd: pytest.CaptureFixture[str], code: str, why: str
) -> None:
    site.package("jupyter_resource_usage", code)
    assert site.start()[0] is None
    first = site.process
    assert first._process.wait(60) == 1
    assert why in capfd.readouterr().err
    assert site.start()[0] is None
    assert site.process is first


def test_who_would_have_made_another_thing_of_what_was_imported_has_a_python_of_its_own(
    site: Site,
) -> None:
    site.package("jupyter_resource_usage", "import os\nplace = os.environ.get('PLACE')")
    _, log = site.copied()
    assert said(log)["copy"]
    _, log = site.copied(PLACE="/elsewhere")
    assert not said(log)["copy"]
    assert "PLACE" in log.read_text()
    _, log = site.copied(LD_LIBRARY_PATH="/lib")
    assert not said(log)["copy"]


def test_a_server_with_more_variables_than_there_is_room_for_starts_by_itself(site: Site) -> None:
    site.copied()
    assert site.start(LONG="x" * ROOM_BYTES)[0] is None


@needs_root
def test_root_imports_nothing_that_others_can_change(site: Site) -> None:
    site.packages.chmod(0o777)
    assert site.start()[0] is None
    assert site.forkservers._all == {}


@needs_root
def test_a_copy_that_cannot_be_confined_is_none(site: Site) -> None:
    site.copied()
    log = site.folder / "log"
    home = Account("ada", NUMBER, NUMBER, site.folder)
    entry = Entry(home, [NUMBER], Walls(groups=("/nonexistent",)), [0], 0, 0o077)
    with log.open("wb") as file:
        files = [file.fileno(), file.fileno()]
        made = site.forkservers.start(site.environment, entry, [], {"HOME": "/"}, files)
    assert made is None
    assert "could not be confined" in log.read_text()
    assert "account" not in log.read_text().replace("an account", "")
