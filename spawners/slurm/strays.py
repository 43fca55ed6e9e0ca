"""Jobs that nobody knows any more: of servers given up while Slurm did not answer."""

import logging
import time
from collections.abc import Collection

from ..system_accounts import AccountError, person
from .commands import LONGEST_S, CommandError, run, run_as
from .jobs import COMPLETING, Job, fields_of, line_format, new_mark
from .queue import Seen, owned, queue_of
from .submissions import Submission, Submissions

LOG = logging.getLogger(__name__)
YOUNG_S = 2 * LONGEST_S
"""One that has just been submitted may not have told its number yet: sbatch may be slow."""


async def cancel_strays(submissions: Submissions, known: Collection[str], interval_s: float) -> int:
    """Cancel jobs that this portal submitted and that belong to no server now.

    Parameters
    ----------
    submissions : Submissions
        The record of all that it submitted; what has ended is struck out.
    known : collection of str
        The marks of the submissions of all servers that the hub knows.
    interval_s : float
        Seconds between two questions, see `SlurmBackend.query_s`.

    Returns
    -------
    int
        How many were cancelled.
    """
    old = time.time() - YOUNG_S
    forgotten = [one for one in submissions if one.mark not in known and one.at < old]
    if not forgotten:
        return 0
    seen = await queue_of(interval_s).look(time.monotonic())
    if seen.silent_since:
        return 0
    count = 0
    for one in forgotten:
        try:
            count += await end(one, seen, submissions)
        except (CommandError, AccountError) as error:
            LOG.warning("A job of %s belongs to no server and stays: %s", one.owner, error)
    return count


async def end(one: Submission, seen: Seen, submissions: Submissions) -> int:
    """Cancel what there is of a submission, as its owner, and return how many jobs that were."""
    if one.job:
        known = owned(seen.jobs, one.job, one.owner)
        jobs = [known] if known else []
    else:
        jobs = await found_by_name(one)
    if not jobs:
        submissions.forget(one.mark)
    running = [job.id for job in jobs if job.state != COMPLETING]
    for number in running:
        await run_as(person(one.owner), "scancel", number)
    return len(running)


async def found_by_name(one: Submission) -> list[Job]:
    """Return the jobs of a submission whose number sbatch didn't tell.

    They are asked for by owner and name, and no name is in the answer. The owner can copy the name
    to another job of their own, which then is cancelled too; nobody else's can be.
    """
    mark = new_mark()
    chosen = [f"--user={one.owner}", f"--name={one.name}"]
    form = f"--format={line_format(mark, ['%A', '%T', '%u'])}"
    said = await run("squeue", "--noheader", "--all", *chosen, form)
    found = (Job(id_, state, user) for id_, state, user in fields_of(said, mark, 3))
    return [job for job in found if job.user == one.owner and job.id.isdecimal()]
