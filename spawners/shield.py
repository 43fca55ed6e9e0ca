"""Walls around a server that stand before any of its user's code runs.

A small container of ours owns the network in which the server's container is then put. It closes
the ways itself, so also after it was started again by hand, and sleeps. It has no file of a user's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from docker.errors import APIError, NotFound

from .asking import Daemon
from .networks import subnet_of

SCRIPT = """
order=100
for rule in "$@"; do ip -4 rule add pref $order $rule; order=$((order + 1)); done
if [ -e /proc/net/if_inet6 ]; then ip -6 rule add pref 100 from all unreachable; fi
exec sleep infinity
"""
"""Each argument is a rule of addresses that the profile's model has checked.

Rules are looked at before routes, whatever Docker does to those when it joins networks."""
PROBE = 'for address in "$@"; do ip route get "$address" >/dev/null 2>&1 && echo "$address"; done'
METADATA = (
    *("169.254.169.254", "169.254.169.253", "169.254.170.2", "169.254.170.23"),
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
)
"""Where clouds tell a machine's secrets, by IPv4."""
LOOPBACK = IPv4Network("127.0.0.0/8")
IPV6 = ("fd00:ec2::254", "fe80::a9fe:a9fe", "2001:db8::1")
MEMORY_BYTES = 32 * 2**20
STOP_S = 5
SECONDS = 30
"""How long closing may take."""


