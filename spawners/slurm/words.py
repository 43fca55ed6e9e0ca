"""What Slurm says, in the words of those who use a server."""

import re
from datetime import UTC, datetime

from ..amounts import minutes_text, seconds_text
from .jobs import Job
from .queue import VANISHED

NO_CONTROLLER = (
    "Slurm, which runs servers on this cluster, doesn't answer. Nothing of yours is lost. Try "
    "again in a few minutes."
)
TURN = "Waiting for its turn"
NODE = "Waiting for free cores, memory or GPUs"
LIMIT_USER = "You have as many jobs or cores as {who} allows one user; it waits for one to end"
LIMIT_GROUP = "Your group's account has all that it may use at once; it waits for a job to end"
REASONS = (
    (r"Priority", TURN),
    (r"Resources|Nodes?Busy", NODE),
    (r"None|Cleaning|BeginTime|Prolog|JobLaunch.*", "Waiting for the scheduler's next look"),
    (
        r"(Assoc|QOS)Max(Wall|.*Minutes).*PerJob.*",
        "This size asks for more time, or cores and GPUs for so long, than Slurm allows one job",
    ),
    (r"QOS.*PerUser.*|QOSMaxCpu.*|QOSMaxMem.*", LIMIT_USER.format(who="this queue")),
    (r"Assoc.*PerUser.*|AssocMaxJobsLimit", LIMIT_USER.format(who="this site")),
    (r"(Assoc|QOS)Grp.*RunMin.*", LIMIT_GROUP),
    (r"(Assoc|QOS)Grp.*(Minutes|Wall).*", "Your account's computing time is used up"),
    (r"AssocGrp.*|QOSGrp.*", LIMIT_GROUP),
    (
        r"ReqNodeNotAvail.*|NodeDown|PartitionDown|PartitionInactive",
        "The nodes that it needs are down, drained or reserved for maintenance",
    ),
    (r"Reservation.*", "Waiting for the reservation to begin"),
    (r"JobHeldAdmin|JobHeldUser|job_requeued.*", "It is held: an operator has to release it"),
    (
        r"PartitionTimeLimit|PartitionNodeLimit|PartitionConfig|BadConstraints",
        "This size asks for more time, cores, memory or GPUs than its partition ever grants",
    ),
    (r"Licenses", "Waiting for a free licence of a program"),
)
NEVER = re.compile(
    r"PartitionTimeLimit|PartitionNodeLimit|PartitionConfig|BadConstraints"
    r"|(Assoc|QOS)Max(Wall|.*Minutes).*PerJob.*"
)
"""Reasons that no waiting ends."""
ENDINGS = {
    "TIMEOUT": "Its time was over: Slurm ended it at the limit of its size. Start it again to go "
    "on, with a size that grants more time if it needs that.",
    "DEADLINE": "Slurm ended it at a deadline.",
    "OUT_OF_MEMORY": "It ran out of memory: it wanted more than its size grants. Start it with a "
    "larger size, or work on less at a time.",
    "NODE_FAIL": "The node that it ran on has failed. Start it again: it will go to another one.",
    "BOOT_FAIL": "The node that was to run it did not come up. Start it again.",
    "PREEMPTED": "Slurm ended it to make room for jobs that go first. Start it again: it waits for "
    "its turn.",
    "FAILED": "Something on its node ended it: where its memory was full, a larger size helps, or "
    "to work on less at a time.",
    "CANCELLED": "Its job was cancelled from outside of the portal, by you or an operator.",
    "REVOKED": "Its job was moved away to another cluster.",
    VANISHED: "Its job is gone, and Slurm doesn't say why.",
}
OWN_MAX = 300
REFUSALS = (
    (
        r"invalid account|account/partition combination",
        "Slurm lets you start no jobs with the account that this site uses: you may have to be "
        "added to it.",
    ),
    (r"invalid partition", "This site's profile names a partition that Slurm doesn't have."),
    (r"invalid qos", "This site's profile names a QOS that Slurm doesn't have, or not for you."),
    (
        r"MaxSubmit|job submit limit|AssocMaxSubmitJobLimit|QOSMaxSubmit",
        "You have as many jobs waiting and running as this cluster allows one user. Stop a server "
        "or cancel a job, then try again.",
    ),
    (
        r"time limit|Requested time",
        "This size asks for more time than the partition grants: choose another.",
    ),
    (
        r"node configuration is not available|memory specification|CPU count|More processors",
        "No node of this cluster is as large as this size: choose a smaller one.",
    ),
    (r"feature", "No node of this cluster has what this size asks for: choose another."),
    (r"reservation", "The reservation that this site uses is not there now, or not for you."),
    (r"invalid (generic resource|gres)|gres", "This cluster has no such GPU: choose another size."),
    (r"partition .*(down|inactive|drain)|Required partition", "The partition is closed now."),
    (
        r"password is required|not allowed to execute|not in the sudoers",
        "The portal may not start jobs for you: its sudo rule doesn't include your account.",
    ),
    (r"Unable to contact|controller|Socket timed out|communication", NO_CONTROLLER),
)


