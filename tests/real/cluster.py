"""A real Slurm cluster of the tests' own: a controller and nodes with addresses, on this machine.

Every daemon runs from a scratch folder and with its configuration; nothing of the system's own
Slurm, munge or MariaDB is touched. Each node has a network namespace, so an address of its own.
"""

import asyncio
import fcntl
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from cluster_files import (
    CGROUP_CONF,
    DBD_CONF,
    JOB_SUBMIT,
    NODE,
    OTHER_CLOCK,
    SLURM_CONF,
    SUDOERS,
)
from portals import BEAMHUB, ROOT, RunningPortal

from hub.usecases import CONSTRAINTS, NOTEBOOKS
from spawners.environments import Recipe, ensure

NEEDED = (
    "faketime",
    "ip",
    "mariadb-install-db",
    "munged",
    "slurmctld",
    "slurmd",
    "slurmdbd",
    "sudo",
)
MODULES = Path("/etc/profile.d/modules.sh")
"""What brings the command 'module' where Debian's environment-modules is."""
SIZES = {
    "small": {"title": "Small", "cores": 1, "memory_gib": 4, "walltime_h": 8},
    "large": {"title": "Large", "cores": 8, "memory_gib": 16, "walltime_h": 8},
    "huge": {"title": "Huge", "cores": 64, "memory_gib": 16, "walltime_h": 8},
    "brief": {"title": "Brief", "cores": 1, "memory_gib": 2, "walltime_h": 1 / 60},
    "gpu": {"title": "GPU", "cores": 1, "memory_gib": 4, "walltime_h": 8, "gpus": 1},
    "whole": {"title": "Whole node", "cores": 1, "memory_gib": 4, "walltime_h": 8},
}
PEOPLE = ("connie", "fred", "olaf", "quentin", "sue", "ada", "eve", "max")
PREFIX = "bh-slurm-"
CPUS, MEMORY_MB = 12, 48_000
# Not "bh-": tests of other checkouts take those away.
HUB, GROUP = "beamhubhub", "beamhubpeople"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(true: Callable[[], object], what: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.2)


