"""Hand a user's server to Slurm as a batch job of the user's own."""

import re
from pathlib import Path
from typing import Any

from batchspawner import SlurmSpawner
from jupyterhub.spawner import SpawnException
from traitlets import Bool, Float, Instance, List, Unicode

from .. import environments
from ..accounts import person
from ..environments import Recipe
from ..payload import payload
from ..telling import TellingSpawner
from .commands import CommandError, NoAnswerError, run_as
from .queue import Queue, queue_of
from .script import Need, job_name, job_script
from .words import NO_CONTROLLER, refusal_of

PERSONAL = {"USER", "HOME", "SHELL", "PATH"}
"""The node knows these better than the hub."""


class SubmittingSpawner(TellingSpawner, SlurmSpawner):
    """From a launch to the number of a job: software, script, sbatch, and what outlives the hub."""

    portal = Unicode(help="The name of all jobs of this portal").tag(config=True)
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
    req_constraint = Unicode(help="Features of nodes")
    req_exclusive = Bool(False, help="Whether the node is for this job alone")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.env_keep: list[str] = []
        self._address = ""
        self._port = 0

    @property
    def queue(self) -> Queue:
        """What all jobs of this hub ask."""
        return queue_of(self.query_s)

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
