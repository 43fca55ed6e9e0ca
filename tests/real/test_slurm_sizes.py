"""What the machine makes of sizes, asked of a real Slurm: bounds, estimates, and the check."""

import asyncio
import html
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from cluster import HUB, PATIENCE_S, Cluster, wait_until
from portals import RunningPortal, xsrf
from queueing import outlook_of

from spawners.slurm.jobs import jobs_of, new_mark
from spawners.slurm.machine import ask_machine
from spawners.slurm.queue import ask_nodes

pytestmark = [
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.timeout(1800),
]

GIB = {"cores": 1, "memory_gib": 4}
SIZES = {
    # Sizes of a profile that is extended stay: these are redefined.
    **{n: {"title": n.title(), **GIB, "walltime_h": 1} for n in ("small", "medium", "large")},
    "long": {"title": "Long", **GIB, "walltime_h": 8},
    "open": {"title": "Open", **GIB},
    "wide": {"title": "Wide", "cores": 6, "memory_gib": 4, "walltime_h": 1},
    "gpus": {"title": "GPUs", **GIB, "gpus": 2, "walltime_h": 1},
    "members": {"title": "Members", **GIB, "walltime_h": 1},
    "quick": {"title": "Quick", **GIB, "walltime_h": 1},
    "product": {"title": "Product", **GIB, "walltime_h": 1},
    "fast": {"title": "Fast", **GIB, "gpus": 1, "walltime_h": 1},
    "spent": {"title": "Spent", **GIB, "walltime_h": 1},
}
BY_SIZE = {
    "long": {"partition": "short"},
    "open": {"partition": "short"},
    "members": {"partition": "closed"},
    "quick": {"qos": "quick"},
    "product": {"qos": "product"},
    "fast": {"gpu_type": "fast"},
    "spent": {"account": "spent"},
}
NEVER = {
    "long": "longer than partition 'short' allows: 8 h asked, 4 h possible",
    "wide": "account 'science' allows one job 4 cores: 6 cores asked",
    "gpus": "2 GPUs asked, and no node of partition 'interactive' has more than 1",
    "members": "partition 'closed' is only for members of 'root'",
    "quick": "longer than QOS 'quick' allows: 1 h asked, 30 min possible",
    "product": "longer than QOS 'product' allows a job with 1 core: 1 h asked, 20 min possible",
    "fast": "account 'science' allows one job no GPUs of type 'fast'",
    "spent": "account 'spent' has spent its 1 core minute",
}


@pytest.fixture(scope="module")
def bounded(cluster: Cluster) -> Iterator[None]:
    """Partitions and limits as sites have them."""
    both = ["Nodes=ALL", "State=UP"]
    cluster.said("scontrol", "create", "PartitionName=short", "MaxTime=04:00:00", *both)
    cluster.said("scontrol", "create", "PartitionName=closed", "AllowGroups=root", *both)
    cluster.sacctmgr("add", "qos", "quick", "MaxWall=00:30:00")
    cluster.sacctmgr("add", "qos", "product", "MaxTRESMins=cpu=20", "GrpTRESMins=cpu=1000")
    limits = "MaxTRESPerJob=cpu=4,gres/gpu:fast=0"
    cluster.sacctmgr("modify", "user", "connie", "set", "qos+=quick,product", limits)
    cluster.sacctmgr("add", "account", "spent", "Cluster=beamhub", "GrpTRESMins=cpu=1")
    cluster.sacctmgr("add", "user", "connie,max", "Account=spent", "Cluster=beamhub")
    spend(cluster, "max", "spent")
    yield
    cluster.sacctmgr("delete", "user", "connie,max", "Account=spent")
    cluster.sacctmgr("delete", "account", "spent")
    no_limits = "MaxTRESPerJob=cpu=-1,gres/gpu:fast=-1"
    cluster.sacctmgr("modify", "user", "connie", "set", "qos-=quick,product", no_limits)
    cluster.sacctmgr("delete", "qos", "quick,product")
    for name in ("short", "closed"):
        cluster.said("scontrol", "delete", f"PartitionName={name}")


