"""Wait for a server that is a batch job: for its turn, for its node, for its report."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jupyterhub.spawner import SpawnException
from traitlets import Integer

from ..telling import ending_by_status, memory_full_text
from ..times import KeptTimes
from .jobs import Job, share_waited
from .outlook import WAITS
from .queue import Seen
from .submit import SubmittingSpawner
from .words import ending_of, never_text, silence_text, silent_start_text, waiting_text

LOOK_S = 0.5
WAIT_FROM, WAIT_TO = 10, 80
"""Between these lies the wait in the queue, on the bar of the pending page."""


class WaitingSpawner(SubmittingSpawner):
    """From the number of a job to the address of a server, told step by step."""

    report_timeout_s = Integer(600, help="See SlurmBackend.report_timeout_min").tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._problem = ""
        self._stirred = asyncio.Event()
        self._stirred_at = float("-inf")

    async def _wait_until_up(self) -> str:
        """Wait for a node, then until the server has reported that it listens."""
        begun, told = 0.0, Seen()
        usual = self._waits.most(self._size) or self._waits.usual(self._size)
        while not self._up:
            seen = await self.queue.look(self._stirred_at)
            job = seen.job(self.job_id, self._owner)
            self._note_silence(seen)
            if self._problem or (job and job.over):
                raise SpawnException(self._why(job), reason="ended", status_code=500)
            if job and job.runs:
                if not begun:
                    begun = time.monotonic()
                    self._remember_wait(job)
                self.report(92, f"Starting JupyterLab on {job.node}")
                self._refuse_to_wait_for_ever(begun)
            elif seen.silent_since:
                self.report(WAIT_FROM, silent_start_text(seen.silent_since))
            elif job and seen is not told:
                self._tell_waiting(job, seen, usual)
                told = seen
            await self._until_stirred()
        self.keep_state()
        return self.tunnels.url(self.mark)

    def _tell_waiting(self, job: Job, seen: Seen, usual: float | None) -> None:
        """Tell why the job waits, at which place, until when, and how much of that is over."""
        if never := never_text(job):
            raise SpawnException(never, reason="slurm", status_code=409)
        now = time.time()
        share = share_waited(job, now, usual)
        percent = WAIT_FROM + round((WAIT_TO - WAIT_FROM) * share)
        self.report(percent, waiting_text(job, seen.place(job), now, usual))

    @property
    def _size(self) -> str:
        return self.environment.get("BEAMHUB_SIZE", "")

    @property
    def _waits(self) -> KeptTimes:
        """How long jobs of each size have waited here."""
        return KeptTimes(Path(self.state_folder) / WAITS)

    def _remember_wait(self, job: Job) -> None:
        if self._size and 0 < job.submitted <= job.start:
            self._waits.record(self._size, job.start - job.submitted)

    def _refuse_to_wait_for_ever(self, begun: float) -> None:
        if time.monotonic() - begun > self.report_timeout_s:
            raise SpawnException(
                "Its job began, but JupyterLab did not answer from there. It was cancelled.",
                reason="report",
                status_code=500,
            )

    async def _until_stirred(self) -> None:
        self._stirred.clear()
        try:
            async with asyncio.timeout(LOOK_S):
                await self._stirred.wait()
        except TimeoutError:
            return

    def take_report(self, listening: bool, problem: str, output: str, memory_full: bool) -> None:
        """Take what the job itself reports: that its server listens, or why it doesn't."""
        if output:
            self.keep_log(output.encode())
        if memory_full:
            self.notice = memory_full_text(datetime.now(UTC), self._memory_mb / 1024)
            return
        self._problem = problem
        self._up = self._up or listening
        self._stirred_at = time.monotonic()
        self._stirred.set()

    def _why(self, job: Job | None) -> str:
        """Return why the job ended."""
        if self._problem or job is None:
            return self._problem
        return ending_of(job) or ending_by_status(0)

    def _note_silence(self, seen: Seen) -> None:
        """Tell that nothing is known of the server, since when."""
        since = seen.silent_since
        self.silence = silence_text(since) if since else ""
