"""What a user's job asks of a cluster."""

import math
from dataclasses import dataclass

from .limits import Partition


@dataclass(frozen=True)
class Demand:
    """What a job asks for, and where.

    Parameters
    ----------
    user : str
        Whose job it is.
    partition, account, qos, gpu_type : str
        Empty account and QOS stand for the user's own, an empty type for any.
    reservation, constraint : str
        Empty for none.
    exclusive : bool
        Whether it has its node for itself.
    cores, memory_mb, gpus, minutes : int
        As they stand in the batch script.
    """

    user: str
    partition: str
    account: str
    qos: str
    cores: int
    memory_mb: int
    gpus: int
    minutes: int
    gpu_type: str = ""
    reservation: str = ""
    constraint: str = ""
    exclusive: bool = False

    @property
    def directives(self) -> dict[str, str]:
        """What stands behind ``#SBATCH``, by the template's names."""
        kind = f":{self.gpu_type}" if self.gpu_type else ""
        return {
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "reservation": self.reservation,
            "constraint": self.constraint,
            "gres": f"gpu{kind}:{self.gpus}" if self.gpus else "",
            "nprocs": str(self.cores),
            "memory": f"{self.memory_mb}M",
            "runtime": str(self.minutes),
        }


def cores_of(demand: Demand, partition: Partition) -> int:
    """Return how many cores Slurm would take: more, where memory is granted by the core."""
    by_core = partition.memory_mb_per_core
    return max(demand.cores, math.ceil(demand.memory_mb / by_core) if by_core else 0)


def asked_of(demand: Demand, partition: Partition) -> dict[str, float]:
    """Return what a job asks for, by the names of `limits.Amount`; nothing of it is 0.

    A type of GPU counts only where the job names one, as Slurm has it.
    """
    asked = {"cpu": cores_of(demand, partition), "mem": demand.memory_mb, "node": 1}
    asked["gres/gpu"] = demand.gpus
    if demand.gpu_type:
        asked[f"gres/gpu:{demand.gpu_type.lower()}"] = demand.gpus
    return {kind: amount for kind, amount in asked.items() if amount}


def is_billed(asked: dict[str, float], partition: Partition) -> bool:
    """Return whether a job costs any of Slurm's billing units."""
    weights = partition.weights or {"cpu": 1}
    return any(weights.get(kind, 0) > 0 for kind in asked)
