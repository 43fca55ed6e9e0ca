"""Whether a size can run for a user: every kind of limit, in words, and in Slurm's order."""

from dataclasses import replace

import pytest

from spawners.slurm import bounds
from spawners.slurm.bounds import bound, obstacles
from spawners.slurm.jobs import Node
from spawners.slurm.limits import Amount, Association, Limits, Machine, Partition, Qos
from spawners.slurm.rules import Demand

ADA = Demand("ada", "p", "", "", cores=2, memory_mb=4096, gpus=0, minutes=60)
NODES = {
    "n": Node("n", "n", frozenset({"DOWN"}), frozenset({"p"}), 8, 0, 32_000, 0, 1, 0, {"a": 1})
}


def machine(
    *, partition=None, qos=None, mine=None, above=None, enforced=("associations", "limits", "qos")
) -> Machine:
    """Return a machine with one partition, whose user ada has the account science."""
    own = Association("science", "ada", qos=frozenset({"normal"}), limits=mine or Limits())
    account = Association("science", parent="root", limits=above or Limits())
    return Machine(
        {"p": partition or Partition("p")},
        frozenset(enforced),
        {"normal": Qos("normal"), **(qos or {})},
        (own, account, Association("root")),
        {"ada": "science"},
    )


def why(demand=ADA, known=None, nodes=NODES, **more) -> str:
    return next(obstacles(replace(demand, **more), known or machine(), nodes), "")


def test_what_fits_is_not_closed():
    assert why() == ""
    assert bound(ADA, True, Machine(), {}).closed == ""


@pytest.mark.parametrize(
    ("partition", "words"),
    [
        (
            Partition("p", minutes=30),
            "longer than partition 'p' allows: 1 h asked, 30 min possible",
        ),
        (Partition("p", state="DOWN"), "partition 'p' is down now"),
        (Partition("p", state="DRAIN"), "partition 'p' takes no new jobs now"),
        (Partition("p", least_nodes=2), "gives at least 2 nodes at once"),
        (Partition("p", cores_per_node=1), "at most 1 cores of a node: 2 cores asked"),
        (Partition("p", memory_mb_per_node=2048), "at most 2 GiB of a node: 4 GiB asked"),
        (Partition("p", groups=frozenset({"x"})), "only for members of 'x'"),
        (Partition("p", allowed={"Accounts": frozenset({"x"})}), "not for the account 'science'"),
        (Partition("p", denied={"Qos": frozenset({"normal"})}), "not for the QOS 'normal'"),
        (Partition("p", memory_mb_per_core=400), "11 cores needed for 4 GiB, and no node"),
    ],
)
def test_what_a_partition_does_not_allow(monkeypatch, partition, words):
    monkeypatch.setattr(bounds, "machine_groups", lambda _: {"users"})
    assert words in why(known=machine(partition=partition))


def test_a_partition_that_is_not_there():
    assert why(partition="q") == "Slurm has no partition 'q'"


def test_what_no_node_has_though_it_may_be_down():
    assert "16 cores asked, and no node of partition 'p' has more than 8" in why(cores=16)
    assert "62.5 GiB asked, and no node" in why(memory_mb=64_000)
    assert "2 GPUs asked, and no node of partition 'p' has more than 1" in why(gpus=2)
    assert why(gpus=1, gpu_type="a") == ""
    assert "1 GPU of type 'b' asked, and no node" in why(gpus=1, gpu_type="b")
    small = Node("s", "s", frozenset({"IDLE"}), frozenset({"p"}), 64, 0, 1000, 0, 0, 0)
    assert "together" in why(cores=16, nodes={**NODES, "s": small})
    assert why(cores=16, nodes={}) == ""


def test_who_may_not_start_jobs_at_all():
    assert "no account that you could start jobs with" in why(user="eve")
    assert "lets you start no jobs with the account 'other'" in why(account="other")
    assert why(user="eve", known=machine(enforced=())) == ""
    assert "no QOS 'long', or not for you" in why(qos="long")
    known = machine(qos={"long": Qos("long")})
    assert "or not for you" in why(qos="long", known=known)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(minutes=30), "longer than account 'science' allows: 1 h asked, 30 min possible"),
        (Limits(per_job=Amount(cores=1)), "account 'science' allows one job 1 core: 2 cores asked"),
        (Limits(per_node=Amount(memory_mb=1024)), "one job on a node 1 GiB: 4 GiB asked"),
        (Limits(per_user=Amount(cores=1)), "allows one user 1 core"),
        (Limits(group=Amount(cores=1)), "allows all its jobs together 1 core"),
        (Limits(jobs=0), "allows no jobs now"),
        (Limits(submitted=0), "allows no jobs now"),
    ],
)
def test_what_the_users_account_does_not_allow(limits, words):
    assert words in why(known=machine(mine=limits))
    assert why(known=machine(mine=limits, enforced=("associations",))) == ""


def test_an_account_above_bounds_all_its_jobs():
    text = why(known=machine(above=Limits(group=Amount(memory_mb=1024))))
    assert text == "account 'science' allows all its jobs together 1 GiB: 4 GiB asked"


def test_a_qos_goes_before_the_account_and_the_partitions_own_before_the_jobs():
    tight, wide = Limits(minutes=30), Limits(minutes=600)
    known = machine(qos={"normal": Qos("normal", limits=wide)}, mine=tight)
    assert why(known=known) == ""
    of_partition = {"normal": Qos("normal", limits=wide), "part": Qos("part", limits=tight)}
    partition = Partition("p", qos="part")
    assert "QOS 'part' allows" in why(known=machine(partition=partition, qos=of_partition))
    of_partition["normal"] = Qos("normal", frozenset({"OverPartQOS"}), wide)
    assert why(known=machine(partition=partition, qos=of_partition)) == ""


def test_a_qos_can_lift_the_partitions_time():
    lifting = {"normal": Qos("normal", frozenset({"PartitionTimeLimit"}))}
    assert why(known=machine(partition=Partition("p", minutes=30), qos=lifting)) == ""


def test_a_walltime_that_nobody_declares_is_what_is_possible():
    known = machine(partition=Partition("p", minutes=30))
    assert bound(ADA, True, known, NODES).closed.startswith("longer than partition")
    granted = bound(ADA, False, known, NODES)
    assert (granted.closed, granted.walltime_h) == ("", 0.5)
    roomy = bound(ADA, False, machine(partition=Partition("p", minutes=600)), NODES)
    assert (roomy.closed, roomy.walltime_h) == ("", None)
