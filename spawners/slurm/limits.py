"""What bounds jobs on a machine: its partitions, QOS and associations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Amount:
    """What one job, one user or one group may have of each; None for no limit."""

    cores: float | None = None
    memory_mb: float | None = None
    gpus: float | None = None


@dataclass(frozen=True)
class Limits:
    """What a QOS or an association allows; None for no limit."""

    minutes: int | None = None
    per_job: Amount = Amount()
    per_node: Amount = Amount()
    per_user: Amount = Amount()
    group: Amount = Amount()
    jobs: int | None = None
    submitted: int | None = None


@dataclass(frozen=True)
class Qos:
    """A quality of service."""

    name: str
    flags: frozenset[str] = frozenset()
    limits: Limits = Limits()


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
    """A partition; an empty list of those allowed lets in everybody."""

    name: str
    state: str = "UP"
    minutes: int | None = None
    least_nodes: int = 1
    cores_per_node: int | None = None
    memory_mb_per_node: int | None = None
    memory_mb_per_core: int | None = None
    qos: str = ""
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
