"""Start a user's server as a batch job of Slurm, under the user's own account."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batchspawner import SlurmSpawner
from batchspawner.batchspawner import JobStatus
from jupyterhub.spawner import Spawner, SpawnException
from traitlets import Bool, Float, Instance, Integer, List, Unicode

from ..environments import BuildError, Recipe
from ..system_accounts import AccountError, person
from ..telling import TellingSpawner, ending_by_status, memory_full_text, said_reason
from ..times import KeptTimes
from ..tunnels import Tunnels
from .commands import CommandError, run_as
from .demand import Demand
from .jobs import COMPLETING, Job, share_waited
from .outlook import WAITS
from .queue import Queue, Seen, queue_of
from .script import Need, job_script
from .submissions import Submissions
from .submit import NotTakenError, shared_software, submit
from .words import (
    ending_of,
    ending_soon_text,
    never_text,
    silence_text,
    silent_start_text,
    waiting_text,
)

TUNNEL_VARIABLE = "BEAMHUB_TUNNEL"
PERSONAL = {"USER", "HOME", "SHELL", "PATH"}
"""The node knows these better than the hub."""
LOOK_S = 0.5
WAIT_FROM, WAIT_TO = 10, 80
"""Between these lies the wait in the queue, on the bar of the pending page."""
WARN_S = 15 * 60
STOP_S = 20
SAVE_S = 5
"""How long a completing job is waited for: its server lets pages save for nearly as long."""


class JobSpawner(TellingSpawner, SlurmSpawner):
    """What the stock spawner lacks: one question for all, a closed script, progress, reasons.

    A controller that doesn't answer isn't the end of a server: the hub keeps it, and says so. A job
    that waits or begins outlives the hub as one that runs does.
    """

    tunnel_host = Unicode(help="Where servers dial in, as nodes know this machine").tag(config=True)
    tunnel_port = Integer(help="See Serving.tunnel_port").tag(config=True)
    query_s = Float(10, help="See SlurmBackend.query_s").tag(config=True)
    prologue = Unicode(help="See SlurmBackend.prologue").tag(config=True)
    workbench_folder = Unicode(help="The package that notebooks import").tag(config=True)
    constraints_file = Unicode("", help="Versions for use cases without their own").tag(config=True)
    use_case_folder = Unicode(help="Notebooks, manifest and requirements of the use case")
    command = List(Unicode(), help="What the job runs")
    needs = List(Instance(Need), help="What has to be on its node, see script.Need")
    variable_prefix = Unicode(help="What a container wants before the names of variables")
    shared_folder = Unicode(help="Where the hub puts what jobs read; empty for nowhere")
    makes_environment = Bool(False, help="Whether the hub makes the software's environment")
    demand = Instance(Demand, allow_none=True, help="What the job asks for")
    report_timeout_s = Integer(600, help="See SlurmBackend.report_timeout_min").tag(config=True)
    http_timeout: int

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.env_keep: list[str] = []
        self.mark = ""
        self._owner = ""
        self._memory_mb = 0
        self._up = False
        self._problem = ""
        self._unwanted = False
        self._ends_soon = False
        self._stirred = asyncio.Event()
        self._stirred_at = float("-inf")
        self._http_timeout = self.http_timeout

    @property
    def server(self) -> Any:
        """Where hub and proxy find the server; JupyterHub's table has no room for a socket."""
        found = Spawner.server.fget(self)
        if found is not None and self.mark:
            found.bind_url = self.tunnels.url(self.mark)
        return found

    @server.setter
    def server(self, server: Any) -> None:
        Spawner.server.fset(self, server)

    @property
    def tunnels(self) -> Tunnels:
        """The ways to all servers."""
        return Tunnels(Path(self.state_folder))

    @property
    def submissions(self) -> Submissions:
        """The record of what this portal has handed to Slurm."""
        return Submissions(Path(self.state_folder))

    @property
    def queue(self) -> Queue:
        """What all jobs of this hub ask."""
        return queue_of(self.query_s)

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

    # From a launch to the number of a job.

    async def submit_batch_script(self) -> str:
        """Submit the job, and keep its number at once: the hub may end at any moment."""
        account = person(self.user.name)
        variables = {**self._variables(), **await self._software()}
        submission = self.submissions.begin(account, self.name)
        self.mark, self._owner = submission.mark, account
        script = self._script(submission.name, variables)
        self.report(86, "Handing it to Slurm")
        try:
            self.job_id = await submit(account, script)
        except NotTakenError as error:
            self.log.error("sbatch refused %s: %s", self._log_name, error.said)
            if error.is_certain:
                self.submissions.forget(self.mark)
            raise SpawnException(str(error), reason="slurm", status_code=503) from None
        self.submissions.number(submission, self.job_id)
        self.queue.watch(self.job_id, account)
        self.keep_state()
        self.log.info("%s is job %s", self._log_name, self.job_id)
        return str(self.job_id)

    def _script(self, name: str, variables: dict[str, str]) -> str:
        assert self.demand is not None  # a launch has set it
        self._memory_mb = self.demand.memory_mb
        tunnel = self._open_tunnel()
        return job_script(
            {"name": name, **self.demand.directives},
            command=self.command,
            variables={**variables, TUNNEL_VARIABLE: tunnel},
            tunnel=tunnel,
            prefix=self.variable_prefix,
            needs=self.needs,
            prologue=self.prologue,
            exclusive=self.demand.exclusive,
        )

    def _open_tunnel(self) -> str:
        """Open the way to the server, and return what its job is told of it."""
        secret = self.tunnels.open(self.mark)
        return self.tunnels.told(self.mark, secret, self.tunnel_host, self.tunnel_port)

    def _variables(self) -> dict[str, str]:
        return {name: value for name, value in self.get_env().items() if name not in PERSONAL}

    async def _software(self) -> dict[str, str]:
        """Put notebooks and environment where jobs read them, and return what tells of it."""
        if not self.shared_folder:
            return {}
        use_case, constraints = Path(self.use_case_folder), self.constraints_file
        recipe = Recipe.of(
            use_case, Path(constraints) if constraints else None, Path(self.workbench_folder)
        )
        wanted = recipe if self.makes_environment else None
        return await shared_software(Path(self.shared_folder), use_case, wanted, self.report)

    # From the number of a job to the address of a server, told step by step.

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
        self._problem = said_reason(output) or problem
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
            if job is None or job.over:
                return
            # Its programs may just be told to end; pages save by the way that closes after this.
            if job.state == COMPLETING and time.monotonic() > asked + SAVE_S:
                return
            await asyncio.sleep(LOOK_S)

    # What outlives the hub.

    def keep_state(self) -> None:
        """Write into the database what a hub that starts again has to know."""
        self.orm_spawner.state = self.get_state()
        self.db.commit()

    def get_state(self) -> dict[str, Any]:
        """Keep what tells the job as this portal's own, beside its number."""
        state: dict[str, Any] = super().get_state()
        own = {"mark": self.mark, "owner": self._owner, "up": self._up}
        own["memory_mb"] = self._memory_mb
        return {**state, **own} if self.job_id else state

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore the job after a restart of the hub."""
        super().load_state(state)
        self.mark, self._up = state.get("mark", ""), state.get("up", False)
        self._owner = state.get("owner", self.user.name)
        self._memory_mb = state.get("memory_mb", 0)
        if self.job_id:
            self.queue.watch(self.job_id, self._owner)

    def clear_state(self) -> None:
        """Forget the job, and close the way to it; the record of it stays until it has ended."""
        self.queue.forget(self.job_id)
        if self.mark:
            self.tunnels.close(self.mark)
        super().clear_state()
        self.mark, self._owner, self._up = "", "", False
