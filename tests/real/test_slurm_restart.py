"""Jobs of a real Slurm that outlive their hub, and none that outlives its server."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cluster import Cluster, wait_until
from portals import RunningPortal
from queueing import answers, begin, pending, wait_for_page

from hub.state import identity_of
from spawners import slurm_strays
from spawners.slurm_queue import queue_of
from spawners.slurm_script import job_name

pytestmark = [
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.timeout(600),
]


@pytest.fixture
def started(
    cluster: Cluster, state_folder: Callable[[], Path]
) -> Iterator[Callable[..., RunningPortal]]:
    """Starts portals, the next with the state of the one before, and takes all away."""
    portals: list[RunningPortal] = []
    state = state_folder()

    def start(profile: Path | None = None) -> RunningPortal:
        # Jobs know the hub by its port.
        port = portals[-1].port if portals else None
        portals.append(cluster.portal(state, profile=profile, port=port))
        return portals[-1]

    yield start
    for portal in portals:
        portal.stop()
    cluster.cancel_all()


def test_a_hub_that_starts_again_finds_what_runs_and_what_waits(
    cluster: Cluster, started: Callable[..., RunningPortal]
) -> None:
    portal = started()
    names = ("ada", "eve", "fred")
    ada, eve, fred = map(portal.login, names)
    portal.start_server(ada, "pyfai", size="small")
    hold_back = cluster.fill_rest()
    for name, client in (("eve", eve), ("fred", fred)):
        begin(client, size="small")
        wait_for_page(client, pending(name), "in the queue")
    jobs = {name: cluster.job_of(name) for name in names}
    portal.process.kill()
    portal.process.wait()
    again = started()
    ada, eve, fred = map(again.login, names)
    wait_for_page(eve, pending("eve"), "in the queue")
    assert answers(ada, "ada")
    again.stop_server(fred, "pyfai")
    assert cluster.job_of("fred") == ""
    cluster.said("scancel", hold_back)
    wait_until(lambda: answers(eve, "eve"), "eve's server", 120)
    assert {n: cluster.job_of(n) for n in names} == {**jobs, "fred": ""}
    for client in (ada, eve):
        again.stop_server(client, "pyfai")


def test_a_job_of_no_server_is_cancelled_and_nobody_elses(
    slurm_portal: RunningPortal, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    portal = identity_of(slurm_portal.state)
    stray = cluster.submit("ada", f"--job-name={job_name(portal, 'pyfai')}")
    other = cluster.submit("ada", f"--job-name={job_name('0000', 'pyfai')}")
    known = cluster.submit("ada", f"--job-name={job_name(portal, 'pymca')}")
    monkeypatch.setattr(slurm_strays, "YOUNG_S", -10)
    queue_of.cache_clear()
    assert asyncio.run(slurm_strays.cancel_strays({known}, portal, 1)) == 1
    queue_of.cache_clear()
    wait_until(lambda: stray not in cluster.jobs(), "the end of the stray", 30)
    assert {other, known} <= set(cluster.jobs())
    cluster.said("scancel", other, known)


def test_a_job_that_never_reports_is_cancelled(
    cluster: Cluster, started: Callable[..., RunningPortal]
) -> None:
    backend = cluster.backend(prologue="sleep 600", report_timeout_min=0.1)
    portal = started(cluster.profile(backend=backend))
    client = portal.login("ada")
    begin(client, size="small")
    wait_for_page(client, pending("ada"), "JupyterLab did not answer from there")
    wait_until(lambda: cluster.job_of("ada") == "", "the end of the job")
