"""What ends servers that are jobs of a real Slurm, and what the pages say of it."""

import pytest
from cluster import Cluster, wait_until
from kernels import Kernel
from portals import RunningPortal
from queueing import wait_for_page, wait_until_ended

pytestmark = [
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.timeout(600),
]


def test_a_running_job_that_is_cancelled(slurm_portal: RunningPortal, cluster: Cluster) -> None:
    client = slurm_portal.login("ada")
    slurm_portal.start_server(client, "pyfai", size="small")
    assert "ends in 8 h" in wait_for_page(client, "/hub/home", "ends in 8 h")
    cluster.said("scancel", cluster.job_of("ada"))
    wait_until_ended(client, "ada", "cancelled from outside of the portal")


def test_one_whose_time_is_over(slurm_portal: RunningPortal, cluster: Cluster) -> None:
    client = slurm_portal.login("ada")
    slurm_portal.start_server(client, "pyfai", size="brief")
    wait_for_page(client, "/hub/home", "Slurm ends it in 1 min")
    wait_until_ended(client, "ada", "Its time was over", 180)


def test_one_that_runs_out_of_memory(slurm_portal: RunningPortal, cluster: Cluster) -> None:
    client = slurm_portal.login("ada")
    slurm_portal.start_server(client, "pyfai", size="brief")
    kernel = Kernel(slurm_portal, client, "/user/ada/pyfai/")
    # Shared memory, which the limit of a process doesn't count.
    code = (
        "import mmap, time; m = mmap.mmap(-1, 3 << 30); m.write(bytes(3 << 28) * 4); time.sleep(60)"
    )
    code = (
        "import mmap, time; m = mmap.mmap(-1, 3 << 30)\n"
        "for i in range(3 << 8): m.write(bytes(1 << 22))\n"
        "time.sleep(60)"
    )
    with pytest.raises(Exception):  # noqa: B017 - the connection breaks in one of many ways
        kernel.run(code, seconds=50)
    wait_until_ended(client, "ada", "where its memory was full")


def test_one_whose_node_fails(slurm_portal: RunningPortal, cluster: Cluster) -> None:
    client = slurm_portal.login("ada")
    slurm_portal.start_server(client, "pyfai", size="small")
    number = cluster.job_of("ada")
    node = cluster.said("squeue", "-h", f"--jobs={number}", "-o", "%B")
    cluster.power_off(node)
    try:
        wait_until_ended(client, "ada", "The node that it ran on has failed", 120)
    finally:
        cluster.start_node(node)
        wait_until(cluster.all_idle, "both nodes", 120)
