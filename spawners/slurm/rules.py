"""Whose limits hold for a user's job: its association's, its QOS's, its partition's."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .limits import Association, Limits, Machine, Partition, Qos

DEFAULT_QOS = "normal"


@dataclass(frozen=True)
class Demand:
    """What a job asks for, and where.

    Parameters
    ----------
    user : str
        Whose job it is.
    partition, account, qos, gpu_type : str
        Empty account and QOS stand for the user's own, an empty type for any.
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


@dataclass(frozen=True)
class Rule:
    """Limits, and whose they are, in words."""

    whose: str
    limits: Limits


def association(demand: Demand, machine: Machine) -> Association | None:
    """Return what the user's job would belong to, None where Slurm wouldn't take it."""
    account = demand.account or machine.accounts.get(demand.user, "")
    mine = {
        one.partition: one
        for one in machine.of_user.get(demand.user, [])
        if one.account.lower() == account.lower()
    }
    return mine.get(demand.partition) or mine.get("")


def qos_name(demand: Demand, mine: Association) -> str:
    """Return the QOS that the job would have."""
    only = next(iter(mine.qos)) if len(mine.qos) == 1 else DEFAULT_QOS
    return demand.qos.lower() or mine.default_qos or only


def rules(partition: Partition, mine: Association, qos: str, machine: Machine) -> list[Rule]:
    """Return whose limits hold, in Slurm's order: the first that has a limit decides it."""
    found = [
        Rule(f"QOS '{name}'", machine.qos[name].limits)
        for name in qos_order(partition, qos, machine.qos)
    ]
    return [*found, Rule(f"account '{mine.account}'", mine.limits)]


def qos_order(partition: Partition, qos: str, known: Mapping[str, Qos]) -> list[str]:
    """Return the partition's QOS and the job's own, the first one that goes first."""
    order = [partition.qos, qos]
    if qos in known and "OverPartQOS" in known[qos].flags:
        order.reverse()
    return [name for name in dict.fromkeys(order) if name in known]


def time_limits(demand: Demand, machine: Machine) -> Iterator[tuple[int, str]]:
    """Yield how many minutes a job may run, and who says so."""
    partition = machine.partitions.get(demand.partition)
    if partition is None:
        return
    mine = association(demand, machine)
    limited = "limits" in machine.enforced and mine is not None
    qos = qos_name(demand, mine) if mine else ""
    lifting = (machine.qos[name] for name in qos_order(partition, qos, machine.qos))
    lifted = any("PartitionTimeLimit" in one.flags for one in lifting)
    if partition.minutes is not None and not lifted:
        yield partition.minutes, f"partition '{partition.name}'"
    if limited and mine:
        held = (rule for rule in rules(partition, mine, qos, machine))
        first = next((rule for rule in held if rule.limits.minutes is not None), None)
        if first and first.limits.minutes is not None:
            yield first.limits.minutes, first.whose


def longest(demand: Demand, machine: Machine) -> int | None:
    """Return the longest possible time in minutes, None for no limit."""
    return min((minutes for minutes, _ in time_limits(demand, machine)), default=None)
