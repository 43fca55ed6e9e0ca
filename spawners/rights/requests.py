"""What the hub can ask its helper for, and whether it has the right form.

What is here says nothing yet about whose account or which process is meant: `servers` and `parts`
look at that.
"""

import re
import signal
from dataclasses import dataclass, fields
from typing import Any, ClassVar

SERVER = re.compile(r"[0-9]{1,12}-[A-Za-z0-9-]{0,80}\.[0-9a-f]{8}")
"""Names one start of a server: the user's number, the server's name, and chance."""
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""What JupyterHub's `safe_slug` makes of a name: no dot and no slash."""
ENVIRONMENT = re.compile(r"[0-9a-f]{16}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SIGNALS = frozenset({0, signal.SIGINT, signal.SIGTERM, signal.SIGKILL})
SLUG_LONGEST, SHORT_LONGEST, USER_LONGEST = 63, 21, 256
ARGUMENTS_MOST, VARIABLES_MOST = 100, 500


class RefusedError(Exception):
    """The helper doesn't do what was asked; the text is for the portal's log."""


def matching(text: str, pattern: re.Pattern[str], what: str, longest: int = 200) -> str:
    """Return a text that has a form."""
    if len(text) > longest or not pattern.fullmatch(text):
        raise RefusedError(f"{text[:60]!r} is no {what}")
    return text


def for_a_program(arguments: list[str], variables: dict[str, str]) -> None:
    """Refuse what no program can be given, or more of it than one is."""
    if len(arguments) > ARGUMENTS_MOST or len(variables) > VARIABLES_MOST:
        raise RefusedError("there are too many arguments or variables")
    if any("\0" in text for text in (*arguments, *variables, *variables.values())):
        raise RefusedError("a text holds a NUL")


@dataclass(frozen=True)
class Request:
    """Something that the hub asks for."""

    KIND: ClassVar[str]
    FILES: ClassVar[range] = range(1)
    """How many open files come with it."""

    def check(self) -> None:
        """Refuse what can't be meant."""


@dataclass(frozen=True)
class Owned(Request):
    """What is about a user of the portal.

    Parameters
    ----------
    user : str
        The portal's name.
    slug, short : str
        The names of the home's folder and, shorter, of the account, where the portal makes them.
    number : int
        Which user of the portal it is.
    """

    user: str
    slug: str
    short: str
    number: int

    def check(self) -> None:
        """Refuse names that lead out of the homes or aren't one account's."""
        if not self.user or len(self.user) > USER_LONGEST or not self.user.isprintable():
            raise RefusedError("that isn't a user's name")
        matching(self.slug, SLUG, "name of a home", SLUG_LONGEST)
        matching(self.short, SLUG, "end of an account's name", SHORT_LONGEST)
        if not 0 <= self.number < 10**9:
            raise RefusedError(f"{self.number} isn't a user's number")


@dataclass(frozen=True)
class HaveAccount(Owned):
    """Make or look up a user's account, its home and its folder in the cache of data."""

    KIND: ClassVar[str] = "account"


@dataclass(frozen=True)
class Start(Owned):
    """Start a server under its user's account, with two files: its socket and its log.

    Parameters
    ----------
    server : str
        What the hub calls this start.
    environment : str
        The name of the environment whose Python runs.
    arguments : list of str
        Of the server.
    variables : dict of str to str
        Its environment.
    memory_bytes, cores : int, float
        Its limits.
    """

    KIND: ClassVar[str] = "start"
    FILES: ClassVar[range] = range(2, 3)
    server: str
    environment: str
    arguments: list[str]
    variables: dict[str, str]
    memory_bytes: int
    cores: float

    def check(self) -> None:
        """Refuse what no server needs."""
        super().check()
        matching(self.server, SERVER, "server")
        matching(self.environment, ENVIRONMENT, "environment")
        for_a_program(self.arguments, self.variables)
        for name in self.variables:
            matching(name, VARIABLE, "variable")


@dataclass(frozen=True)
class Named(Request):
    """What is about a process that the helper has started.

    Parameters
    ----------
    name : str
        A server as in `Start`, or what the helper has called a part.
    """

    name: str


@dataclass(frozen=True)
class Signal(Named):
    """Send a signal."""

    KIND: ClassVar[str] = "signal"
    number: int

    def check(self) -> None:
        """Refuse signals that no end needs."""
        if self.number not in SIGNALS:
            raise RefusedError(f"the signal {self.number} is none to send")


@dataclass(frozen=True)
class Status(Named):
    """Say whether a process runs, and its exit status where it doesn't."""

    KIND: ClassVar[str] = "status"


@dataclass(frozen=True)
class Finish(Named):
    """End all that a server has left, and take away what it had."""

    KIND: ClassVar[str] = "finish"

    def check(self) -> None:
        """Refuse what isn't a server: its name becomes that of folders."""
        matching(self.name, SERVER, "server")


@dataclass(frozen=True)
class Present(Request):
    """List the servers that have something on the machine."""

    KIND: ClassVar[str] = "present"


@dataclass(frozen=True)
class Begin(Request):
    """Start a part of the portal.

    Parameters
    ----------
    part : str
        Which one, see `settings.Part`.
    arguments : list of str
        As far as that part takes any.
    variables : dict of str to str
        Likewise.
    """

    KIND: ClassVar[str] = "begin"
    FILES: ClassVar[range] = range(3, 7)
    part: str
    arguments: list[str]
    variables: dict[str, str]

    def check(self) -> None:
        """Refuse what no program can be given."""
        for_a_program(self.arguments, self.variables)


KINDS: dict[str, type[Request]] = {
    kind.KIND: kind for kind in (HaveAccount, Start, Signal, Status, Finish, Present, Begin)
}


def parsed(message: Any, files: int) -> Request:
    """Return what a message asks for.

    Parameters
    ----------
    message : object
        As it came.
    files : int
        How many open files came with it.

    Raises
    ------
    RefusedError
        It's none of these, or not of its form.
    """
    if not isinstance(message, dict) or not isinstance(message.get("kind"), str):
        raise RefusedError("a message isn't a request")
    kind = KINDS.get(message["kind"])
    if kind is None:
        raise RefusedError(f"there is no request {message['kind'][:60]!r}")
    given = {name: value for name, value in message.items() if name not in ("kind", "id")}
    wanted = {field.name: field.type for field in fields(kind)}
    if given.keys() != wanted.keys():
        raise RefusedError(f"a request '{kind.KIND}' has other fields")
    for name, value in given.items():
        if not has_type(value, wanted[name]):
            raise RefusedError(f"'{name}' of a request '{kind.KIND}' is of another type")
    if files not in kind.FILES:
        raise RefusedError(f"a request '{kind.KIND}' has other files")
    request = kind(**given)
    request.check()
    return request


def has_type(value: object, wanted: object) -> bool:
    """Return whether what came from JSON is of a field's type."""
    if wanted == list[str]:
        return isinstance(value, list) and all(isinstance(part, str) for part in value)
    if wanted == dict[str, str]:
        return isinstance(value, dict) and all(isinstance(part, str) for part in value.values())
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is wanted
