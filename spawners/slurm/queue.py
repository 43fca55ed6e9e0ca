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
    FORMAT,
    Job,
    Node,
    Rank,
    ended_of,
    jobs_of,
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

    def job(self, number: str) -> Job | None:
        """Return a job, None where nothing is known of it now."""
        return self.ended.get(number) or self.jobs.get(number)


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
        self._watched: dict[str, float] = {}
        self._failures = 0
        self._next = float("-inf")
        self._asking = asyncio.Lock()

    def watch(self, number: str) -> None:
        """Find out how the job ends when it's gone."""
        self._watched.setdefault(number, time.monotonic())

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
            jobs = jobs_of(await run("squeue", "--noheader", "--all", f"--format={FORMAT}"))
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
        gone = {number for number, since in self._watched.items() if since < now} - jobs.keys()
        ended = {number: job for number, job in self.seen.ended.items() if number in gone}
        if new := sorted(gone - ended.keys()):
            ended |= await fates(new)
        return ended

    def _note_silence(self, error: CommandError) -> None:
        """Keep what was known; ask again later, and later each time, not all hubs at once."""
        self._failures += 1
        self._next = time.monotonic() + backoff(self.interval_s, self._failures)
        since = self.seen.silent_since or datetime.now(UTC)
        LOG.warning("Slurm's controller doesn't answer since %s: %s", since, error)
        self.seen = Seen(self.seen.jobs, self.seen.ended, self.seen.asked_at, since)

    async def address_of(self, node: str) -> str:
        """Return a node's address; its name where the controller names none."""
        known = self.nodes.answer.get(node) or (await self.nodes.fresh()).get(node)
        return known.address if known else node


async def ask_nodes() -> Mapping[str, Node]:
    """Return the nodes of the cluster.

    Raises
    ------
    CommandError
        The controller could not be asked.
    """
    return nodes_of(await run("scontrol", "--all", "--oneliner", "--details", "show", "nodes"))


async def fates(numbers: list[str]) -> dict[str, Job]:
    """Return how jobs ended: the controller knows for some minutes, the accounting for long.

    Raises
    ------
    CommandError
        Neither could be asked.
    """
    chosen = f"--jobs={','.join(numbers)}"
    known: dict[str, Job] = {}
    failures: list[CommandError] = []
    try:
        found = await run(
            "squeue", "--noheader", "--all", "--states=all", chosen, f"--format={FORMAT}"
        )
        known = {number: job for number, job in jobs_of(found).items() if job.over}
    except CommandError as error:
        if "Invalid job id" not in str(error):
            failures.append(error)
    if set(numbers) - known.keys():
        command = ["sacct", "--noheader", "--allocations", "--parsable2", chosen]
        try:
            found = await run(*command, f"--format={ENDED_FORMAT}")
            known = {n: job for n, job in ended_of(found).items() if job.over} | known
        except CommandError as error:
            # A cluster without accounting is no reason to ask for ever.
            LOG.info("sacct: %s", error)
    if failures and set(numbers) - known.keys():
        raise failures[0]
    return {number: known.get(number, Job(number, VANISHED)) for number in numbers}


@cache
def queue_of(interval_s: float) -> Queue:
    """Return the one queue of this process."""
    return Queue(interval_s)
