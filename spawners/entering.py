"""What a server's process does to itself between its start and its program."""

import os
import random
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .confine import Walls, own_keyring
from .system_accounts import Account


@dataclass(frozen=True)
class Entry:
    """Limits, walls, account and home of a server.

    Parameters
    ----------
    account : Account
        Whose it becomes, where root starts it.
    groups : sequence of int
        That account's groups; empty where this isn't root.
    walls : Walls
        What it puts around itself.
    cores : sequence of int
        Those that it may use.
    memory_bytes : int
        What each of its processes may allocate; 0 for no limit.
    umask : int
        What others don't get of the files that it makes.
    """

    account: Account
    groups: Sequence[int]
    walls: Walls
    cores: Sequence[int]
    memory_bytes: int
    umask: int

    def __call__(self) -> None:
        """Do it to this process."""
        self.walls.enter()
        os.sched_setaffinity(0, self.cores)
        if self.memory_bytes:
            resource.setrlimit(resource.RLIMIT_DATA, (self.memory_bytes, self.memory_bytes))
        if self.groups:
            os.setgid(self.account.gid)
            os.setgroups(self.groups)
            os.setuid(self.account.uid)
            # Of the account that this is now: root's, and those that all servers would share, are
            # out of reach.
            own_keyring()
        # Not into the home: whoever starts this waits, and a home's file system may never answer.
        os.umask(self.umask)


def groups_of(account: Account) -> list[int]:
    """Return an account's groups, none where this process can't take them anyway."""
    return os.getgrouplist(account.name, account.gid) if os.geteuid() == 0 else []


def whole_cores(cores: float | None) -> int:
    """Return how many cores a server computes on, one where nobody says."""
    return max(1, round(cores or 1))


def some_cores(cores: float | None) -> list[int]:
    """Return as many of the cores that this process may use, spread over all of them by chance."""
    usable = sorted(os.sched_getaffinity(0))
    return random.sample(usable, min(whole_cores(cores), len(usable)))


def server_command(environment: Path) -> list[str]:
    """Return what begins a server in an environment; its arguments follow."""
    # -P: a file in the home must not stand in for a module of Python.
    return [str(environment / "bin/python"), "-P", "-m", "workbench.start"]
