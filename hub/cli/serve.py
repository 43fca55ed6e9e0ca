"""``beamhub serve``: start the portal."""

import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from spawners.child_processes import clean_own_environment
from spawners.launch import BackendError

from ..deployment import Deployment
from ..site import SiteProfile
from ..sockets import SocketError, hub_url, ready_sockets, sockets_of
from ..state import StateError, end_leftover_proxy, hold_state, is_given, prepare_state
from ..terminal import terminal
from .common import SiteArgument, StateOption, UseCasesOption, deployment_of, fail, require_packages


def serve(
    site: SiteArgument = "laptop",
    state: StateOption = None,
    use_cases: UseCasesOption = None,
    port: Annotated[
        int | None,
        typer.Option(help="The port to listen on, instead of the profile's.", min=1024, max=65000),
    ] = None,
    log: Annotated[
        str, typer.Option(help="Where the log goes: 'file' (in the state folder) or 'stderr'.")
    ] = "file",
    verbose: Annotated[bool, typer.Option(help="Log everything, for finding a fault.")] = False,
) -> None:
    """Start the portal and keep it running until Ctrl-C.

    With the profile 'laptop' it listens on this machine only, and prints a code to log in with.
    """
    clean_own_environment()
    deployment = with_port(deployment_of(site, state, use_cases), port)
    require_packages(deployment)
    refuse_unsafe(deployment)
    refuse_changeable_code(deployment)
    log_file = log_path(log, deployment.state)
    with own_state(deployment.state):
        prepare_backend(deployment)
        refuse_taken_ports(deployment.site)
        part_from_root(deployment)
        with own_sockets(deployment):
            if log_file:
                terminal.divert(log_file)
            run_portal(deployment, "DEBUG" if verbose else "INFO", log_file)


def run_portal(deployment: Deployment, level: str, log_file: Path | None) -> None:
    """Run the portal until it's told to stop, and say why where it can't."""
    from ..app import run
    from ..proxy import ProxyError, why_root
    from ..secrets import SecretError

    terminal.say(f"Starting {deployment.site.title} …")
    try:
        if why := why_root(deployment.site.serving):
            terminal.say(why)
        with ways_in(deployment):
            run(deployment, level=level, when_ready=lambda code: greet(deployment, code, log_file))
    except (SecretError, ProxyError, BackendError) as error:
        terminal.say(str(error))
        raise typer.Exit(1) from None
    except SystemExit as exit_:
        if exit_.code and log_file:
            tail = "\n".join(log_file.read_text(errors="replace").splitlines()[-15:])
            terminal.say(f"The portal did not start, or ended by a fault. {log_file} says:\n{tail}")
        raise


@contextmanager
def own_state(state: Path) -> Iterator[None]:
    """Have the state folder alone, with nothing left of a portal that was killed."""
    from ..tunnels.process import end_leftover_tunnels

    try:
        prepare_state(state)
        lock = hold_state(state)
    except StateError as error:
        raise fail(str(error)) from None
    # Database, log and whatever else is made from now on is nobody else's to read.
    os.umask(0o077)
    with lock:
        end_leftover_proxy(state)
        end_leftover_tunnels(state)
        yield


def with_port(deployment: Deployment, port: int | None) -> Deployment:
    """Return the deployment, listening on another port where one is given."""
    if port is None:
        return deployment
    serving = deployment.site.serving.model_copy(update={"port": port})
    site = deployment.site.model_copy(update={"serving": serving})
    return replace(deployment, site=site)


def refuse_unsafe(deployment: Deployment) -> None:
    """Exit where the profile can't be served as it is."""
    site = deployment.site
    if site.template:
        todo = "\n".join(f"  - {sentence}" for sentence in site.template)
        raise fail(
            f"The profile '{deployment.name}' is a template. Before it can be served, somebody at "
            f"the facility has to fill in:\n{todo}\nCopy it, do so, and remove 'template'."
        )
    if why := site.backend.why_not_by_this_account():
        raise fail(why)


def refuse_changeable_code(deployment: Deployment) -> None:
    """Exit where root would run what somebody else can change."""
    from ..own_code import changeable_code

    if found := changeable_code(deployment):
        raise fail(
            f"Other accounts of this machine can change {found}, which root would run as a part of "
            "the portal. Let it, what is in it and the folders above it belong to root, and let "
            f"nobody else write there: chown -R root: {found}; chmod -R go-w {found}. Or start the "
            "portal as an ordinary account."
        )


