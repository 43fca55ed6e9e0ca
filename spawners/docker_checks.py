"""Whether this machine's Docker can do what the backend asks of it."""

import shutil
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import psutil

from .docker_client import SILENT, connected

NEEDED = {
    "MemoryLimit": "limit memory",
    "CpuCfsQuota": "limit cores",
    "PidsLimit": "limit the number of processes",
}


def findings(addresses: IPv4Network, ways: Sequence[str]) -> Iterator[str]:
    """Yield what is missing, a sentence each.

    Parameters
    ----------
    addresses : IPv4Network
        Those of the users' networks.
    ways : sequence of str
        How images that aren't here are had: 'pull', 'build'.
    """
    if "build" in ways and shutil.which("docker") is None:
        yield (
            "The command 'docker' is not installed on this machine, so images can't be built: "
            "apt-get install docker.io, or backend.missing_image: [pull]"
        )
    try:
        with connected() as client:
            info = client.info()
    except SILENT:
        yield (
            "Docker doesn't answer. Start its daemon (systemctl start docker), let this account "
            "use it (group 'docker'), or name another daemon in DOCKER_HOST."
        )
        return
    yield from unlimited(info)
    yield from elsewhere(addresses)


def unlimited(info: dict[str, Any]) -> Iterator[str]:
    """Yield which limits this kernel doesn't let Docker set."""
    for key, words in NEEDED.items():
        if info.get(key) is False:
            yield f"Docker can't {words} here: the kernel doesn't offer that ('docker info')."


def elsewhere(addresses: IPv4Network) -> Iterator[str]:
    """Yield which of the machine's own networks have the same addresses."""
    for name, found in psutil.net_if_addrs().items():
        # Docker's own bridges lie in there rightly.
        for one in (a for a in found if a.family.name == "AF_INET" and not name.startswith("br-")):
            if IPv4Address(one.address) in addresses:
                yield (
                    f"backend.addresses: {addresses} are addresses of this machine's {name} too. "
                    "Choose others that nothing uses here, for example 10.214.0.0/16."
                )
