"""Whether a size can run for a user: what Slurm would refuse, or keep waiting for ever."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from ..accounts import machine_groups
from ..amounts import counted, gib, listed, minutes_text
from ..launch import Bound
from .jobs import Node
from .limits import Association, Machine, Partition
from .rules import Demand, Rule, association, longest, qos_name, rules, time_limits

CLOSED = {"DOWN": "is down", "DRAIN": "takes no new jobs", "INACTIVE": "is closed"}
SCOPES = {"per_job": "one job", "per_node": "one job on a node", "per_user": "one user"}
AMOUNTS: Mapping[str, Callable[[float], str]] = {
    "cores": lambda count: counted(count, "core"),
    "memory_mb": gib,
    "gpus": lambda count: counted(count, "GPU"),
}
"""How amounts are said, by the names of `Amount`."""


def bound(demand: Demand, declared: bool, machine: Machine, nodes: Mapping[str, Node]) -> Bound:
    """Return what the machine makes of a size.

    Parameters
    ----------
    demand : Demand
        What its job asks for.
    declared : bool
        Whether the profile declares its walltime. Where not, the longest possible one is granted.
    machine : Machine
        What bounds jobs.
    nodes : mapping
        The nodes, by name.
    """
    if not machine.partitions:
        return Bound()
    granted = longest(demand, machine)
    if not declared and granted is not None and granted < demand.minutes:
        return Bound(
            closed=next(obstacles(replace(demand, minutes=granted), machine, nodes), ""),
            walltime_h=granted / 60,
        )
    return Bound(closed=next(obstacles(demand, machine, nodes), ""))


def obstacles(demand: Demand, machine: Machine, nodes: Mapping[str, Node]) -> Iterator[str]:
    """Yield why a job would never run, as the end of a sentence."""
    partition = machine.partitions.get(demand.partition)
    if partition is None:
        yield f"Slurm has no partition '{demand.partition}'"
        return
    yield from by_partition(demand, partition)
    mine = association(demand, machine) if "associations" in machine.enforced else None
    if mine is not None:
        yield from by_names(partition, mine, qos_name(demand, mine), machine)
    elif "associations" in machine.enforced:
        yield unknown_account(demand)
    yield from by_time(demand, machine)
    yield from by_nodes(demand, partition, nodes)
    if mine is not None and "limits" in machine.enforced:
        held = rules(partition, mine, qos_name(demand, mine), machine)
        yield from by_amounts(demand, partition, held)
        yield from by_groups(demand, partition, mine, held, machine)


def by_partition(demand: Demand, partition: Partition) -> Iterator[str]:
    """Yield what the partition itself has against it, its time aside."""
    where = f"partition '{partition.name}'"
    if partition.state != "UP":
        yield f"{where} {CLOSED.get(partition.state, 'is closed')} now"
    if partition.groups and not partition.groups & machine_groups(demand.user):
        yield f"{where} is only for members of {listed(partition.groups)}"
    if partition.least_nodes > 1:
        yield f"{where} gives at least {partition.least_nodes} nodes at once, and servers need one"
    cores, memory_mb = partition.cores_per_node, partition.memory_mb_per_node
    if cores is not None and cores_of(demand, partition) > cores:
        yield f"{where} gives at most {cores} cores of a node: {cores_text(demand, partition)}"
    if memory_mb is not None and demand.memory_mb > memory_mb:
        yield f"{where} gives at most {gib(memory_mb)} of a node: {gib(demand.memory_mb)} asked"


def by_nodes(demand: Demand, partition: Partition, nodes: Mapping[str, Node]) -> Iterator[str]:
    """Yield that no node is large enough, up or not."""
    mine = [node for node in nodes.values() if partition.name in node.partitions]
    if not mine or any(holds(node, demand, partition) for node in mine):
        return
    where = f"no node of partition '{partition.name}' has"
    cores = max(node.cores for node in mine)
    memory_mb = max(node.memory_mb for node in mine)
    gpus = max(node.gpus_of(demand.gpu_type) for node in mine)
    if cores < cores_of(demand, partition):
        yield f"{cores_text(demand, partition)}, and {where} more than {cores}"
    elif memory_mb < demand.memory_mb:
        yield f"{gib(demand.memory_mb)} asked, and {where} more than {gib(memory_mb)}"
    elif gpus < demand.gpus:
        kind = f" of type '{demand.gpu_type}'" if demand.gpu_type else ""
        yield f"{counted(demand.gpus, 'GPU')}{kind} asked, and {where} more than {gpus}"
    else:
        yield f"{where} as many cores, as much memory and as many GPUs together"


def holds(node: Node, demand: Demand, partition: Partition) -> bool:
    """Return whether a node is large enough."""
    cores = node.cores >= cores_of(demand, partition)
    gpus = node.gpus_of(demand.gpu_type) >= demand.gpus
    return cores and gpus and node.memory_mb >= demand.memory_mb


def cores_of(demand: Demand, partition: Partition) -> int:
    """Return how many cores Slurm would take: more, where memory is granted by the core."""
    by_core = partition.memory_mb_per_core
    return max(demand.cores, math.ceil(demand.memory_mb / by_core) if by_core else 0)


def unknown_account(demand: Demand) -> str:
    """Return that Slurm wouldn't take the user's jobs at all."""
    if demand.account:
        return f"Slurm lets you start no jobs with the account '{demand.account}'"
    return "Slurm knows no account that you could start jobs with"


def by_names(partition: Partition, mine: Association, qos: str, machine: Machine) -> Iterator[str]:
    """Yield who may not go where."""
    where = f"partition '{partition.name}'"
    if "qos" in machine.enforced and (qos not in machine.qos or qos not in mine.qos):
        yield f"Slurm has no QOS '{qos}', or not for you"
    for kind, name, word in (("Accounts", mine.account.lower(), "account"), ("Qos", qos, "QOS")):
        allowed, denied = partition.allowed.get(kind), partition.denied.get(kind, ())
        if (allowed and name not in allowed) or name in denied:
            yield f"{where} is not for the {word} '{name}'"


def by_time(demand: Demand, machine: Machine) -> Iterator[str]:
    """Yield that a job would take too long, the tightest limit first."""
    for minutes, whose in sorted(time_limits(demand, machine)):
        if minutes < demand.minutes:
            asked = minutes_text(demand.minutes)
            yield f"longer than {whose} allows: {asked} asked, {minutes_text(minutes)} possible"


def by_amounts(demand: Demand, partition: Partition, held: list[Rule]) -> Iterator[str]:
    """Yield what one job, or one user, may not have."""
    for rule in held:
        if 0 in (rule.limits.jobs, rule.limits.submitted):
            yield f"{rule.whose} allows no jobs now"
    for scope, to_whom in SCOPES.items():
        for kind, asked in asked_of(demand, partition).items():
            limits = ((getattr(getattr(r.limits, scope), kind), r.whose) for r in held)
            limit, whose = next((pair for pair in limits if pair[0] is not None), (None, ""))
            if limit is not None and asked > limit:
                yield too_much(whose, to_whom, kind, limit, asked)


def by_groups(
    demand: Demand, partition: Partition, mine: Association, held: list[Rule], machine: Machine
) -> Iterator[str]:
    """Yield what all jobs of a QOS, or of an account and those above it, may not have."""
    chain, account = [Rule(f"account '{mine.account}'", mine.limits)], mine.account
    while above := machine.of_account.get(account):
        chain.append(Rule(f"account '{account}'", above.limits))
        account = above.parent
    for kind, asked in asked_of(demand, partition).items():
        by_qos = [r for r in held[:-1] if getattr(r.limits.group, kind) is not None]
        for rule in by_qos[:1] or chain:
            limit = getattr(rule.limits.group, kind)
            if limit is not None and asked > limit:
                yield too_much(rule.whose, "all its jobs together", kind, limit, asked)


def asked_of(demand: Demand, partition: Partition) -> dict[str, float]:
    """Return what a job asks for, by the names of `Amount`."""
    cores = cores_of(demand, partition)
    return {"cores": cores, "memory_mb": demand.memory_mb, "gpus": demand.gpus}


def too_much(whose: str, to_whom: str, kind: str, limit: float, asked: float) -> str:
    """Return that a limit is passed."""
    return f"{whose} allows {to_whom} {AMOUNTS[kind](limit)}: {AMOUNTS[kind](asked)} asked"


def cores_text(demand: Demand, partition: Partition) -> str:
    """Return how many cores a job asks for, and why it is more than its size says."""
    cores = cores_of(demand, partition)
    if cores == demand.cores:
        return f"{counted(cores, 'core')} asked"
    return f"{counted(cores, 'core')} needed for {gib(demand.memory_mb)}"
