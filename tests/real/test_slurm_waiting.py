"""Servers that wait in the queue of a real Slurm, and what the pages say of it."""

import pytest
from cluster import Cluster, wait_until
from portals import RunningPortal
from queueing import begin, outlook_of, pending, wait_for_page

pytestmark = [
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.timeout(600),
]


def test_who_waits_is_told_why_and_can_cancel(
    slurm_portal: RunningPortal, cluster: Cluster, full: str
) -> None:
    client = slurm_portal.login("ada")
    begin(client, size="small")
    page = wait_for_page(client, pending("ada"), "number 1 in the queue")
    assert "Waiting for" in page
    wait_for_page(client, pending("ada"), "Slurm expects it to begin in about", 30)
    assert outlook_of(client, "small").startswith("no room now; 1 job waiting")
    slurm_portal.stop_server(client, "pyfai")
    assert cluster.job_of("ada") == ""


def test_a_second_one_is_number_two(
    slurm_portal: RunningPortal, cluster: Cluster, full: str
) -> None:
    ada, eve = slurm_portal.login("ada"), slurm_portal.login("eve")
    begin(ada, size="small")
    begin(eve, size="small")
    wait_for_page(eve, pending("eve"), "number 2 in the queue")
    for client in (ada, eve):
        slurm_portal.stop_server(client, "pyfai")


def test_a_waiting_job_that_an_operator_cancels(
    slurm_portal: RunningPortal, cluster: Cluster, full: str
) -> None:
    client = slurm_portal.login("ada")
    begin(client, size="small")
    wait_until(lambda: cluster.job_of("ada"), "the job")
    cluster.said("scancel", cluster.job_of("ada"))
    wait_for_page(client, pending("ada"), "cancelled from outside of the portal")


def test_a_free_cluster_says_so(slurm_portal: RunningPortal) -> None:
    client = slurm_portal.login("ada")
    page = wait_for_page(client, "/hub/open/pyfai", "room now on 2 of 2 nodes; 16 cores")
    assert "64 cores asked, and no node of partition &#39;interactive&#39; has more than 8" in page
