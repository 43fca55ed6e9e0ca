"""Sessions of PAM, each in a process of its own that ends with the server or the hub.

Modules for sessions change the process that asks for one: its limits, its log-in number, its
control group. None of that may happen to the hub: see decision 0221.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from spawners import child_processes

OPEN = "open"
WAIT_S = 60


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
    held: dict[tuple[str, str], "subprocess.Popen[str]"] = field(default_factory=dict)

    def begin(self, key: tuple[str, str]) -> None:
        """Open a session, closing one that was left over.

        Raises
        ------
        RuntimeError
            It can't be opened; `jupyterhub_message` says so to the user.
        """
        self.end(key)
        process = child_processes.begin(
            child_processes.python_command("hub.doors.pam_session", self.service, key[0]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        said = process.stdout.readline().strip()
        if said == OPEN:
            self.held[key] = process
            return
        process.communicate(timeout=WAIT_S)
        raise SessionError(
            f"The machine could not open a session for you ({said or 'no reason given'}), which "
            f"your server needs. Ask {self.contact}."
        )

    def end(self, key: tuple[str, str]) -> None:
        """Close a session, if there is one."""
        process = self.held.pop(key, None)
        if process is not None:
            process.communicate(timeout=WAIT_S)


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
