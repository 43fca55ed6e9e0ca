"""How long a job may run: what partition, QOS and accounts grant, and what is left of hours."""

from collections.abc import Iterator

from .demand import Demand, asked_of, is_billed
from .limits import WALL, Machine, Partition
from .rules import Held, association, held, qos_name, qos_order
from .tres import amount_text, hours_text, unit_of


def time_limits(demand: Demand, machine: Machine) -> Iterator[tuple[int, str]]:
    """Yield how many minutes a job may run, and who allows that, as the end of a sentence."""
    partition = machine.partitions.get(demand.partition)
    if partition is None:
        return
    mine = association(demand, machine)
    qos = qos_name(demand, mine) if mine else ""
    lifting = (machine.qos[name] for name in qos_order(partition, qos, machine.qos))
    lifted = any("PartitionTimeLimit" in one.flags for one in lifting)
    if partition.minutes is not None and not lifted:
        yield partition.minutes, f"partition '{partition.name}' allows"
    if mine and "limits" in machine.enforced:
        rules = held(partition, mine, qos, machine)
        first = (rule for rule in rules.for_job if rule.limits.minutes is not None)
        for rule in list(first)[:1]:
            yield rule.limits.minutes or 0, f"{rule.whose} allows"
        yield from amount_limits(demand, partition, rules, "safe" in machine.enforced)


def amount_limits(
    demand: Demand, partition: Partition, rules: Held, safe: bool
) -> Iterator[tuple[int, str]]:
    """Yield how many minutes a job that has so much may run.

    Parameters
    ----------
    safe : bool
        Whether Slurm starts a job only if all that it may use is left.
    """
    if not rules.pace:
        return
    for kind, asked in {**asked_of(demand, partition), WALL: 1.0}.items():
        used_up = asked * rules.pace  # in a minute
        if found := rules.first("job_minutes", kind):
            limit, whose = found
            yield int(limit // used_up), f"{whose} allows a job with {amount_text(kind, asked)}"
        for limit, rule in rules.together("running_minutes", kind):
            yield int(limit // used_up), f"{rule.whose} allows all its running jobs together"
        for limit, rule in rules.together("group_minutes", kind):
            left = max(0.0, limit - rules.used(rule, kind))
            if safe:
                yield int(left // used_up), f"{rule.whose} has {unit_of(kind)} hours left for"


def spent(demand: Demand, partition: Partition, rules: Held) -> Iterator[str]:
    """Yield that an allocation of hours is used up."""
    asked = asked_of(demand, partition)
    for kind in (*asked, WALL, *(["billing"] if is_billed(asked, partition) else [])):
        for limit, rule in rules.together("group_minutes", kind):
            if rules.used(rule, kind) >= limit:
                hours = hours_text(kind, limit)
                if rule is rules.own:  # what a user has of an account, nobody else spends
                    yield f"you have spent your {hours} of {rule.whose}"
                else:
                    yield f"{rule.whose} has spent its {hours}"


def longest(demand: Demand, machine: Machine) -> int | None:
    """Return the longest possible time in minutes, None for no limit."""
    return min((minutes for minutes, _ in time_limits(demand, machine)), default=None)
