"""The folder that all users of a portal share for data: one folder an account, its own alone."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from .payload import shared_folder
from .system_accounts import FOLDER, Account


def own_data_folder(cache: Path, account: Account) -> None:
    """Make an account's own folder in the portal's cache of data.

    Root alone may write the cache itself, so that nobody can take the place of another's folder.
    Started by another account, the portal shares that account with all servers, and `workbench`
    makes the folder.

    Parameters
    ----------
    cache : Path
        The cache, below the portal's state folder.
    account : Account
        Whose folder it is to be.
    """
    shared_folder(cache)
    if os.geteuid() != 0:
        return
    top = os.open(cache, FOLDER)
    try:
        make_for(account, top)
    finally:
        os.close(top)


def make_for(account: Account, top: int) -> None:
    """Make a folder of an account in an open one that only root can write."""
    name = str(account.uid)
    if not given_to(account, name, top):
        # From a time when everybody could write here. Whatever it is, it is only set aside.
        os.rename(name, f".{name}.{secrets.token_hex(8)}", src_dir_fd=top, dst_dir_fd=top)
        given_to(account, name, top)


def given_to(account: Account, name: str, top: int) -> bool:
    """Return whether a folder is an account's now; it is made, or given away where it is root's."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=top)
    try:
        folder = os.open(name, FOLDER, dir_fd=top)
    except OSError:
        return False
    try:
        if os.fstat(folder).st_uid == 0:
            os.fchmod(folder, 0o755)
            os.fchown(folder, account.uid, account.gid)
        return os.fstat(folder).st_uid == account.uid
    finally:
        os.close(folder)
