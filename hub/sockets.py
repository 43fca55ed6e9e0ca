"""Unix sockets by which the parts of a portal reach each other on one machine.

No trust rests on a port of loopback, which any account can take: who may listen at a socket, and
who may connect to it, is decided by owner and mode of the folder that it lies in.
"""

import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from spawners.reserved_accounts import HUB
from spawners.rights.asking import has_roots_rights
from spawners.server_socket import PATH_BYTES_MAX, is_dead, open_to_proxy, socket_url
from spawners.system_accounts import FOLDER

from .deployment import Deployment

SERVER_NAME = "0123456789abcdef.sock"
SHARED = Path("/tmp")  # noqa: S108 - what is put there is checked, and others can't replace it


class SocketError(Exception):
    """There is no place for the sockets; the text is for the person who starts the portal."""


@dataclass(frozen=True)
class Sockets:
    """A portal's sockets.

    Parameters
    ----------
    folder : Path
        What they lie in. Only the portal's account can change it, and root's can be passed by all.
    """

    folder: Path

    @property
    def hub(self) -> Path:
        """Where the hub listens: users' servers connect too, under whichever account they run."""
        return self.folder / "hub.sock"

    @property
    def orders(self) -> Path:
        """Where the proxy takes the hub's orders, in a folder that only these two may enter."""
        return self.folder / "proxy/orders.sock"

    @property
    def servers(self) -> Path:
        """The folder of users' servers' sockets, which only hub and proxy may enter."""
        return self.folder / "servers"


def sockets_of(state: Path) -> Sockets:
    """Return where the sockets of the portal with this state folder lie."""
    own = hashlib.sha256(str(state).encode()).hexdigest()[:16]
    if has_roots_rights():
        return Sockets(Path(f"/run/beamhub-{own}"))
    inside = Sockets(state / "run")
    if fits(inside):
        return inside
    # Second choice: this one is taken away when its account logs out, though the portal goes on.
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    if runtime.is_absolute() and is_private(runtime):
        near = Sockets(runtime / f"beamhub-{own}")
        if fits(near):
            return near
    return Sockets(SHARED / f"beamhub-{os.geteuid()}-{own}")


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
    # Root's servers run under accounts of their users; all others' are of the portal's account.
    passed_by = 0o711 if has_roots_rights() else 0o700
    try:
        refuse_replaceable(sockets.folder)
        own_folder(sockets.folder, passed_by)
        # The last proxy could leave anything in its folder.
        own_folder(sockets.orders.parent, 0o700)
        shutil.rmtree(sockets.orders.parent)
        own_folder(sockets.orders.parent, 0o700)
        open_to_proxy(sockets.orders.parent, 0o770)
        own_folder(sockets.servers, 0o700)
        open_to_proxy(sockets.servers, 0o710)
        remove_dead(sockets)
    except OSError as error:
        raise SocketError(
            f"The portal can't make its sockets in {sockets.folder}: {error.strerror}."
        ) from None
    with left_alone(sockets.folder):
        yield
    # This process may still listen there, but nothing more is to be heard.
    sockets.hub.unlink(missing_ok=True)
    with suppress(OSError):
        remove_dead(sockets)
    shutil.rmtree(sockets.orders.parent, ignore_errors=True)
    # A folder that still holds something stays: servers have been left running.
    for folder in (sockets.servers, sockets.folder):
        with suppress(OSError):
            folder.rmdir()


def give_sockets_to_hub(folder: Path) -> None:
    """Let the hub's own account have the folder of the sockets, and those of servers that run.

    Raises
    ------
    SocketError
        It can't be made, or is somebody else's.
    """
    try:
        refuse_replaceable(folder)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o711)
        top = os.open(folder, FOLDER)
        try:
            owner = os.fstat(top).st_uid
            if owner not in (0, HUB):
                raise SocketError(f"{folder} is not the portal's, so nothing is put into it.")
            # The last proxy could leave anything in its folder, which only root can take away.
            shutil.rmtree("proxy", ignore_errors=True, dir_fd=top)
            if owner == 0:
                for _, folders, files, inside in os.fwalk(".", dir_fd=top):
                    for name in (*folders, *files):
                        os.chown(name, HUB, -1, dir_fd=inside, follow_symlinks=False)
                os.fchown(top, HUB, HUB)
        finally:
            os.close(top)
    except OSError as error:
        raise SocketError(f"The portal can't make {folder}: {error.strerror}.") from None


@contextmanager
def left_alone(folder: Path) -> Iterator[None]:
    """Keep systemd's cleaner of temporary folders out: it passes by what is locked."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(held, fcntl.LOCK_SH)
        yield
    finally:
        os.close(held)


def fits(sockets: Sockets) -> bool:
    """Return whether sockets work there: by their length, and in small letters.

    Host names of addresses are read in lower case, and JupyterHub's client takes a path so.
    """
    folder = str(sockets.folder)
    longest = len(os.fsencode(sockets.servers / SERVER_NAME))
    return longest <= PATH_BYTES_MAX and folder == folder.lower()


def refuse_replaceable(folder: Path) -> None:
    """Refuse a folder that another account could put a different one in the place of."""
    above = folder.parent.stat()
    # In a sticky folder, as /tmp is, nobody but root can move what is another's.
    others = above.st_mode & 0o022 and not above.st_mode & stat.S_ISVTX
    if above.st_uid not in (0, os.geteuid()) or others:
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
    for path in (sockets.hub, *sockets.servers.iterdir()):
        if path.is_socket() and is_dead(path):
            path.unlink()
