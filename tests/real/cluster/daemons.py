"""The daemons of a cluster: munge, accounting with its database, a controller, and nodes.

Each runs from a scratch folder and with its configuration; nothing of the system's own Slurm, munge
or MariaDB is touched.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from .accounts import PREFIX
from .commands import free_port, is_open, said, wait_until
from .files import CGROUP_CONF, DBD_CONF, JOB_SUBMIT, NODE, OTHER_CLOCK, SLURM_CONF
from .network import Network

MEMORY_MB = 48_000


class Daemons:
    """What runs for a cluster, and its folder.

    Parameters
    ----------
    nodes : int
        How many.
    cpus : int
        How many cores each of them claims to have.
    """

    def __init__(self, nodes: int, cpus: int) -> None:
        number = os.getpid()
        self.cpus = cpus
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.folder.chmod(0o755)
        self.tag = f"bh{number % 100_000}"
        prefix = f"10.247.{number % 256}"
        self.nodes = {f"node{i}": f"{prefix}.{10 + i}" for i in range(1, nodes + 1)}
        self.network = Network(self.tag, prefix, self.nodes)
        self.password = secrets.token_hex(8)
        self.ports = {name: free_port() for name in ("ctl", "dbd", "db")}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.conf = self.folder / "slurm.conf"
        self.environment = {**os.environ, "SLURM_CONF": str(self.conf)}
        groups = ("/sys/fs/cgroup/memory", "/sys/fs/cgroup/cgroup.subtree_control")
        self.limits_memory = any(os.access(group, os.W_OK) for group in groups)

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
        same = ["--no-defaults", f"--datadir={folder}", "--user=mysql"]
        said("mariadb-install-db", *same, "--skip-test-db")
        place = [f"--socket={folder}/socket", "--bind-address=127.0.0.1"]
        place += [f"--port={self.ports['db']}"]
        fast = ["--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0"]
        self.run_daemon("mariadbd", "mariadbd", *same, *place, *fast)
        wait_until((folder / "socket").exists, "MariaDB")
        sql = (
            "create database slurm_acct_db;"
            f"create user slurm@'127.0.0.1' identified by '{self.password}';"
            f"create user slurm@'localhost' identified by '{self.password}';"
            "grant all on slurm_acct_db.* to slurm@'127.0.0.1';"
            "grant all on slurm_acct_db.* to slurm@'localhost';"
        )
        said("mariadb", "--no-defaults", f"--socket={folder}/socket", "--execute", sql)

    def start_accounting(self) -> None:
        self.run_daemon("slurmdbd", "slurmdbd", "-D")
        wait_until(lambda: is_open(self.ports["dbd"]), "slurmdbd")

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
            "gateway": self.network.gateway,
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
        (self.folder / "gres.conf").write_text("Name=gpu Type=fast File=/dev/null\n")
        dbd = self.folder / "slurmdbd.conf"
        dbd.write_text(DBD_CONF.format(**names))
        dbd.chmod(0o600)

    def start_controller(self) -> None:
        self.run_daemon("slurmctld", "slurmctld", "-D", "-f", self.conf)
        wait_until(self.answers, "slurmctld")

    def start_node(self, name: str, clock: str = "") -> None:
        """Start a node; one with a clock of its own is set by `set_clock`."""
        inside = self.network.inside(name)
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
        for pid in self.network.processes(node):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            for name in ("faketime_shm", "sem.faketime_sem"):
                Path(f"/dev/shm/{name}_{pid}").unlink(missing_ok=True)
        self.processes.pop(node).wait()

    def answers(self) -> bool:
        return self.run("scontrol", "ping").returncode == 0

    def end_daemons(self) -> None:
        """End all that runs, the nodes first."""
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

    def sacctmgr(self, *command: str) -> None:
        """Change the accounting."""
        self.said("sacctmgr", "--immediate", *command)

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        words = list(map(str, command))
        return subprocess.run(words, capture_output=True, text=True, env=self.environment)

    def said(self, *command: object) -> str:
        return said(*command, environment=self.environment)


def faketime() -> Path:
    """Return the library that tells programs another time."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
