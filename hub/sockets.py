"""Unix sockets by which the parts of a portal reach each other on one machine.

No trust rests on a port of loopback, which any account can take: who may listen at a socket, and
who may connect to it, is decided by owner and mode of the folder that it lies in.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from spawners.server_socket import is_dead, socket_url

from .deployment import Deployment

LONGEST = 107
"""Bytes of a socket's path; Linux takes no more."""
SERVER_NAME = "0123456789abcdef.sock"


class SocketError(Exception):
    """There is no place for the sockets; the text is for the person who starts the portal."""


@dataclass(frozen=True)
class Sockets:
    """A portal's sockets.

    Parameters
    ----------
    folder : Path
        What they lie in. Every account may pass it, only the portal's can change it.
    """

    folder: Path

    @property
    def hub(self) -> Path:
        """Where the hub listens: users' servers connect too, so every account can."""
        return self.folder / "hub.sock"

    @property
    def orders(self) -> Path:
        """Where the proxy takes the hub's orders, in a folder that only the portal may enter."""
        return self.folder / "proxy/orders.sock"

    @property
    def servers(self) -> Path:
        """The folder of users' servers' sockets, which only the portal may enter."""
        return self.folder / "servers"


def sockets_of(state: Path) -> Sockets:
    """Return where the sockets of the portal with this state folder lie."""
    name = f"beamhub-{hashlib.sha256(str(state).encode()).hexdigest()[:16]}"
    if os.geteuid() == 0:
        return Sockets(Path("/run") / name)
    inside = Sockets(state / "run")
    # Second choice: this one is taken away when its account logs out, though the portal goes on.
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    if unfit(inside) and own.startswith("/") and is_private(Path(own)):
        return Sockets(Path(own) / name)
    return inside


def hub_url(deployment: Deployment) -> str:
    """Return where a portal's hub listens."""
    site = deployment.site
    if site.hub_by_socket:
        return socket_url(sockets_of(deployment.state).hub)
    return f"http://{site.hub_address}:{site.serving.hub_port}"


def is_private(folder: Path) -> bool:
    """Return whether a folder is this account's, and nobody else may enter it."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return ours and not found.st_mode & 0o077


@contextmanager
def ready_sockets(sockets: Sockets) -> Iterator[None]:
    """Have the folders of the sockets there, without what a portal that was killed left in them.

    Servers that go on without their hub keep theirs: the next hub finds them again.

    Raises
    ------
    SocketError
        They can't be made, or are somebody else's.
    """
    refuse_unfit(sockets)
    try:
        refuse_replaceable(sockets.folder)
        own_folder(sockets.folder, 0o711)
        own_folder(sockets.orders.parent, 0o700)
        own_folder(sockets.servers, 0o700)
        remove_dead(sockets)
    except OSError as error:
        raise SocketError(
            f"The portal can't make its sockets in {sockets.folder}: {error.strerror}."
        ) from None
    yield
    # This process may still listen there, but nothing more is to be heard.
    sockets.hub.unlink(missing_ok=True)
    with suppress(OSError):
        remove_dead(sockets)
    # A folder that still holds something stays: servers have been left running.
    for folder in (sockets.orders.parent, sockets.servers, sockets.folder):
        with suppress(OSError):
            folder.rmdir()


def unfit(sockets: Sockets) -> str:
    """Return why sockets would have paths there that don't work, empty where they do."""
    longest = len(os.fsencode(sockets.servers / SERVER_NAME))
    if longest > LONGEST:
        return f"their paths have {longest} bytes there, and Linux takes {LONGEST}"
    if str(sockets.folder) != str(sockets.folder).lower():
        # Host names of addresses are read in lower case, and JupyterHub's client takes a path so.
        return "their paths have capital letters there, which JupyterHub doesn't distinguish"
    return ""


def refuse_unfit(sockets: Sockets) -> None:
    """Refuse a folder in which sockets would have paths that don't work."""
    if why := unfit(sockets):
        raise SocketError(
            f"The portal can't have its sockets in {sockets.folder}: {why}. Let XDG_RUNTIME_DIR "
            "name a folder of your own that nobody else may enter, or choose another state folder "
            "with --state."
        )


def refuse_replaceable(folder: Path) -> None:
    """Refuse a folder that another account could put a different one in the place of."""
    above = folder.parent.stat()
    if above.st_uid not in (0, os.geteuid()) or above.st_mode & 0o022:
        raise SocketError(
            f"Other accounts can change what is in {folder.parent}, so the portal's sockets would "
            "not be safe there. Only root, or the account that starts the portal, may write it."
        )


def own_folder(folder: Path, mode: int) -> None:
    """Make a folder with that mode; one that is there must be a folder of this account's."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise SocketError(
            f"{folder} is not a folder of the account that starts the portal, so nothing is put "
            "into it. Have it removed, or choose another state folder with --state."
        )
    folder.chmod(mode)


def remove_dead(sockets: Sockets) -> None:
    """Remove the sockets at which nobody listens."""
    for path in (sockets.hub, sockets.orders, *sockets.servers.iterdir()):
        if path.is_socket() and is_dead(path):
            path.unlink()
