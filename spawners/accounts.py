"""Under which system account a user's server runs on the local backend."""

import grp
import hashlib
import os
import pwd
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from jupyterhub.slugs import safe_slug

from . import child_processes
from .first_person import first_person
from .people import FILE, People, Person

FIRST_PERSON = first_person()


class AccountError(Exception):
    """There is no account to run a server under; the text is for the user."""


@dataclass(frozen=True)
class Account:
    """A system account, with the home of its servers."""

    name: str
    uid: int
    gid: int
    home: Path


def account_for(
    user: str, kind: str, homes: Path, earlier: Callable[[], Iterable[str]] = tuple
) -> Account:
    """Return the account of a portal user's servers, its home private and there.

    Parameters
    ----------
    user : str
        The portal's user name: anything that its login lets through.
    kind : str
        ``portal`` or ``system``, see `LocalBackend.accounts`.
    homes : Path
        Where the portal keeps homes, in its state folder.
    earlier : callable, optional
        See `People.of`.

    Raises
    ------
    AccountError
        There is no such account, or it belongs to a service.
    """
    if kind == "system":
        return system_account(user)
    found = People(homes.parent / FILE).of(user, earlier)
    home = homes / found.slug
    account = made_account(found, home) if os.geteuid() == 0 else own_account(home)
    private_folder(account)
    return account


def own_account(home: Path) -> Account:
    """Return the account of this process with the given home."""
    return Account(own_name(), os.getuid(), os.getgid(), home)


def own_name() -> str:
    """Return this process's account name, its number where it has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


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
    except KeyError:
        raise AccountError(f"This machine has no account named '{user}'.") from None
    if entry.pw_uid < FIRST_PERSON:
        raise AccountError(f"The account '{user}' belongs to a service, so it can't open servers.")
    return entry.pw_name


def machine_groups(account: str) -> set[str]:
    """Return the groups of an account of this machine."""
    try:
        numbers = os.getgrouplist(account, pwd.getpwnam(account).pw_gid)
        return {grp.getgrgid(number).gr_name for number in numbers}
    except KeyError:
        return set()


def made_account(found: Person, home: Path) -> Account:
    """Return the account that the portal keeps for a user, made at the first call."""
    # Two portals of one machine must not share an account: the name tells them apart.
    portal = hashlib.sha256(str(home.parent).encode()).hexdigest()[:6]
    # A name of 32 characters at most has no room for a whole slug: another user's may be the same.
    for part in (safe_slug(found.user, max_length=21), f"{found.number}-user"):
        name = f"bh-{portal}-{part}"
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            add_account(name, home)
            entry = pwd.getpwnam(name)
        if entry.pw_uid >= FIRST_PERSON and Path(entry.pw_dir) == home:
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
    account.home.parent.chmod(0o711)
    account.home.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:
        os.chown(account.home, account.uid, account.gid)
    account.home.chmod(0o700)
