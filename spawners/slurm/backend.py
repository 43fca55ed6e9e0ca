"""HPC sites: each server is a batch job under the user's own account."""

import socket
import time
from collections.abc import Collection, Mapping
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PositiveFloat

from ..launch import Backend, Bound, Declared, Launch, Portal, Resources
from ..tunnels import Tunnels
from .software import Software

FORGOTTEN_S = 600
"""A way that belongs to no server for so long was left by a hub that was killed."""
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@+-]*$")]
Feature = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.&|()\[\]*-]*$")]
Lines = Annotated[str, Field(pattern=r"^[^\x00]*$")]


class Where(Declared):
    """What a job asks for beside its size."""

    partition: Word | None = None
    account: Word | None = None
    qos: Word | None = None
    reservation: Word | None = None
    constraint: Feature | None = Field(None, description="Features of nodes, as 'sbatch' has them")
    gpu_type: Word | None = Field(None, description="As gres names it: a100, h100; None for any")
    exclusive: bool = Field(False, description="Whether a server has its node for itself")


class SlurmBackend(Backend, Where):
    """A Slurm cluster whose commands the hub's host has."""

    spawner_class: ClassVar[str] = "spawners.slurm.spawner.JobSpawner"
    title: ClassVar[str] = "Batch jobs of a Slurm cluster"
    ends_servers: ClassVar[bool] = True
    queues: ClassVar[bool] = True
    kind: Literal["slurm"]
    partition: Word
    software: Software
    by_size: dict[str, Where] = Field(
        {}, description="What jobs of a size ask for instead: another partition for GPUs"
    )
    hub: IPv4Address = Field(
        IPv4Address("0.0.0.0"),  # noqa: S104
        description="The address of this machine at which jobs dial in, at the port 82 above the "
        "portal's; 0.0.0.0 listens everywhere and lets nodes find this machine by its name",
    )
    prologue: Lines = Field("", description="Shell lines of the site, run in each job first")
    query_s: Annotated[float, Field(ge=1)] = Field(
        10, description="Seconds between two questions to the controller, for all servers together"
    )
    start_timeout_min: PositiveFloat = Field(60, description="Longest time to wait in the queue")
    report_timeout_min: PositiveFloat = Field(
        10, description="Longest time from the job's begin until JupyterLab answers"
    )

    @property
    def names_are_accounts(self) -> bool:
        """Whether a user's name is that of an account of the cluster: always."""
        return True

    def where(self, size: str) -> Where:
        """Return what jobs of a size ask for."""
        asked = self.model_dump(include=set(Where.model_fields))
        instead = self.by_size.get(size)
        return Where(**asked | (instead.model_dump(exclude_unset=True) if instead else {}))

    def requests(self, size: str, r: Resources) -> dict[str, str]:
        """Return what stands behind ``#SBATCH`` in jobs of a size, by the template's names."""
        where = self.where(size)
        return {
            "partition": where.partition or "",
            "account": where.account or "",
            "qos": where.qos or "",
            "reservation": where.reservation or "",
            "constraint": where.constraint or "",
            "nprocs": str(max(1, round(r.cores))),
            "memory": f"{round(r.memory_gib * 1024)}M",
            "runtime": str(max(1, round(r.walltime_h * 60))),
            "gres": gres(r, where.gpu_type),
        }

    def traits(self, launch: Launch) -> dict[str, Any]:
        """Return the job's requests, and the command that it runs."""
        size = launch.environment.get("BEAMHUB_SIZE", "")
        requests = self.requests(size, launch.resources)
        return {
            **{f"req_{name}": value for name, value in requests.items()},
            "req_exclusive": self.where(size).exclusive,
            "use_case_folder": str(launch.folder),
            "default_url": launch.start_page,
            "environment": {"OMP_NUM_THREADS": requests["nprocs"], **self.software.told(launch)},
            "start_timeout": round((self.start_timeout_min + self.report_timeout_min) * 60),
            **self.software.traits(launch),
        }

    def configured(self, portal: Portal) -> dict[str, Any]:
        """Return what is the same for all jobs."""
        return {
            "workbench_folder": str(portal.workbench_folder),
            "constraints_file": str(portal.constraints_file),
            "tunnel_port": portal.tunnel_port,
            "prologue": self.prologue,
            "tunnel_host": socket.gethostname() if self.hub.is_unspecified else str(self.hub),
            "query_s": self.query_s,
            "report_timeout_s": round(self.report_timeout_min * 60),
            "poll_interval": max(5, round(self.query_s)),
        }

    @property
    def tunnel_address(self) -> str:
        """The address at which jobs dial in."""
        return str(self.hub)

    @property
    def from_images(self) -> bool:
        """Whether servers come from the use cases' images."""
        return self.software.from_images

    @property
    def image_folder(self) -> Path | None:
        """Where image files lie, if jobs run such."""
        return self.software.folder if self.software.from_images else None

    def obstacles(self, launch: Launch) -> list[str]:
        """Return that a launch's image file is missing."""
        return self.software.obstacles(launch)

    async def sweep(self, spawners: Collection[Any], *, portal: str, state: Path) -> int:
        """Cancel jobs of servers that the hub gave up while the controller was silent."""
        from .strays import cancel_strays
        from .submissions import Submissions

        del portal
        known = {s.mark for s in spawners}
        Tunnels(state).close_all_but(known, older_than=time.time() - FORGOTTEN_S)
        return await cancel_strays(Submissions(state), known, self.query_s)

    def bounds(self, resources: Mapping[str, Resources], user: str) -> dict[str, Bound]:
        """Return what partitions, QOS and the user's account make of sizes, as last heard."""
        from .sizes import bounds

        return bounds(self, resources, user)

    async def outlook(
        self, resources: Mapping[str, Resources], *, user: str, state: Path
    ) -> dict[str, str]:
        """Return room, who waits, and when a job of this user's would begin, for each size."""
        from .sizes import outlook

        return await outlook(self, resources, user, state)

    def live_checks(self) -> list[str]:
        """Return what is missing to run jobs from here."""
        from .checks import findings

        return list(findings(self))

    def size_checks(self, resources: Mapping[str, Resources]) -> list[str]:
        """Return what Slurm has against jobs of each size; none is started."""
        from .checks import size_findings

        return list(size_findings(self, resources))

    def job_checks(self, resources: Mapping[str, Resources], user: str, port: int) -> list[str]:
        """Run a job of a minute wherever servers would run, and return what it lacks there."""
        from .probe import job_findings

        return list(job_findings(self, resources, user, port))

    def faults(self, versions: Mapping[str, str]) -> list[str]:
        """Return what is wrong with use cases' image files."""
        return list(self.software.faults(versions))


def gres(resources: Resources, gpu_type: str | None) -> str:
    """Return GPUs as ``--gres`` has them, empty for none."""
    kind = f":{gpu_type}" if gpu_type else ""
    return f"gpu{kind}:{resources.gpus}" if resources.gpus else ""
