"""HPC sites: each server is a batch job under the user's own account."""

from collections.abc import Collection, Mapping
from ipaddress import IPv4Address
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PositiveFloat

from .launch import Backend, Declared, Launch, Resources
from .software import Software

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

    spawner_class: ClassVar[str] = "spawners.job.JobSpawner"
    title: ClassVar[str] = "Batch jobs of a Slurm cluster"
    ends_servers: ClassVar[bool] = True
    kind: Literal["slurm"]
    partition: Word
    software: Software
    by_size: dict[str, Where] = Field(
        {}, description="What jobs of a size ask for instead: another partition for GPUs"
    )
    hub: IPv4Address = Field(
        IPv4Address("0.0.0.0"),  # noqa: S104
        description="The address of this machine that nodes reach, where the hub listens; 0.0.0.0 "
        "listens everywhere and lets nodes find this machine by its name",
    )
    prologue: Lines = Field("", description="Shell lines of the site, run in each job first")
    query_s: Annotated[float, Field(ge=1)] = Field(
        10, description="Seconds between two questions to the controller, for all servers together"
    )
    start_timeout_min: PositiveFloat = Field(60, description="Longest time to wait in the queue")
    report_timeout_min: PositiveFloat = Field(
        10, description="Longest time from the job's begin until JupyterLab answers"
    )

    def where(self, size: str) -> Where:
        """Return what jobs of a size ask for."""
        asked = self.model_dump(include=set(Where.model_fields))
        instead = self.by_size.get(size)
        return Where(**asked | (instead.model_dump(exclude_unset=True) if instead else {}))

    def traits(self, launch: Launch) -> dict[str, Any]:
        """Return the job's requests, and the command that it runs."""
        r, where = launch.resources, self.where(launch.environment.get("BEAMHUB_SIZE", ""))
        threads = str(max(1, round(r.cores)))
        return {
            "req_partition": where.partition or "",
            "req_account": where.account or "",
            "req_qos": where.qos or "",
            "req_reservation": where.reservation or "",
            "req_constraint": where.constraint or "",
            "req_exclusive": where.exclusive,
            "req_nprocs": threads,
            "req_memory": f"{round(r.memory_gib * 1024)}M",
            "req_runtime": str(max(1, round(r.walltime_h * 60))),
            "req_gres": gres(r, where.gpu_type),
            "use_case_folder": str(launch.folder),
            "default_url": launch.start_page,
            "environment": {"OMP_NUM_THREADS": threads, **self.software.told(launch)},
            "start_timeout": round((self.start_timeout_min + self.report_timeout_min) * 60),
            **self.software.traits(launch),
        }

    def configured(self) -> dict[str, Any]:
        """Return what is the same for all jobs."""
        return {
            "prologue": self.prologue,
            "query_s": self.query_s,
            "report_timeout_s": round(self.report_timeout_min * 60),
            "poll_interval": max(5, round(self.query_s)),
        }

    @property
    def hub_address(self) -> str:
        """The address at which nodes reach the hub."""
        return str(self.hub)

    @property
    def from_images(self) -> bool:
        """Whether servers come from the use cases' images."""
        return self.software.from_images

    def obstacles(self, launch: Launch) -> list[str]:
        """Return that a launch's image file is missing."""
        return self.software.obstacles(launch)

    async def sweep(self, spawners: Collection[Any], portal: str) -> int:
        """Cancel jobs of servers that the hub gave up while the controller was silent."""
        from .slurm_strays import cancel_strays

        return await cancel_strays({s.job_id for s in spawners}, portal, self.query_s)

    async def outlook(self, resources: Mapping[str, Resources]) -> dict[str, str]:
        """Return how many nodes have room for each size, and how many jobs wait."""
        from .slurm_outlook import fresh, outlook_text
        from .slurm_queue import queue_of

        queue = queue_of(self.query_s)
        await fresh(queue)
        return {
            name: outlook_text(r, self.where(name).partition or "", queue.seen, queue.nodes)
            for name, r in resources.items()
        }

    def live_checks(self) -> list[str]:
        """Return what is missing to run jobs from here."""
        from .slurm_checks import findings

        return list(findings(self))

    def faults(self, versions: Mapping[str, str]) -> list[str]:
        """Return what is wrong with use cases' image files."""
        return list(self.software.faults(versions))


def gres(resources: Resources, gpu_type: str | None) -> str:
    """Return GPUs as ``--gres`` has them, empty for none."""
    kind = f":{gpu_type}" if gpu_type else ""
    return f"gpu{kind}:{resources.gpus}" if resources.gpus else ""
