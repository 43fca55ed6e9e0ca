"""Amounts of cores, memory, GPUs and time, in words."""

from collections.abc import Iterable


def gib(memory_mb: float) -> str:
    """Return an amount of memory."""
    return f"{memory_mb / 1024:.3g} GiB"


def counted(count: float, what: str) -> str:
    """Return a number of things."""
    return f"{count:g} {what}{'' if count == 1 else 's'}"


def time_text(minutes: int) -> str:
    """Return a limit of time."""
    hours, rest = divmod(minutes, 60)
    return " ".join(filter(None, (f"{hours} h" if hours else "", f"{rest} min" if rest else "")))


def listed(found: Iterable[str]) -> str:
    """Return names in a row."""
    return ", ".join(f"'{name}'" for name in sorted(found))
