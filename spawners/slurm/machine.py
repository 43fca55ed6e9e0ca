"""Ask Slurm what bounds jobs, and read what it says of partitions and of itself."""

import re

from .accounting import ASSOCIATION_FIELDS, QOS_FIELDS, associations_of, qos_of, rows
from .commands import run
from .jobs import words_of
from .limits import Machine, Partition
from .used import with_used
from .values import ENDLESS, amount, minutes_of, names, whole


async def ask_machine() -> Machine:
    """Return what bounds jobs here: two questions to the controller, three to the accounting.

    Where hours are limited, the controller is asked how many have been used.

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
    qos = qos_of(await run(*ask, "qos", f"format={QOS_FIELDS}"))
    qos, found = await with_used(qos, tuple(associations_of(associations)))
    accounts = dict(rows(await run(*ask, "user", "format=User,DefaultAccount"), 2))
    return Machine(partitions, enforced, qos, found, accounts)


def partitions_of(output: str) -> dict[str, Partition]:
    """Return the partitions in the output of ``scontrol --oneliner show partition``."""
    lines = (line for line in output.split("\n") if line.startswith("PartitionName="))
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
        amount(about.get("TRESBillingWeights", "")),
        names(groups_in(line)),
        {kind: names(about.get(f"Allow{kind}", "").lower()) for kind in ("Accounts", "Qos")},
        {kind: names(about.get(f"Deny{kind}", "").lower()) for kind in ("Accounts", "Qos")},
    )


def groups_in(line: str) -> str:
    """Return the groups of a partition's line: names of groups may have spaces in them."""
    found = re.search(r"\sAllowGroups=(.*?)(?=\s\w+=|$)", line)
    return found[1] if found else ""


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
