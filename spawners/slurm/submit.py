"""Hand a user's server to Slurm as a batch job of the user's own."""

import re
from pathlib import Path
from typing import Any

from batchspawner import SlurmSpawner
from jupyterhub.spawner import Spawner, SpawnException
from traitlets import Bool, Float, Instance, Integer, List, Unicode

from .. import environments
from ..accounts import person
from ..environments import Recipe
from ..payload import payload
from ..telling import TellingSpawner
from ..tunnels import Tunnels
from .commands import CommandError, NoAnswerError, run_as
from .demand import Demand
from .queue import Queue, queue_of
from .script import Need, job_script
from .submissions import Submissions
from .words import NO_CONTROLLER, refusal_of

TUNNEL_VARIABLE = "BEAMHUB_TUNNEL"
PERSONAL = {"USER", "HOME", "SHELL", "PATH"}
"""The node knows these better than the hub."""


class SubmittingSpawner(TellingSpawner, SlurmSpawner):
    """From a launch to the number of a job: software, script, sbatch, and what outlives the hub."""

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

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.env_keep: list[str] = []
        self.mark = ""
        self._owner = ""
        self._up = False
        self._memory_mb = 0

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

    async def submit_batch_script(self) -> str:
        """Submit the job, and keep its number at once: the hub may end at any moment."""
        assert self.demand is not None  # a launch has set it
        account = person(self.user.name)
        variables = {**self._variables(), **await self._have_software()}
        submission = self.submissions.begin(account, self.name)
        self.mark, self._owner = submission.mark, account
        self._memory_mb = self.demand.memory_mb
        tunnel = self._open_tunnel()
        script = job_script(
            {"name": submission.name, **self.demand.directives},
            command=self.command,
            variables={**variables, TUNNEL_VARIABLE: tunnel},
            tunnel=tunnel,
            prefix=self.variable_prefix,
            needs=self.needs,
            prologue=self.prologue,
            exclusive=self.demand.exclusive,
        )
        self.report(86, "Handing it to Slurm")
        try:
            said = await run_as(account, "sbatch", "--parsable", text=script)
        except CommandError as error:
            self.log.error("sbatch refused %s: %s", self._log_name, error)
            text = NO_CONTROLLER
            if not isinstance(error, NoAnswerError):
                text = refusal_of(str(error))
                self.submissions.forget(self.mark)
            raise SpawnException(text, reason="slurm", status_code=503) from None
        # Banners may stand around it; with several clusters, ';' and a name follow.
        found = re.findall(r"^(\d+)(?:;\S+)?$", said, re.MULTILINE)
        if not found:
            raise SpawnException(refusal_of(said), reason="slurm", status_code=503)
        self.job_id = found[-1]
        self.submissions.number(submission, self.job_id)
        self.queue.watch(self.job_id, account)
        self.keep_state()
        self.log.info("%s is job %s", self._log_name, self.job_id)
        return str(self.job_id)

    def _open_tunnel(self) -> str:
        """Open the way to the server, and return what its job is told of it."""
        secret = self.tunnels.open(self.mark)
        return self.tunnels.told(self.mark, secret, self.tunnel_host, self.tunnel_port)

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
        recipe = Recipe.of(
            use_case,
            Path(self.constraints_file) if self.constraints_file else None,
            Path(self.workbench_folder),
        )
        made = await environments.ensure(shared / "environments", recipe, self.report)
        path = f"{made}/bin:/usr/local/bin:/usr/bin:/bin"
        return {**told, "PATH": path, "VIRTUAL_ENV": str(made)}

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
