"""Start a user's server as a batch job of Slurm, under the user's own account."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

from batchspawner.batchspawner import JobStatus
from jupyterhub.spawner import SpawnException

from ..accounts import AccountError, person
from ..environments import BuildError
from .commands import CommandError, run_as
from .jobs import COMPLETING, Job
from .wait import LOOK_S, WaitingSpawner
from .words import ending_soon_text

WARN_S = 15 * 60
STOP_S = 20


class JobSpawner(WaitingSpawner):
    """What the stock spawner lacks: one question for all, a closed script, progress, reasons.

    A controller that doesn't answer is no end of a server: the hub keeps it, and says so. A job
    that waits or begins outlives the hub as one that runs does.
    """

    http_timeout: int

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._http_timeout = self.http_timeout
        self._unwanted = False
        self._ends_soon = False

    async def start(self) -> str:
        """Start the server; what it waits for is told on the pending page."""
        self.begin_telling()
        self.http_timeout = self._http_timeout
        self._up, self._problem, self._unwanted = False, "", False
        try:
            await self.submit_batch_script()
        except BuildError as error:
            self.log.error("Building for %s failed:\n%s", self._log_name, error.log)
            self.keep_log(error.log.encode())
            raise SpawnException(str(error), reason="environment", status_code=503) from None
        except AccountError as error:
            raise SpawnException(str(error), reason="account", status_code=403) from None
        return await self._wait_until_up()

    # Running.

    async def query_job_status(self) -> JobStatus:
        """Return what is known of the job now, without a question of its own."""
        if not self.job_id:
            return JobStatus.NOTFOUND
        job = (await self.queue.look()).job(self.job_id, self._owner)
        if job is None:
            return JobStatus.UNKNOWN
        if job.over:
            return JobStatus.NOTFOUND
        return JobStatus.PENDING if job.waits else JobStatus.RUNNING

    async def poll(self) -> str | int | None:
        """Return None while the job is there, as far as is known; else how it ended."""
        if not self.job_id:
            return 0
        seen = await self.queue.look(self._stirred_at)
        job = seen.job(self.job_id, self._owner)
        self._note_silence(seen)
        if job is None or not job.over:
            self._note_end(job)
            return None
        self.tell_ending(self._why(job))
        self.log.warning("%s has ended: job %s, %s", self._log_name, self.job_id, job.state)
        return job.state

    def _note_end(self, job: Job | None) -> None:
        """Tell how long it has still, when that is little."""
        if job is None or not job.end:
            return
        self.ends_at = datetime.fromtimestamp(job.end, UTC).replace(tzinfo=None)
        left = job.end - time.time()
        if job.runs and left < WARN_S:
            self.notice, self._ends_soon = ending_soon_text(left), True
        elif self._ends_soon:  # an operator has given it more
            self.notice, self._ends_soon = "", False

    async def get_url(self) -> str:
        """Return the server's address.

        JupyterHub asks for it after its own restart. A job that was waiting then is waited for
        here, so that its start goes on as if nothing had been.
        """
        if self.job_id and not self._up:
            try:
                await self._wait_until_up()
            except SpawnException as error:
                self.ending = "" if self._unwanted else str(error.message)
                self.http_timeout = 1  # nothing will come up there
        return str(self.server.url)

    # Ending.

    async def cancel_batch_job(self) -> None:
        """Cancel the job as its user."""
        if self.job_id:
            await run_as(person(self.user.name), "scancel", self.job_id)

    async def stop(self, now: bool = False) -> None:
        """Cancel the job; a controller that doesn't answer is asked again by the sweep."""
        self._unwanted = True
        try:
            await self.cancel_batch_job()
        except CommandError as error:
            self.log.error("scancel of %s: %s", self._log_name, error)
            self.ending = (
                "Slurm did not answer when this server was stopped. What is left of it ends as "
                "soon as Slurm answers again."
            )
            return
        if not now:
            await self._wait_until_gone()

    async def _wait_until_gone(self) -> None:
        asked = time.monotonic()
        while time.monotonic() < asked + STOP_S:
            job = (await self.queue.look(time.monotonic() - 1)).job(self.job_id, self._owner)
            if job is None or job.over or job.state == COMPLETING:
                return
            await asyncio.sleep(LOOK_S)
