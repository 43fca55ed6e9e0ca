"""What a site says of its cluster, and what a job of a size asks of it then."""

from ipaddress import IPv4Address
from typing import Annotated

from pydantic import Field, PositiveFloat

from ..launch import Declared, Resources, changed_by
from .demand import Demand
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


class SlurmSettings(Where):
    """What the profile says of a cluster."""

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

    def where(self, size: str) -> Where:
        """Return what jobs of a size ask for."""
        return changed_by(Where, self, self.by_size.get(size))

    def demand(self, size: str, resources: Resources, user: str = "") -> Demand:
        """Return what a job of a size asks for."""
        where = self.where(size)
        return Demand(
            user=user,
            partition=where.partition or "",
            account=where.account or "",
            qos=where.qos or "",
            reservation=where.reservation or "",
            constraint=where.constraint or "",
            exclusive=where.exclusive,
            cores=resources.whole_cores,
            memory_mb=round(resources.memory_gib * 1024),
            gpus=resources.gpus,
            gpu_type=where.gpu_type or "",
            minutes=max(1, round(resources.walltime_h * 60)),
        )
