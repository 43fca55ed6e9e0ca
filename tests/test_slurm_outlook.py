"""What somebody who chooses a size is told of the cluster."""

import asyncio
import time
from datetime import UTC, datetime

from spawners.launch import Resources
from spawners.slurm_jobs import Job, Node
from spawners.slurm_outlook import fresh, outlook_text, whole_only
from spawners.slurm_queue import Seen

SMALL = Resources(cores=1, memory_gib=4)


def nodes(idle=8, memory_idle_mb=30_000, gpus_idle=1, state="IDLE"):
    made = [
        Node(
            name,
            name,
            frozenset({state}),
            frozenset({"p"}),
            8,
            idle,
            32_000,
            memory_idle_mb,
            1,
            gpus_idle,
        )
        for name in ("node1", "node2")
    ]
    return {node.name: node for node in made}


def waiting(**more):
    return Seen({"1": Job("1", "PENDING", partition="p", **more)})


def test_room():
    text = outlook_text(SMALL, "p", Seen(), nodes())
    assert text == "room now on 2 of 2 nodes; 16 cores and 59 GiB idle, 2 of 2 GPUs"


def test_no_room_for_want_of_cores_memory_or_gpus():
    for short in ({"idle": 0}, {"memory_idle_mb": 4095}):
        assert outlook_text(SMALL, "p", Seen(), nodes(**short)) == "no room now; 0 jobs waiting"
    gpu = Resources(cores=1, memory_gib=4, gpus=1)
    assert outlook_text(gpu, "p", Seen(), nodes(gpus_idle=0)).startswith("no room now")


def test_who_needs_a_whole_node_finds_room_only_on_one_that_nobody_uses():
    assert outlook_text(SMALL, "p", Seen(), whole_only(nodes())).startswith("room now on 2 of 2")
    assert outlook_text(SMALL, "p", Seen(), whole_only(nodes(idle=7))).startswith("no room now")


def test_those_who_wait_are_counted_with_slurms_own_estimate():
    assert outlook_text(SMALL, "p", waiting(), nodes()) == "room on 2 of 2 nodes; 1 job waiting"
    told = outlook_text(SMALL, "p", waiting(start=1_795_536_000), nodes(idle=0))
    assert told == "no room now; 1 job waiting, all begun by 24 Nov 16:00 UTC"


def test_what_never_fits_and_what_is_down():
    assert "larger than any node" in outlook_text(
        Resources(cores=9, memory_gib=1), "p", Seen(), nodes()
    )
    assert outlook_text(SMALL, "p", Seen(), nodes(state="DOWN")) == "no node is up now"
    assert outlook_text(SMALL, "p", Seen(), {}) == ""


def test_a_controller_that_does_not_answer_is_said():
    seen = Seen(silent_since=datetime(2026, 1, 1, 16, 5, tzinfo=UTC))
    assert outlook_text(SMALL, "p", seen, nodes()) == "Slurm has not answered since 16:05 UTC"


async def test_a_page_does_not_wait_for_a_slow_controller():
    class Slow:
        async def look(self):
            await asyncio.sleep(3)

        look_at_nodes = look

    began = time.monotonic()
    await fresh(Slow())
    assert time.monotonic() - began < 2
