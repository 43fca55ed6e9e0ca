"""Read what the accounting says of QOS and associations: the tables that sacctmgr prints."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .limits import WALL, Association, Limits, Qos
from .values import amount, minutes_of, names, whole

Reader = Callable[[str], Any]
OF_BOTH: Mapping[str, tuple[str, Reader]] = {
    "MaxWall": ("minutes", minutes_of),
    "MaxTRESPerJob": ("per_job", amount),
    "MaxTRESPerNode": ("per_node", amount),
    "GrpTRES": ("group", amount),
    "MaxTRESMins": ("job_minutes", amount),
    "GrpTRESRunMins": ("running_minutes", amount),
    "GrpTRESMins": ("group_minutes", amount),
    "GrpWall": ("wall", minutes_of),
}
"""Which field of `Limits` a field of sacctmgr's is, and how it is read."""
OF_QOS: Mapping[str, tuple[str, Reader]] = {
    **OF_BOTH,
    "MaxTRESPerUser": ("per_user", amount),
    "MaxTRESPerAccount": ("per_account", amount),
    "MaxJobsPerUser": ("jobs", whole),
    "MaxSubmitJobsPerUser": ("submitted", whole),
}
OF_ASSOCIATION: Mapping[str, tuple[str, Reader]] = {
    **OF_BOTH,
    "MaxJobs": ("jobs", whole),
    "MaxSubmitJobs": ("submitted", whole),
}
QOS_FIELDS = ",".join(["Name", "Flags", "UsageFactor", "LimitFactor", *OF_QOS])
ASSOCIATION_FIELDS = ",".join(
    ["Account", "User", "Partition", "ParentName", "QOS", "DefaultQOS", *OF_ASSOCIATION]
)


def qos_of(output: str) -> dict[str, Qos]:
    """Return the QOS in sacctmgr's output ``--parsable2 format=QOS_FIELDS``."""
    found = {}
    for name, flags, usage, widening, *limits in rows(output, 4 + len(OF_QOS)):
        factors = (float(usage) if usage else 1.0, float(widening) if widening else None)
        about = limits_of(OF_QOS, limits)
        found[name.lower()] = Qos(name.lower(), names(flags), about, *factors)
    return found


def associations_of(output: str) -> Iterator[Association]:
    """Yield the associations in sacctmgr's output ``--parsable2 format=ASSOCIATION_FIELDS``."""
    for row in rows(output, 6 + len(OF_ASSOCIATION)):
        account, user, partition, parent, qos, default, *limits = row
        about = limits_of(OF_ASSOCIATION, limits)
        yield Association(
            account, user, partition, parent, names(qos.lower()), default.lower(), about
        )


def limits_of(fields: Mapping[str, tuple[str, Reader]], values: list[str]) -> Limits:
    """Return the limits in a row."""
    pairs = zip(fields.values(), values, strict=True)
    found = {name: read(value) for (name, read), value in pairs}
    wall = found.pop("wall")
    if wall is not None:
        found["group_minutes"][WALL] = wall
    return Limits(**found)


def rows(output: str, width: int) -> Iterator[list[str]]:
    """Yield the rows of that many fields; lines of another width are banners."""
    found = (line.split("|") for line in output.split("\n"))
    return (row for row in found if len(row) == width)
