"""Whether a size can run for a user: what Slurm would refuse, or keep waiting for ever."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ..accounts import machine_groups
from ..amounts import counted, gib, listed, minutes_text
from ..launch import Bound
from .demand import Demand, asked_of, cores_of
from .hours import longest, spent, time_limits
from .jobs import Node
from .limits import Association, Machine, Partition
from .rules import Held, association, held, qos_name
from .tres import amount_text

CLOSED = {"DOWN": "is down", "DRAIN": "takes no new jobs", "INACTIVE": "is closed"}
SCOPES = {
    "per_job": "one job",
    "per_node": "one job on a node",
    "per_user": "one user",
    "per_account": "one account",
}


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
        least = max(1, granted)  # where there is no time at all, that is what closes it
        return Bound(
            closed=next(obstacles(replace(demand, minutes=least), machine, nodes), ""),
            walltime_h=least / 60,
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
    rules = None
    if mine is not None:
        qos = qos_name(demand, mine)
        yield from by_names(partition, mine, qos, machine)
        if "limits" in machine.enforced:
            rules = held(partition, mine, qos, machine)
            yield from spent(demand, partition, rules)
    elif "associations" in machine.enforced:
        yield unknown_account(demand)
    yield from by_time(demand, machine)
    yield from by_nodes(demand, partition, nodes)
    if rules is not None:
        yield from by_amounts(demand, partition, rules)


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
            yield f"longer than {whose}: {asked} asked, {minutes_text(minutes)} possible"


def by_amounts(demand: Demand, partition: Partition, rules: Held) -> Iterator[str]:
    """Yield what one job, one user, or all jobs together may not have."""
    for rule in rules.for_job:
        if 0 in (rule.limits.jobs, rule.limits.submitted):
            yield f"{rule.whose} allows no jobs now"
    for kind, asked in asked_of(demand, partition).items():
        for scope, to_whom in SCOPES.items():
            if (found := rules.first(scope, kind)) and asked > found[0]:
                yield too_much(found[1], to_whom, kind, found[0], asked)
        for limit, rule in rules.together("group", kind):
            if asked > limit:
                yield too_much(rule.whose, "all its jobs together", kind, limit, asked)


def too_much(whose: str, to_whom: str, kind: str, limit: float, asked: float) -> str:
    """Return that a limit is passed."""
    if not limit:
        return f"{whose} allows {to_whom} no {amount_text(kind, 0).removeprefix('0 ')}"
    return f"{whose} allows {to_whom} {amount_text(kind, limit)}: {amount_text(kind, asked)} asked"


def cores_text(demand: Demand, partition: Partition) -> str:
    """Return how many cores a job asks for, and why it is more than its size says."""
    cores = cores_of(demand, partition)
    if cores == demand.cores:
        return f"{counted(cores, 'core')} asked"
    return f"{counted(cores, 'core')} needed for {gib(demand.memory_mb)}"
