"""Jobs of a real Slurm that outlive their hub, and none that outlives its server."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cluster import Cluster, wait_until
from portals import RunningPortal
from queueing import answers, begin, pending, wait_for_page

pytestmark = [
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.timeout(1800),
]
RUN, WAIT = 6, 4


@pytest.fixture
def started(
    cluster: Cluster, state_folder: Callable[[], Path]
) -> Iterator[Callable[..., RunningPortal]]:
    """Starts portals, the next with the state of the one before, and takes all away."""
    portals: list[RunningPortal] = []
    state = state_folder()

    def start(profile: Path | None = None, first: Path | None = None) -> RunningPortal:
        # Jobs know the hub by its port.
        port = portals[-1].port if portals else None
        portals.append(cluster.portal(state, profile=profile, first=first, port=port))
        return portals[-1]

    yield start
    for portal in portals:
        portal.stop()
    cluster.cancel_all()


@pytest.fixture(scope="module")
def crowd(cluster: Cluster) -> list[str]:
    """People of whom some run and some wait."""
    names = [f"person{number:02}" for number in range(RUN + WAIT)]
    cluster.add_people(*names)
    return names


def test_a_hub_that_is_killed_finds_what_runs_and_what_waits_by_one_question(
    cluster: Cluster, started: Callable[..., RunningPortal], crowd: list[str]
) -> None:
    size = {"title": "Light", "cores": 1, "memory_gib": 2, "walltime_h": 1}
    # Longer between two questions than the test takes: what is known comes from the first.
    profile = cluster.profile(sizes={"light": size}, backend=cluster.backend(query_s=3600))
    portal = started(profile)
    clients = {name: portal.login(name) for name in crowd}
    running, waiting = crowd[:RUN], crowd[RUN:]
    for name in running:
        begin(clients[name], size="light")
    wait_until(lambda: all(answers(clients[n], n) for n in running), "six servers", 900)
    hold_back = cluster.fill_rest()
    for name in waiting:
        begin(clients[name], size="light")
    wait_until(lambda: len(cluster.jobs("--states=PENDING")) == WAIT, "four that wait")
    jobs = {name: cluster.job_of(name) for name in crowd}
    portal.process.kill()
    portal.process.wait()
    asked = counted_squeue(cluster.folder / "counted")
    again = started(profile, first=asked.parent)
    for name in waiting:
        wait_for_page(clients[name], pending(name), "in the queue")
    assert all(answers(clients[name], name) for name in running)
    assert asked.read_text().splitlines() == ["asked"]
    given_up, *others = waiting
    again.stop_server(clients[given_up], "pyfai")
    assert cluster.job_of(given_up) == ""
    cluster.said("scancel", hold_back)
    wait_until(lambda: all(answers(clients[n], n) for n in others), "the three others")
    assert {n: cluster.job_of(n) for n in crowd} == {**jobs, given_up: ""}


def counted_squeue(folder: Path) -> Path:
    """Put a squeue into a folder that writes down that it was asked, and return where."""
    folder.mkdir()
    asked = folder / "asked"
    asked.touch()
    asked.chmod(0o666)
    wrapper = folder / "squeue"
    wrapper.write_text(f'#!/bin/sh\necho asked >> {asked}\nexec /usr/bin/squeue "$@"\n')
    wrapper.chmod(0o755)
    return asked


def test_a_job_that_never_reports_is_cancelled(
    cluster: Cluster, started: Callable[..., RunningPortal]
) -> None:
    backend = cluster.backend(prologue="sleep 600", report_timeout_min=0.1)
    portal = started(cluster.profile(backend=backend))
    client = portal.login("ada")
    begin(client, size="small")
    wait_for_page(client, pending("ada"), "JupyterLab did not answer from there")
    wait_until(lambda: cluster.job_of("ada") == "", "the end of the job")
