"""HPC sites: each server is a batch job under the user's own account."""

import socket
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from ..launch import Backend, Bound, Launch, PortalContext, Resources
from ..tunnels import Tunnels
from .settings import SlurmSettings

FORGOTTEN_S = 600
"""A way that belongs to no server for so long was left by a hub that was killed."""


class SlurmBackend(Backend, SlurmSettings):
    """A Slurm cluster whose commands the hub's host has."""

    spawner_class: ClassVar[str] = "spawners.slurm.spawner.JobSpawner"
    title: ClassVar[str] = "Batch jobs of a Slurm cluster"
    ends_servers: ClassVar[bool] = True
    queues: ClassVar[bool] = True
    kind: Literal["slurm"]

    @property
    def names_are_accounts(self) -> bool:
        """Whether a user's name is that of an account of the cluster: always."""
        return True

    def traits(self, launch: Launch) -> dict[str, Any]:
        """Return the job's requests, and the command that it runs."""
        size = launch.environment.get("BEAMHUB_SIZE", "")
        demand = self.demand(size, launch.resources)
        return {
            "demand": demand,
            "use_case_folder": str(launch.folder),
            "default_url": launch.start_page,
            "environment": {"OMP_NUM_THREADS": str(demand.cores), **self.software.told(launch)},
            "start_timeout": round((self.start_timeout_min + self.report_timeout_min) * 60),
            **self.software.traits(launch),
        }

    def configured(self, portal: PortalContext) -> dict[str, Any]:
        """Return what is the same for all jobs."""
        return {
            "workbench_folder": str(portal.workbench_folder),
            "constraints_file": str(portal.constraints_file),
            "tunnel_port": portal.tunnel_port,
            "prologue": self.prologue,
            "tunnel_host": socket.gethostname() if self.hub.is_unspecified else str(self.hub),
            "query_s": self.query_s,
            "report_timeout_s": round(self.report_timeout_min * 60),
            "poll_interval": max(5, round(self.query_s)),
        }

    @property
    def tunnel_address(self) -> str:
        """The address at which jobs dial in."""
        return str(self.hub)

    @property
    def from_images(self) -> bool:
        """Whether servers come from the use cases' images."""
        return self.software.from_images

    @property
    def image_folder(self) -> Path | None:
        """Where image files lie, if jobs run such."""
        return self.software.folder if self.software.from_images else None

    def obstacles(self, launch: Launch) -> list[str]:
        """Return that a launch's image file is missing."""
        return self.software.obstacles(launch)

    async def sweep(self, spawners: Collection[Any], *, portal: str, state: Path) -> int:
        """Cancel jobs of servers that the hub gave up while the controller was silent."""
        from .strays import cancel_strays
        from .submissions import Submissions

        del portal
        known = {s.mark for s in spawners}
        Tunnels(state).close_all_but(known, older_than=time.time() - FORGOTTEN_S)
        return await cancel_strays(Submissions(state), known, self.query_s)

    def bounds(self, resources: Mapping[str, Resources], user: str) -> dict[str, Bound]:
        """Return what partitions, QOS and the user's account make of sizes, as last heard."""
        from .sizes import bounds

        return bounds(self, resources, user)

    async def outlook(
        self, resources: Mapping[str, Resources], *, user: str, state: Path
    ) -> dict[str, str]:
        """Return room, who waits, and when a job of this user's would begin, for each size."""
        from .sizes import outlook

        return await outlook(self, resources, user, state)

    def live_checks(self) -> list[str]:
        """Return what is missing to run jobs from here."""
        from .checks import findings

        return list(findings(self))

    def size_checks(self, resources: Mapping[str, Resources]) -> list[str]:
        """Return what Slurm has against jobs of each size; none is started."""
        from .checks import size_findings

        return list(size_findings(self, resources))

    def job_checks(self, resources: Mapping[str, Resources], user: str, port: int) -> list[str]:
        """Run a job of a minute wherever servers would run, and return what it lacks there."""
        from .probe import job_findings

        return list(job_findings(self, resources, user, port))

    def faults(self, versions: Mapping[str, str]) -> list[str]:
        """Return what is wrong with use cases' image files."""
        return list(self.software.faults(versions))
