"""Jobs that nobody knows any more: of servers given up while Slurm did not answer."""

import logging
import time
from collections.abc import Collection

from ..accounts import AccountError, person
from .commands import LONGEST_S, CommandError, run_as
from .queue import queue_of
from .script import job_name

LOG = logging.getLogger(__name__)
YOUNG_S = 2 * LONGEST_S
"""One that has just been submitted may not have told its number yet: sbatch may be slow."""


async def cancel_strays(known: Collection[str], portal: str, interval_s: float) -> int:
    """Cancel this portal's jobs but those known, and return how many there were.

    Parameters
    ----------
    known : collection of str
        Numbers of the jobs of all servers that the hub knows.
    portal : str
        What the names of this portal's jobs begin with.
    interval_s : float
        Seconds between two questions, see `SlurmBackend.query_s`.
    """
    seen = await queue_of(interval_s).look()
    if seen.silent_since:
        return 0
    count = 0
    for job in list(seen.jobs.values()):
        old = time.time() - job.submitted > YOUNG_S
        if job.name.startswith(job_name(portal, "")) and job.id not in known and old:
            try:
                # Whoever names a job of their own like ours has it cancelled, and nobody else's.
                await run_as(person(job.user), "scancel", job.id)
                count += 1
            except (CommandError, AccountError) as error:
                LOG.warning("Job %s belongs to no server and can't be cancelled: %s", job.id, error)
    return count