def spend(cluster: Cluster, user: str, account: str) -> None:
    """Use more than a core minute of an account's; a job that ends is counted at once."""
    cores = cluster.cpus * len(cluster.nodes)
    nodes = ("--exclusive", f"--nodes={len(cluster.nodes)}")
    number = cluster.submit(user, f"--account={account}", *nodes)
    order = ("squeue", "-h", "--states=all", "-j", number, "-o", "%M")
    wait_until(lambda: seconds(cluster.said(*order)) > 90 / cores, "a job of some seconds")
    cluster.said("scancel", number)
    wait_until(cluster.all_idle, "an idle cluster")


def seconds(elapsed: str) -> int:
    """Return a time such as ``1:05`` in seconds."""
    minutes, _, rest = elapsed.rpartition(":")
    return int(minutes or 0) * 60 + int(rest)


@pytest.fixture(scope="module")
def portal(
    bounded: None, cluster: Cluster, state_folder: Callable[[], Path]
) -> Iterator[RunningPortal]:
    """A portal whose sizes go to those partitions."""
    profile = cluster.profile(
        extends="_defaults", sizes=SIZES, backend=cluster.backend(by_size=BY_SIZE)
    )
    running = cluster.portal(state_folder(), profile=profile)
    yield running
    running.stop()


def outlook(client: httpx.Client, size: str, words: str) -> str:
    """Return what is told of a size, once that says something."""
    end = time.monotonic() + PATIENCE_S
    while words not in (text := outlook_of(client, size)):
        assert time.monotonic() < end, text
        time.sleep(0.5)
    return str(text)


def test_what_would_never_run_is_shown_with_the_reason(portal: RunningPortal) -> None:
    client = portal.login("connie")
    for size, why in NEVER.items():
        assert outlook(client, size, "Can't run for you: ") == f"Can't run for you: {why}"
    page = html.unescape(client.get("/hub/open/pyfai").text)
    disabled = re.findall(r'value="(\w+)"\s+disabled', page)
    assert disabled == [*NEVER]
    assert "up to 4 h" in page
    assert "Slurm grants 4 h in partition 'short'" in page


def test_another_user_has_other_bounds(portal: RunningPortal) -> None:
    client = portal.login("eve")
    outlook(client, "wide", "room now on 2 of 2 nodes")
    outlook(client, "quick", "Can't run for you: Slurm has no QOS 'quick', or not for you")


def test_it_is_refused_before_sbatch_by_form_and_rest(
    portal: RunningPortal, cluster: Cluster
) -> None:
    client = portal.login("connie")
    outlook(client, "long", "Can't run for you")
    page = client.get("/hub/open/pyfai")
    answer = client.post("/hub/open/pyfai", data={"_xsrf": xsrf(page.text), "size": "long"})
    assert answer.status_code == 409
    assert "Possible are small, medium, large, open." in html.unescape(answer.text)
    cookie = client.cookies.get("_xsrf", path="/hub/") or ""
    rest = client.post(
        "/hub/api/users/connie/servers/pyfai",
        headers={"X-XSRFToken": cookie},
        json={"size": "wide"},
    )
    assert rest.status_code == 409
    assert "allows one job 4 cores" in rest.text
    assert cluster.job_of("connie") == ""
    assert "sbatch refused" not in portal.log()


def test_a_walltime_that_nobody_declares_is_the_partitions(
    portal: RunningPortal, cluster: Cluster
) -> None:
    client = portal.login("connie")
    outlook(client, "open", "Slurm grants 4 h")
    portal.start_server(client, "pyfai", size="open")
    number = cluster.job_of("connie")
    assert cluster.said("squeue", "-h", "-j", number, "-o", "%l %P") == "4:00:00 short"
    portal.stop_server(client, "pyfai")
    # And how long it waited is remembered, over restarts.
    assert "Here they usually wait" in outlook(client, "open", "usually wait")
    assert "open" in (portal.state / "waits.json").read_text()