class ShieldError(Exception):
    """The ways could not be closed, so the server must not run; the text is for the user."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "The network of the server's container could not be closed as the site wants it, so "
            f"the server was not started: {' '.join(reason.split())[:300] or 'no reason is told'}."
        )


@dataclass(frozen=True)
class Walls:
    """The container that owns a server's network.

    Parameters
    ----------
    id, began : str
        Its number, and since when it runs: once it was started again, its network is another.
    address : str
        The server's, and nobody else's for as long as the walls stand.
    """

    id: str
    began: str
    address: str


async def raise_walls(
    daemon: Daemon,
    image: str,
    name: str,
    network: str,
    *,
    hub_ip: str,
    unreachable: Sequence[str],
    labels: dict[str, str],
) -> Walls:
    """Make the network of a server that is to be started, and see from outside that it's closed.

    Parameters
    ----------
    daemon : Daemon
        Where.
    image : str
        The server's own, which is here.
    name : str
        What the container is called.
    network : str
        The user's.
    hub_ip : str
        An address that stays reachable whatever is closed; empty for none.
    unreachable : sequence of str
        Networks, such as ``169.254.0.0/16``.
    labels : dict of str to str
        See `spawners.labels.Owner`.

    Raises
    ------
    ShieldError
        It can't be closed, or not be seen to be. Nothing is left then.
    """
    subnet = await daemon.look(lambda client: subnet_of(client, network))
    ways = rules(subnet, hub_ip, unreachable)
    made = await daemon.make(
        lambda client: build(client, image, name, network, rules=ways, labels=labels)
    )
    kept = [subnet, *([IPv4Network(hub_ip)] if hub_ip else [])]
    try:
        await see_closed(daemon, made, addresses_closed(unreachable, kept), str(subnet[1]))
        about = await daemon.inspect(made)
    except BaseException:
        await daemon.remove(made)
        raise
    address = about["NetworkSettings"]["Networks"][network]["IPAddress"]
    return Walls(made, about["State"]["StartedAt"], address)


async def see_closed(daemon: Daemon, walls: str, closed: Sequence[str], gateway: str) -> None:
    """Wait until no address is reachable that must not be; see `open_ways`.

    Raises
    ------
    ShieldError
        One still is.
    """
    found: list[str] | None = None

    def is_closed(client: Any) -> bool:
        nonlocal found
        found = open_ways(client, walls, closed, gateway)
        return found == []

    try:
        await daemon.until(is_closed, SECONDS)
    except TimeoutError:
        left = " ".join(found) if found else "nothing that could be found out"
        raise ShieldError(f"after {SECONDS} s there is still a way to {left}") from None


def rules(subnet: IPv4Network, hub_ip: str, unreachable: Iterable[str]) -> list[str]:
    """Return what is kept open and what is closed, in this order, as ``ip rule`` wants it.

    Parameters
    ----------
    subnet : IPv4Network
        The user's own network, by which the portal reaches the server.
    hub_ip : str
        An address that stays reachable whatever is closed; empty for none.
    unreachable : iterable of str
        Networks, such as ``169.254.0.0/16``.
    """
    kept = [str(subnet), *([f"{hub_ip}/32"] if hub_ip else [])]
    return [
        *(f"to {addresses} lookup main" for addresses in kept),
        *(f"to {addresses} unreachable" for addresses in unreachable),
    ]


def build(
    client: Any, image: str, name: str, network: str, *, rules: list[str], labels: dict[str, str]
) -> str:
    """Start the container that owns a server's network, and return its id.

    Parameters
    ----------
    client : docker.APIClient
        The daemon's.
    image : str
        The server's own, which is here.
    name, network : str
        What it's called, and where it is.
    rules : list of str
        See `rules`.
    labels : dict of str to str
        See `spawners.labels.Owner`.
    """
    made = client.create_container(
        image,
        name=name,
        entrypoint=["sh", "-euc", SCRIPT, "sh"],
        command=rules,
        user="0",
        working_dir="/",
        environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        labels=labels,
        # At the daemon's end a server has so long to save by its network; 'sleep' waits it out.
        stop_timeout=STOP_S,
        host_config=client.create_host_config(
            network_mode=network,
            cap_drop=["ALL"],
            cap_add=["NET_ADMIN"],
            security_opt=["no-new-privileges"],
            read_only=True,
            mem_limit=MEMORY_BYTES,
            memswap_limit=MEMORY_BYTES,
            pids_limit=16,
            log_config={"Type": "json-file", "Config": {"max-size": "64k", "max-file": "1"}},
        ),
    )
    try:
        client.start(made["Id"])
    except BaseException:
        client.remove_container(made["Id"], force=True)
        raise
    return str(made["Id"])


def addresses_closed(unreachable: Iterable[str], kept: Sequence[IPv4Network]) -> list[str]:
    """Return addresses that must not be reachable, some of each network that is closed."""
    networks = [IPv4Network(text) for text in unreachable]
    # The very first and last can mean "this machine" and "all".
    tried = [n[i] for n in networks for i in places(n.num_addresses)]
    tried += [a for a in map(IPv4Address, METADATA) if any(a in n for n in networks)]
    return [str(a) for a in dict.fromkeys(tried) if not any(a in n for n in (*kept, LOOPBACK))]


def places(count: int) -> tuple[int, ...]:
    """Return which of so many addresses are tried."""
    return (1, count // 2, count - 2) if count > 4 else tuple(range(count))


def open_ways(client: Any, walls: str, closed: Sequence[str], gateway: str) -> list[str] | None:
    """Return which addresses are still reachable from inside that must not be, as routes tell.

    None means that nothing could be found out yet.

    Parameters
    ----------
    client : docker.APIClient
        The daemon's.
    walls : str
        The id of the container that owns the network.
    closed : sequence of str
        See `addresses_closed`.
    gateway : str
        An address that is reachable: where even that isn't, nothing is proven.

    Raises
    ------
    ShieldError
        It has ended.
    """
    command = ["sh", "-c", PROBE, "sh", gateway, *closed, *IPV6]
    try:
        asked = client.exec_create(walls, command)
        said = client.exec_start(asked["Id"]).decode(errors="replace").split()
    except NotFound:
        raise ShieldError("the container that closes it is gone") from None
    except APIError as error:
        if not client.inspect_container(walls)["State"]["Running"]:
            raise ShieldError(client.logs(walls).decode(errors="replace")) from None
        raise ShieldError(str(error.explanation)) from None
    return said[1:] if said[:1] == [gateway] else None
