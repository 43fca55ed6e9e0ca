"""Who may talk to whom inside of the namespace."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spawners.kubernetes.settings import Way

SERVERS = {"component": "singleuser-server"}
"""What KubeSpawner labels users' servers with."""
PRIVATE = ["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"]
"""Networks of a site and a cluster, and the address at which clouds tell pods of their node."""
PRIVATE_6 = ["fc00::/7", "fe80::/10"]


def policies(
    port: int, hub_port: int, hub: Mapping[str, str], ways: Sequence[Way]
) -> Iterator[dict[str, Any]]:
    """Yield the network policies of a portal and its servers.

    Parameters
    ----------
    port, hub_port : int
        Where the portal listens to users, and the hub to servers.
    hub : mapping
        The labels of the portal's pod.
    ways : sequence of Way
        Private networks that servers may reach.
    """
    yield policy("nobody", {}, ingress=[])
    yield policy(
        "hub",
        {"matchLabels": dict(hub)},
        ingress=[
            {"ports": tcp(port)},
            {"from": [{"podSelector": {"matchLabels": SERVERS}}], "ports": tcp(hub_port)},
        ],
    )
    to_hub = {"podSelector": {"matchLabels": dict(hub)}}
    yield policy(
        "servers",
        {"matchLabels": SERVERS},
        ingress=[{"from": [to_hub]}],
        egress=[
            {"to": [to_hub], "ports": tcp(hub_port)},
            {
                "to": [{"namespaceSelector": {}}],
                "ports": [{"protocol": p, "port": 53} for p in ("UDP", "TCP")],
            },
            *outside(ways),
        ],
    )


def outside(ways: Sequence[Way]) -> Iterator[dict[str, Any]]:
    """Yield where servers may go outside of the cluster: the internet, and what the site names."""
    public = [
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": PRIVATE}},
        {"ipBlock": {"cidr": "::/0", "except": PRIVATE_6}},
    ]
    yield {"to": public}
    for way in ways:
        ports = {"ports": tcp(*way.ports)} if way.ports else {}
        yield {"to": [{"ipBlock": {"cidr": str(way.to)}}], **ports}


def tcp(*ports: int) -> list[dict[str, Any]]:
    """Return ports as policies have them."""
    return [{"protocol": "TCP", "port": port} for port in ports]


def policy(name: str, selector: dict[str, Any], **ways: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a policy that lets through what is listed, and nothing else in those directions."""
    types = [way.capitalize() for way in ways]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {"podSelector": selector, "policyTypes": types, **ways},
    }