def part_from_root(deployment: Deployment) -> None:
    """Let only a helper have root's rights, where the hub needs few of them; or say why not."""
    from ..parting import needs_root, part, why_one
    from ..proxy import ProxyError
    from ..secrets import SecretError

    try:
        why = why_one(deployment) if needs_root(deployment) else "Its backend needs root's rights."
        if not why:
            part(deployment)
        elif os.geteuid() == 0 and is_given(deployment.state):
            raise StateError(keeps_rights(deployment.state, why))
        elif needs_root(deployment):
            terminal.say(why)
    except (SecretError, ProxyError, StateError, SocketError) as error:
        raise fail(str(error)) from None


def keeps_rights(state: Path, why: str) -> str:
    """Return why a hub with root's rights can't have a state that one without any has kept."""
    return (
        f"A hub without root's rights has kept its state in {state}, and this one would have them: "
        f"{why} Root does not follow what another account has put there. Choose another folder "
        "with --state, or have an administrator look through this one and give it back: "
        f"chown root: {state} and what is in it, but not in {state}/homes and {state}/data."
    )


def prepare_backend(deployment: Deployment) -> None:
    """Let the backend make what the hub needs, or exit where it can't."""
    try:
        deployment.site.backend.prepare()
    except BackendError as error:
        raise fail(str(error)) from None


@contextmanager
def own_sockets(deployment: Deployment) -> Iterator[None]:
    """Have the folders ready in which this portal's parts meet; a proxy apart has its own."""
    if deployment.site.serving.apart:
        yield
        return
    try:
        with ready_sockets(sockets_of(deployment.state)):
            yield
    except SocketError as error:
        raise fail(str(error)) from None


def refuse_taken_ports(site: SiteProfile) -> None:
    """Exit where another program has one of the portal's ports."""
    hub = site.hub_address
    if not can_listen(hub, 0):
        raise fail(
            f"This machine has no address {hub}, at which servers reach the hub. With Docker, its "
            "daemon makes it: start that first. 'beamhub check' tells more."
        )
    for address, port in own_ports(site):
        if not can_listen(address, port):
            raise fail(
                f"Another program, maybe another portal, listens on port {port}, which this portal "
                f"needs. Choose another port, for example: --port {site.serving.port + 1000}"
            )


def own_ports(site: SiteProfile) -> list[tuple[str, int]]:
    """Return where a portal listens by itself, besides its sockets."""
    serving, tunnels = site.serving, site.backend.tunnel_address
    public = [] if serving.apart else [(serving.bind, serving.port)]
    hub = [] if site.hub_by_socket else [(site.hub_address, serving.hub_port)]
    return [*public, *hub, *([(tunnels, serving.tunnel_port)] if tunnels else [])]


def ways_in(deployment: Deployment) -> AbstractContextManager[None]:
    """Return what lets servers elsewhere dial in, while it's entered."""
    from ..tunnels.process import serving

    site = deployment.site
    if not site.backend.tunnel_address:
        return nullcontext()
    return serving(
        deployment.state,
        site.backend.tunnel_address,
        site.serving.tunnel_port,
        hub_url(deployment),
    )


def can_listen(address: str, port: int) -> bool:
    """Return whether nobody listens there."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: a port that a portal left a moment ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def log_path(where: str, state: Path) -> Path | None:
    """Return the file that the log goes to, None where it stays on the terminal."""
    if where not in ("file", "stderr"):
        raise fail(f"--log is 'file' or 'stderr', not '{where}'.")
    return state / "logs/portal.log" if where == "file" else None


def greet(deployment: Deployment, code: str, log_file: Path | None) -> None:
    """Say where the portal is and how to log in."""
    terminal.say(f"The portal is ready: {deployment.site.serving.url}")
    if code:
        terminal.say(f"Log in with a name of your choice and this code, which works once: {code}")
    what = (
        "it, and servers go on"
        if deployment.site.backend.outlives_hub
        else ("it and everything that it started")
    )
    if log_file:
        terminal.say(f"Its log is {log_file}. Ctrl-C ends {what}.")
