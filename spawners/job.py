"""Start a user's server as a batch job of Slurm, under the user's own account."""

import asyncio
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batchspawner import SlurmSpawner
from batchspawner.batchspawner import JobStatus
from jupyterhub.spawner import SpawnException
from traitlets import Bool, Float, Instance, Integer, List, Unicode

from . import environments
from .accounts import AccountError, person
from .environments import BuildError, Recipe
from .payload import payload
from .slurm_commands import CommandError, NoAnswerError, run_as
from .slurm_jobs import COMPLETING, Job, position
from .slurm_queue import Queue, Seen, queue_of
from .slurm_script import Need, job_name, job_script
from .slurm_words import (
    NO_CONTROLLER,
    ending_of,
    ending_soon_text,
    never_text,
    refusal_of,
    silence_text,
    silent_start_text,
    waiting_text,
)
from .telling import TellingSpawner, ending_by_status

PERSONAL = {"USER", "HOME", "SHELL", "PATH"}
"""The node knows these better than the hub."""
WARN_S = 15 * 60
LOOK_S = 0.5
STOP_S = 20


class JobSpawner(TellingSpawner, SlurmSpawner):
    """What the stock spawner lacks: one question for all, a closed script, progress, reasons.

    A controller that doesn't answer is no end of a server: the hub keeps it, and says so. A job
    that waits or begins outlives the hub as one that runs does.
    """

    http_timeout: int

    portal = Unicode(help="The name of all jobs of this portal").tag(config=True)
    query_s = Float(10, help="See SlurmBackend.query_s").tag(config=True)
    report_timeout_s = Integer(600, help="See SlurmBackend.report_timeout_min").tag(config=True)
    prologue = Unicode(help="See SlurmBackend.prologue").tag(config=True)
    workbench_folder = Unicode(help="The package that notebooks import").tag(config=True)
    constraints_file = Unicode("", help="Versions for every environment").tag(config=True)
    use_case_folder = Unicode(help="Notebooks, manifest and requirements of the use case")
    command = List(Unicode(), help="What the job runs")
    needs = List(Instance(Need), help="What has to be on its node, see slurm_script.Need")
    variable_prefix = Unicode(help="What a container wants before the names of variables")
    shared_folder = Unicode(help="Where the hub puts what jobs read; empty for nowhere")
    makes_environment = Bool(False, help="Whether the hub makes the software's environment")
    req_constraint = Unicode(help="Features of nodes")
    req_exclusive = Bool(False, help="Whether the node is for this job alone")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.env_keep: list[str] = []
        self._http_timeout = self.http_timeout
        self._address = ""
        self._port = 0
        self._problem = ""
        self._unwanted = False
        self._stirred = asyncio.Event()
        self._stirred_at = float("-inf")

    @property
    def queue(self) -> Queue:
        """What all jobs of this hub ask."""
        return queue_of(self.query_s)

    # Starting.

    async def start(self) -> tuple[str, int]:
        """Start the server; what it waits for is told on the pending page."""
        self.begin_telling()
        self.http_timeout = self._http_timeout
        self._address, self._port, self._problem, self._unwanted = "", 0, "", False
        try:
            await self.submit_batch_script()
        except BuildError as error:
            self.log.error("Building for %s failed:\n%s", self._log_name, error.log)
            self.keep_log(error.log.encode())
            raise SpawnException(str(error), reason="environment", status_code=503) from None
        except AccountError as error:
            raise SpawnException(str(error), reason="account", status_code=403) from None
        return await self._wait_until_up()

    async def submit_batch_script(self) -> str:
        """Submit the job, and keep its number at once: the hub may end at any moment."""
        account = person(self.user.name)
        variables = {**self._variables(), **await self._have_software()}
        script = job_script(
            self._requests(),
            command=self.command,
            variables=variables,
            prefix=self.variable_prefix,
            needs=self.needs,
            prologue=self.prologue,
            exclusive=self.req_exclusive,
        )
        self.report(86, "Handing it to Slurm")
        try:
            said = await run_as(account, "sbatch", "--parsable", text=script)
        except CommandError as error:
            self.log.error("sbatch refused %s: %s", self._log_name, error)
            text = NO_CONTROLLER if isinstance(error, NoAnswerError) else refusal_of(str(error))
            raise SpawnException(text, reason="slurm", status_code=503) from None
        # Banners may stand around it; with several clusters, ';' and a name follow.
        found = re.findall(r"^(\d+)(?:;\S+)?$", said, re.MULTILINE)
        if not found:
            raise SpawnException(refusal_of(said), reason="slurm", status_code=503)
        self.job_id = found[-1]
        self.queue.watch(self.job_id)
        self.keep_state()
        self.log.info("%s is job %s", self._log_name, self.job_id)
        return str(self.job_id)

    def _requests(self) -> dict[str, str]:
        names = ("partition", "account", "qos", "reservation", "constraint", "gres")
        requests = {name: getattr(self, f"req_{name}") for name in names}
        sizes = {name: getattr(self, f"req_{name}") for name in ("nprocs", "memory", "runtime")}
        return {"name": job_name(self.portal, self.name), **requests, **sizes}

    def _variables(self) -> dict[str, str]:
        return {name: value for name, value in self.get_env().items() if name not in PERSONAL}

    async def _have_software(self) -> dict[str, str]:
        """Put notebooks and environment where jobs read them, and return what tells of it."""
        if not self.shared_folder:
            return {}
        shared, use_case = Path(self.shared_folder), Path(self.use_case_folder)
        told = {"BEAMHUB_NOTEBOOKS": str(payload(shared / "usecases", use_case))}
        if not self.makes_environment:
            return told
        recipe = Recipe(
            requirements=use_case / "requirements.txt",
            constraints=Path(self.constraints_file) if self.constraints_file else None,
            workbench=Path(self.workbench_folder),
        )
        made = await environments.ensure(shared / "environments", recipe, self.report)
        path = f"{made}/bin:/usr/local/bin:/usr/bin:/bin"
        return {**told, "PATH": path, "VIRTUAL_ENV": str(made)}

    async def _wait_until_up(self) -> tuple[str, int]:
        """Wait for a node, then until the server has reported where it listens."""
        begun = 0.0
        while not (self._address and self._port):
            seen = await self.queue.look(self._stirred_at)
            job = seen.job(self.job_id)
            self._note_silence(seen)
            if self._problem or (job and job.over):
                raise SpawnException(self._why(job), reason="ended", status_code=500)
            if job and job.runs:
                begun = begun or time.monotonic()
                self.report(92, f"Starting JupyterLab on {job.node}")
                await self._take_address(job)
                self._refuse_to_wait_for_ever(begun)
            elif seen.silent_since:
                self.report(10, silent_start_text(seen.silent_since))
            elif job:
                self._tell_waiting(job, seen)
            await self._until_stirred()
        self.keep_state()
        return self._address, self._port

    def _tell_waiting(self, job: Job, seen: Seen) -> None:
        """Tell why the job waits, at which place, and until when."""
        if never := never_text(job):
            raise SpawnException(never, reason="slurm", status_code=409)
        place, now = position(job, seen.jobs.values()), time.time()
        total = job.start - job.submitted
        share = (now - job.submitted) / total if job.start > now and total > 0 else 0
        self.report(10 + round(70 * min(1, max(0, share))), waiting_text(job, place, now))

    async def _take_address(self, job: Job) -> None:
        if self._port:
            self._address = await self.queue.address_of(job.node)

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

    def take_report(self, port: int, problem: str, output: str) -> None:
        """Take what the job itself reports: where its server listens, or why it doesn't."""
        if output:
            self.keep_log(output.encode())
        self._problem = problem
        if port and not self._address:
            self._port = port
        self._stirred_at = time.monotonic()
        self._stirred.set()

    def _why(self, job: Job | None) -> str:
        """Return why the job ended."""
        if self._problem or job is None:
            return self._problem
        return ending_of(job) or ending_by_status(0)

    # Running.

    async def query_job_status(self) -> JobStatus:
        """Return what is known of the job now, without a question of its own."""
        if not self.job_id:
            return JobStatus.NOTFOUND
        job = (await self.queue.look()).job(self.job_id)
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
        job = seen.job(self.job_id)
        self._note_silence(seen)
        if job is None or not job.over:
            self._note_end(job)
            return None
        self.tell_ending(self._why(job))
        self.log.warning("%s has ended: job %s, %s", self._log_name, self.job_id, job.state)
        return job.state

    def _note_silence(self, seen: Seen) -> None:
        """Tell that nothing is known of the server, since when."""
        since = seen.silent_since
        self.silence = silence_text(since) if since else ""

    def _note_end(self, job: Job | None) -> None:
        """Tell how long it has still, when that is little."""
        if job is None or not job.end:
            return
        self.ends_at = datetime.fromtimestamp(job.end, UTC).replace(tzinfo=None)
        left = job.end - time.time()
        self.notice = ending_soon_text(left) if job.runs and left < WARN_S else ""

    async def get_url(self) -> str:
        """Return the server's address.

        JupyterHub asks for it after its own restart. A job that was waiting then is waited for
        here, so that its start goes on as if nothing had been.
        """
        if self.job_id and not (self._address and self._port):
            try:
                await self._wait_until_up()
            except SpawnException as error:
                self.ending = "" if self._unwanted else str(error.message)
                self.http_timeout = 1  # nothing will come up there
                return str(self.server.url)
        return f"http://{self._address}:{self._port}"

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
            job = (await self.queue.look(time.monotonic() - 1)).job(self.job_id)
            if job is None or job.over or job.state == COMPLETING:
                return
            await asyncio.sleep(LOOK_S)

    # What outlives the hub.

    def keep_state(self) -> None:
        """Write into the database what a hub that starts again has to know."""
        self.orm_spawner.state = self.get_state()
        self.db.commit()

    def get_state(self) -> dict[str, Any]:
        """Keep where the server listens, beside the job's number."""
        state: dict[str, Any] = super().get_state()
        where = {"address": self._address, "port": self._port}
        return {**state, **where} if self.job_id else state

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore the job after a restart of the hub."""
        super().load_state(state)
        self._address, self._port = state.get("address", ""), state.get("port", 0)
        if self.job_id:
            self.queue.watch(self.job_id)

    def clear_state(self) -> None:
        """Forget the job."""
        self.queue.forget(self.job_id)
        super().clear_state()
        self._address, self._port = "", 0
