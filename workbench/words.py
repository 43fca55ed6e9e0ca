"""Sizes and durations as people say them."""


def size_text(size_bytes: float | None) -> str:
    """Return an amount of bytes: ``20.8 kB``, ``47 MB``, ``38 GB``."""
    if size_bytes is None:
        return "size not published"
    value, unit = float(size_bytes), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.5 or unit == "TB":
            break
        value /= 1000
    return f"{value:.3g} {unit}" if value < 999.5 else f"{value:.0f} {unit}"


def time_text(seconds: float) -> str:
    """Return a duration, roughly: ``8 s``, ``12 min``, ``1.5 h``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
