"""What waits for somebody who is about to start: free nodes, who else waits, and how long."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ..amounts import counted, minutes_text, seconds_text
from ..launch import Resources
from ..times import KeptTimes
from .estimates import Estimate
from .jobs import Job, Node
from .queue import Queue, Seen
from .words import in_text

PATIENCE_S = 1.0
"""A page doesn't wait longer for a slow controller, and shows what was known before."""
OLD_S = 30.0
SOON_S = 30.0
WAITS = "waits.json"
"""How long jobs of each size have waited, in the state folder."""
UNDER_WAY: set[asyncio.Future[Any]] = set()


async def fresh(queue: Queue) -> None:
    """Look at everything, or begin to where that takes long."""
    looking = asyncio.gather(queue.look(), queue.nodes.fresh(), queue.machine.fresh())
    await asyncio.wait([keep(looking)], timeout=PATIENCE_S)


def keep(asking: asyncio.Future[Any]) -> asyncio.Future[Any]:
    """Return what goes on whether somebody waits for it or not."""
    UNDER_WAY.add(asking)
    asking.add_done_callback(UNDER_WAY.discard)
    return asking


def room_text(resources: Resources, partition: str, seen: Seen, nodes: Mapping[str, Node]) -> str:
    """Return what a server of this size would find now, empty where nothing is known.

    Parameters
    ----------
    resources : Resources
        What the size grants.
    partition : str
        Where its jobs go.
    seen : Seen
        The jobs.
    nodes : mapping
        The nodes, by name.
    """
    if seen.silent_since:
        return f"Slurm has not answered since {seen.silent_since:%H:%M} UTC"
    mine = [node for node in nodes.values() if partition in node.partitions and node.usable]
    if not mine:
        return "no node is up now" if nodes else ""
    if not any(holds(node, resources) for node in mine):
        return "larger than any node that is up now"
    free = sum(has_room(node, resources) for node in mine)
    waiting = [job for job in seen.jobs.values() if job.waits and partition in job.partitions]
    of_all = f"of {counted(len(mine), 'node')}"
    if free and not waiting:
        return f"room now on {free} {of_all}; {idle_text(mine)}"
    room = f"room on {free} {of_all}" if free else "no room now"
    queue = f"{counted(len(waiting), 'job')} waiting{expected_text(waiting)}"
    return f"{room}; {queue}; {idle_text(mine)}"


def holds(node: Node, r: Resources) -> bool:
    """Return whether a node is large enough."""
    return node.cores >= r.cores and node.memory_mb >= r.memory_gib * 1024 and node.gpus >= r.gpus


def has_room(node: Node, r: Resources) -> bool:
    """Return whether nobody has what is asked for on a node."""
    memory = node.memory_idle_mb >= r.memory_gib * 1024
    return memory and node.cores_idle >= r.cores and node.gpus_idle >= r.gpus


def whole_only(nodes: Mapping[str, Node]) -> dict[str, Node]:
    """Return the nodes as those see them who need one for themselves: free or not at all."""
    return {
        name: node if node.cores_idle == node.cores else replace(node, cores_idle=0)
        for name, node in nodes.items()
    }


def idle_text(nodes: list[Node]) -> str:
    """Return what nobody has."""
    memory_gib = sum(node.memory_idle_mb for node in nodes) / 1024
    text = f"{counted(sum(n.cores_idle for n in nodes), 'core')} and {memory_gib:.0f} GiB idle"
    gpus = sum(node.gpus for node in nodes)
    return f"{text}, {sum(n.gpus_idle for n in nodes)} of {counted(gpus, 'GPU')}" if gpus else text


def expected_text(waiting: list[Job]) -> str:
    """Return when Slurm expects the last of those that wait to begin, where it does."""
    last = max((job.start for job in waiting), default=0)
    return f", all begun by {datetime.fromtimestamp(last, UTC):%d %b %H:%M} UTC" if last else ""


def estimate_text(estimate: Estimate | None, now: float) -> str:
    """Return what Slurm says of this user's next job, empty where it says nothing.

    Parameters
    ----------
    estimate : Estimate or None
        The last answer.
    now : float
        Seconds since 1970.
    """
    if estimate is None:
        return ""
    if estimate.refusal:
        return f"Now Slurm would refuse it. {estimate.refusal}"
    if not estimate.start:
        return ""
    left = estimate.start - now
    return f"Yours would begin {'at once' if left < SOON_S else in_text(left)}, by Slurm's estimate"


def waits_text(size: str, waits: KeptTimes) -> str:
    """Return how long servers of a size waited here, empty where there were none."""
    usual, most = waits.usual(size), waits.most(size)
    if usual is None:
        return ""
    text = f"Here they usually wait {seconds_text(usual)}"
    return text if most is None else f"{text}, nine in ten at most {seconds_text(most)}"


def age_text(seen: Seen) -> str:
    """Return how old all this is, empty where it is fresh."""
    age = time.monotonic() - seen.asked_at
    if seen.silent_since or age < OLD_S or age == float("inf"):
        return ""
    return f"Slurm answers slowly: as it was {seconds_text(age)} ago"


def granted_text(walltime_h: float | None, partition: str) -> str:
    """Return what the machine grants where the profile says nothing."""
    if walltime_h is None:
        return ""
    return f"Slurm grants {minutes_text(round(walltime_h * 60))} in partition '{partition}'"
