"""One machine with Docker: workstations, workshops and CI."""

import asyncio
import os
from collections.abc import Collection
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt

from .launch import Backend, BackendError, Free, Launch, Mount, PortalContext

HOME = "/home/jovyan"
NAMES = "/var/lib/extrausers"
"""Where images look for the name of the account, which `workbench.start` writes."""
METADATA = [IPv4Network("169.254.0.0/16"), IPv4Network("100.100.100.200/32")]
"""Where clouds tell a machine's secrets to whoever asks."""
ContainerName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]+$")]


def room_for_users(addresses: IPv4Network) -> IPv4Network:
    """Return `addresses` if enough networks can be cut from them."""
    if addresses.prefixlen > 24:
        raise ValueError("expected at least 256 addresses, for example 10.213.0.0/16")
    return addresses


class DockerBackend(Backend):
    """A Docker daemon: the one of this machine, or the one that DOCKER_HOST names."""

    spawner_class: ClassVar[str] = "spawners.container.ContainerSpawner"
    title: ClassVar[str] = "Docker containers on one machine"
    shares_cores: ClassVar[bool] = True
    fills_cache: ClassVar[bool] = False
    sees_mounts_only: ClassVar[bool] = True
    kind: Literal["docker"]
    prefix: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,19}$")] = Field(
        "beamhub",
        description="What the names of containers, networks and volumes begin with; portals that "
        "share a daemon need different ones",
    )
    addresses: Annotated[IPv4Network, AfterValidator(room_for_users)] = Field(
        IPv4Network("10.213.0.0/16"),
        description="Addresses for the networks, 16 a user, which nothing else may use here; the "
        "hub listens at the first",
    )
    companions: dict[ContainerName, ContainerName] = Field(
        {},
        description="Where hub and proxy are containers themselves: the names by which servers "
        "know them, and the containers' names",
    )
    unreachable: list[IPv4Network] = Field(
        METADATA,
        description="Networks that servers can't reach; 0.0.0.0/0 leaves them the hub only. "
        "Clouds' metadata at 169.254.0.0/16 belong here. Of IPv6, servers reach nothing",
    )
    accounts: Literal["portal", "system"] = Field(
        "portal",
        description="Whose numbers containers run under. 'portal': one that the portal gives to "
        "each user; 'system': those of the machine's account of the same name, with its groups",
    )
    first_number: Annotated[int, Field(ge=1000, le=2_147_000_000)] = Field(
        2_001_000_000,
        description="Where the portal's numbers begin: above those of real accounts, also of a "
        "directory's. A Docker with a user namespace of its own has numbers below 65536 only",
    )
    missing_image: list[Literal["pull", "build"]] = Field(
        ["pull", "build"],
        description="What is tried, in this order, where an image isn't here; nothing means that "
        "the start is refused. Only an image that no registry knows is built",
    )
    processes_max: PositiveInt = Field(1024, description="Processes and threads of one server")
    shared_memory_gib: PositiveInt = Field(1, description="Size of /dev/shm")
    start_timeout_min: PositiveFloat = Field(
        45, description="Longest time to start, fetching or building an image included"
    )

    def traits(self, launch: Launch) -> dict[str, Any]:
        """Return the container's image, limits, networks and mounts."""
        r = launch.resources
        threads = str(r.whole_cores)
        return {
            "image": launch.image,
            "cpu_limit": r.cores,
            "mem_limit": f"{r.memory_gib:g}G",
            "default_url": launch.start_page,
            "environment": {"OMP_NUM_THREADS": threads, **launch.environment},
            "extra_host_config": self.host_config(launch),
            "notebook_dir": HOME,
            "mounts": list(map(docker_mount, launch.mounts)),
        }

    def configured(self, portal: PortalContext) -> dict[str, Any]:
        """Return names, networks, and what is done by us instead of by the stock spawner."""
        return {
            "portal": portal.identity,
            "build_command": list(portal.build_command),
            "repositories": list(portal.repositories),
            "prefix": self.prefix,
            "addresses": str(self.addresses),
            "companions": self.companions,
            "unreachable": list(map(str, self.unreachable)),
            "missing_image": self.missing_image,
            "accounts": self.accounts,
            "first_number": self.first_number,
            "pull_policy": "skip",
            "remove": True,
            "use_internal_ip": True,
            "poll_interval": 15,
            "start_timeout": round(self.start_timeout_min * 60),
        }

    def host_config(self, launch: Launch) -> dict[str, Any]:
        """Return what a container may: no rights, nothing to write but its home and /tmp."""
        r = launch.resources
        memory_bytes = round(r.memory_gib * 2**30)
        gpus = {"Driver": "nvidia", "Count": r.gpus, "Capabilities": [["gpu"]]}
        return {
            # Removed by us, once it's known why it ended.
            "auto_remove": False,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "read_only": True,
            "tmpfs": {"/tmp": f"exec,mode=1777,size={memory_bytes // 2}"},  # noqa: S108
            # No swap beside: a server that is too large ends, it doesn't slow down all others.
            "memswap_limit": memory_bytes,
            "pids_limit": self.processes_max,
            # A dump could fill the home, or reach a program of the machine.
            "ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
            "ipc_mode": "private",
            "shm_size": self.shared_memory_gib * 2**30,
            "log_config": {"Type": "json-file", "Config": {"max-size": "4m", "max-file": "1"}},
            **({"device_requests": [gpus]} if r.gpus else {}),
        }

    @property
    def names_are_accounts(self) -> bool:
        """Whether servers run under the numbers of accounts of the users' names."""
        return self.accounts == "system"

    @property
    def volume_prefix(self) -> str:
        """What the names of users' own volumes begin with."""
        return f"{self.prefix}-"

    def why_not_apart(self) -> str:
        """Return that the containers of hub and proxy have to be named."""
        if self.companions:
            return ""
        return "name them in backend.companions, so that users' networks are joined to them"

    @property
    def hub_address(self) -> str:
        """The address of this machine in the portal's first network."""
        from .networks import hub_address

        return hub_address(self.addresses)

    def prepare(self) -> None:
        """Make the network at whose gateway the hub listens.

        A daemon that is away isn't a reason not to start: pages say so, and running servers go on.
        """
        if self.companions:
            return
        from .docker_client import SILENT, connected
        from .networks import NetworkError, Plan, ensure_first

        try:
            with connected() as client:
                ensure_first(client, self.prefix, Plan(self.addresses, {}))
        except NetworkError as error:
            raise BackendError(str(error)) from None
        except SILENT:
            return

    async def sweep(self, spawners: Collection[Any], *, portal: str, state: Path) -> int:
        """Remove containers of servers that the hub gave up while Docker was silent."""
        from .strays import remove_strays

        del state
        known = {s.object_id for s in spawners} | {s.walls.id for s in spawners if s.walls}
        return await asyncio.to_thread(remove_strays, known, portal)

    def free(self) -> Free | None:
        """Return what this machine has and what is free, if it's the one that runs containers."""
        if not os.environ.get("DOCKER_HOST", "unix:").startswith("unix:"):
            return None
        from .machine import free_here

        return free_here()

    def live_checks(self) -> list[str]:
        """Return what is missing to run containers here."""
        from .docker_checks import findings

        first = self.first_number if self.accounts == "portal" else 0
        return list(findings(self.addresses, self.missing_image, self.unreachable, first))


def docker_mount(mount: Mount) -> dict[str, Any]:
    """Return a mount as Docker has it; a folder that isn't there is an error, never made."""
    return {
        "type": "bind" if mount.source.is_absolute() else "volume",
        "source": str(mount.source),
        "target": str(mount.target),
        "read_only": mount.read_only,
    }
