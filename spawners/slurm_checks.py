"""Whether this machine can give jobs to the cluster, and the cluster takes them."""

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .slurm import SlurmBackend

COMMANDS = ("sbatch", "scancel", "squeue", "sacct", "scontrol", "sudo")


def findings(backend: "SlurmBackend") -> Iterator[str]:
    """Yield what is missing, a sentence each."""
    del backend
    missing = [command for command in COMMANDS if shutil.which(command) is None]
    for command in missing:
        yield f"The command '{command}' is not on the PATH of this machine."
