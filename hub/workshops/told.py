"""What a command tells of workshops, in words and tables."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from .board import Progress
from .rules import Workshop
from .times import time_text


def line(workshop: Workshop, taken: int, now: datetime) -> str:
    """Return a workshop in a line."""
    begins, ends = (time_text(at, workshop.zone) for at in (workshop.begins, workshop.ends))
    return (
        f"{workshop.number}: {workshop.title}, {workshop.state(now)}, {begins} to {ends}, "
        f"{taken} of {workshop.capacity} places taken, held by {workshop.trainer}"
    )


def entrance(workshop: Workshop, portal: str) -> list[str]:
    """Return how people come in."""
    return [
        f"Link: {workshop.link(portal)}",
        f"Or at {portal}/hub/join the code {workshop.code}",
    ]


def people(
    names: Iterable[str], far: Mapping[str, Progress], hands: Mapping[str, datetime], zone: str
) -> list[str]:
    """Return a line for each participant."""
    return [
        f"{name}: {hand_text(hands.get(name), zone)}{how_far(far.get(name), zone)}"
        for name in sorted(names)
    ]


def hand_text(raised: datetime | None, zone: str) -> str:
    """Return since when a hand is raised, empty for one that isn't."""
    return f"hand raised at {time_text(raised, zone)}, " if raised else ""


def how_far(progress: Progress | None, zone: str) -> str:
    """Return how far somebody is."""
    if progress is None:
        return "no checks told yet"
    passed = f"passed last '{progress.passed}'" if progress.passed else "none passed"
    failing = ", ".join(f"'{check}'" for check in progress.failing)
    return (
        f"{progress.notebook} at {time_text(progress.at, zone)}, {passed}"
        f"{f', failing {failing}' if failing else ''}"
    )
