"""Sessions of PAM, each in a process of its own that ends with the server or the hub.

Modules for sessions change the process that asks for one: its limits, its log-in number, its
control group. None of that may happen to the hub: see decision 0221.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO

from spawners import child_processes
from spawners.rights import asking

from ..part_names import SESSION, SESSIONS_MODULE

OPEN = "open"
WAIT_S = 60


@dataclass(frozen=True)
class Session:
    """A process that has a session open, until it's told no more.

    Parameters
    ----------
    process : subprocess.Popen or Child
        The process: this one's child, or the helper's where this one has no rights.
    telling, told : file
        What it hears and what it says.
    """

    process: "subprocess.Popen[str] | asking.Child"
    telling: IO[str]
    told: IO[str]

    @classmethod
    def of(cls, service: str, name: str) -> "Session":
        """Begin such a process."""
        if asking.helper is not None:
            return cls(*asking.converse(SESSION, name))
        process = child_processes.begin(
            child_processes.python_command(SESSIONS_MODULE, service, name),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None and process.stdout is not None
        return cls(process, process.stdin, process.stdout)

    def close(self) -> None:
        """Have the session closed, and wait until it is."""
        self.telling.close()
        with self.told, self.process:
            self.process.wait(WAIT_S)


@dataclass
class Sessions:
    """The sessions that are open, by user and server.

    Parameters
    ----------
    service : str
        The file in /etc/pam.d.
    contact : str
        Whom people ask.
    """

    service: str
    contact: str
    held: dict[tuple[str, str], "Session"] = field(default_factory=dict)

    def begin(self, key: tuple[str, str]) -> None:
        """Open a session, closing one that was left over.

        Raises
        ------
        RuntimeError
            It can't be opened; `jupyterhub_message` says so to the user.
        """
        self.end(key)
        session = Session.of(self.service, key[0])
        said = session.told.readline().strip()
        if said == OPEN:
            self.held[key] = session
            return
        session.close()
        raise SessionError(
            f"The machine could not open a session for you ({said or 'no reason given'}), which "
            f"your server needs. Ask {self.contact}."
        )

    def end(self, key: tuple[str, str]) -> None:
        """Close a session, if there is one."""
        session = self.held.pop(key, None)
        if session is not None:
            session.close()


class SessionError(RuntimeError):
    """A session can't be opened."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.jupyterhub_message = message


def main(arguments: Sequence[str]) -> None:
    """Open a session, say so, and close it when the one who asked goes away."""
    import pamela

    service, name = arguments
    handle = pamela.pam_start(service, name)
    try:
        handle.open_session()
    except pamela.PAMError as error:
        sys.stdout.write(f"{error}\n")
        return
    sys.stdout.write(f"{OPEN}\n")
    sys.stdout.flush()
    sys.stdin.read()
    handle.close_session()
    pamela.pam_end(handle)


if __name__ == "__main__":
    main(sys.argv[1:])
