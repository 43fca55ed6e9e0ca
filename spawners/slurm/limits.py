"""What bounds jobs on a machine: its partitions, QOS and associations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

Amount = Mapping[str, float]
"""How much of what, by Slurm's names in small letters: cpu, mem (in MB), node, billing, gres/gpu,
gres/gpu:a100. What isn't there has no limit."""
WALL = "wall"
"""By that name stands among minutes how long jobs run, whatever they have."""


@dataclass(frozen=True)
class Limits:
    """What a QOS or an association allows; None for no limit.

    Parameters
    ----------
    minutes : int or None
        The longest time of a job.
    per_job, per_node, per_user, per_account, group : Amount
        What one job, one on each of its nodes, one user, one account and all jobs may have.
    job_minutes, running_minutes, group_minutes : Amount
        How much, times how long: of one job, of all that run, and of all that ever ran.
    used_minutes : Amount
        What has been used of `group_minutes`.
    jobs, submitted : int or None
        How many may run, and wait or run.
    """

    minutes: int | None = None
    per_job: Amount = field(default_factory=dict)
    per_node: Amount = field(default_factory=dict)
    per_user: Amount = field(default_factory=dict)
    per_account: Amount = field(default_factory=dict)
    group: Amount = field(default_factory=dict)
    job_minutes: Amount = field(default_factory=dict)
    running_minutes: Amount = field(default_factory=dict)
    group_minutes: Amount = field(default_factory=dict)
    used_minutes: Amount = field(default_factory=dict)
    jobs: int | None = None
    submitted: int | None = None


@dataclass(frozen=True)
class Qos:
    """A quality of service.

    Parameters
    ----------
    usage_factor : float
        By how much hours of its jobs count; jobs of one with 0 may run when all are spent.
    limit_factor : float or None
        By how much it widens what associations allow one job and all together.
    """

    name: str
    flags: frozenset[str] = frozenset()
    limits: Limits = Limits()
    usage_factor: float = 1.0
    limit_factor: float | None = None

    @property
    def pace(self) -> float:
        """How fast its jobs use up hours, as far as limits look ahead."""
        return self.usage_factor if "UsageFactorSafe" in self.flags else 1.0


@dataclass(frozen=True)
class Association:
    """What an account, or a user in it, may do."""

    account: str
    user: str = ""
    partition: str = ""
    parent: str = ""
    qos: frozenset[str] = frozenset()
    default_qos: str = ""
    limits: Limits = Limits()


@dataclass(frozen=True)
class Partition:
    """A partition.

    An empty list of those allowed lets in everybody. What a job is billed follows from `weights`;
    where there are none, it is its cores.
    """

    name: str
    state: str = "UP"
    minutes: int | None = None
    least_nodes: int = 1
    cores_per_node: int | None = None
    memory_mb_per_node: int | None = None
    memory_mb_per_core: int | None = None
    qos: str = ""
    weights: Amount = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    allowed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    denied: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Machine:
    """All that bounds jobs.

    Parameters
    ----------
    partitions : mapping
        By their names; empty where nothing is known.
    enforced : frozenset of str
        What the controller enforces: associations, limits, qos.
    qos : mapping
        By their names.
    associations : tuple of Association
        Those of users and of the accounts above them.
    accounts : mapping
        The default account of each user.
    """

    partitions: Mapping[str, Partition] = field(default_factory=dict)
    enforced: frozenset[str] = frozenset()
    qos: Mapping[str, Qos] = field(default_factory=dict)
    associations: tuple[Association, ...] = ()
    accounts: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def of_user(self) -> Mapping[str, list[Association]]:
        """The associations of each user; those of accounts by an empty name."""
        found: dict[str, list[Association]] = {}
        for one in self.associations:
            found.setdefault(one.user, []).append(one)
        return found

    @cached_property
    def of_account(self) -> Mapping[str, Association]:
        """The association of each account itself."""
        return {one.account: one for one in self.of_user.get("", [])}
