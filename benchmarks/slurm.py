"""Questions to Slurm's controller, and how late a hub's loop is, beside stock batchspawner.

    .venv/bin/python benchmarks/slurm.py [JOBS ...]

Needs root and what tests/real/cluster.py needs. On a real cluster of the tests', so many jobs
wait; for each, a real spawner is asked for its state twice a minute, as JupyterHub does, once with
our class and once with batchspawner's own. Processes are counted where they are started.
"""

import asyncio
import os
import sys
import time
from pathlib import Path
from statistics import quantiles

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/real")]

from batchspawner import SlurmSpawner  # noqa: E402
from cluster import Cluster  # noqa: E402

from spawners.job import JobSpawner  # noqa: E402
from spawners.slurm_commands import STARTED  # noqa: E402
from spawners.slurm_queue import queue_of  # noqa: E402

SECONDS = 60
POLL_S = 30


class Stock(SlurmSpawner):
    """batchspawner's own, with its processes counted."""

    processes = 0

    async def run_command(self, *arguments, **named):
        Stock.processes += 1
        return await super().run_command(*arguments, **named)


class User:
    name = "max"
    url = "/user/max/"


def spawners(kind, numbers):
    made = []
    for number in numbers:
        spawner = kind(user=User(), hub=None, exec_prefix="")
        spawner.job_id = number
        made.append(spawner)
    return made


async def ask(spawner, delay, end):
    await asyncio.sleep(delay)
    while time.monotonic() < end:
        await spawner.query_job_status()
        await asyncio.sleep(POLL_S)


async def watch(end, late):
    """Note how much later than asked the loop comes back: what a request to the hub waits."""
    while time.monotonic() < end:
        began = time.monotonic()
        await asyncio.sleep(0.05)
        late.append(1000 * (time.monotonic() - began - 0.05))


async def measure(kind, numbers):
    """Return the processes started in a minute, and how late the loop was in ms (p50, p95)."""
    queue_of.cache_clear()
    end, late = time.monotonic() + SECONDS, []
    before = Stock.processes + sum(STARTED.values())
    every = POLL_S / len(numbers)
    asking = (ask(s, i * every, end) for i, s in enumerate(spawners(kind, numbers)))
    tasks = [asyncio.ensure_future(one) for one in asking]
    await watch(end, late)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    cuts = quantiles(late, n=20)
    return Stock.processes + sum(STARTED.values()) - before, cuts[9], cuts[18]


def main(counts):
    cluster = Cluster()
    os.environ["SLURM_CONF"] = str(cluster.conf)
    try:
        cluster.start()
        filling = cluster.fill()
        waiting: list[str] = []
        print("jobs  spawner       processes/min   loop late p50   p95")
        for count in counts:
            while len(waiting) < count:
                waiting.append(cluster.submit("max", "--hold", wait=False))
            for kind in (JobSpawner, Stock):
                processes, p50, p95 = asyncio.run(measure(kind, waiting))
                name = "BeamHub" if kind is JobSpawner else "batchspawner"
                print(
                    f"{count:4}  {name:12} {processes:14} {p50:12.1f} ms {p95:6.1f} ms", flush=True
                )
        cluster.run("scancel", filling)
    finally:
        cluster.stop()


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [10, 100, 500])
