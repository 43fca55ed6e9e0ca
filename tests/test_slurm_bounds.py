"""Whether a size can run for a user: every kind of limit, in words, and in Slurm's order."""

from dataclasses import replace

import pytest

from spawners.slurm import bounds
from spawners.slurm.bounds import bound, obstacles
from spawners.slurm.demand import Demand
from spawners.slurm.jobs import Node
from spawners.slurm.limits import Association, Limits, Machine, Partition, Qos

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
        (Limits(per_job={"cpu": 1}), "account 'science' allows one job 1 core: 2 cores asked"),
        (Limits(per_node={"mem": 1024}), "one job on a node 1 GiB: 4 GiB asked"),
        (Limits(per_user={"cpu": 1}), "allows one user 1 core"),
        (Limits(group={"cpu": 1}), "allows all its jobs together 1 core"),
        (Limits(jobs=0), "allows no jobs now"),
        (Limits(submitted=0), "allows no jobs now"),
    ],
)
def test_what_the_users_account_does_not_allow(limits, words):
    assert words in why(known=machine(mine=limits))
    assert why(known=machine(mine=limits, enforced=("associations",))) == ""


def test_an_account_above_bounds_all_its_jobs():
    text = why(known=machine(above=Limits(group={"mem": 1024})))
    assert text == "account 'science' allows all its jobs together 1 GiB: 4 GiB asked"


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"gres/gpu:a": 0}, "account 'science' allows one job no GPUs of type 'a'"),
        ({"gres/gpu:a": 1}, "allows one job 1 GPU of type 'a': 2 GPUs of type 'a' asked"),
        ({"gres/gpu": 1, "gres/gpu:a": 4}, "allows one job 1 GPU: 2 GPUs asked"),
        ({"gres/gpu:b": 0}, ""),
        ({"node": 0}, "allows one job no nodes"),
    ],
)
def test_types_of_gpus_are_limited_where_a_job_names_one(limits, words):
    many = {"n": replace(NODES["n"], gpus=2, gpu_types={"A": 2, "a": 2})}
    known = machine(mine=Limits(per_job=limits))
    said = why(known=known, nodes=many, gpus=2, gpu_type="a")
    assert words in said if words else said == ""
    untyped = why(known=machine(mine=Limits(per_job={"gres/gpu:a": 0})), nodes=many, gpus=2)
    assert untyped == ""


def test_an_account_that_a_qos_bounds():
    known = machine(qos={"normal": Qos("normal", limits=Limits(per_account={"cpu": 1}))})
    assert why(known=known) == "QOS 'normal' allows one account 1 core: 2 cores asked"


def used(limits, spent) -> Limits:
    return Limits(group_minutes=limits, used_minutes=spent)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (used({"cpu": 6000}, {"cpu": 6001.0}), "account 'science' has spent its 100 core hours"),
        (used({"cpu": 1}, {"cpu": 1}), "has spent its 1 core minute"),
        (used({"cpu": 90}, {"cpu": 90}), "has spent its 1.5 core hours"),
        (used({"mem": 6144000}, {"mem": 6144000}), "has spent its 100 GiB hours"),
        (used({"billing": 60}, {"billing": 60}), "has spent its 1 billing hour"),
        (used({"wall": 600}, {"wall": 600}), "has spent its 10 wall-clock hours"),
        (used({"cpu": 6000}, {"cpu": 5999}), ""),
        (used({"cpu": 6000}, {}), ""),
        # Jobs without a GPU are let through.
        (used({"gres/gpu": 60}, {"gres/gpu": 60}), ""),
    ],
)
def test_hours_that_are_used_up(limits, words):
    said = why(known=machine(above=limits))
    assert words in said if words else said == ""
    assert why(known=machine(above=limits, enforced=("associations",))) == ""


def test_hours_that_the_user_alone_has_used_up():
    known = machine(mine=used({"cpu": 6000}, {"cpu": 6001}))
    assert why(known=known) == "you have spent your 100 core hours of account 'science'"


def test_hours_of_one_type_of_gpu():
    known = machine(above=used({"gres/gpu:a": 600}, {"gres/gpu:a": 600}))
    assert why(known=known, gpus=1, gpu_type="a").endswith("its 10 GPU hours of type 'a'")
    assert why(known=known, gpus=1) == ""


def test_a_partition_that_costs_nothing_is_open_when_all_is_spent():
    limits = used({"billing": 60}, {"billing": 60})
    free = Partition("p", weights={"cpu": 0, "gres/gpu": 2})
    assert why(known=machine(mine=limits, partition=free)) == ""
    assert "billing" in why(known=machine(mine=limits, partition=free), gpus=1)


def test_hours_of_a_qos_go_before_the_accounts():
    known = machine(
        qos={"normal": Qos("normal", limits=used({"cpu": 600}, {"cpu": 0}))},
        mine=used({"cpu": 60}, {"cpu": 60}),
    )
    assert why(known=known) == ""


def test_jobs_that_use_nothing_run_when_all_is_spent():
    free = {"normal": Qos("normal", usage_factor=0.0)}
    known = machine(qos=free, mine=used({"cpu": 60}, {"cpu": 60}))
    assert why(known=known) == ""


@pytest.mark.parametrize(
    ("factor", "flags", "words"),
    [
        (2.0, {"UsageFactorSafe"}, "1 h asked, 30 min possible"),
        (2.0, set(), ""),
        (0.0, {"UsageFactorSafe"}, ""),
    ],
)
def test_a_qos_whose_hours_count_more(factor, flags, words):
    qos = {"normal": Qos("normal", frozenset(flags), usage_factor=factor)}
    said = why(known=machine(qos=qos, mine=Limits(job_minutes={"cpu": 120})))
    assert words in said if words else said == ""


def test_a_qos_that_widens_what_associations_allow():
    own, above = Limits(per_job={"cpu": 1}), Limits(group={"cpu": 1})
    wide = {"normal": Qos("normal", limit_factor=2.0)}
    assert why(known=machine(qos=wide, mine=own, above=above)) == ""
    assert "2 cores: 3 cores asked" in why(cores=3, known=machine(qos=wide, mine=own))


def test_what_is_left_bounds_the_time_where_slurm_is_safe():
    limits = used({"cpu": 120}, {"cpu": 60})
    assert why(known=machine(mine=limits)) == ""
    safe = machine(mine=limits, enforced=("associations", "limits", "safe"))
    assert why(known=safe) == (
        "longer than account 'science' has core hours left for: 1 h asked, 30 min possible"
    )
    granted = bound(ADA, False, safe, NODES)
    assert (granted.closed, granted.walltime_h) == ("", 0.5)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(job_minutes={"cpu": 60}), "science' allows a job with 2 cores: 1 h asked, 30 min"),
        (Limits(running_minutes={"cpu": 60}), "allows all its running jobs together: 1 h asked"),
        (Limits(job_minutes={"cpu": 1}), "a job with 2 cores: 1 h asked, 0 min possible"),
    ],
)
def test_time_that_depends_on_how_much_a_job_has(limits, words):
    assert words in why(known=machine(mine=limits))
    none_at_all = Limits(job_minutes={"cpu": 1})
    assert "1 min asked, 0 min possible" in bound(ADA, False, machine(mine=none_at_all), {}).closed


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
