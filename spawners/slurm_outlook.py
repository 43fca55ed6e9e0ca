"""What waits for somebody who is about to start: free nodes, and who else waits."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from .launch import Resources
from .slurm_jobs import Job, Node
from .slurm_queue import Queue, Seen

PATIENCE_S = 1.0
"""A page doesn't wait longer for a slow controller, and shows what was known before."""
UNDER_WAY: set[asyncio.Future[Any]] = set()


async def fresh(queue: Queue) -> None:
    """Look at jobs and nodes, or begin to where that takes long."""
    looking = asyncio.gather(queue.look(), queue.look_at_nodes())
    UNDER_WAY.add(looking)
    looking.add_done_callback(UNDER_WAY.discard)
    await asyncio.wait([looking], timeout=PATIENCE_S)


def outlook_text(
    resources: Resources, partition: str, seen: Seen, nodes: Mapping[str, Node]
) -> str:
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
    waiting = [job for job in seen.jobs.values() if job.waits and job.partition == partition]
    if free and not waiting:
        return f"room now on {free} of {counted(len(mine), 'node')}; {idle_text(mine)}"
    room = f"room on {free} of {counted(len(mine), 'node')}" if free else "no room now"
    return f"{room}; {counted(len(waiting), 'job')} waiting{expected_text(waiting)}"


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


def counted(count: int, what: str) -> str:
    """Return a number of things."""
    return f"{count} {what}{'' if count == 1 else 's'}"
