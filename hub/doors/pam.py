"""Log-in by accounts of the machine."""

import grp
import pwd
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pamela
from traitlets import Bool, Enum, Instance, Unicode

from spawners.accounts import machine_groups
from spawners.rights.asking import HelperError
from spawners.system_accounts import is_person

from .authenticator import Door
from .pam_asking import asked
from .pam_conversation import Conversation
from .pam_session import Sessions
from .people import DoorFaultError, NotLetInError, Person, Typed, WrongPasswordError

SERVICES = Path("/etc/pam.d")
PERMISSION_DENIED, UNAVAILABLE, UNKNOWN, TRIES, EXPIRED_TOKEN = 6, 9, 10, 11, 27
NEW_PASSWORD, ACCOUNT_EXPIRED, AUTHENTICATION = 12, 13, 7
WRONG = (AUTHENTICATION, UNKNOWN, PERMISSION_DENIED, TRIES)
"""What modules say where an answer is wrong; after right ones it has other meanings."""
SAID_MAX = 200
SENTENCES = {
    PERMISSION_DENIED: "Your account may not log in now, or not here.",
    NEW_PASSWORD: "Your password has expired, or must be changed first. Change it, for example by "
    "logging in to the machine itself, then log in here.",
    EXPIRED_TOKEN: "Your password has expired. Have it set again.",
    ACCOUNT_EXPIRED: "Your account has expired.",
}


class MachineAuthenticator(Door):
    """Asks PAM, with what the log-in page's fields say."""

    service = Unicode("login", help="The file in /etc/pam.d").tag(config=True)
    second_factor = Enum(
        ["after_password", "before_password"], None, allow_none=True, help="See logins.Pam"
    ).tag(config=True)
    sessions = Bool(False, help="See logins.Pam").tag(config=True)
    open_sessions = Instance(Sessions)

    def _open_sessions_default(self) -> Sessions:
        return Sessions(self.service, self.contact)

    def ask(self, entered: Typed) -> Person:
        """Return whose account of the machine that is, by PAM."""
        if faults := self.faults():
            raise self.fault(faults[0])
        account = account_of(entered.name)
        if account is not None and not is_person(account.pw_uid):
            # PAM isn't even asked: nobody shall try root's passwords here.
            raise NotLetInError(
                "This account belongs to the machine or a service, so it can't use the portal.",
                f"'{entered.name}' is an account of the machine's own",
            )
        # An unknown name takes as long as a wrong password, if it could be one.
        name = account.pw_name if account else entered.name.lower()
        if account is None and not self.validate_username(name):
            raise WrongPasswordError("no name that an account could have")
        answers = [entered.password]
        if self.second_factor:
            at = 0 if self.second_factor == "before_password" else 1
            answers.insert(at, entered.second)
        try:
            status, conversation = asked(self.service, name, answers, entered.address)
        except (pamela.PAMError, HelperError) as error:
            raise self.fault(f"PAM can't be asked for '{self.service}': {error}") from None
        self.refuse(name, status, conversation)
        if account is None:
            raise WrongPasswordError(f"PAM lets '{name}' in, whom this machine doesn't know")
        return Person(account.pw_name, frozenset(machine_groups(account.pw_name)))

    def faults(self) -> list[str]:
        """Return that the service isn't there, where it isn't: PAM would take 'other' instead."""
        path = SERVICES / self.service
        return [] if path.is_file() else [f"There is no {path}, which login.service names."]

    def look_up(self, name: str) -> Person | None:
        """Return an account that has logged in before, if it still may."""
        account = account_of(name)
        if account is None:
            raise NotLetInError("Your account isn't there any more.", f"'{name}' is gone")
        try:
            said = asked(self.service, account.pw_name, None)
        except HelperError as error:
            raise self.fault(str(error)) from None
        self.refuse(name, *said)
        return Person(account.pw_name, frozenset(machine_groups(account.pw_name)))

    def refuse(self, name: str, status: int, conversation: Conversation) -> None:
        """Raise why PAM doesn't let somebody in, if it doesn't."""
        if status == pamela.PAM_SUCCESS:
            return
        detail = f"PAM's '{self.service}' says of '{name}': {pamela.PAMError(errno=status)}"
        if conversation.unanswered:
            raise self.fault(
                f"PAM's '{self.service}' asks '{conversation.unanswered}' after "
                f"{conversation.asked[:-1]}, and the log-in page has no field for it: set "
                "login.second_factor, or take that module out of the service."
            )
        if status in WRONG and not conversation.authenticated:
            raise WrongPasswordError(detail, " ".join(conversation.said)[:SAID_MAX])
        if status == UNAVAILABLE:
            raise self.fault(f"{detail}. Look at the service that keeps the passwords.")
        if status in SENTENCES:
            raise NotLetInError(f"{SENTENCES[status]} Ask {self.contact} if you can't.", detail)
        raise self.fault(f"{detail}. Look at {SERVICES / self.service} and the machine's log.")

    def fault(self, detail: str) -> DoorFaultError:
        """Return that the door doesn't work."""
        return DoorFaultError(
            "The portal can't check passwords at the moment, so nobody can log in. Try again in "
            f"some minutes, or ask {self.contact}.",
            detail,
        )

    def groups_there(self, names: Iterable[str]) -> dict[str, bool]:
        """Return which groups the machine has."""
        return {name: is_group(name) for name in names}

    async def pre_spawn_start(self, user: Any, spawner: Any) -> None:
        """Open a session that lasts as long as the server."""
        if self.sessions:
            key = (user.name, spawner.name)
            await self.off_the_loop(self.open_sessions.begin, key)

    async def post_spawn_stop(self, user: Any, spawner: Any) -> None:
        """Close the server's session."""
        if self.sessions:
            await self.off_the_loop(self.open_sessions.end, (user.name, spawner.name))


def account_of(name: str) -> pwd.struct_passwd | None:
    """Return the account of a name in small letters, however it was typed; None for none.

    The portal's names are small. Where a machine has 'Ada' beside 'ada', the first can't be had.
    """
    try:
        account = pwd.getpwnam(name.lower())
    except (KeyError, ValueError):
        return None
    return account if account.pw_name == account.pw_name.lower() else None


def is_group(name: str) -> bool:
    """Return whether the machine has a group."""
    try:
        return bool(grp.getgrnam(name))
    except KeyError:
        return False
