"""Become another program, without root's rights. Needs nothing but Python itself.

Run as ``python -I -S start_unprivileged.py NUMBER [FILE...] -- PROGRAM [ARGUMENT...]``. The program
finds the contents of the files, which may be root's alone, at `handed_path`.
"""

import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path

FIRST = 10
"""The descriptor of the first file; those below may be Python's while this script runs."""
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
CAPABILITIES_MOST = 64


def handed_path(index: int) -> str:
    """Return where the program finds one of the files."""
    return f"/dev/fd/{FIRST + index}"


def main(arguments: list[str]) -> None:
    """Replace this process by a program.

    Parameters
    ----------
    arguments : list of str
        The number of account and group that it gets; files; ``--``; its full path; its arguments.
    """
    end = arguments.index("--")
    number, *files = arguments[:end]
    program, *rest = arguments[end + 1 :]
    for index, file in enumerate(files):
        hand_over(file, FIRST + index)
    give_up_rights(int(number))
    os.execv(program, [program, *rest])  # noqa: S606 - a list, and no shell


def hand_over(file: str, descriptor: int) -> None:
    """Open a copy of a file at a descriptor.

    The file itself could not be opened again by the program, which knows paths only.
    """
    copy = os.memfd_create("handed")
    try:
        os.write(copy, Path(file).read_bytes())
    except OSError as error:
        sys.exit(f"The proxy can't be given {file}: {error.strerror}.")
    os.dup2(copy, descriptor)
    os.close(copy)


def give_up_rights(number: int, groups: Sequence[int] = ()) -> None:
    """Become an account that has nothing, for good.

    Parameters
    ----------
    number : int
        The account's, and its group's.
    groups : sequence of int, optional
        Others that it's in.
    """
    system = ctypes.CDLL(None)
    for capability in range(CAPABILITIES_MOST):
        system.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups(groups)
    os.setresgid(number, number, number)
    os.setresuid(number, number, number)
    # From another account than root's it takes all capabilities; and nothing may give any back.
    if system.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or os.geteuid() == 0:
        sys.exit("This process still has rights of root's.")


if __name__ == "__main__":
    main(sys.argv[1:])
