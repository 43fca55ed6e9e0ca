"""What a hub costs with 10, 100 and 500 jobs: this portal beside batchspawner and moss's.

    .venv/bin/python benchmarks/slurm.py [--jobs 10,100,500] [--seconds 60]

A real cluster (see tests/real/cluster/) runs the jobs, and three real hubs, one after another for
each number of jobs, find them running at their start, as after an update: BeamHub, JupyterHub with
batchspawner's SlurmSpawner, and JupyterHub with MOSlurmSpawner of jupyterhub_moss, both with their
stock settings. Counted are the processes (and threads) that a hub starts, from inside a PID
namespace of its own, and measured is how long /hub/health takes through the hub's proxy, asked
twenty times a second.

What isn't real: the jobs sleep, and one small server answers in the place of all their
JupyterLabs, so that hundreds fit on one machine; the nodes declare more cores than there are; the
hubs' databases are filled ahead with as many servers: of a user each, or all of one user's where a
spawner wants real accounts. Only root can run it.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
from jupyterhub import orm
from start import stock_hub

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/real"))
from cluster import Cluster
from portals import free_port

from hub.state import LOCK

MOSS = "jupyterhub_moss==10.1.0"
ALONE = ("unshare", "--pid", "--fork", "--mount-proc")
RATE_HZ = 20
FOUND_S = 600
SETTLE_S = 20
ANSWER = "{}"
STOCK = """
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub}"
c.JupyterHub.db_url = "sqlite:///{folder}/hub.sqlite"
c.JupyterHub.cleanup_servers = False
c.JupyterHub.allow_named_servers = True
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api}"
c.ConfigurableHTTPProxy.command = {proxy}
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "{spawner}"
c.BatchSpawnerBase.exec_prefix = "sudo -E -u max"
"""


Named = Callable[[str], tuple[str, str]]
"""From a job's number to the names of a user and of a server."""


def a_user_each(job: str) -> tuple[str, str]:
    return f"user{job}", "pyfai"


def all_of_one(job: str) -> tuple[str, str]:
    return "max", f"job{job}"


@dataclass(frozen=True)
class Hub:
    """A hub that runs."""

    port: int
    process: psutil.Process
    named: Named


@dataclass(frozen=True)
class Cost:
    """What was measured of one hub."""

    processes_per_min: float
    p50_ms: float
    p95_ms: float
    found_s: float


class Answers(BaseHTTPRequestHandler):
    """What a hub hears that asks whether a server is there."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def seed(database: Path, named: Named, jobs: list[str], port: int) -> None:
    """Write into a hub's database that each job is a server."""
    session = orm.new_session_factory(f"sqlite:///{database}")()
    users: dict[str, orm.User] = {}
    for job in jobs:
        owner, name = named(job)
        user = users.setdefault(owner, orm.User(name=owner))
        base = f"/user/{owner}/{name}/"
        server = orm.Server(proto="http", ip="127.0.0.1", port=port, base_url=base)
        state = {"job_id": job, "address": "127.0.0.1", "port": port}
        session.add(orm.Spawner(user=user, name=name, state=state, server=server))
    session.commit()
    session.close()


def submit(cluster: Cluster, count: int) -> list[str]:
    """Submit jobs that sleep, and return their numbers once all run."""
    numbers = [cluster.submit("max", "--mem-per-cpu=10", wait=False) for _ in range(count)]
    while len(cluster.jobs("--states=RUNNING")) < count:
        time.sleep(1)
    return numbers


@contextmanager
def answering() -> Iterator[int]:
    """Answer in the place of all servers, and yield the port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


@contextmanager
def ours(cluster: Cluster, jobs: list[str], port: int) -> Iterator[Hub]:
    """Run this portal."""
    state = Path(tempfile.mkdtemp(prefix="beamhub-bench-"))
    state.chmod(0o711)
    (state / LOCK).touch()
    seed(state / "portal.sqlite", a_user_each, jobs, port)
    profile = cluster.profile(backend=cluster.backend(query_s=10))
    portal = cluster.portal(state, profile=profile, before=ALONE, software=False)
    hub = inside(portal.process)
    try:
        yield Hub(portal.port, hub, a_user_each)
    finally:
        end_all(portal.process)
        shutil.rmtree(state, ignore_errors=True)


def plain(spawner: str) -> Callable[..., Any]:
    """Return what runs a plain JupyterHub with a spawner, as `ours` does this portal."""

    @contextmanager
    def run(_: Cluster, jobs: list[str], port: int) -> Iterator[Hub]:
        folder = Path(tempfile.mkdtemp(prefix="beamhub-bench-"))
        seed(folder / "hub.sqlite", all_of_one, jobs, port)
        own = free_port()
        process = stock_hub(STOCK, folder, own, prefix=ALONE, spawner=spawner)
        try:
            wait_until_answers(own)
            yield Hub(own, inside(process), all_of_one)
        finally:
            end_all(process)
            shutil.rmtree(folder, ignore_errors=True)

    return run


def inside(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> psutil.Process:
    """Return the hub in its namespace, of which `process` is the door."""
    return psutil.Process(process.pid).children()[0]


def end_all(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """End a hub and all that it started: one with 500 jobs takes minutes to do so itself."""
    inside(process).kill()
    process.wait(60)


def wait_until_answers(port: int) -> None:
    while True:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/hub/health", timeout=60).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.5)


def last_pid(hub: psutil.Process) -> int:
    """Return how many processes and threads a hub's namespace has seen, this question included."""
    door = ["nsenter", f"--target={hub.pid}", "--pid", "--mount"]
    return int(subprocess.check_output([*door, "cat", "/proc/sys/kernel/ns_last_pid"]))


