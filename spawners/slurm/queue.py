"""One question to Slurm's controller answers for all servers, all users and all pages."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, cached_property

from .commands import CommandError, run
from .jobs import (
    ENDED_FORMAT,
    Job,
    Node,
    Rank,
    ended_of,
    jobs_of,
    line_format,
    new_mark,
    nodes_of,
    place,
    ranks_of,
)
from .limits import Machine
from .machine import ask_machine
from .question import Question, backoff

LOG = logging.getLogger(__name__)
GAP_S = 1.0
"""However often somebody asks for news, the controller isn't asked more often than this."""
MACHINE_S = 300.0
"""Partitions, QOS and accounts change seldom."""
VANISHED = "VANISHED"
"""The state of a job that neither the controller nor the accounting knows."""


@dataclass(frozen=True)
class Seen:
    """What the controller said last.

    Parameters
    ----------
    jobs : mapping
        Those that wait or run, by their numbers.
    ended : mapping
        Of jobs that were watched: how they ended.
    asked_at : float
        When the question was asked, by the clock that `time.monotonic` reads.
    silent_since : datetime or None
        Since when the controller doesn't answer, None where it does.
    """

    jobs: Mapping[str, Job] = field(default_factory=dict)
    ended: Mapping[str, Job] = field(default_factory=dict)
    asked_at: float = float("-inf")
    silent_since: datetime | None = None

    def place(self, job: Job) -> int:
        """Return a waiting job's place in the queue, from 1."""
        return place(job, self._ranks)

    @cached_property
    def _ranks(self) -> Mapping[str, list[Rank]]:
        return ranks_of(self.jobs.values())

    def job(self, number: str, owner: str) -> Job | None:
        """Return a job of an account, None where nothing is known of it now."""
        return owned(self.ended, number, owner) or owned(self.jobs, number, owner)


class Queue:
    """Asks on demand, for everybody at once, and remembers.

    Parameters
    ----------
    interval_s : float
        Seconds between two questions.
    """

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self.seen = Seen()
        self.nodes: Question[Mapping[str, Node]] = Question(ask_nodes, {}, interval_s)
        self.machine = Question(ask_machine, Machine(), MACHINE_S)
        self._watched: dict[str, tuple[str, float]] = {}
        self._failures = 0
        self._next = float("-inf")
        self._asking = asyncio.Lock()

    def watch(self, number: str, owner: str) -> None:
        """Find out how the job of an account ends when it's gone."""
        self._watched.setdefault(number, (owner, time.monotonic()))

    def forget(self, number: str) -> None:
        """Care no longer for a job."""
        self._watched.pop(number, None)

    async def look(self, newer_than: float = float("-inf")) -> Seen:
        """Return what is known of all jobs; the controller is asked if that's old.

        Parameters
        ----------
        newer_than : float, optional
            Ask earlier than usual if the last question is older: something has happened.
        """
        async with self._asking:
            now = time.monotonic()
            eager = self.seen.asked_at < newer_than and now - self.seen.asked_at >= GAP_S
            if now >= self._next or (eager and not self._failures):
                await self._ask(now)
        return self.seen

    async def _ask(self, now: float) -> None:
        try:
            jobs = await ask_jobs()
            ended = await self._fates(jobs, now)
        except CommandError as error:
            self._note_silence(error)
            return
        self._failures = 0
        # A controller that takes long to answer is given as long to do its own work.
        took = time.monotonic() - now
        self._next = time.monotonic() + max(self.interval_s, took)
        self.seen = Seen(jobs, ended, now)

    async def _fates(self, jobs: Mapping[str, Job], now: float) -> dict[str, Job]:
        """Return how watched jobs ended that are no longer in the queue."""
        gone = {
            number: owner
            for number, (owner, since) in self._watched.items()
            if since < now and owned(jobs, number, owner) is None
        }
        ended = {number: job for number, job in self.seen.ended.items() if number in gone}
        if new := {number: gone[number] for number in sorted(gone.keys() - ended.keys())}:
            ended |= await fates(new)
        return ended

    def _note_silence(self, error: CommandError) -> None:
        """Keep what was known; ask again later, and later each time, not all hubs at once."""
        self._failures += 1
        self._next = time.monotonic() + backoff(self.interval_s, self._failures)
        since = self.seen.silent_since or datetime.now(UTC)
        LOG.warning("Slurm's controller doesn't answer since %s: %s", since, error)
        self.seen = Seen(self.seen.jobs, self.seen.ended, self.seen.asked_at, since)


def owned(jobs: Mapping[str, Job], number: str, owner: str) -> Job | None:
    """Return a job if it belongs to an account: numbers begin anew, and then are others'."""
    job = jobs.get(number)
    return job if job and job.user == owner else None


async def ask_jobs(*chosen: str) -> dict[str, Job]:
    """Return the jobs that squeue tells of.

    Raises
    ------
    CommandError
        The controller could not be asked.
    """
    mark = new_mark()
    form = f"--format={line_format(mark)}"
    return jobs_of(await run("squeue", "--noheader", "--all", *chosen, form), mark)


async def ask_nodes() -> Mapping[str, Node]:
    """Return the nodes of the cluster.

    Raises
    ------
    CommandError
        The controller could not be asked.
    """
    return nodes_of(await run("scontrol", "--all", "--oneliner", "--details", "show", "nodes"))


async def fates(owners: Mapping[str, str]) -> dict[str, Job]:
    """Return how jobs ended: the controller knows for some minutes, the accounting for long.

    Parameters
    ----------
    owners : mapping
        The account of each job, by its number.

    Raises
    ------
    CommandError
        Neither could be asked.
    """
    chosen = f"--jobs={','.join(owners)}"
    known: dict[str, Job] = {}
    failures: list[CommandError] = []
    try:
        known = those_over(await ask_jobs("--states=all", chosen), owners)
    except CommandError as error:
        if "Invalid job id" not in str(error):
            failures.append(error)
    if owners.keys() - known.keys():
        command = ["sacct", "--noheader", "--allocations", "--parsable2", chosen]
        try:
            found = await run(*command, f"--format={ENDED_FORMAT}")
            known = those_over(ended_of(found), owners) | known
        except CommandError as error:
            # A cluster without accounting isn't a reason to ask for ever.
            LOG.info("sacct: %s", error)
    if failures and owners.keys() - known.keys():
        raise failures[0]
    return {n: known.get(n, Job(n, VANISHED, owner)) for n, owner in owners.items()}


def those_over(jobs: Mapping[str, Job], owners: Mapping[str, str]) -> dict[str, Job]:
    """Return the jobs that have ended, each of its account."""
    found = {number: owned(jobs, number, owner) for number, owner in owners.items()}
    return {number: job for number, job in found.items() if job and job.over}


@cache
def queue_of(interval_s: float) -> Queue:
    """Return the one queue of this process."""
    return Queue(interval_s)
