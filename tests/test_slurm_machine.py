"""What Slurm prints of partitions, QOS and associations, in both versions' words."""

import pytest

from spawners.slurm.accounting import associations_of, qos_of
from spawners.slurm.machine import enforced_by, partitions_of
from spawners.slurm.used import used_of
from spawners.slurm.values import amount, megabytes, minutes_of

PARTITION = (
    "PartitionName=short AllowGroups=staff,domain users AllowAccounts=science,Phys AllowQos=ALL "
    "AllocNodes=ALL Default=YES QoS=N/A DefaultTime=NONE MaxNodes=UNLIMITED "
    "MaxTime=1-04:00:00 MinNodes=0 MaxCPUsPerNode=UNLIMITED Nodes=node[1-2] State=UP "
    "TotalCPUs=16 TotalNodes=2 JobDefaults=(null) DefMemPerNode=UNLIMITED MaxMemPerCPU=4000 "
    "TRES=cpu=16,mem=62.50G,node=2,billing=16,gres/gpu=2"
)
CONFIG = """\
Configuration data as of 1795545261
AccountingStorageEnforce = associations,limits,qos
AccountingStorageHost   = 127.0.0.1
ClusterName             = beamhub
"""


def test_a_partition():
    [short] = partitions_of(f"*** banner ***\n{PARTITION}\n").values()
    assert (short.name, short.state, short.minutes) == ("short", "UP", 28 * 60)
    assert short.groups == {"staff", "domain users"}
    assert short.allowed == {"Accounts": {"science", "phys"}, "Qos": frozenset()}
    assert short.denied == {"Accounts": frozenset(), "Qos": frozenset()}
    assert (short.memory_mb_per_core, short.memory_mb_per_node) == (4000, None)
    assert (short.cores_per_node, short.least_nodes, short.qos) == (None, 1, "")


def test_a_partition_that_lets_in_all_but_some():
    line = PARTITION.replace("AllowQos=ALL", "DenyQos=Long").replace("QoS=N/A", "QoS=Part")
    [short] = partitions_of(line).values()
    assert short.denied["Qos"] == {"long"}
    assert short.qos == "part"


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("1-00:00:00", 1440),
        ("04:00:00", 240),
        ("00:30:00", 30),
        ("UNLIMITED", None),
        ("NONE", None),
        ("", None),
    ],
)
def test_times(text, minutes):
    assert minutes_of(text) == minutes


@pytest.mark.parametrize(
    ("text", "mb"), [("8000M", 8000), ("62.50G", 64_000), ("2T", 2 * 1024**2), ("500", 500)]
)
def test_memory(text, mb):
    assert megabytes(text) == mb


def test_amounts():
    assert amount("cpu=4,mem=8000M,gres/gpu=1") == {"cpu": 4, "mem": 8000, "gres/gpu": 1}
    assert amount("gres/gpu:A100=2,node=1") == {"gres/gpu:a100": 2, "node": 1}
    assert amount("") == {}
    assert amount("cpu=N,energy=what,mem=1G") == {"mem": 1024}


def test_what_is_enforced():
    assert enforced_by(CONFIG) == ({"associations", "limits", "qos"}, "beamhub")
    only = CONFIG.replace("associations,limits,qos", "safe")
    assert enforced_by(only)[0] == {"safe", "associations", "limits"}
    nothing = CONFIG.replace("associations,limits,qos", "none")
    assert enforced_by(nothing)[0] == frozenset()


