"""What ends servers that are jobs of a real Slurm, and what the pages say of it."""

import pwd
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest
from cluster import Cluster, wait_until
from conftest import lacking
from kernels import Kernel
from portals import RunningPortal
from queueing import wait_for_page, wait_until_ended

pytestmark = [
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.timeout(1800),
]
IN_8_H = re.compile(r"ends in (8 h|7 h [45]\d min)")
FILL = """\
with open("{path}", "wb") as file:
    while True:
        file.write(bytes(1 << 22))
"""
"""Files in memory count as the job's, and stay when the program that wrote them has ended."""


@pytest.fixture(scope="module", autouse=True)
def brief(slurm_portal: RunningPortal, cluster: Cluster) -> Iterator[httpx.Client]:
    """A client of fred's, whose server on the first node has 3 min; others get the second."""
    cluster.drain("node2")
    client = slurm_portal.login("fred")
    slurm_portal.start_server(client, "pyfai", size="brief")
    wait_for_page(client, "/hub/home", re.compile("Slurm ends it in [123] min"))
    cluster.drain("node1")
    yield client
    cluster.drain()
    slurm_portal.stop_server(client, "pyfai")
    wait_until(cluster.all_idle, "an idle cluster")


def programs_of(job: str) -> list[psutil.Process]:
    """Return the processes of a job of ada's."""
    uid, found = pwd.getpwnam("ada").pw_uid, []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.uids().real == uid and process.environ().get("SLURM_JOB_ID") == job:
                found.append(process)
    return found


@pytest.fixture
def ada(slurm_portal: RunningPortal) -> Iterator[httpx.Client]:
    """A client of ada's, whose server runs on the second node."""
    client = slurm_portal.login("ada")
    slurm_portal.start_server(client, "pyfai", size="small")
    yield client
    slurm_portal.stop_server(client, "pyfai")


def test_a_running_job_that_is_cancelled(ada: httpx.Client, cluster: Cluster) -> None:
    wait_for_page(ada, "/hub/home", IN_8_H)
    cluster.said("scancel", cluster.job_of("ada"))
    wait_until_ended(ada, "ada", "cancelled from outside of the portal")


def test_one_whose_processes_are_killed(ada: httpx.Client, cluster: Cluster) -> None:
    for process in programs_of(cluster.job_of("ada")):
        process.kill()
    wait_until_ended(ada, "ada", "Something on its node ended it")


def test_one_that_makes_room_for_what_goes_first(ada: httpx.Client, cluster: Cluster) -> None:
    urgent = cluster.submit("max", "--partition=urgent", "--exclusive", "--nodelist=node2")
    try:
        page = wait_until_ended(ada, "ada", "to make room for jobs that go first")
    finally:
        cluster.said("scancel", urgent)
    assert "Start it again: it waits for its turn" in page


@pytest.fixture
def limited(cluster: Cluster) -> None:
    """A cluster that limits the memory of jobs."""
    if not cluster.limits_memory:
        lacking("there are no control groups here that can be written")


@pytest.mark.usefixtures("limited")
def test_a_kernel_that_runs_out_of_memory(ada: httpx.Client, slurm_portal: RunningPortal) -> None:
    kernel = Kernel(slurm_portal, ada, "/user/ada/pyfai/")
    # Shared memory, which the limit of a process doesn't count.
    code = "import mmap; m = mmap.mmap(-1, 9 << 30)\nwhile True: m.write(bytes(1 << 22))"
    with pytest.raises(TimeoutError):
        kernel.run(code, seconds=5)
    wait_for_page(ada, "/hub/home", "its memory of 4 GiB was full and a program in it was ended")
    assert ada.get("/user/ada/pyfai/api/status").status_code == 200


@pytest.mark.usefixtures("limited")
def test_one_that_runs_out_of_memory(
    ada: httpx.Client, slurm_portal: RunningPortal, cluster: Cluster
) -> None:
    kernel = Kernel(slurm_portal, ada, "/user/ada/pyfai/")
    job = kernel.run("import psutil; print(psutil.Process().parent().ppid())").strip()
    # The kernel of the operating system chooses the largest; here the job itself.
    kernel.run(f"open('/proc/{job}/oom_score_adj', 'w').write('1000')")
    path = f"/dev/shm/{cluster.tag}"
    try:
        with pytest.raises(Exception):  # noqa: B017 - the connection breaks in one of many ways
            kernel.run(FILL.format(path=path), seconds=60)
        page = wait_until_ended(ada, "ada", "It ran out of memory")
    finally:
        # 4 GiB of this machine's memory, which no job's end gives back.
        Path(path).unlink(missing_ok=True)
    assert "Start it with a larger size" in page


def test_one_whose_node_has_a_wrong_clock(slurm_portal: RunningPortal, cluster: Cluster) -> None:
    cluster.power_off("node2")
    cluster.start_node("node2", clock="+4m")
    client = slurm_portal.login("ada")
    slurm_portal.start_server(client, "pyfai", size="small")
    code = "import time; print(time.time())"
    ahead = float(Kernel(slurm_portal, client, "/user/ada/pyfai/").run(code)) - time.time()
    assert 200 < ahead < 280
    wait_for_page(client, "/hub/home", IN_8_H)
    number = cluster.job_of("ada")
    # So far that the controller no longer believes what the node says.
    cluster.set_clock("node2", "-1h")
    wait_until_ended(client, "ada", "The node that it ran on has failed")
    assert programs_of(number)
    cluster.set_clock("node2", "+0")
    wait_until(lambda: not programs_of(number), "the end of what the node still ran")
    cluster.power_off("node2")
    cluster.start_node("node2")


def test_one_whose_node_fails(ada: httpx.Client, cluster: Cluster) -> None:
    cluster.power_off("node2")
    try:
        wait_until_ended(ada, "ada", "The node that it ran on has failed")
    finally:
        cluster.start_node("node2")


def test_one_whose_time_is_over(brief: httpx.Client) -> None:
    wait_until_ended(brief, "fred", "Its time was over")
