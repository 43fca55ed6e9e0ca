"""The portal's own parts beside the hub: started by commands that root has fixed.

What of a command is the hub's to say is an account's or a use case's name, or arguments for a part
that has no rights either.
"""

import pwd
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import child_processes
from ..system_accounts import AccountError, person
from .records import began, sent
from .requests import Begin, Named, RefusedError, Signal
from .settings import Part, Settings

ACCOUNT = re.compile(r"(?!\d+\Z)[a-z0-9_][a-z0-9._@-]{0,62}")
"""What the log-in page lets through as the name of an account of the machine."""


class Parts:
    """The parts of one portal that run.

    Parameters
    ----------
    settings : Settings
        What root says of it.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.children: dict[str, tuple[subprocess.Popen[bytes], str]] = {}
        self._count = 0

    def begin(self, request: Begin, files: Sequence[int]) -> dict[str, Any]:
        """Start a part, with its standard files and what else it gets open."""
        part = self.settings.parts.get(request.part)
        if part is None:
            raise RefusedError(f"there is no part {request.part[:60]!r}")
        if unknown := request.variables.keys() - set(part.variables):
            raise RefusedError(f"'{request.part}' is not told {sorted(unknown)[0][:60]!r}")
        arguments = [*self.arguments(part, request), *map(str, files[3:])]
        environment = child_processes.child_environment() if part.inherits else {}
        environment |= request.variables
        process = subprocess.Popen(
            self.command(part, arguments, environment),
            env=environment,
            cwd="/",
            stdin=files[0],
            stdout=files[1],
            stderr=files[2],
            pass_fds=files[3:],
            start_new_session=True,
            umask=part.umask,
        )
        self._count += 1
        name = f"part-{self._count}"
        self.children[name] = process, began(process.pid)
        if part.note:
            Path(part.note).write_text(str(process.pid), encoding="ascii")
        return {"name": name, "pid": process.pid}

    def arguments(self, part: Part, request: Begin) -> list[str]:
        """Return what the hub may add to a part's command."""
        given = request.arguments
        if part.arguments == "any" and part.account:
            return given
        if part.arguments == "none" and not given:
            return []
        if len(given) != 1 or part.arguments in ("any", "none"):
            raise RefusedError(f"'{request.part}' takes other arguments")
        if part.arguments == "use case":
            if given[0] not in self.settings.use_cases:
                raise RefusedError(f"there is no use case {given[0][:60]!r}")
            return [self.settings.use_cases[given[0]]]
        return [account_name(given[0], unknown=part.arguments == "anybody")]

    def command(self, part: Part, arguments: list[str], environment: dict[str, str]) -> list[str]:
        """Return what is run, and by whom."""
        command = [*part.command, *arguments]
        if part.account:
            command = child_processes.unprivileged(command, part.account, map(Path, part.files))
        if part.stays:
            return child_processes.outliving_portal(command, environment)
        return child_processes.ending_with_portal(command)

    def status(self, request: Named) -> dict[str, Any]:
        """Return whether a part runs, and its exit status where it doesn't."""
        child, _ = self.children[request.name]
        status = child.poll()
        if status is not None:
            del self.children[request.name]
        return {"status": status, "running": status is None}

    def signal(self, request: Signal) -> dict[str, Any]:
        """Send a signal to a part."""
        child, since = self.children[request.name]
        return {"running": sent(child.pid, request.number, since)}


def account_name(given: str, *, unknown: bool) -> str:
    """Return a name that may be asked about: a person's, or where that is told alike, nobody's."""
    if not ACCOUNT.fullmatch(given):
        raise RefusedError(f"{given[:60]!r} isn't the name of an account")
    try:
        return person(given)
    except AccountError as error:
        if unknown and not exists(given):
            return given
        raise RefusedError(str(error)) from None


def exists(name: str) -> bool:
    """Return whether the machine has an account of that name."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
