"""Accounts of this machine under which users' servers run; what root alone can do about them.

Imports no code of the web's: see `spawners.rights`.
"""

import hashlib
import os
import pwd
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from . import child_processes
from .first_person import first_person
from .reserved_accounts import RESERVED

FIRST_PERSON = first_person()
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class AccountError(Exception):
    """There is no account to run a server under; the text is for the user."""


@dataclass(frozen=True)
class Account:
    """A system account, with the home of its servers."""

    name: str
    uid: int
    gid: int
    home: Path


def is_person(uid: int) -> bool:
    """Return whether an account's number can be a person's."""
    return uid >= FIRST_PERSON and uid not in RESERVED


def system_account(user: str) -> Account:
    """Return the account of this machine that has the user's name."""
    if os.geteuid() != 0:
        raise AccountError("This portal may not start servers for other accounts: it needs root.")
    entry = pwd.getpwnam(person(user))
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, Path(entry.pw_dir))


def person(user: str) -> str:
    """Return the name of the account of this machine that has the user's name."""
    try:
        entry = pwd.getpwnam(user)
    except (KeyError, ValueError):
        raise AccountError(f"This machine has no account named '{user}'.") from None
    if not is_person(entry.pw_uid):
        raise AccountError(f"The account '{user}' belongs to a service, so it can't open servers.")
    return entry.pw_name


def made_account(parts: Iterable[str], home: Path) -> Account:
    """Return the account that the portal keeps for a user, made at the first call.

    Parameters
    ----------
    parts : iterable of str
        What its name may end in: the first that isn't another's counts.
    home : Path
        The user's, which tells whose an account is.
    """
    # Two portals of one machine must not share an account: the name tells them apart.
    portal = hashlib.sha256(str(home.parent).encode()).hexdigest()[:6]
    for part in parts:
        name = f"bh-{portal}-{part}"
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            add_account(name, home)
            entry = pwd.getpwnam(name)
        if is_person(entry.pw_uid) and Path(entry.pw_dir) == home:
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, home)
    raise AccountError(f"The account '{name}' of this machine is not the portal's own.")


def add_account(name: str, home: Path) -> None:
    """Make a system account that nobody can log in to."""
    # A root shell that 'su' has opened may have no /usr/sbin on its PATH.
    program = "/usr/sbin/useradd"
    command = [program, "--no-create-home", "--home-dir", str(home), "--user-group", name]
    try:
        made = child_processes.run(
            [*command, "--shell", "/usr/sbin/nologin"], capture_output=True, text=True
        )
        problem = (made.stderr.strip() or f"{program} failed") if made.returncode else ""
    except OSError as error:
        problem = f"{program}: {error.strerror}"
    if problem:
        raise AccountError(f"This machine could not make an account for your servers: {problem}.")


def private_folder(account: Account) -> None:
    """Make the account's home, readable by nobody else.

    The folder above belongs to the portal, so nobody can have put a link in its place.
    """
    account.home.parent.mkdir(parents=True, exist_ok=True)
    homes = os.open(account.home.parent, FOLDER)
    try:
        if os.fstat(homes).st_uid != os.geteuid():
            raise AccountError("The folder of homes is not the portal's own.")
        os.fchmod(homes, 0o711)
        with suppress(FileExistsError):
            os.mkdir(account.home.name, 0o700, dir_fd=homes)
        home = os.open(account.home.name, FOLDER, dir_fd=homes)
    finally:
        os.close(homes)
    try:
        if os.geteuid() == 0:
            os.fchown(home, account.uid, account.gid)
        os.fchmod(home, 0o700)
    finally:
        os.close(home)
