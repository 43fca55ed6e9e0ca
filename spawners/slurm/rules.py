"""Whose limits hold for a user's job: its association's, its QOS's, its partition's."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .demand import Demand
from .limits import Association, Limits, Machine, Partition, Qos

DEFAULT_QOS = "normal"


@dataclass(frozen=True)
class Rule:
    """Limits, and whose they are, in words."""

    whose: str
    limits: Limits

    def of(self, scope: str, kind: str) -> float | None:
        """Return how much of a kind a field of `Limits` allows, None for no limit."""
        limit: float | None = getattr(self.limits, scope).get(kind)
        return limit


@dataclass(frozen=True)
class Held:
    """All rules that hold for a job.

    Parameters
    ----------
    qos : tuple of Rule
        Those of its QOS and its partition's, in Slurm's order: the first that has a limit decides.
    own : Rule
        Its association's, which decides where no QOS does.
    above : tuple of Rule
        Those of the accounts above, which hold for all their jobs together.
    usage_factor, pace : float
        As the job's QOS has them.
    widening : float
        By how much associations allow more than they say.
    """

    qos: tuple[Rule, ...]
    own: Rule
    above: tuple[Rule, ...]
    usage_factor: float = 1.0
    pace: float = 1.0
    widening: float = 1.0

    @property
    def for_job(self) -> tuple[Rule, ...]:
        """The rules of which the first that has a limit decides about one job."""
        return (*self.qos, self.own)

    def first(self, scope: str, kind: str) -> tuple[float, str] | None:
        """Return how much of a kind one job may have, and who says so; None for no limit."""
        for rule in self.for_job:
            if (limit := self._limit(rule, scope, kind)) is not None:
                return limit, rule.whose
        return None

    def together(self, scope: str, kind: str) -> Iterator[tuple[float, Rule]]:
        """Yield how much of a kind all jobs together may have, and who says so."""
        by_qos = [rule for rule in self.qos if rule.of(scope, kind) is not None]
        for rule in by_qos[:1] or (self.own, *self.above):
            limit = self._limit(rule, scope, kind)
            if limit is not None:
                yield limit, rule

    def used(self, rule: Rule, kind: str) -> float:
        """Return what counts as used of a kind; a QOS whose jobs use nothing sees nothing used."""
        return (rule.of("used_minutes", kind) or 0.0) if self.usage_factor else 0.0

    def _limit(self, rule: Rule, scope: str, kind: str) -> float | None:
        limit = rule.of(scope, kind)
        widened = limit is not None and scope in ("per_job", "group") and rule not in self.qos
        return limit * self.widening if limit is not None and widened else limit


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


def held(partition: Partition, mine: Association, qos: str, machine: Machine) -> Held:
    """Return whose limits hold."""
    order = qos_order(partition, qos, machine.qos)
    above, account = [], mine.account
    while found := machine.of_account.get(account):
        above.append(Rule(f"account '{account}'", found.limits))
        account = found.parent
    own = machine.qos.get(qos, Qos(qos))
    factors = (machine.qos[name].limit_factor for name in order)
    return Held(
        tuple(Rule(f"QOS '{name}'", machine.qos[name].limits) for name in order),
        Rule(f"account '{mine.account}'", mine.limits),
        tuple(above),
        own.usage_factor,
        own.pace,
        next((factor for factor in factors if factor is not None), 1.0),
    )


def qos_order(partition: Partition, qos: str, known: Mapping[str, Qos]) -> list[str]:
    """Return the partition's QOS and the job's own, the first one that goes first."""
    order = [partition.qos, qos]
    if qos in known and "OverPartQOS" in known[qos].flags:
        order.reverse()
    return [name for name in dict.fromkeys(order) if name in known]