def test_a_qos_and_associations():
    short = (
        "short|DenyOnLimit,OverPartQOS|0.500000|2.000000|02:00:00|cpu=8|cpu=4|mem=1T|mem=9G|cpu=7|cpu=60|1-00:00:00"
        "|gres/gpu=1|cpu=5|3|5"
    )
    found = qos_of(f"Welcome\n{short}\nnormal|||||||||||||||\n")
    limits = found["short"].limits
    assert found["short"].flags == {"DenyOnLimit", "OverPartQOS"}
    assert (limits.minutes, limits.jobs, limits.submitted) == (120, 3, 5)
    assert (limits.per_job, limits.per_node) == ({"cpu": 8}, {"cpu": 4})
    assert (limits.per_user, limits.per_account) == ({"gres/gpu": 1}, {"cpu": 5})
    assert limits.group == {"mem": 1024**2}
    assert (limits.job_minutes, limits.running_minutes) == ({"mem": 9216}, {"cpu": 7})
    assert limits.group_minutes == {"cpu": 60, "wall": 1440}
    assert (found["short"].usage_factor, found["short"].limit_factor) == (0.5, 2)
    assert found["normal"].limits.minutes is None
    text = (
        "science|||root|normal|||||cpu=12||||||\n"
        "science|eve|||normal,Short|short|04:00:00|||||||||2\n"
    )
    account, eve = associations_of(text)
    assert (account.account, account.user, account.parent) == ("science", "", "root")
    assert account.limits.group == {"cpu": 12}
    assert (eve.qos, eve.default_qos) == ({"normal", "short"}, "short")
    assert (eve.limits.minutes, eve.limits.submitted) == (240, 2)


USED = """\
Current Association Manager state
Association Records
ClusterName=beamhub Account=science UserName= Partition= Priority=0 ID=3 ParentAccount=root(1) \
GrpJobs=N(0) GrpWall=1500(0.07) GrpTRES=cpu=N(0) GrpTRESMins=cpu=5000(7),mem=N(6),gres/gpu:A=N(0) \
GrpTRESRunMins=cpu=N(3)
ClusterName=beamhub Account=science UserName=ada(1010) Partition=short GrpWall=N(2.00) \
GrpTRESMins=cpu=N(2)
QOS Records
QOS=normal(1) UsageRaw=3.9 GrpWall=N(0.10) GrpTRESMins=cpu=1(9) User Limits= 1012={MaxJobsPU=N(0)}
"""


def test_hours_that_are_used():
    assert dict(used_of(USED)) == {
        ("science", "", ""): {"cpu": 7, "mem": 6, "gres/gpu:a": 0, "wall": 0.07},
        ("science", "ada", "short"): {"cpu": 2, "wall": 2},
        ("normal",): {"cpu": 9, "wall": 0.1},
    }


NEW_PARTITION = (
    "PartitionName=short AllowGroups=ALL AllowAccounts=science DenyQos=long AllocNodes=ALL "
    "Default=NO QoS=normal DefaultTime=NONE ExclusiveTopo=NO Hidden=NO MaxNodes=UNLIMITED "
    "MaxTime=04:00:00 MinNodes=0 MaxCPUsPerNode=UNLIMITED MaxCPUsPerSocket=UNLIMITED NodeSets=ALL "
    "Nodes=node1 OverTimeLimit=NONE State=UP TotalCPUs=8 TotalNodes=1 JobDefaults=(null) "
    "DefMemPerNode=UNLIMITED MaxMemPerCPU=4000 TRES=cpu=8,mem=32000M,node=1,billing=8,gres/gpu=1"
)
NEW_ROWS = """\
root||||normal|||||||||||
science|||root|normal|||||cpu=12,gres/gpu=1||||||
science|connie|||normal,quick|||cpu=4,mem=8G|||||||3|
"""


def test_slurm_24_11_is_read_as_22_05_is():
    """As Debian 13's has printed it."""
    [short] = partitions_of(NEW_PARTITION).values()
    assert (short.minutes, short.memory_mb_per_core, short.qos) == (240, 4000, "normal")
    assert (short.allowed["Accounts"], short.denied["Qos"]) == ({"science"}, {"long"})
    _, science, connie = associations_of(NEW_ROWS)
    assert science.limits.group == {"cpu": 12, "gres/gpu": 1}
    assert connie.limits.per_job == {"cpu": 4, "mem": 8192}
    assert (connie.limits.jobs, connie.qos) == (3, {"normal", "quick"})
    [quick] = qos_of("quick|OverPartQOS|1.000000||00:30:00||||||||cpu=4|||\n").values()
    assert (quick.limits.minutes, quick.limits.per_user) == (30, {"cpu": 4})
