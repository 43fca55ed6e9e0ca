"""Under which system account a user's server runs on the local backend."""

import grp
import os
import pwd
from collections.abc import Callable, Iterable
from pathlib import Path

from jupyterhub.slugs import safe_slug

from .people import FILE, People, Person
from .system_accounts import (
    Account,
    made_account,
    private_folder,
    system_account,
)


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
    root = os.geteuid() == 0
    account = made_account(parts_of(found), home) if root else own_account(home)
    private_folder(account)
    return account


def parts_of(found: Person) -> tuple[str, str]:
    """Return what the name of a user's account may end in.

    A name of 32 characters at most has no room for a whole slug: another user's may be the same.
    """
    return safe_slug(found.user, max_length=21), f"{found.number}-user"


def own_account(home: Path) -> Account:
    """Return the account of this process with the given home."""
    return Account(own_name(), os.getuid(), os.getgid(), home)


def own_name() -> str:
    """Return this process's account name, its number where it has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def machine_groups(account: str) -> set[str]:
    """Return the groups of an account of this machine."""
    try:
        numbers = os.getgrouplist(account, pwd.getpwnam(account).pw_gid)
        return {grp.getgrgid(number).gr_name for number in numbers}
    except KeyError:
        return set()
