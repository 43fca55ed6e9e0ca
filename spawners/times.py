"""How long things took lately: a few rows in a file, so that people know what to expect."""

import json
import math
from pathlib import Path
from statistics import median

from .records import atomic_write


class KeptTimes:
    """The last times of each name, kept in a file.

    Parameters
    ----------
    path : Path
        The file; it's made when the first time is recorded.
    """

    KEPT = 50
    """So many of each name."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def usual(self, name: str) -> float | None:
        """Return the median in seconds, None where nothing is known yet."""
        seconds = self._read().get(name)
        return median(seconds) if seconds else None

    def most(self, name: str) -> float | None:
        """Return within how many seconds nine in ten were over, None for fewer than ten times."""
        seconds = sorted(self._read().get(name, []))
        return seconds[math.ceil(0.9 * len(seconds)) - 1] if len(seconds) >= 10 else None

    def record(self, name: str, seconds: float) -> None:
        """Remember that something took so many seconds."""
        times = self._read()
        times[name] = [*times.get(name, []), round(seconds, 3)][-self.KEPT :]
        atomic_write(self._path, json.dumps(times))

    def _read(self) -> dict[str, list[float]]:
        try:
            times = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return times if isinstance(times, dict) else {}