class Cluster:
    """A controller with accounting, two nodes, and people with homes on all of them."""

    def __init__(self, nodes: int = 2, cpus: int = CPUS) -> None:
        self.cpus = cpus
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.folder.chmod(0o755)
        self.tag = f"bh{os.getpid() % 100_000}"
        self.net = f"10.247.{os.getpid() % 256}"
        self.gateway = f"{self.net}.1"
        self.nodes = {f"node{i}": f"{self.net}.{10 + i}" for i in range(1, nodes + 1)}
        self.password = secrets.token_hex(8)
        self.ports = {name: free_port() for name in ("ctl", "dbd", "db")}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.people: list[str] = []
        self.lock = Path("/run/lock/beamhub-cluster").open("w")  # noqa: SIM115
        self.sudoers = Path(f"/etc/sudoers.d/{self.tag}")
        self.shared = self.folder / "shared"
        self.conf = self.folder / "slurm.conf"
        self.environment = {**os.environ, "SLURM_CONF": str(self.conf)}
        groups = ("/sys/fs/cgroup/memory", "/sys/fs/cgroup/cgroup.subtree_control")
        self.limits_memory = any(os.access(group, os.W_OK) for group in groups)

    # Daemons.

    def start(self) -> None:
        """Start everything, and wait until the nodes are idle."""
        # The accounts are the machine's: one cluster at a time.
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.make_network()
        self.start_munge()
        self.start_database()
        self.write_configuration()
        self.run_daemon("slurmdbd", "slurmdbd", "-D")
        wait_until(lambda: is_open(self.ports["dbd"]), "slurmdbd")
        self.sacctmgr("add", "cluster", "beamhub")
        self.sacctmgr("add", "account", "science", "Cluster=beamhub")
        self.start_controller()
        for name in self.nodes:
            self.start_node(name)
        wait_until(self.all_idle, "the nodes")
        self.add_hub()
        self.add_people(*PEOPLE)

    def make_network(self) -> None:
        """Make a bridge, and for each node a network namespace that it leads to."""
        ip("link", "add", self.tag, "type", "bridge")
        ip("addr", "add", f"{self.gateway}/24", "dev", self.tag)
        ip("link", "set", self.tag, "up")
        for index, (name, address) in enumerate(self.nodes.items()):
            space, outside = self.space(name), f"{self.tag}v{index}"
            ip("netns", "add", space)
            ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", space)
            ip("link", "set", outside, "master", self.tag, "up")
            ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                ip("-n", space, "link", "set", device, "up")
            ip("-n", space, "route", "add", "default", "via", self.gateway)

    def space(self, node: str) -> str:
        return f"{self.tag}-{node}"

    def start_munge(self) -> None:
        folder = self.folder / "munge"
        folder.mkdir(mode=0o755)
        key = folder / "key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        places = [
            f"--{p}={folder}/{p.split('-')[0]}" for p in ("key-file", "pid-file", "seed-file")
        ]
        more = [f"--log-file={folder}/log", f"--socket={folder}/socket"]
        self.run_daemon("munged", "munged", "--foreground", "--force", *places, *more)
        wait_until((folder / "socket").exists, "munge")

    def start_database(self) -> None:
        folder = self.folder / "db"
        folder.mkdir()
        shutil.chown(folder, "mysql", "mysql")
        said(
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={folder}",
            "--user=mysql",
            "--skip-test-db",
        )
        self.run_daemon(
            "mariadbd",
            "mariadbd",
            "--no-defaults",
            f"--datadir={folder}",
            "--user=mysql",
            f"--socket={folder}/socket",
            "--bind-address=127.0.0.1",
            f"--port={self.ports['db']}",
            "--innodb-buffer-pool-size=32M",
            "--innodb-flush-log-at-trx-commit=0",
        )
        wait_until((folder / "socket").exists, "MariaDB")
        sql = (
            "create database slurm_acct_db;"
            f"create user slurm@'127.0.0.1' identified by '{self.password}';"
            f"create user slurm@'localhost' identified by '{self.password}';"
            "grant all on slurm_acct_db.* to slurm@'127.0.0.1';"
            "grant all on slurm_acct_db.* to slurm@'localhost';"
        )
        said("mariadb", "--no-defaults", f"--socket={folder}/socket", "--execute", sql)

    def write_configuration(self) -> None:
        host = socket.gethostname()
        nodes = [
            NODE.format(
                name=name, address=address, host=host, port=17000 + i, cpus=self.cpus, mb=MEMORY_MB
            )
            for i, (name, address) in enumerate(self.nodes.items())
        ]
        names = {
            "folder": self.folder,
            "host": host,
            "gateway": self.gateway,
            "port": self.ports["ctl"],
            "dbd_port": self.ports["dbd"],
            "db_port": self.ports["db"],
            "password": self.password,
            "tracking": "cgroup" if self.limits_memory else "linuxproc",
            "limiting": "cgroup" if self.limits_memory else "none",
            # Names of control groups are made of it: those of two clusters must differ.
            "first_job": 1000 * (os.getpid() % 60_000) + 1,
        }
        for folder in ("state", *(f"spool-{name}" for name in self.nodes)):
            (self.folder / folder).mkdir(mode=0o755)
        self.conf.write_text(SLURM_CONF.format(nodes="\n".join(nodes), **names))
        (self.folder / "cgroup.conf").write_text(CGROUP_CONF)
        (self.folder / "job_submit.lua").write_text(JOB_SUBMIT)
        (self.folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")
        dbd = self.folder / "slurmdbd.conf"
        dbd.write_text(DBD_CONF.format(**names))
        dbd.chmod(0o600)

    def start_controller(self) -> None:
        self.run_daemon("slurmctld", "slurmctld", "-D", "-f", self.conf)
        wait_until(self.answers, "slurmctld")

    def start_node(self, name: str, clock: str = "") -> None:
        """Start a node; one with a clock of its own is set by `set_clock`."""
        # Not "ip netns exec", which would hide the control groups.
        inside = ["nsenter", f"--net=/run/netns/{self.space(name)}"]
        if clock:
            self.set_clock(name, clock)
            own = self.folder / name
            (own / "etc/ld.so.preload").write_text(f"{faketime()}\n")
            munge = own / "munge"
            munge.mkdir(mode=0o755, exist_ok=True)
            shutil.copy2(self.folder / "munge/key", munge)
            script = OTHER_CLOCK.format(own=own, folder=self.folder)
            inside += ["unshare", "--mount", "sh", "-ec", script, "node"]
        self.run_daemon(name, *inside, "slurmd", "-D", "-N", name, "-f", self.conf)

    def set_clock(self, node: str, offset: str) -> None:
        """Let the clock of a node be off: '-1h'. Its programs notice that within 10 s."""
        etc = self.folder / node / "etc"
        etc.mkdir(parents=True, exist_ok=True)
        (etc / "faketimerc").write_text(f"{offset}\n")

    def run_daemon(self, name: str, *command: object) -> None:
        with (self.folder / f"{name}.out").open("a") as log:
            self.processes[name] = subprocess.Popen(
                list(map(str, command)),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self.environment,
                cwd="/",
            )

    def end_daemon(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        process = self.processes.pop(name)
        process.send_signal(how)
        process.wait(30)

    def power_off(self, node: str) -> None:
        """End everything on a node at once."""
        for pid in self.run("ip", "netns", "pids", self.space(node)).stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
            for name in ("faketime_shm", "sem.faketime_sem"):
                Path(f"/dev/shm/{name}_{pid}").unlink(missing_ok=True)
        self.processes.pop(node).wait()

    def answers(self) -> bool:
        return self.run("scontrol", "ping").returncode == 0

    def all_idle(self) -> bool:
        states = self.run("sinfo", "-h", "-N", "-p", "interactive", "-o", "%T").stdout.split()
        return states == ["idle"] * len(self.nodes)

    # People.

    def add_hub(self) -> None:
        """Make the portal's own account, which may start jobs for people and nothing else."""
        # What a run that was killed has left; the lock says that nobody uses it.
        remove_account(HUB)
        self.run("groupdel", GROUP)
        said("groupadd", GROUP)
        home = self.folder / "hub"
        said("useradd", "--create-home", "--home-dir", home, HUB)
        self.people.append(HUB)
        programs = {name: shutil.which(name) for name in ("sbatch", "scancel")}
        self.sudoers.write_text(SUDOERS.format(hub=HUB, group=GROUP, **programs))
        self.sudoers.chmod(0o440)

    def add_people(self, *names: str) -> None:
        """Make accounts of this machine with homes, and let them use the cluster."""
        for name in names:
            self.add_account(name)
        self.sacctmgr("add", "user", ",".join(names), "Account=science", "Cluster=beamhub")

    def add_account(self, name: str) -> None:
        """Make an account of this machine with a home."""
        home = self.folder / "homes" / name
        home.parent.mkdir(exist_ok=True)
        if PREFIX in home_of(name):
            remove_account(name)  # of a run that was killed
        if not home_of(name):
            said(
                "useradd",
                "--create-home",
                "--home-dir",
                home,
                "--shell",
                "/bin/bash",
                "--key",
                "HOME_MODE=0700",
                "--groups",
                GROUP,
                name,
            )
            self.people.append(name)

    def sacctmgr(self, *command: str) -> None:
        said("sacctmgr", "--immediate", *command, environment=self.environment)

    # Questions and orders.

    def fill(self) -> str:
        """Let somebody have the whole cluster, and return the job's number."""
        return self.submit("max", "--exclusive", f"--nodes={len(self.nodes)}")

    def fill_rest(self) -> str:
        """Let somebody have what is left of the cluster, and return the job's number."""
        idle = self.said("sinfo", "-h", "-N", "-p", "interactive", "-o", "%C").split()
        cores = sum(int(counts.split("/")[1]) for counts in idle)
        return self.submit("max", f"--ntasks={cores}")

    def submit(self, user: str, *options: str, wait: bool = True) -> str:
        """Submit a job of a user's that sleeps, and return its number, usually once it runs."""
        command = ["sbatch", "--parsable", "--export=NIL", "--chdir=/", "--output=/dev/null"]
        done = subprocess.run(
            [
                "sudo",
                "-n",
                "--preserve-env=SLURM_CONF",
                "-u",
                user,
                *command,
                "--time=60",
                "--mem-per-cpu=100",
                *options,
            ],
            input="#!/bin/sh\nexec sleep 3600\n",
            text=True,
            capture_output=True,
            check=True,
            env=self.environment,
        )
        number = done.stdout.strip()
        if wait:
            wait_until(lambda: self.state(number) == "RUNNING", "the job")
        return number

    def cancel_all(self) -> None:
        """Cancel everybody's jobs."""
        self.run("scancel", *self.run("squeue", "-h", "-o", "%i").stdout.split())

    def drain(self, *nodes: str) -> None:
        """Let no new jobs begin on these nodes, and on all others."""
        for name in self.nodes:
            state = ["state=drain", "reason=test"] if name in nodes else ["state=resume"]
            self.run("scontrol", "update", f"nodename={name}", *state)

    def state(self, job: str) -> str:
        """Return a job's state, as the controller has it."""
        return self.run("squeue", "-h", "--states=all", f"--jobs={job}", "-o", "%T").stdout.strip()

    def job_of(self, user: str) -> str:
        """Return the number of a user's one job, empty where there is none."""
        return " ".join(self.jobs(f"--user={user}"))

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        words = list(map(str, command))
        return subprocess.run(words, capture_output=True, text=True, env=self.environment)

    def said(self, *command: object) -> str:
        return said(*command, environment=self.environment)

    def jobs(self, *more: str) -> list[str]:
        """Return the numbers of the jobs that wait or run."""
        return self.said("squeue", "-h", "-o", "%i", *more).split()

    def backend(self, **more: object) -> dict[str, object]:
        """Return a profile's backend: jobs of this cluster."""
        software = {"kind": "environment", "folder": str(self.shared)}
        same = {"kind": "slurm", "partition": "interactive", "hub": self.gateway, "query_s": 2}
        by_size = {"whole": {"exclusive": True}}
        return {**same, "software": software, "by_size": by_size, **more}

    def profile(self, **more: object) -> Path:
        """Write a site profile whose servers are jobs of this cluster, and return its path."""
        path = self.folder / f"site-{len(list(self.folder.glob('site-*')))}.yaml"
        body = {
            "extends": "hpc",
            "title": "Cluster",
            "template": [],
            "login": {"kind": "codes"},
            "serving": {"bind": "127.0.0.1", "tls": "none", "public_url": None},
            "limits": {"servers": 9},
            "backend": self.backend(),
            "sizes": SIZES,
            **more,
        }
        path.write_text(json.dumps(body), encoding="utf-8")
        return path

    def check(
        self, account: str, backend: Mapping[str, object], *options: str, **more: object
    ) -> subprocess.CompletedProcess[str]:
        """Return what `beamhub check` tells an account of a profile whose sizes all can run."""
        names = ("small", "medium", "large")  # those of the profile that is extended
        sizes = {name: {"title": name, "cores": 1, "memory_gib": 2} for name in names}
        declared = self.backend(**{"by_size": {}, **backend})
        told = {"extends": "_defaults", "sizes": sizes, "backend": declared, **more}
        profile = self.profile(**told)
        profile.chmod(0o644)
        user = ["setpriv", f"--reuid={account}", f"--regid={account}", "--init-groups"]
        return subprocess.run(
            [*user, BEAMHUB, "check", profile, "--state=/tmp/beamhub-check", *options],
            capture_output=True,
            text=True,
            env={**self.environment, "HOME": "/tmp", "COLUMNS": "400"},
        )

    def portal(
        self,
        state: Path,
        *,
        profile: Path | None = None,
        first: Path | None = None,
        port: int | None = None,
        before: tuple[str, ...] = (),
        software: bool = True,
    ) -> RunningPortal:
        """Start a portal with an account of its own.

        `first` is the first folder on its PATH, `before` stands before its command; without
        software no server can start.
        """
        self.shared.mkdir(exist_ok=True)
        if software:
            self.make_software(state)
        for path in (state, *state.rglob("*")):
            if not path.is_symlink():
                shutil.chown(path, HUB, HUB)
        account = pwd.getpwnam(HUB)
        prefix = (
            *before,
            "setpriv",
            f"--reuid={HUB}",
            f"--regid={account.pw_gid}",
            "--init-groups",
        )
        environment = {**self.environment, "HOME": account.pw_dir, "USER": HUB}
        if first:
            environment["PATH"] = f"{first}{os.pathsep}{environment['PATH']}"
        site = str(profile or self.profile())
        return RunningPortal(state, site, port=port, prefix=prefix, environment=environment)

    def make_software(self, state: Path) -> None:
        """Make the environment of pyFAI ahead, with what this machine has fetched before."""
        self.shared.mkdir(exist_ok=True)
        made = self.shared / "environments"
        if not made.exists():
            cache = os.environ.get("BEAMHUB_CACHE")
            kept = Path(cache) if cache else state
            (kept / "environments").mkdir(parents=True, exist_ok=True)
            made.symlink_to((kept / "environments").resolve())
        recipe = Recipe(NOTEBOOKS / "pyfai/requirements.txt", CONSTRAINTS, ROOT / "workbench")
        # Scripts name their environment: by the path that stays.
        asyncio.run(ensure(made.resolve(), recipe, lambda *_: None))
        shutil.chown(self.shared, HUB, HUB)
        shutil.chown(made.resolve(), HUB, HUB)

    def stop(self) -> None:
        """End all jobs and daemons, and take away what was made."""
        if "slurmctld" in self.processes:
            self.cancel_all()
        for name in self.nodes.keys() & self.processes.keys():
            self.power_off(name)
        for name in reversed(list(self.processes)):
            process = self.processes.pop(name)
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for name in self.nodes:
            self.run("ip", "netns", "del", self.space(name))
        self.run("ip", "link", "del", self.tag)
        for name in self.people:
            remove_account(name)
        self.run("groupdel", GROUP)
        self.sudoers.unlink(missing_ok=True)
        self.lock.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def remove_account(name: str) -> None:
    """End all processes of an account that tests have made, and remove it with its home."""
    try:
        uid = pwd.getpwnam(name).pw_uid
    except KeyError:
        return
    # In a container beside, the same number may be somebody else's.
    ours = Path("/proc/self/ns/mnt").readlink()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            here = Path(f"/proc/{process.pid}/ns/mnt").readlink() == ours
            if here and process.uids().real == uid:
                process.kill()
    subprocess.run(["userdel", "--force", "--remove", name], capture_output=True)


def home_of(name: str) -> str:
    """Return an account's home, empty where there is no such account."""
    try:
        return pwd.getpwnam(name).pw_dir
    except KeyError:
        return ""


def faketime() -> Path:
    """Return the library that tells programs another time."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


def ip(*words: str) -> None:
    said("ip", *words)


def said(*command: object, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout.strip()


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def missing() -> Sequence[str]:
    """Return the programs that this machine lacks for a cluster."""
    return [name for name in NEEDED if shutil.which(name) is None]
