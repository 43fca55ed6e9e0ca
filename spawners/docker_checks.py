"""Whether this machine's Docker can do what the backend asks of it."""

import re
import shutil
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import psutil

from .docker_client import SILENT, connected

RESOLVERS = (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf"))
"""Where Docker takes name servers from."""
NUMBERS_IN_A_NAMESPACE = 65_000
NEEDED = {
    "MemoryLimit": "limit memory",
    "CpuCfsQuota": "limit cores",
    "PidsLimit": "limit the number of processes",
}


def findings(
    addresses: IPv4Network,
    ways: Sequence[str],
    unreachable: Sequence[IPv4Network] = (),
    first_number: int = 0,
) -> Iterator[str]:
    """Yield what is missing, a sentence each.

    Parameters
    ----------
    addresses : IPv4Network
        Those of the users' networks.
    ways : sequence of str
        How images that aren't here are had: 'pull', 'build'.
    unreachable : sequence of IPv4Network, optional
        Those that servers can't reach.
    first_number : int, optional
        Where the account numbers of users' containers begin; 0 where the machine's are taken.
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
    yield from unguarded(info, first_number)
    yield from elsewhere(addresses)
    yield from nameless(RESOLVERS, unreachable)


def unlimited(info: dict[str, Any]) -> Iterator[str]:
    """Yield which limits this kernel doesn't let Docker set."""
    for key, words in NEEDED.items():
        if info.get(key) is False:
            yield f"Docker can't {words} here: the kernel doesn't offer that ('docker info')."


def unguarded(info: dict[str, Any], first_number: int) -> Iterator[str]:
    """Yield what this daemon's own walls lack, or don't allow."""
    options = " ".join(info.get("SecurityOptions") or [])
    if "name=seccomp" not in options or "unconfined" in options:
        yield (
            "Docker filters no system calls here (seccomp): take its default profile back into "
            "/etc/docker/daemon.json, and use a kernel that has it ('docker info')."
        )
    if first_number > NUMBERS_IN_A_NAMESPACE and re.search("name=(userns|rootless)", options):
        yield (
            "Docker has a user namespace of its own here, in which there are no account numbers "
            f"from {first_number}: choose backend.first_number: 20000."
        )


def nameless(files: Sequence[Path], unreachable: Sequence[IPv4Network]) -> Iterator[str]:
    """Yield which of the machine's name servers containers will not reach."""
    text = next((f.read_text(errors="replace") for f in files if f.is_file()), "")
    for found in re.findall(r"^nameserver +([0-9.]+)", text, re.MULTILINE):
        if any(IPv4Address(found) in network for network in unreachable):
            yield (
                f"The name server {found} of this machine is among backend.unreachable, so "
                'servers would know no names: give Docker others ("dns" in '
                "/etc/docker/daemon.json)."
            )


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
