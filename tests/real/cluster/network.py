"""A network of the cluster's own: each node has a namespace, so an address of its own."""

import subprocess
from collections.abc import Mapping

from .commands import said


class Network:
    """A bridge on this machine, and for each node a network namespace that it leads to.

    Parameters
    ----------
    tag : str
        What the names of all that is made begin with.
    prefix : str
        The first three numbers of all addresses.
    nodes : mapping
        The address of each node.
    """

    def __init__(self, tag: str, prefix: str, nodes: Mapping[str, str]) -> None:
        self.tag = tag
        self.gateway = f"{prefix}.1"
        self.nodes = nodes

    def make(self) -> None:
        said("ip", "link", "add", self.tag, "type", "bridge")
        said("ip", "addr", "add", f"{self.gateway}/24", "dev", self.tag)
        said("ip", "link", "set", self.tag, "up")
        for index, (name, address) in enumerate(self.nodes.items()):
            space, outside = self.space(name), f"{self.tag}v{index}"
            peer = ("peer", "name", "eth0", "netns", space)
            said("ip", "netns", "add", space)
            said("ip", "link", "add", outside, "type", "veth", *peer)
            said("ip", "link", "set", outside, "master", self.tag, "up")
            said("ip", "-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                said("ip", "-n", space, "link", "set", device, "up")
            said("ip", "-n", space, "route", "add", "default", "via", self.gateway)

    def space(self, node: str) -> str:
        """Return the name of a node's namespace."""
        return f"{self.tag}-{node}"

    def inside(self, node: str) -> list[str]:
        """Return what stands before a command that runs on a node."""
        # Not "ip netns exec", which would hide the control groups.
        return ["nsenter", f"--net=/run/netns/{self.space(node)}"]

    def processes(self, node: str) -> list[int]:
        """Return the numbers of all that runs on a node."""
        return [int(number) for number in said("ip", "netns", "pids", self.space(node)).split()]

    def remove(self) -> None:
        """Take away what is there of it."""
        for node in self.nodes:
            subprocess.run(["ip", "netns", "del", self.space(node)], capture_output=True)
        subprocess.run(["ip", "link", "del", self.tag], capture_output=True)
