"""Ask Slurm what bounds jobs, and read what its commands print."""

import re
from collections.abc import Iterator

from .commands import run
from .jobs import words_of
from .limits import Amount, Association, Limits, Machine, Partition, Qos

QOS_FIELDS = (
    "Name,Flags,MaxWall,MaxTRESPerJob,MaxTRESPerNode,MaxTRESPerUser,GrpTRES,MaxJobsPerUser,"
    "MaxSubmitJobsPerUser"
)
ASSOCIATION_FIELDS = (
    "Account,User,Partition,ParentName,QOS,DefaultQOS,MaxWall,MaxTRESPerJob,MaxTRESPerNode,"
    "GrpTRES,MaxJobs,MaxSubmitJobs"
)
MEGABYTES = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2, "P": 1024**3}
ENDLESS = re.compile(r"UNLIMITED|INFINITE|NONE|N/A|\(null\)|", re.IGNORECASE)


async def ask_machine() -> Machine:
    """Return what bounds jobs here: two questions to the controller, three to the accounting.

    Raises
    ------
    CommandError
        One of them could not be asked.
    """
    partitions = partitions_of(await run("scontrol", "--all", "--oneliner", "show", "partition"))
    enforced, cluster = enforced_by(await run("scontrol", "show", "config"))
    if not enforced:
        return Machine(partitions)
    ask = ("sacctmgr", "--noheader", "--parsable2", "show")
    here = f"cluster={cluster}"
    associations = await run(*ask, "association", "where", here, f"format={ASSOCIATION_FIELDS}")
    return Machine(
        partitions,
        enforced,
        qos_of(await run(*ask, "qos", f"format={QOS_FIELDS}")),
        tuple(associations_of(associations)),
        dict(rows(await run(*ask, "user", "format=User,DefaultAccount"), 2)),
    )


def partitions_of(output: str) -> dict[str, Partition]:
    """Return the partitions in the output of ``scontrol --oneliner show partition``."""
    lines = (line for line in output.splitlines() if line.startswith("PartitionName="))
    return {partition.name: partition for partition in map(partition_of, lines)}


def partition_of(line: str) -> Partition:
    """Return a partition from its line."""
    about = words_of(line)
    qos = about.get("QoS", "")
    return Partition(
        about["PartitionName"],
        about.get("State", "UP"),
        minutes_of(about.get("MaxTime", "")),
        whole(about.get("MinNodes", "")) or 1,
        whole(about.get("MaxCPUsPerNode", "")),
        whole(about.get("MaxMemPerNode", "")),
        whole(about.get("MaxMemPerCPU", "")),
        "" if ENDLESS.fullmatch(qos) else qos.lower(),
        names(about.get("AllowGroups", "")),
        {kind: names(about.get(f"Allow{kind}", "").lower()) for kind in ("Accounts", "Qos")},
        {kind: names(about.get(f"Deny{kind}", "").lower()) for kind in ("Accounts", "Qos")},
    )


def enforced_by(output: str) -> tuple[frozenset[str], str]:
    """Return what the controller enforces, and the cluster's name, from ``scontrol show config``.

    Associations stand behind all else: without them nothing is enforced.
    """
    about = dict(re.findall(r"^(\w+)\s+= (.*)$", output, re.MULTILINE))
    enforced = names(about.get("AccountingStorageEnforce", "").strip().lower())
    if enforced & {"limits", "safe", "qos", "wckeys"}:
        enforced |= {"associations"}
    if "safe" in enforced:
        enforced |= {"limits"}
    return enforced, about.get("ClusterName", "").strip()


def qos_of(output: str) -> dict[str, Qos]:
    """Return the QOS in sacctmgr's output ``--parsable2 format=QOS_FIELDS``."""
    found = {}
    for name, flags, wall, job, node, user, group, jobs, submitted in rows(output, 9):
        limits = Limits(
            minutes_of(wall),
            amount(job),
            amount(node),
            amount(user),
            amount(group),
            whole(jobs),
            whole(submitted),
        )
        found[name.lower()] = Qos(name.lower(), names(flags), limits)
    return found


def associations_of(output: str) -> Iterator[Association]:
    """Yield the associations in sacctmgr's output ``--parsable2 format=ASSOCIATION_FIELDS``."""
    for row in rows(output, 12):
        account, user, partition, parent, qos, default, wall, job, node, group, jobs, sent = row
        limits = Limits(
            minutes_of(wall),
            amount(job),
            amount(node),
            group=amount(group),
            jobs=whole(jobs),
            submitted=whole(sent),
        )
        yield Association(
            account, user, partition, parent, names(qos.lower()), default.lower(), limits
        )


def rows(output: str, width: int) -> Iterator[list[str]]:
    """Yield the rows of that many fields; lines of another width are banners."""
    found = (line.split("|") for line in output.splitlines())
    return (row for row in found if len(row) == width)


def names(text: str) -> frozenset[str]:
    """Return the names in a list, none where it means everybody or nobody."""
    if text.upper() == "ALL" or ENDLESS.fullmatch(text):
        return frozenset()
    return frozenset(text.split(","))


def whole(text: str) -> int | None:
    """Return a number, None where there is none: UNLIMITED, or nothing."""
    return int(text) if text.isdigit() else None


def megabytes(text: str) -> float:
    """Return an amount of memory such as ``62.50G``; without a unit it is in megabytes."""
    unit = text[-1:].upper()
    return float(text[:-1]) * MEGABYTES[unit] if unit in MEGABYTES else float(text)


def minutes_of(text: str) -> int | None:
    """Return a time such as ``1-00:00:00`` or ``04:00:00`` in minutes, None for no limit."""
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return (days * 24 + hours) * 60 + minutes + round(seconds / 60)


def amount(tres: str) -> Amount:
    """Return what a list such as ``cpu=8,mem=32G,gres/gpu=1`` limits."""
    about = dict(part.split("=", 1) for part in tres.split(",") if "=" in part)
    return Amount(
        cores=float(about["cpu"]) if "cpu" in about else None,
        memory_mb=megabytes(about["mem"]) if "mem" in about else None,
        gpus=float(about["gres/gpu"]) if "gres/gpu" in about else None,
    )
