"""Take from this process whatever it doesn't need to read a file that means ill.

What is open stays so. Afterwards nothing else can be opened, reached or started. Root gives up its
rights, its groups and the network too. What is going to be used must have been imported by then.
"""

import ctypes
import os
import resource

from spawners.reserved_accounts import READER

PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 4, 38
CLONE_NEWNET, CLONE_NEWIPC = 0x40000000, 0x08000000


class ConfinementError(Exception):
    """Rights could not be given up, so the file must not be read."""


def confine(*, memory_bytes: int, seconds: int, file_bytes: int) -> None:
    """Give up all rights but those to compute and to write into what is open.

    Parameters
    ----------
    memory_bytes : int
        What this process may allocate.
    seconds : int
        What it may compute.
    file_bytes : int
        How large a file it may write.

    Raises
    ------
    ConfinementError
        The machine refuses something that must not be left out.
    """
    system = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0:
        # A container that may not do so has the account and the limits below all the same.
        system.unshare(CLONE_NEWNET | CLONE_NEWIPC)
        os.setgroups([])
        os.setresgid(READER, READER, READER)
        os.setresuid(READER, READER, READER)
    if system.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or system.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise ConfinementError(os.strerror(ctypes.get_errno()))
    for limit, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    if os.geteuid() == 0:
        raise ConfinementError("this process is still root's")
