"""Where root starts a portal, two processes part: its hub, without rights, and its helper.

The process that was started becomes the helper, see `spawners.rights`. The hub is its child and
goes on from here; neither outlives the other.
"""

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import workbench
from spawners import child_processes
from spawners.payload import readable_by_others
from spawners.reserved_accounts import HUB, LOG_KEEPER, PROXY
from spawners.rights import asking, readying, wire
from spawners.rights.settings import Part, Settings
from spawners.server_log import PART as KEEPER
from spawners.server_log import keeper_command
from spawners.start_unprivileged import give_up_rights
from spawners.state_folders import ENVIRONMENTS, RIGHTS

from . import part_names
from .crate_shelf import PART as READER
from .crate_shelf import READER_COMMAND
from .deployment import Deployment
from .logins import Pam
from .proxy import SILENCE, proxy_command, readable, unreadable
from .secrets import keep_secrets, values_in
from .site import SiteProfile
from .sockets import give_sockets_to_hub, sockets_of
from .state import give_to_hub, identity_of
from .usecases import CONSTRAINTS

PR_SET_DUMPABLE, PR_SET_PDEATHSIG = 4, 1
HUBS_ENVIRONMENT = {"HOME": "/nonexistent", "USER": "beamhub", "LOGNAME": "beamhub"}
SIZE_BYTES = 2**30


def needs_root(deployment: Deployment) -> bool:
    """Return whether a portal's hub has a helper for what needs root's rights, if root starts it.

    Docker's socket, and jobs in users' names, are as good as root's rights.
    """
    return os.geteuid() == 0 and deployment.site.backend.has_helper


def why_one(deployment: Deployment) -> str:
    """Return why the hub of such a portal has root's rights though it needs none; empty if not.

    Raises
    ------
    ProxyError
        There is no proxy.
    """
    found = next((file for file in files_of_hub(deployment) if not is_readable(file)), None)
    found = found or unreadable(proxy_command())
    if found is None:
        return ""
    return (
        f"The hub, which serves the pages, runs with root's rights: an account without any can't "
        f"read {found}. Let others read it, and pass the folders above it: chmod o+rX."
    )


def files_of_hub(deployment: Deployment) -> Iterator[Path]:
    """Yield what a hub reads of the machine, besides secrets: code, use cases, the site's files."""
    yield Path(sys.executable)
    for package in ("hub", "jupyterhub", "pydantic"):
        spec = find_spec(package)
        if spec and spec.origin:
            yield Path(spec.origin)
    for use_case in deployment.use_cases.values():
        yield from (path for path in use_case.folder.rglob("*") if path.is_file())
    paths = paths_in(deployment.site)
    yield from (path for path in paths if path.is_file() or not path.exists())


def is_readable(file: Path) -> bool:
    """Return whether every account can read a file, or what a link of that name leads to.

    Of a file that is made later, as announcements are, whether they will be able to come to it.
    """
    return all(map(readable if file.exists() else readable_by_others, (file, file.resolve())))


def paths_in(site: SiteProfile) -> Iterator[Path]:
    """Yield every path that a profile names, but those of secrets and the proxy's own."""
    return (value for value in values_in(site, besides="serving") if isinstance(value, Path))


def part(deployment: Deployment) -> None:
    """Return in a hub without rights; this process itself becomes its helper.

    Raises
    ------
    StateError, SocketError, SecretError, ProxyError
        Something isn't as it must be.
    """
    sockets = sockets_of(deployment.state).folder
    give_to_hub(deployment.state)
    give_sockets_to_hub(sockets)
    keep_secrets(deployment.site)
    parts = parts_of(deployment)
    hubs, helpers = wire.pair()
    parent = os.getpid()
    if hub := os.fork():
        hubs.close()
        become_helper(settings_of(deployment, hub, sockets, parts), helpers)
    helpers.close()
    become_hub(parent)
    asking.ask_by(hubs)


def become_helper(settings: Settings, control: socket.socket) -> None:
    """Go on as the helper: a program of its own, which has read no profile."""
    said = settings.handed()
    for file in (said, control.fileno()):
        os.set_inheritable(file, True)
    command = child_processes.python_command(
        "spawners.rights.helper", str(said), str(control.fileno())
    )
    os.chdir("/")
    os.execv(command[0], command)  # noqa: S606 - a list, and no shell


def become_hub(parent: int) -> None:
    """Give up all rights, and end with the helper."""
    # Servers' sockets are opened to the proxy by its group.
    give_up_rights(HUB, [PROXY])
    system = ctypes.CDLL(None)
    # Only now: another account makes the kernel forget both.
    system.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    system.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)
    os.chdir("/")
    for name in [name for name in os.environ if name.startswith("XDG_")]:
        del os.environ[name]
    os.environ.update(HUBS_ENVIRONMENT)


def settings_of(
    deployment: Deployment, hub: int, sockets: Path, parts: dict[str, Part]
) -> Settings:
    """Return what the helper has to know."""
    sizes = deployment.site.sizes.values()
    named = [
        *(deployment.state, (deployment.state / ENVIRONMENTS).resolve(), sockets, sys.prefix),
        *(use_case.folder for use_case in deployment.use_cases.values()),
        *paths_in(deployment.site),
        *child_processes.child_environment().values(),
    ]
    return Settings(
        hub=hub,
        state=str(deployment.state),
        sockets=str(sockets),
        portal=identity_of(deployment.state),
        **deployment.site.backend.helper_settings(),
        memory_max_bytes=round(max(size.memory_gib for size in sizes) * SIZE_BYTES),
        cores_max=max(size.cores for size in sizes),
        named=list(map(str, named)),
        use_cases={name: str(case.folder) for name, case in deployment.offered.items()},
        parts=parts,
    )


def parts_of(deployment: Deployment) -> dict[str, Part]:
    """Return the commands of what else the hub can have started."""
    serving, login = deployment.site.serving, deployment.site.login
    files = [serving.certificate, serving.key] if serving.tls == "own" else []
    package = str(Path(workbench.__file__).parent)
    found = {
        READER: Part(list(READER_COMMAND)),
        KEEPER: Part(keeper_command(LOG_KEEPER), account=LOG_KEEPER, stays=True),
        readying.PART: Part(
            child_processes.python_command(
                "spawners.rights.readying", str(deployment.state), package, str(CONSTRAINTS)
            ),
            arguments="use case",
            inherits=True,
        ),
        part_names.PROXY: Part(
            [*proxy_command(), *SILENCE],
            account=PROXY,
            arguments="any",
            files=[str(file) for file in files if file],
            variables=[part_names.PROXYS_TOKEN],
            inherits=True,
            stays=True,
            note=str(deployment.state / RIGHTS / "proxy.pid"),
            # The hub, in its group, connects to its socket.
            umask=0o007,
        ),
    }
    if isinstance(login, Pam):
        asked = child_processes.python_command(part_names.PAMS_MODULE, login.service)
        found[part_names.PAM] = Part(asked, arguments="anybody", inherits=True)
        held = child_processes.python_command(part_names.SESSIONS_MODULE, login.service)
        found[part_names.SESSION] = Part(held, arguments="person", inherits=True)
    return found
