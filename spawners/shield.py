"""Close ways in a container's network that its user must not take."""

from collections.abc import Mapping, Sequence
from typing import Any

from docker.errors import APIError

SCRIPT = 'for route in "$@"; do ip route replace $route; done'
"""Each argument is a route of addresses that the profile's model has checked."""
SECONDS = 30


class ShieldError(Exception):
    """The ways could not be closed, so the server must not run; the text is for the user."""


def close_ways(client: Any, container: str, unreachable: Sequence[str], hub_ip: str) -> None:
    """Make networks unreachable from a running container.

    A second container of the same image, which has the right to do so and ends at once, sets
    routes in the network of the first. That needs no rule on the machine, works wherever the daemon
    is, and the first, without that right, can't undo it.

    Parameters
    ----------
    client : docker.APIClient
        The daemon's.
    container : str
        The id of the server's container.
    unreachable : sequence of str
        Networks, such as ``169.254.0.0/16``.
    hub_ip : str
        An address that stays reachable by the gateway whatever is closed; empty for none.

    Raises
    ------
    ShieldError
        It didn't work.
    """
    if not unreachable:
        return
    about = client.inspect_container(container)
    [network] = about["NetworkSettings"]["Networks"].values()
    closed = [f"unreachable {addresses}" for addresses in unreachable]
    kept = [f"{hub_ip} via {network['Gateway']}"] if hub_ip else []
    status, said = run_beside(client, about, [*kept, *closed])
    if status:
        raise ShieldError(
            "The network of the server's container could not be closed as the site wants it, so "
            f"the server was not started: {said or 'no reason is told'}."
        )


def run_beside(client: Any, about: Mapping[str, Any], routes: list[str]) -> tuple[int, str]:
    """Set routes in the network of a container, from another of its image.

    Parameters
    ----------
    client : docker.APIClient
        The daemon's.
    about : mapping
        What the daemon tells of the container.
    routes : list of str
        Each as ``ip route replace`` wants it.

    Returns
    -------
    tuple
        The status, 0 for success, and what was said.
    """
    made = client.create_container(
        about["Image"],
        entrypoint=["sh", "-euc", SCRIPT, "sh"],
        command=routes,
        user="0",
        labels=about["Config"]["Labels"],
        host_config=client.create_host_config(
            network_mode=f"container:{about['Id']}",
            cap_drop=["ALL"],
            cap_add=["NET_ADMIN"],
            read_only=True,
            security_opt=["no-new-privileges"],
        ),
    )
    try:
        client.start(made["Id"])
        status = int(client.wait(made["Id"], timeout=SECONDS)["StatusCode"])
        said = client.logs(made["Id"]).decode(errors="replace").strip()
    except APIError as error:
        return 1, str(error.explanation)
    finally:
        client.remove_container(made["Id"], force=True)
    return status, said
