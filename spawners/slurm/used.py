"""What has been used of limited hours, which only the controller knows."""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from .commands import CommandError, run
from .jobs import words_of
from .limits import WALL, Amount, Association, Qos

LOG = logging.getLogger(__name__)
Limited = TypeVar("Limited", Qos, Association)
ASK = ("scontrol", "--oneliner", "show", "assoc_mgr")
FLAGS = {"accounts": "assoc", "qos": "qos"}
"""What is asked about each kind of name."""


async def with_used(
    qos: Mapping[str, Qos], associations: tuple[Association, ...]
) -> tuple[dict[str, Qos], tuple[Association, ...]]:
    """Return QOS and associations with what is used of their hours.

    The controller is asked only about those whose hours are limited, and once. One that doesn't
    tell, for `PrivateData`, isn't an obstacle: then nothing counts as used.
    """
    chosen = {
        "accounts": {one.account for one in associations if one.limits.group_minutes},
        "qos": {name for name, one in qos.items() if one.limits.group_minutes},
    }
    asked = {kind: ",".join(sorted(named)) for kind, named in chosen.items() if named}
    if not asked:
        return dict(qos), associations
    flags = ",".join(FLAGS[kind] for kind in asked)
    try:
        said = await run(
            *ASK, f"flags={flags}", *(f"{kind}={some}" for kind, some in asked.items())
        )
    except CommandError as error:
        LOG.warning("Slurm doesn't tell what is used of limited hours: %s", error)
        said = ""
    used = dict(used_of(said))
    return (
        {name: with_usage(one, used.get((name,))) for name, one in qos.items()},
        tuple(with_usage(a, used.get((a.account, a.user, a.partition))) for a in associations),
    )


def with_usage(one: Limited, used: Amount | None) -> Limited:
    """Return a QOS or an association with what is used of its hours, where they are limited."""
    if not used or not one.limits.group_minutes:
        return one
    return replace(one, limits=replace(one.limits, used_minutes=used))


def used_of(output: str) -> Iterator[tuple[tuple[str, ...], Amount]]:
    """Yield used minutes in the output of ``scontrol --oneliner show assoc_mgr``.

    Those of a QOS come with its name, those of an association with account, user and partition.
    """
    for line in output.split("\n"):
        about = words_of(line)
        if "GrpTRESMins" not in about:
            continue
        minutes = re.findall(r"([^,=]+)=[^,(]*\((\d+)\)", about["GrpTRESMins"].lower())
        used = {kind: float(count) for kind, count in minutes}
        if wall := re.search(r"\(([\d.]+)\)", about.get("GrpWall", "")):
            used[WALL] = float(wall[1])
        user, qos = (about.get(name, "").partition("(")[0] for name in ("UserName", "QOS"))
        yield (qos.lower(),) if qos else (about["Account"], user, about["Partition"]), used
