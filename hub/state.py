"""The folder in which a portal keeps its state: made safely, used by one portal at a time."""

import fcntl
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO

from spawners.payload import readable_by_others
from spawners.records import atomic_write
from spawners.reserved_accounts import HUB
from spawners.start_unprivileged import give_up_rights
from spawners.state_folders import DATA, ENVIRONMENTS, HOMES, RIGHTS, USE_CASES
from spawners.system_accounts import FOLDER

CRYPT_KEY = "crypt_key"
IDENTITY = "identity"
LOCK = "lock"
"""Marks the folder as a portal's, and is held by the one that runs."""
LIFTED = "log-ins-lifted"
"""Tells a portal that runs to let everybody try to log in again."""
PROXY = "configurable-http-proxy"

ROOTS_FOLDERS = (HOMES, DATA, ENVIRONMENTS, USE_CASES, RIGHTS)
"""What root alone makes and changes, also where the hub has an account of its own."""
GIVEN = 0o1771
"""The state folder's mode then: the hub makes files in it, and can't replace what is root's."""


class StateError(Exception):
    """The folder can't be used; the text is for the person who starts the portal."""


def prepare_state(state: Path) -> None:
    """Make the state folder: other accounts may pass it, to their homes, but read nothing in it.

    Raises
    ------
    StateError
        It can't be made, or it's a folder of somebody else's that must not be changed.
    """
    try:
        if state.exists() and not (state / LOCK).exists() and any(state.iterdir()):
            raise StateError(
                f"{state} holds files and isn't a portal's state folder, so it is left alone. "
                "Choose another with --state."
            )
        make_passable(state)
        # A portal may run here, whose hub goes on writing: this one is only about to be refused.
        state.chmod(GIVEN if is_given(state) else 0o711)
        (state / LOCK).touch(mode=0o600)
        (state / "logs").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StateError(
            f"The portal can't keep its state in {state}: {error.strerror}. Choose another folder "
            "with --state."
        ) from None


def make_passable(folder: Path) -> None:
    """Make a folder and those above it that are missing, whatever this process's umask is."""
    before = os.umask(0o022)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    finally:
        os.umask(before)


def identity_of(state: Path) -> str:
    """Return what tells this portal's containers from another's; made at the first call."""
    path = state / IDENTITY
    if not path.exists():
        atomic_write(path, secrets.token_hex(8))
    return path.read_text(encoding="ascii")


def crypt_key_of(state: Path) -> str:
    """Return the key that encrypts what the database keeps of log-ins; made at the first call."""
    path = state / CRYPT_KEY
    if not path.exists() or not path.stat().st_size:
        atomic_write(path, secrets.token_hex(32))
    return path.read_text(encoding="ascii")


def hold_state(state: Path) -> IO[str]:
    """Return the state folder's lock, which holds for as long as it stays open.

    Raises
    ------
    StateError
        Another portal has it, or users' own accounts could not reach their homes in it.
    """
    if os.geteuid() == 0 and not readable_by_others(state / LOCK):
        raise StateError(
            f"Other accounts can't pass the folders above {state}, so servers could not reach "
            "their homes there. Choose another folder with --state."
        )
    lock = (state / LOCK).open("r+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise StateError(
            f"A portal already runs with its state in {state}. End that one first, or choose "
            "another folder with --state."
        ) from None
    return lock


def lift_throttle(state: Path) -> None:
    """Let everybody try to log in again at once, at the portal that has this folder.

    Raises
    ------
    StateError
        It's no portal's, or another account's.
    """
    try:
        (state / LOCK).stat()
        mark = state / LIFTED
        mark.touch(mode=0o600)
        os.utime(mark)
    except OSError as error:
        raise StateError(
            f"No portal has its state in {state}, or it is another account's: {error.strerror}. "
            "Name its folder with --state, and do this as the account that serves it."
        ) from None


def is_given(state: Path) -> bool:
    """Return whether a hub with an account of its own keeps the state."""
    try:
        return state.stat().st_gid == HUB
    except OSError:
        return False


def give_to_hub(state: Path) -> None:
    """Let the hub's own account keep what is the hub's in the state folder, and root the rest.

    What root's portals have kept there so far becomes the hub's the first time. Nothing is lost.

    Raises
    ------
    StateError
        Something that is to be root's is another's.
    """
    first = not is_given(state)
    identity_of(state)
    top = os.open(state, FOLDER)
    try:
        for name in ROOTS_FOLDERS:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700 if name == RIGHTS else 0o711, dir_fd=top)
        for name in (*ROOTS_FOLDERS, LOCK, IDENTITY):
            if os.stat(name, dir_fd=top, follow_symlinks=False).st_uid != 0:
                raise StateError(f"{state / name} is not root's, so nothing is done with it.")
        there = set(os.listdir(top))  # noqa: PTH208 - an open folder
        for name in there - {*ROOTS_FOLDERS, LOCK, IDENTITY}:
            give(name, top, first=first)
        os.chown(IDENTITY, 0, HUB, dir_fd=top, follow_symlinks=False)
        os.chmod(IDENTITY, 0o640, dir_fd=top)
        os.fchown(top, 0, HUB)
        os.fchmod(top, GIVEN)
    finally:
        os.close(top)


def give(name: str, top: int, *, first: bool) -> None:
    """Give what is root's of a file or folder in an open folder to the hub.

    Once a hub has kept the folder only new folders are given: a file's other name may be its doing.
    """
    found = os.stat(name, dir_fd=top, follow_symlinks=False)
    if found.st_uid != 0 or not (first or stat.S_ISDIR(found.st_mode)):
        return
    # A link of root's own, to a folder elsewhere.
    if stat.S_ISLNK(found.st_mode):
        name = os.path.realpath(f"/proc/self/fd/{top}/{name}")
    for _, folders, files, folder in os.fwalk(name, dir_fd=top):
        os.fchown(folder, HUB, HUB)
        for inside in (*folders, *files):
            os.chown(inside, HUB, HUB, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISREG(found.st_mode):
        os.chown(name, HUB, HUB, dir_fd=top, follow_symlinks=False)


def become_keeper(state: Path) -> None:
    """Go on as the account that keeps a portal's state: root follows no paths of the hub's."""
    if os.geteuid() == 0 and is_given(state):
        give_up_rights(HUB)


def own_file(path: Path) -> bool:
    """Return whether a path leads to a file of this account's, in a folder of its own."""
    try:
        found, above = path.lstat(), path.parent.lstat()
    except OSError:
        return False
    own = found.st_uid == os.geteuid() and stat.S_ISREG(found.st_mode)
    return own and above.st_uid == os.geteuid()


def end_leftover_proxy(state: Path) -> None:
    """End the proxy of a portal that was killed: it holds the port, and nobody commands it."""
    for path in (state / "proxy.pid", state / RIGHTS / "proxy.pid"):
        if own_file(path):
            end_proxy_of(path)


def end_proxy_of(path: Path) -> None:
    """End the proxy whose number a file has, if it still runs."""
    import psutil

    try:
        process = psutil.Process(int(path.read_text()))
        if any(PROXY in part for part in process.cmdline()):
            process.terminate()
            process.wait(10)
    except (OSError, ValueError, psutil.Error):
        return