def reason_of(reason: str) -> str:
    """Return why a job waits; Slurm's own word where nobody has translated it yet."""
    for pattern, words in REASONS:
        if re.fullmatch(pattern, reason):
            return words
    return f"Waiting; Slurm names the reason '{reason}'"


def never_text(job: Job) -> str:
    """Return that a job would wait for ever, empty where it may begin."""
    if not (job.waits and NEVER.fullmatch(job.reason)):
        return ""
    return f"{reason_of(job.reason)}, so its job was cancelled. Choose another size."


def ending_of(job: Job) -> str:
    """Return why a job ended that has told nothing itself; empty where it ended in order."""
    if job.state == "COMPLETED":
        return ""
    return ENDINGS.get(job.state, f"Slurm ended its job: {job.state}.")


def refusal_of(text: str) -> str:
    """Return why sbatch refused, with its own words behind."""
    lines = [re.sub(r"^(sbatch|sudo): ", "", line) for line in text.splitlines()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    own = " ".join(" ".join(errors or lines).split())
    # What a site announces comes first, and is as long as the site likes.
    own = own if len(own) <= OWN_MAX else f"… {own[-OWN_MAX:]}"
    for pattern, words in REFUSALS:
        if re.search(pattern, text, re.IGNORECASE):
            return words if words == NO_CONTROLLER else f"{words} Slurm says: {own}"
    return f"Slurm refused the job: {own}"


def waiting_text(job: Job, place: int, now: float, usual: float | None = None) -> str:
    """Return how a waiting job's server is told of.

    Parameters
    ----------
    job : Job
        One that waits.
    place : int
        Its place in the queue, from 1.
    now : float
        Seconds since 1970.
    usual : float, optional
        How many seconds such jobs wait; told where Slurm itself expects nothing.
    """
    text = reason_of(job.reason)
    if text in (TURN, NODE):
        text = f"{text}: number {place} in the queue"
    if job.start > now:
        return f"{text}. Slurm expects it to begin {in_text(job.start - now)}"
    if usual is not None and job.in_line:
        return f"{text}. Here nearly all begin within {seconds_text(usual)}"
    return text


def in_text(seconds: float) -> str:
    """Return when something will be, as coarse as such estimates are."""
    minutes = max(1, round(seconds / 60))
    if minutes < 10:
        return f"in about {minutes} min"
    if minutes < 90:
        return f"in about {round(minutes, -1) or 10} min"
    return f"in about {round(minutes / 60)} h"


def silence_text(since: datetime) -> str:
    """Return that nothing is known of a server."""
    return (
        f"Slurm, which runs it, has not answered since {since.astimezone(UTC):%H:%M} UTC. The "
        "server may go on all the same, but the portal can't see it."
    )


def silent_start_text(since: datetime) -> str:
    """Return that nothing is known of a server that waits."""
    return (
        f"Slurm has not answered since {since.astimezone(UTC):%H:%M} UTC. The job keeps its place, "
        "and this page goes on as soon as Slurm answers again"
    )


def ending_soon_text(seconds: float) -> str:
    """Return that a server's time is nearly over."""
    return (
        f"Slurm ends it in {minutes_text(max(1, round(seconds / 60)))}. Save your work; afterwards "
        "it can be started again."
    )