def test_slurm_says_when_a_job_of_this_user_would_begin(
    portal: RunningPortal, cluster: Cluster
) -> None:
    client = portal.login("eve")
    outlook(client, "small", "Yours would begin at once, by Slurm's estimate")
    number = cluster.fill()
    try:
        outlook(client, "small", "no room now; 0 jobs waiting; 0 cores")
        outlook(client, "small", "Yours would begin in about")
    finally:
        cluster.said("scancel", number)
        wait_until(cluster.all_idle, "an idle cluster")


def test_what_is_read_is_all_that_this_slurm_prints(bounded: None, cluster: Cluster) -> None:
    machine = asyncio.run(ask_machine())
    assert machine.partitions["short"].minutes == 240
    assert machine.partitions["closed"].groups == {"root"}
    assert machine.enforced >= {"associations", "limits", "qos"}
    assert machine.qos["quick"].limits.minutes == 30
    assert machine.accounts["connie"] == "science"
    connie = machine.of_user["connie"][0]
    assert connie.limits.per_job == {"cpu": 4, "gres/gpu:fast": 0}
    assert connie.qos >= {"normal", "quick", "product"}
    product = machine.qos["product"].limits
    assert (product.job_minutes, product.group_minutes) == ({"cpu": 20}, {"cpu": 1000})
    assert product.used_minutes["cpu"] == 0
    spent = machine.of_account["spent"].limits
    assert spent.group_minutes == {"cpu": 1}
    assert spent.used_minutes["cpu"] >= 1
    nodes = asyncio.run(ask_nodes())
    assert {node.gpus for node in nodes.values()} == {1}
    assert jobs_of("", new_mark()) == {}


def test_what_is_shown_as_never_slurm_leaves_waiting(bounded: None, cluster: Cluster) -> None:
    for option, reason in {
        "--cpus-per-task=6": "AssocMaxCpuPerJobLimit",
        "--qos=product": "QOSMaxCpuMinutesPerJobLimit",
        "--gres=gpu:fast:1": "AssocMaxGRESPerJob",
        "--account=spent": "AssocGrpCPUMinutesLimit",
    }.items():
        number = cluster.submit("connie", option, wait=False)
        order = ("squeue", "-h", "--states=all", "-j", number, "-o", "%T %r")
        try:
            wait_until(lambda o=order, r=reason: cluster.said(*o) == f"PENDING {r}", reason)
        finally:
            cluster.said("scancel", number)


# The check.


def test_check_measures_each_size(portal: RunningPortal, cluster: Cluster) -> None:
    said = cluster.check(HUB, {"by_size": {**BY_SIZE, "nosuch": {}}}, sizes=SIZES).stdout
    assert "backend.by_size.nosuch: there is no size of that name" in said
    assert re.search(r"sizes\.long: no job of \w+ could run: longer than partition 'short'", said)
    assert "sizes.gpus: no job of" in said
    assert "sizes.small" not in said
    assert "sizes.open" not in said
    reserved = cluster.check(HUB, {"by_size": {"small": {"reservation": "nosuch"}}}).stdout
    assert "sizes.small: a job of" in reserved
    assert "would not be taken. The reservation" in reserved


def test_check_runs_a_job_that_finds_the_ways(portal: RunningPortal, cluster: Cluster) -> None:
    good = cluster.check(HUB, {}, "--job-as=ada")
    assert "All is well" in good.stdout, good.stdout + good.stderr
    assert cluster.job_of("ada") == ""


def test_check_says_which_way_is_missing(portal: RunningPortal, cluster: Cluster) -> None:
    unreached = cluster.check(HUB, {"hub": "127.0.0.1"}, "--job-as=ada").stdout
    assert "does not reach the portal at 127.0.0.1" in unreached
    elsewhere = cluster.check(HUB, {"hub": "192.0.2.7"}, "--job-as=ada").stdout
    assert "the portal can't listen at 192.0.2.7" in elsewhere
    nobody = cluster.check(HUB, {}, "--job-as=root").stdout
    assert "belongs to a service" in nobody
    unseen = {"kind": "apptainer", "folder": str(cluster.folder / "munge")}
    lacking = cluster.check(HUB, {"software": unseen}, "--job-as=ada").stdout
    assert "has no program 'apptainer'" in lacking
    assert cluster.job_of("ada") == ""
