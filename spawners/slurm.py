"""HPC sites: one batch job a server, in an Apptainer container."""

import shlex
import shutil
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from .launch import Backend, Launch

Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:@+-]*$")]


class SlurmBackend(Backend):
    """A Slurm cluster whose commands the hub's host has."""

    spawner_class: ClassVar[str] = "batchspawner.SlurmSpawner"
    title: ClassVar[str] = "Batch jobs of a Slurm cluster"
    ends_servers: ClassVar[bool] = True
    kind: Literal["slurm"]
    partition: Word
    account: Word = ""
    qos: Word = ""
    reservation: Word = ""
    gpu_type: Word = Field("", description="As gres names it: a100, h100; empty for any")
    start_timeout_min: float = Field(60, gt=0, description="Longest time to wait in the queue")

    def traits(self, launch: Launch) -> dict[str, Any]:
        """Return the job's requests and the command that it wraps."""
        r = launch.resources
        minutes = round(r.walltime_h * 60)
        gpu = f"gpu:{self.gpu_type}:{r.gpus}" if self.gpu_type else f"gpu:{r.gpus}"
        binds = [
            f"--bind={m.source}:{m.target}{':ro' if m.read_only else ''}" for m in launch.mounts
        ]
        container = ["apptainer", "exec", *(["--nv"] if r.gpus else []), *binds]
        return {
            "req_partition": self.partition,
            "req_account": self.account,
            "req_qos": self.qos,
            "req_reservation": self.reservation,
            "req_nprocs": str(max(1, round(r.cores))),
            "req_memory": f"{round(r.memory_gib * 1024)}M",
            "req_runtime": f"{minutes // 60:02d}:{minutes % 60:02d}:00",
            "req_gres": gpu if r.gpus else "",
            "batchspawner_singleuser_cmd": shlex.join(
                [*container, f"docker://{launch.image}", "batchspawner-singleuser"]
            ),
            "default_url": launch.start_page,
            "environment": launch.environment,
            "start_timeout": round(self.start_timeout_min * 60),
        }

    def live_checks(self) -> list[str]:
        """Return which of Slurm's commands this machine lacks."""
        return [
            f"The Slurm command '{command}' is not on the PATH of this machine."
            for command in ("sbatch", "squeue", "scancel")
            if shutil.which(command) is None
        ]
