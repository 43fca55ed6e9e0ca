"""``beamhub serve``: start the portal."""

import os
import socket
from pathlib import Path
from typing import Annotated

import typer

from spawners import LocalBackend

from ..deployment import Deployment
from ..site import Serving
from ..terminal import terminal
from .common import SiteArgument, StateOption, UseCasesOption, deployment_of, fail


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
    deployment = with_port(deployment_of(site, state, use_cases), port)
    refuse_unsafe(deployment)
    refuse_taken_ports(deployment.site.serving)
    from ..app import run
    from ..oidc import ProviderError
    from ..proxy import ProxyError
    from ..secrets import SecretError

    prepare_state(deployment.state)
    log_file = divert_log(log, deployment.state)
    terminal.say(f"Starting {deployment.site.title} …")
    try:
        run(
            deployment,
            level="DEBUG" if verbose else "INFO",
            when_ready=lambda code: greet(deployment, code, log_file),
        )
    except (SecretError, ProxyError, ProviderError) as error:
        terminal.say(str(error))
        raise typer.Exit(1) from None
    except SystemExit as exit_:
        if exit_.code and log_file:
            tail = "\n".join(log_file.read_text(errors="replace").splitlines()[-15:])
            terminal.say(f"The portal did not start, or ended by a fault. {log_file} says:\n{tail}")
        raise


def with_port(deployment: Deployment, port: int | None) -> Deployment:
    """Return the deployment, listening on another port where one is given."""
    if port is None:
        return deployment
    serving = deployment.site.serving.model_copy(update={"port": port})
    site = deployment.site.model_copy(update={"serving": serving})
    return Deployment(deployment.name, site, deployment.use_cases, deployment.state)


def refuse_unsafe(deployment: Deployment) -> None:
    """Exit where the profile can't be served as it is."""
    site = deployment.site
    if site.template:
        todo = "\n".join(f"  - {sentence}" for sentence in site.template)
        raise fail(
            f"The profile '{deployment.name}' is a template. Before it can be served, somebody at "
            f"the facility has to fill in:\n{todo}\nCopy it, do so, and remove 'template'."
        )
    backend = site.backend
    if isinstance(backend, LocalBackend) and backend.accounts == "system" and os.geteuid() != 0:
        raise fail(
            "backend.accounts is 'system': servers run under their users' own accounts, which "
            "only root can do. Start the portal as root, or choose 'portal' for this machine only."
        )


def refuse_taken_ports(serving: Serving) -> None:
    """Exit where another program has one of the portal's ports."""
    inside = "127.0.0.1"
    for address, port in (
        (serving.bind, serving.port),
        (inside, serving.proxy_port),
        (inside, serving.hub_port),
    ):
        if not can_listen(address, port):
            raise fail(
                f"Another program, maybe another portal, listens on port {port}, which this portal "
                f"needs. Choose another port, for example: --port {serving.port + 1000}"
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


def prepare_state(state: Path) -> None:
    """Make the state folder: others may pass it, for their homes, but read nothing inside."""
    os.umask(0o077)
    try:
        state.mkdir(mode=0o711, parents=True, exist_ok=True)
        state.chmod(0o711)
        (state / "logs").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise fail(
            f"The portal can't keep its state in {state}: {error.strerror}. Choose another folder "
            "with --state."
        ) from None


def divert_log(where: str, state: Path) -> Path | None:
    """Send the log into its file, and return that; None where it stays on the terminal."""
    if where not in ("file", "stderr"):
        raise fail(f"--log is 'file' or 'stderr', not '{where}'.")
    if where == "stderr":
        return None
    path = state / "logs/portal.log"
    terminal.divert(path)
    return path


def greet(deployment: Deployment, code: str, log_file: Path | None) -> None:
    """Say where the portal is and how to log in."""
    terminal.say(f"The portal is ready: {deployment.site.serving.url}")
    if code:
        terminal.say(f"Log in with any name and this code, which works once: {code}")
    if log_file:
        terminal.say(f"Its log is {log_file}. Ctrl-C ends it and everything that it started.")
