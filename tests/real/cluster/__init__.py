"""A real Slurm cluster of the tests' own, on this machine: a controller, nodes with addresses."""

import fcntl
import shutil
from collections.abc import Sequence
from pathlib import Path

from .accounts import HUB, Accounts
from .commands import PATIENCE_MS, PATIENCE_S, wait_until
from .sites import Sites

__all__ = [
    "HUB",
    "MODULES",
    "PATIENCE_MS",
    "PATIENCE_S",
    "Cluster",
    "missing",
    "wait_until",
]

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
PEOPLE = ("connie", "fred", "olaf", "quentin", "sue", "ada", "eve", "max")
CPUS = 12


class Cluster(Sites):
    """A controller with accounting, two nodes, and people with homes on all of them."""

    def __init__(self, nodes: int = 2, cpus: int = CPUS) -> None:
        super().__init__(nodes, cpus)
        self.accounts = Accounts(self.folder, self.tag)
        self.lock = Path("/run/lock/beamhub-cluster").open("w")  # noqa: SIM115

    def start(self) -> None:
        """Start everything, and wait until the nodes are idle."""
        # The accounts are the machine's: one cluster at a time.
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.network.make()
        self.start_munge()
        self.start_database()
        self.write_configuration()
        self.start_accounting()
        self.sacctmgr("add", "cluster", "beamhub")
        self.sacctmgr("add", "account", "science", "Cluster=beamhub")
        self.start_controller()
        for name in self.nodes:
            self.start_node(name)
        wait_until(self.all_idle, "the nodes")
        self.accounts.add_hub()
        self.add_people(*PEOPLE)

    def add_people(self, *names: str) -> None:
        """Make accounts of this machine with homes, and let them use the cluster."""
        for name in names:
            self.accounts.add(name)
        self.sacctmgr("add", "user", ",".join(names), "Account=science", "Cluster=beamhub")

    def stop(self) -> None:
        """End all jobs and daemons, and take away what was made."""
        if "slurmctld" in self.processes:
            self.cancel_all()
        self.end_daemons()
        self.network.remove()
        self.accounts.remove()
        self.lock.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def missing() -> Sequence[str]:
    """Return the programs that this machine lacks for a cluster."""
    return [name for name in NEEDED if shutil.which(name) is None]
