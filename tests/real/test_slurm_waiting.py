"""Servers that wait in the queue of a real Slurm, and what the pages say of it."""

import httpx
import pytest
from cluster import Cluster, wait_until
from kernels import Kernel
from portals import RunningPortal
from queueing import begin, outlook_of, pending, wait_for_page

pytestmark = [
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.timeout(1800),
]


def test_who_waits_is_told_why_and_can_cancel(
    slurm_portal: RunningPortal, cluster: Cluster, full: str
) -> None:
    client = slurm_portal.login("ada")
    begin(client, size="small")
    page = wait_for_page(client, pending("ada"), "number 1 in the queue")
    assert "Waiting for" in page
    wait_for_page(client, pending("ada"), "Slurm expects it to begin in about")
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


def test_a_free_cluster_says_so(slurm_portal: RunningPortal, cluster: Cluster) -> None:
    client = slurm_portal.login("ada")
    page = wait_for_page(client, "/hub/open/pyfai", "room now on 2 of 2 nodes; 24 cores")
    assert f"of partition &#39;interactive&#39; has more than {cluster.cpus}" in page


def test_a_gpu_and_a_whole_node_are_given_to_those_who_ask(
    slurm_portal: RunningPortal, cluster: Cluster
) -> None:
    ada, eve = slurm_portal.login("ada"), slurm_portal.login("eve")
    wait_for_page(ada, "/hub/open/pyfai", "2 of 2 GPUs")
    slurm_portal.start_server(ada, "pyfai", size="gpu")
    shown = cluster.said("scontrol", "show", "job", cluster.job_of("ada"))
    assert "TresPerNode=gres:gpu:1" in shown
    code = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])"
    assert Kernel(slurm_portal, ada, "/user/ada/pyfai/").run(code).strip() == "0"
    wait_for_outlook(eve, "gpu", "room now on 1 of 2 nodes; 23 cores")
    assert "1 of 2 GPUs" in outlook_of(eve, "gpu")
    assert "room now on 1 of 2 nodes" in outlook_of(eve, "whole")
    slurm_portal.start_server(eve, "pyfai", size="whole")
    shown = cluster.said("scontrol", "show", "job", cluster.job_of("eve"))
    assert f"NumCPUs={cluster.cpus} " in shown
    wait_for_outlook(ada, "gpu", "no room now")
    assert outlook_of(ada, "whole").startswith("no room now")
    for client in (ada, eve):
        slurm_portal.stop_server(client, "pyfai")


def wait_for_outlook(client: httpx.Client, size: str, text: str) -> None:
    wait_until(lambda: text in outlook_of(client, size), text)
