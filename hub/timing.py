"""How long starts take here: remembered, so that people who wait know what to expect."""

from typing import Any

from jupyterhub.utils import utcnow

from spawners.times import KeptTimes


class StartTimes(KeptTimes):
    """The last starts of each use case."""

    def ready(self, spawner: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Remember a start that has just succeeded: JupyterHub's ``progress_ready_hook``."""
        started = spawner.orm_spawner.started
        if started is not None and getattr(spawner, "timed_start", None) != started:
            spawner.timed_start = started
            seconds = (utcnow(with_tz=False) - started).total_seconds()
            if seconds <= spawner.start_timeout:
                self.record(spawner.name, seconds)
        return event
