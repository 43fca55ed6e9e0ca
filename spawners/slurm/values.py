"""Read the values that Slurm's commands print: lists, numbers, times, amounts."""

import re

MEGABYTES = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2, "P": 1024**3}
ENDLESS = re.compile(r"UNLIMITED|INFINITE|NONE|N/A|\(null\)|", re.IGNORECASE)


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


def amount(tres: str) -> dict[str, float]:
    """Return what a list such as ``cpu=8,mem=32G,gres/gpu:a100=1`` limits."""
    found = re.findall(r"(?:^|,)([^,=]+)=([\d.]+[kmgtp]?)(?=,|$)", tres.lower())
    return {kind: megabytes(much) for kind, much in found}
