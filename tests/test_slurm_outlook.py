"""What somebody who chooses a size is told of the cluster."""

import asyncio
import time
from datetime import UTC, datetime

from spawners.launch import Resources
from spawners.slurm.estimates import Estimate
from spawners.slurm.jobs import Job, Node
from spawners.slurm.outlook import (
    age_text,
    estimate_text,
    fresh,
    granted_text,
    room_text,
    waits_text,
    whole_only,
)
from spawners.slurm.queue import Seen
from spawners.times import KeptTimes

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
    text = room_text(SMALL, "p", Seen(), nodes())
    assert text == "room now on 2 of 2 nodes; 16 cores and 59 GiB idle, 2 of 2 GPUs"


def test_no_room_for_want_of_cores_memory_or_gpus():
    for short in ({"idle": 0}, {"memory_idle_mb": 4095}):
        text = room_text(SMALL, "p", Seen(), nodes(**short))
        assert text.startswith("no room now; 0 jobs waiting; ")
    gpu = Resources(cores=1, memory_gib=4, gpus=1)
    assert room_text(gpu, "p", Seen(), nodes(gpus_idle=0)).startswith("no room now")


def test_who_needs_a_whole_node_finds_room_only_on_one_that_nobody_uses():
    assert room_text(SMALL, "p", Seen(), whole_only(nodes())).startswith("room now on 2 of 2")
    assert room_text(SMALL, "p", Seen(), whole_only(nodes(idle=7))).startswith("no room now")


def test_those_who_wait_are_counted_with_slurms_own_estimate():
    told = room_text(SMALL, "p", waiting(), nodes())
    assert told.startswith("room on 2 of 2 nodes; 1 job waiting; 16 cores and 59 GiB idle")
    told = room_text(SMALL, "p", waiting(start=1_795_536_000), nodes(idle=0))
    assert told.startswith("no room now; 1 job waiting, all begun by 24 Nov 16:00 UTC; 0 cores")


def test_what_never_fits_and_what_is_down():
    assert "larger than any node" in room_text(
        Resources(cores=9, memory_gib=1), "p", Seen(), nodes()
    )
    assert room_text(SMALL, "p", Seen(), nodes(state="DOWN")) == "no node is up now"
    assert room_text(SMALL, "p", Seen(), {}) == ""


def test_a_controller_that_does_not_answer_is_said():
    seen = Seen(silent_since=datetime(2026, 1, 1, 16, 5, tzinfo=UTC))
    assert room_text(SMALL, "p", seen, nodes()) == "Slurm has not answered since 16:05 UTC"


async def test_a_page_does_not_wait_for_a_slow_controller():
    class Slow:
        async def look(self):
            await asyncio.sleep(3)

        fresh = look

    slow = Slow()
    slow.nodes = slow.machine = slow
    began = time.monotonic()
    await fresh(slow)
    assert time.monotonic() - began < 2


def test_slurms_estimate_is_said_as_coarse_as_it_is():
    assert estimate_text(None, 0) == ""
    assert estimate_text(Estimate(0), 0) == ""
    soon = estimate_text(Estimate(0, start=1000), 990)
    assert soon == "Yours would begin at once, by Slurm's estimate"
    assert "in about 20 min" in estimate_text(Estimate(0, start=2200), 1000)
    refused = estimate_text(Estimate(0, refusal="The partition is closed now."), 0)
    assert refused == "Now Slurm would refuse it. The partition is closed now."


def test_how_long_others_waited(tmp_path):
    waits = KeptTimes(tmp_path / "waits.json")
    assert waits_text("small", waits) == ""
    waits.record("small", 40)
    assert waits_text("small", waits) == "Here they usually wait 40 s"
    for seconds in (30, 35, 40, 40, 40, 50, 60, 110, 3600):
        waits.record("small", seconds)
    assert waits_text("small", waits) == "Here they usually wait 40 s, nine in ten at most 2 min"


def test_what_is_old_or_granted_is_said():
    assert age_text(Seen()) == ""
    assert age_text(Seen(asked_at=time.monotonic())) == ""
    assert "as it was 2 min ago" in age_text(Seen(asked_at=time.monotonic() - 125))
    assert granted_text(None, "p") == ""
    assert granted_text(4, "p") == "Slurm grants 4 h in partition 'p'"
