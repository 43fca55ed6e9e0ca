"""Amounts of cores, memory, GPUs and time, in words."""

from collections.abc import Iterable


def gib(memory_mb: float) -> str:
    """Return an amount of memory."""
    return f"{memory_mb / 1024:.3g} GiB"


def counted(count: float, what: str) -> str:
    """Return a number of things."""
    return f"{count:g} {what}{'' if count == 1 else 's'}"


def minutes_text(minutes: int) -> str:
    """Return a duration: ``35 min``, ``2 h 5 min``."""
    hours, rest = divmod(minutes, 60)
    parts = [f"{hours} h" if hours else "", f"{rest} min" if rest or not hours else ""]
    return " ".join(filter(None, parts))


def seconds_text(seconds: float) -> str:
    """Return a short duration: ``8 s``, ``2 min``."""
    return f"{max(1, round(seconds))} s" if seconds < 90 else minutes_text(round(seconds / 60))


def listed(found: Iterable[str]) -> str:
    """Return names in a row."""
    return ", ".join(f"'{name}'" for name in sorted(found))
