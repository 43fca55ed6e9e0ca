"""Docker networks of a portal: one a user, so that nobody's servers reach another's.

Docker keeps its bridges apart by itself. One network for all, with 'icc' switched off, would need
a kernel module that filters inside a bridge, which not every machine has loaded.
"""

import random
import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from docker.errors import APIError

from .labels import Owner

PREFIX_LENGTH = 28
"""Of each network: thirteen servers, beside its gateway and what is joined to it."""
TRIES = 20
PAUSE_S = 0.3
"""Between two tries to have addresses that another portal has just taken."""
ALLOCATING = threading.Lock()
"""Addresses are looked for and taken by one start at a time."""


class NetworkError(Exception):
    """A network can't be had; the text is for the user."""


@dataclass(frozen=True)
class Plan:
    """How the networks of a portal are made.

    Parameters
    ----------
    addresses : IPv4Network
        What they are cut from.
    companions : mapping of str to str
        Containers that every network is joined to, by the names that servers know them by.
    """

    addresses: IPv4Network
    companions: Mapping[str, str]


def hub_address(addresses: IPv4Network) -> str:
    """Return the address at which servers find a hub that runs outside of containers.

    It's this machine's own address in the first network, which holds no servers.
    """
    return str(addresses[1])


def ensure_first(client: Any, name: str, plan: Plan) -> None:
    """Make the network whose gateway is `hub_address`, where it isn't there.

    Raises
    ------
    NetworkError
        A network of that name is there with other addresses, or these addresses are taken.
    """
    first = next(plan.addresses.subnets(new_prefix=PREFIX_LENGTH))
    found = find(client, name)
    if found is None:
        try:
            create(client, name, first, {})
        except APIError as error:
            raise NetworkError(
                f"Docker can't make the network '{name}' with the addresses {first}: "
                f"{error.explanation}. Choose others in backend.addresses."
            ) from None
    elif first not in subnets([found]):
        raise NetworkError(
            f"Docker has a network '{name}' with other addresses than {first}. Remove it (docker "
            f"network rm {name}), or choose another backend.prefix."
        )


def ensure(client: Any, name: str, plan: Plan, owner: Owner) -> None:
    """Make a user's network where it isn't there, and join the companions to it.

    Raises
    ------
    NetworkError
        All addresses are taken, or a companion isn't there.
    NotOursError
        The network of that name is another's.
    """
    found = find(client, name) or allocate(client, name, plan.addresses, owner)
    owner.require("network", name, found["Labels"])
    join(client, found["Id"], plan.companions)


def allocate(client: Any, name: str, addresses: IPv4Network, owner: Owner) -> dict[str, Any]:
    """Make a network with addresses that are free, and return it."""
    for _ in range(TRIES):
        with ALLOCATING:
            try:
                subnet = free_subnet(addresses, client.networks())
                create(client, name, subnet, owner.labels)
            except APIError as error:
                # Another portal's network took these addresses, or this name, a moment ago.
                if not re.search("overlap|exists", str(error)):
                    raise
        if found := find(client, name):
            return found
        time.sleep(random.uniform(0, PAUSE_S))  # noqa: S311 - spreads two that try at once
    raise NetworkError(
        "Docker's networks change too fast to find free addresses. Try again in a minute."
    )


def find(client: Any, name: str) -> dict[str, Any] | None:
    """Return a network by its exact name."""
    found: list[dict[str, Any]] = client.networks(names=[name])
    return next((n for n in found if n["Name"] == name), None)


def subnet_of(client: Any, name: str) -> IPv4Network:
    """Return the IPv4 addresses of a network that is there."""
    [subnet] = subnets([client.inspect_network(name)])
    return subnet


def free_subnet(addresses: IPv4Network, networks: Iterable[Mapping[str, Any]]) -> IPv4Network:
    """Return the first part of `addresses` that no network has, the very first left out."""
    taken = list(subnets(networks))
    parts = addresses.subnets(new_prefix=PREFIX_LENGTH)
    next(parts)
    for part in parts:
        if not any(part.overlaps(other) for other in taken):
            return part
    raise NetworkError(
        f"All addresses of {addresses} are taken by users' networks. An administrator can give "
        "more in backend.addresses."
    )


def subnets(networks: Iterable[Mapping[str, Any]]) -> Iterable[IPv4Network]:
    """Yield the IPv4 addresses that networks have."""
    for network in networks:
        for part in (network.get("IPAM") or {}).get("Config") or []:
            if ":" not in (part.get("Subnet") or ":"):
                yield IPv4Network(part["Subnet"])


def create(client: Any, name: str, subnet: IPv4Network, labels: Mapping[str, str]) -> None:
    """Make a bridge of its own with these addresses, without IPv6."""
    client.create_network(
        name,
        driver="bridge",
        check_duplicate=True,
        enable_ipv6=False,
        labels=dict(labels),
        ipam={"Driver": "default", "Config": [{"Subnet": str(subnet), "Gateway": str(subnet[1])}]},
    )


def join(client: Any, network: str, companions: Mapping[str, str]) -> None:
    """Join the companions that aren't there yet to a network, given by its name or number."""
    if not companions:
        return
    about = client.inspect_network(network)
    there = {c["Name"] for c in (about.get("Containers") or {}).values()}
    for alias, container in companions.items():
        if container not in there:
            try:
                client.connect_container_to_network(container, network, aliases=[alias])
            except APIError as error:
                if error.status_code != 404:
                    raise
                raise NetworkError(
                    f"There is no container '{container}', which the site's profile names in "
                    "backend.companions."
                ) from None


def remove_unused(client: Any, name: str, companions: Iterable[str], owner: Owner) -> None:
    """Remove a user's network if no server is left in it; another's of that name stays."""
    found = find(client, name)
    if found is None or not owner.has(found["Labels"]):
        return
    about = client.inspect_network(found["Id"])
    there = {c["Name"] for c in (about.get("Containers") or {}).values()}
    known = set(companions)
    if there - known:
        return
    for container in there & known:
        client.disconnect_container_from_network(container, found["Id"], force=True)
    client.remove_network(found["Id"])
