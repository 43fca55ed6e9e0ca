"""How long people wait for servers here: remembered, counted, and told beside what is promised."""

import asyncio
import time
from typing import Any

from prometheus_client import Histogram

from spawners.times import KeptTimes

from .site import Objective

BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600, float("inf"))
STAGE_S = Histogram(
    "beamhub_start_stage_seconds",
    "Time from the click to a server that answers, by its stages: 'queue' for the start's turn, "
    "'prepare' for account, software and place, 'jupyterlab' for JupyterLab itself",
    ["stage", "backend"],
    buckets=BUCKETS,
)
READY_S = Histogram(
    "beamhub_click_to_ready_seconds",
    "Time from the click to a server that answers",
    ["backend", "use_case"],
    buckets=BUCKETS,
)
ANY = "of all use cases"


class StartTimes(KeptTimes):
    """The last starts of each use case, without the wait for their turn."""


class ReadyTimes(KeptTimes):
    """The last waits from a click to a server that answers."""

    KEPT = 200

    def add(self, seconds: float) -> None:
        """Remember one."""
        self.record(ANY, seconds)

    def within(self, seconds: float) -> tuple[int, int]:
        """Return how many of the last waits were over within so many seconds, and of how many."""
        times = self._read().get(ANY, [])
        return sum(one <= seconds for one in times), len(times)


def kept_text(objective: Objective, times: ReadyTimes) -> str:
    """Return what a site promises and how far it has kept that, in words."""
    kept, count = times.within(objective.ready_s)
    promised = (
        f"A server is meant to be ready within {objective.ready_s:g} s of the click, in "
        f"{objective.percentile:g} % of all starts."
    )
    if not count:
        return f"{promised} None has been timed yet."
    # Rounded down: what isn't kept must not look as if it were.
    return f"{promised} That held in {kept} of the last {count} ({100 * kept // count} %)."


class Stopwatch:
    """Times one start.

    Parameters
    ----------
    spawner : Spawner
        JupyterHub's, asked to start.
    """

    def __init__(self, spawner: Any) -> None:
        self._spawner = spawner
        self._clicked = arrival(spawner.handler)
        self._begun = time.monotonic()

    def begin(self) -> None:
        """Note that it's the start's turn."""
        self._begun = time.monotonic()

    def end(self, start: "asyncio.Future[None]") -> None:
        """Keep how long it took, where the server answers now."""
        spawner = self._spawner
        if start.cancelled() or start.exception() or not spawner.ready:
            return
        now, settings = time.monotonic(), spawner.user.settings
        # A spawner of others may not tell when JupyterLab begins.
        prepared = getattr(spawner, "jupyterlab_began", None) or now
        deployment = settings["beamhub"]
        backend = deployment.site.backend.kind
        for stage, seconds in (
            ("queue", self._begun - self._clicked),
            ("prepare", prepared - self._begun),
            ("jupyterlab", now - prepared),
        ):
            STAGE_S.labels(stage, backend).observe(seconds)
        # Names are the catalogue's alone: each makes a series of its own.
        use_case = spawner.name if spawner.name in deployment.use_cases else ""
        READY_S.labels(backend, use_case).observe(now - self._clicked)
        settings["start_times"].record(spawner.name, now - self._begun)
        settings["ready_times"].add(now - self._clicked)


def arrival(handler: Any) -> float:
    """Return when a request came in, by `time.monotonic`: a busy hub takes it up later."""
    request = getattr(handler, "request", None)
    age = request.request_time() if request else 0.0
    return time.monotonic() - float(age)
