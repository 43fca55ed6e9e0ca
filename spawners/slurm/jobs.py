"""What Slurm reports of jobs and nodes, read from its commands' output."""

import re
import secrets
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

SEPARATOR = "\x1f"
ASKED = ("%i", "%T", "%u", "%S", "%e", "%V", "%Q", "%P", "%B", "%r")
"""What squeue is asked of a job: nothing that its user writes. Slurm lets a name, a comment or a
folder hold any character, newlines too, and then it could pass for another job's line."""
ENDED_FORMAT = "JobIDRaw,User,State"
WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT"})
COMPLETING = "COMPLETING"
BETWEEN = frozenset({"CONFIGURING", COMPLETING})
"""Of a job that begins, or whose end isn't told yet."""
RUNNING = frozenset({"RUNNING", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING", "STAGE_OUT"})
NEARLY = 0.95
ASIDE = r"Dependency.*|JobHeld.*|BeginTime|Reservation.*|PartitionTimeLimit|PartitionNodeLimit"
"""Why a job waits that takes nobody's place."""
USABLE = frozenset({"IDLE", "MIXED", "ALLOCATED"})
HARMLESS = frozenset(
    {"CLOUD", "DYNAMIC_NORM", "PLANNED", "COMPLETING", "POWERED_DOWN", "POWERING_UP"}
)
"""What else may be said of a node on which jobs can begin."""


@dataclass(frozen=True)
class Job:
    """A job; times are seconds since 1970, 0 where Slurm names none."""

    id: str
    state: str
    user: str = ""
    reason: str = ""
    start: int = 0
    end: int = 0
    submitted: int = 0
    priority: int = 0
    partition: str = ""
    node: str = ""

    @property
    def waits(self) -> bool:
        """Whether it has no node yet."""
        return self.state in WAITING

    @property
    def partitions(self) -> list[str]:
        """Where it may run: the first that has room."""
        return self.partition.split(",")

    @property
    def in_line(self) -> bool:
        """Whether it waits for nothing but its turn."""
        return self.waits and not re.fullmatch(ASIDE, self.reason)

    @property
    def runs(self) -> bool:
        """Whether it has a node that has begun with it."""
        return self.state in RUNNING

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return not (self.waits or self.runs or self.state in BETWEEN)


@dataclass(frozen=True)
class Node:
    """A node, and what of it nobody has."""

    name: str
    address: str
    states: frozenset[str]
    partitions: frozenset[str]
    cores: int
    cores_idle: int
    memory_mb: int
    memory_idle_mb: int
    gpus: int
    gpus_idle: int
    gpu_types: Mapping[str, int] = field(default_factory=dict)

    def gpus_of(self, kind: str) -> int:
        """Return how many GPUs of a type it has; an empty one stands for any."""
        return self.gpu_types.get(kind, 0) if kind else self.gpus

    @property
    def usable(self) -> bool:
        """Whether jobs can begin on it."""
        return bool(self.states & USABLE) and not self.states - USABLE - HARMLESS


def new_mark() -> str:
    """Return what lines of the next answer begin with: nobody can have written it before."""
    return secrets.token_hex(8)


def line_format(mark: str, asked: Iterable[str] = ASKED) -> str:
    """Return what squeue shall print of each job."""
    return SEPARATOR.join([mark, *asked])


def fields_of(output: str, mark: str, count: int = len(ASKED)) -> Iterator[list[str]]:
    """Yield the fields of each line that carries the question's mark.

    All others are banners of the site's, or the rest of a text that holds newlines.
    """
    # Not splitlines(), which takes nine other characters for ends of lines.
    for line in output.split("\n"):
        found, *fields = line.split(SEPARATOR)
        if found == mark and len(fields) == count:
            yield fields


def jobs_of(output: str, mark: str) -> dict[str, Job]:
    """Return the jobs in squeue's output, whatever stands around them."""
    return {job.id: job for job in map(job_of, fields_of(output, mark))}


def job_of(fields: list[str]) -> Job:
    """Return a job from the fields of `ASKED`."""
    id_, state, user, start, end, submitted, priority, partition, node, reason = fields
    return Job(
        id_,
        state,
        user,
        reason,
        number(start),
        number(end),
        number(submitted),
        number(priority),
        partition,
        node,
    )


def ended_of(output: str) -> dict[str, Job]:
    """Return the jobs in sacct's output ``--parsable2 --format=ENDED_FORMAT``."""
    lines = (line.split("|") for line in output.split("\n") if line.count("|") == 2)
    return {
        # 'CANCELLED by 1000'
        id_: Job(id_, state.partition(" ")[0], user)
        for id_, user, state in lines
        if id_.isdecimal()
    }


def nodes_of(output: str) -> dict[str, Node]:
    """Return the nodes in the output of ``scontrol --oneliner --details show nodes``."""
    lines = (line for line in output.split("\n") if line.startswith("NodeName="))
    return {node.name: node for node in map(node_of, lines)}


def node_of(line: str) -> Node:
    """Return a node from its line."""
    about = words_of(line)
    cores, memory = number(about.get("CPUEfctv") or about["CPUTot"]), number(about["RealMemory"])
    gpus = gpus_in(about.get("Gres", ""))
    return Node(
        name=about["NodeName"],
        address=about.get("NodeAddr") or about["NodeName"],
        states=frozenset(about["State"].rstrip("*~#!%$@^-").split("+")),
        partitions=frozenset(about.get("Partitions", "").split(",")),
        cores=cores,
        cores_idle=cores - number(about["CPUAlloc"]),
        memory_mb=memory,
        memory_idle_mb=memory - number(about["AllocMem"]),
        gpus=sum(gpus.values()),
        gpus_idle=sum(gpus.values()) - sum(gpus_in(about.get("GresUsed", "")).values()),
        gpu_types=gpus,
    )


def words_of(line: str) -> dict[str, str]:
    """Return the words ``name=value`` of a line, which stand among texts of the site's."""
    found: dict[str, str] = {}
    for name, value in re.findall(r"(?:^|\s)([A-Za-z_/:]+)=(\S*)", line):
        found.setdefault(name, value)
    return found


def gpus_in(gres: str) -> dict[str, int]:
    """Return how many GPUs of each type a list such as ``gpu:a100:4(S:0-1),gpu:2`` has."""
    found: Counter[str] = Counter()
    for kind, count in re.findall(r"(?:^|,)gpu(?::([^:,(]+))?:(\d+)(?=[,(]|$)", gres):
        found[kind] += int(count)
    return dict(found)


def number(text: str) -> int:
    """Return a whole number, 0 where there is none: 'N/A', 'Unknown'."""
    return int(text) if text.isdecimal() else 0


Rank = tuple[int, int, int]


def rank(job: Job) -> Rank:
    """Return what Slurm sorts waiting jobs by: priority, then how long they have waited."""
    return -job.priority, job.submitted, number(job.id)


def ranks_of(jobs: Iterable[Job]) -> dict[str, list[Rank]]:
    """Return the jobs that wait for their turn in each partition, the first one first.

    Jobs that are held, or wait for others, are in nobody's way.
    """
    ranks: dict[str, list[Rank]] = {}
    for job in jobs:
        if job.in_line:
            for partition in job.partitions:
                ranks.setdefault(partition, []).append(rank(job))
    return {partition: sorted(found) for partition, found in ranks.items()}


def place(job: Job, ranks: Mapping[str, list[Rank]]) -> int:
    """Return a waiting job's place in its partition, from 1; of several, the best."""
    return 1 + min(bisect_left(ranks.get(one, []), rank(job)) for one in job.partitions)


def share_waited(job: Job, now: float, usual: float | None) -> float:
    """Return how much of a job's wait is over, from 0 to 1.

    Parameters
    ----------
    job : Job
        One that waits.
    now : float
        Seconds since 1970.
    usual : float or None
        How many seconds such jobs wait; asked where Slurm itself expects nothing.
    """
    waited = max(0, now - job.submitted)
    total = job.start - job.submitted if job.start > now else usual or 0
    # What takes longer than was expected comes near its end, and is told to be there by none.
    return min(waited / total, NEARLY) if total > 0 else 0