def cost_of(hub: Hub, seconds: float, found_s: float) -> Cost:
    """Return what a hub costs whose servers have all been found."""
    waited_ms: list[float] = []
    with httpx.Client(base_url=f"http://127.0.0.1:{hub.port}", timeout=60) as client:
        before, began = last_pid(hub.process), time.monotonic()
        while time.monotonic() < began + seconds:
            asked = time.monotonic()
            client.get("/hub/health").raise_for_status()
            waited_ms.append((time.monotonic() - asked) * 1000)
            time.sleep(1 / RATE_HZ)
        started = last_pid(hub.process) - before - 1
        minutes = (time.monotonic() - began) / 60
    cuts = statistics.quantiles(waited_ms, n=20)
    return Cost(started / minutes, cuts[9], cuts[18], found_s)


def wait_until_found(hub: Hub, jobs: list[str]) -> float:
    """Return the seconds until a hub's proxy knows the way to all servers."""
    began, missing = time.monotonic(), list(jobs)
    with httpx.Client(base_url=f"http://127.0.0.1:{hub.port}", timeout=60) as client:
        while missing:
            if time.monotonic() - began > FOUND_S:
                raise SystemExit(f"{len(missing)} of {len(jobs)} servers were not found again")
            if client.get("/user/{}/{}/api".format(*hub.named(missing[-1]))).text == ANSWER:
                missing.pop()
            else:
                time.sleep(0.5)
    return time.monotonic() - began


def hubs(folder: str) -> dict[str, Callable[..., Any]]:
    """Return what can run here, by name; moss's spawner is put into a folder for this run alone."""
    found = {"BeamHub": ours, "batchspawner": plain("batchspawner.SlurmSpawner")}
    install = [sys.executable, "-m", "uv", "pip", "install", "--no-deps", "--quiet"]
    if subprocess.run([*install, f"--target={folder}", MOSS]).returncode:
        print(f"{MOSS} could not be installed")
        return found
    os.environ["PYTHONPATH"] = folder
    return {**found, "moss": plain("jupyterhub_moss.MOSlurmSpawner")}


def main(counts: list[int], seconds: float) -> None:
    cluster = Cluster(cpus=max(counts) // 2 + 1)
    with tempfile.TemporaryDirectory(prefix="beamhub-bench-") as folder, answering() as port:
        Path(folder).chmod(0o711)
        os.environ["SLURM_CONF"] = str(cluster.conf)
        candidates = hubs(f"{folder}/moss")
        jobs: list[str] = []
        try:
            cluster.start()
            for count in counts:
                jobs += submit(cluster, count - len(jobs))
                costs: list[Cost] = []
                for name, run in candidates.items():
                    costs.append(measured(run, cluster, jobs, port, seconds))
                    print_row(count, name, costs[-1], costs[0])
        finally:
            cluster.stop()


def measured(
    run: Callable[..., Any], cluster: Cluster, jobs: list[str], port: int, seconds: float
) -> Cost:
    """Return what one hub costs with these jobs."""
    with run(cluster, jobs, port) as hub:
        found_s = wait_until_found(hub, jobs)
        time.sleep(SETTLE_S)
        return cost_of(hub, seconds, found_s)


def print_row(count: int, name: str, cost: Cost, ours: Cost) -> None:
    """Print what a hub costs, and how much more that is than ours."""
    print(
        f"{count:4} jobs  {name:13} {cost.processes_per_min:7.1f} processes a minute "
        f"(x {ratio(cost.processes_per_min, ours.processes_per_min)})  "
        f"p50 {cost.p50_ms:6.1f} ms (x {ratio(cost.p50_ms, ours.p50_ms)})  "
        f"p95 {cost.p95_ms:6.1f} ms (x {ratio(cost.p95_ms, ours.p95_ms)})  "
        f"all found after {cost.found_s:5.1f} s",
        flush=True,
    )


def ratio(value: float, to: float) -> str:
    return f"{value / to:.1f}" if to else "-"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", default="10,100,500", help="numbers of jobs, ascending")
    parser.add_argument("--seconds", type=float, default=60, help="how long each hub is watched")
    given = parser.parse_args()
    main([int(count) for count in given.jobs.split(",")], given.seconds)
