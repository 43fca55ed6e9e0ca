"""The sizes of a profile on the machine as it is: what bounds them, and what they would find."""

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from ..launch import Bound, Resources
from ..times import KeptTimes
from .bounds import bound
from .estimates import estimates
from .outlook import (
    WAITS,
    age_text,
    estimate_text,
    fresh,
    granted_text,
    keep,
    room_text,
    waits_text,
    whole_only,
)
from .queue import queue_of
from .script import job_name, job_script
from .settings import SlurmSettings

DOUBT_S = 60.0
"""After that, what closes a size is asked for again: somebody may just have changed it."""
COMPUTED: dict[str, tuple[tuple[object, ...], dict[str, Bound]]] = {}
"""Of each user: from what it was computed, and the outcome. A page asks once a card."""


def bounds(
    settings: SlurmSettings, resources: Mapping[str, Resources], user: str
) -> dict[str, Bound]:
    """Return what bounds each size for a user, by what Slurm said last.

    Nothing is waited for: what is old is asked for again in the background.
    """
    queue = queue_of(settings.query_s)
    if queue.machine.due:
        keep(asyncio.ensure_future(fresh(queue)))
    given = (settings, resources, queue.machine.answer, queue.nodes.answer)
    before, found = COMPUTED.get(user, ((), {}))
    if len(before) != len(given) or any(a is not b for a, b in zip(before, given, strict=True)):
        found = {
            size: bound(
                settings.demand(size, r, user),
                "walltime_h" in r.model_fields_set,
                queue.machine.answer,
                queue.nodes.answer,
            )
            for size, r in resources.items()
        }
        COMPUTED[user] = given, found
    if any(one.closed for one in found.values()):
        queue.machine.doubt(DOUBT_S)
    return found


async def outlook(
    settings: SlurmSettings, resources: Mapping[str, Resources], user: str, state: Path
) -> dict[str, str]:
    """Return what a user's server of each size would find now, in a few words."""
    queue = queue_of(settings.query_s)
    await fresh(queue)
    bounded = bounds(settings, resources, user)
    waits = KeptTimes(state / WAITS)
    told = {}
    for size, r in resources.items():
        if bounded[size].closed:
            told[size] = f"Can't run for you: {bounded[size].closed}"
            continue
        where, granted = settings.where(size), bounded[size].walltime_h
        partition, nodes = where.partition or "", queue.nodes.answer
        parts = [
            room_text(r, partition, queue.seen, whole_only(nodes) if where.exclusive else nodes),
            granted_text(granted, partition),
        ]
        if not queue.seen.silent_since:
            script = partial(trial_script, settings, size, r, granted)
            parts.append(estimate_text(estimates().of(user, size, script), time.time()))
            parts += [waits_text(size, waits), age_text(queue.seen)]
        told[size] = ". ".join(part.removesuffix(".") for part in parts if part)
    return told


def trial_script(
    settings: SlurmSettings, size: str, resources: Resources, walltime_h: float | None = None
) -> str:
    """Return a batch script of a size that does nothing, for ``sbatch --test-only``."""
    granted = resources.model_copy(update={"walltime_h": walltime_h} if walltime_h else {})
    demand = settings.demand(size, granted)
    return job_script(
        {"name": job_name("check", size), **demand.directives},
        command=["true"],
        variables={},
        prologue="",
        exclusive=demand.exclusive,
    )
