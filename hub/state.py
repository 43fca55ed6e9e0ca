"""The folder in which a portal keeps its state: made safely, used by one portal at a time."""

import fcntl
import os
import secrets
from pathlib import Path
from typing import IO

from spawners.payload import readable_by_others
from spawners.records import atomic_write

CRYPT_KEY = "crypt_key"
IDENTITY = "identity"
LOCK = "lock"
"""Marks the folder as a portal's, and is held by the one that runs."""
LIFTED = "log-ins-lifted"
"""Tells a portal that runs to let everybody try to log in again."""
PROXY = "configurable-http-proxy"


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
                f"{state} holds files and is no portal's state folder, so it is left alone. Choose "
                "another with --state."
            )
        make_passable(state)
        state.chmod(0o711)
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


def end_leftover_proxy(state: Path) -> None:
    """End the proxy of a portal that was killed: it holds the port, and nobody commands it."""
    import psutil

    try:
        process = psutil.Process(int((state / "proxy.pid").read_text()))
        if any(PROXY in part for part in process.cmdline()):
            process.terminate()
            process.wait(10)
    except (OSError, ValueError, psutil.Error):
        return
