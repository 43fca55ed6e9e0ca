"""What a server's process does to itself between its start and its program."""

import os
import random
import resource
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from .confine import Walls
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
    """

    account: Account
    groups: Sequence[int]
    walls: Walls
    cores: Sequence[int]
    memory_bytes: int

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
        os.umask(0o077)
        # A home that can't be entered is said by the server itself, in words.
        with suppress(OSError):
            os.chdir(self.account.home)


def groups_of(account: Account) -> list[int]:
    """Return an account's groups, none where this process can't take them anyway."""
    return os.getgrouplist(account.name, account.gid) if os.geteuid() == 0 else []


def some_cores(count: int) -> list[int]:
    """Return so many of the cores that this process may use, spread over all of them by chance."""
    usable = sorted(os.sched_getaffinity(0))
    return random.sample(usable, min(count, len(usable)))
