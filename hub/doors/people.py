"""Who stands at a door: let in with a name and groups, or not, with a sentence."""

import unicodedata
from dataclasses import dataclass

NAME_LENGTH_MAX = 255


class NotLetInError(Exception):
    """Somebody isn't let in.

    Parameters
    ----------
    message : str
        Why, in a sentence for the person.
    detail : str
        What else the administrator should know; it is never shown at the log-in page.
    """

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(detail or message)
        self.message = message
        self.detail = detail


class WrongPasswordError(NotLetInError):
    """The name or the password is wrong: nobody is told which.

    Parameters
    ----------
    detail : str
        What the administrator should know.
    said : str
        What the door itself says to people, such as for how long an account is locked.
    """

    def __init__(self, detail: str = "", said: str = "") -> None:
        told = f" The machine says: {said}" if said else ""
        super().__init__(
            f"The name or the password is not right.{told}", f"{detail} {said}".strip()
        )


class DoorFaultError(NotLetInError):
    """The door itself doesn't work; `detail` names the fault and its remedy."""


@dataclass(frozen=True)
class Person:
    """Somebody whom a door knows.

    Parameters
    ----------
    name : str
        The one name of the account, however it was typed.
    groups : frozenset of str
        The groups that the account is in.
    """

    name: str
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Typed:
    """What somebody typed into the log-in page.

    Parameters
    ----------
    name : str
        Without spaces around it, and printable.
    password : str
        As it was typed.
    second : str
        The second factor, empty where there is none.
    address : str
        Where the browser is, empty where nobody knows.
    """

    name: str
    password: str
    second: str = ""
    address: str = ""


def typed(name: str, password: str, second: str = "", address: str = "") -> Typed:
    """Return what was typed, if it can be a log-in at all.

    Raises
    ------
    WrongPasswordError
        A part is missing, or there is something in it that no name and no password has.
    """
    name = name.strip()
    if not name or len(name) > NAME_LENGTH_MAX or not name.isprintable():
        raise WrongPasswordError("no name that an account could have")
    # Directories take an empty password for a wish to be nobody, and call that a success. What
    # disappears when a password is prepared for comparison (RFC 4013) is as good as empty.
    visible = [c for c in password if unicodedata.category(c) not in ("Cf", "Mn", "Cc")]
    if not visible:
        raise WrongPasswordError("an empty password")
    return Typed(name, password, second, address)
