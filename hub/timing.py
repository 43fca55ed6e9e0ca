"""How long starts take here: remembered, so that people who wait know what to expect."""

import json
from pathlib import Path
from statistics import median
from typing import Any

from jupyterhub.utils import utcnow

KEPT = 20


class StartTimes:
    """The last starts of each use case, kept in a file.

    Parameters
    ----------
    path : Path
        The file; it's made at the first start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def usual(self, use_case: str) -> float | None:
        """Return the median of the last starts in seconds, None where there was none yet."""
        seconds = self._read().get(use_case)
        return median(seconds) if seconds else None

    def record(self, use_case: str, seconds: float) -> None:
        """Remember a start that took so many seconds."""
        times = self._read()
        times[use_case] = [*times.get(use_case, []), round(seconds, 1)][-KEPT:]
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(times), encoding="utf-8")
        partial.replace(self._path)

    def _read(self) -> dict[str, list[float]]:
        try:
            times = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return times if isinstance(times, dict) else {}

    def ready(self, spawner: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Remember a start that has just succeeded: JupyterHub's ``progress_ready_hook``."""
        started = spawner.orm_spawner.started
        if started is not None and getattr(spawner, "timed_start", None) != started:
            spawner.timed_start = started
            seconds = (utcnow(with_tz=False) - started).total_seconds()
            if seconds <= spawner.start_timeout:
                self.record(spawner.name, seconds)
        return event
