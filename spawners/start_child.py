"""Become another program that ends with the one that started it. Needs nothing but Python itself.

Run as ``python -I -S start_child.py PARENT KEPT FOLDER PROGRAM [ARGUMENT...]``: by its path, so
that no package has to be imported. Going on as the program keeps the process's number, and needs no
code between fork and exec, where threads of the parent's could hold locks.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Replace this process by a program.

    Parameters
    ----------
    arguments : list of str
        The number of the process whose end is the program's end, 0 for none; the names of the
        variables that are kept, with commas between them, or ``*`` for all; the folder in which
        the program stands; its full path; its arguments.
    """
    parent, kept, folder, program, *rest = arguments
    if int(parent):
        end_with(int(parent))
    names = os.environ.keys() if kept == "*" else kept.split(",")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    os.chdir(folder)
    os.execve(program, [program, *rest], environment)  # noqa: S606 - a list, and no shell


def end_with(parent: int) -> None:
    """Let the kernel kill this process when the one that started it ends, however it does.

    The kernel means the thread that started it: one that waits for its child, or never ends.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # It may have ended before the kernel was told.
    if os.getppid() != parent:
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
