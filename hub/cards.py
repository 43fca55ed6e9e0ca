"""What a user can do with a use case here and now: the state that a card shows."""

from dataclasses import dataclass
from typing import Any, Literal

from .deployment import Deployment
from .launching import size_of, standing_of
from .plan import Asked, Refused, plan
from .usecases import UseCase

State = Literal["ready", "starting", "running", "stopping", "licence", "coming", "unavailable"]
LABELS: dict[State, str] = {
    "ready": "Ready",
    "starting": "Starting",
    "running": "Running",
    "stopping": "Stopping",
    "licence": "Needs a licence",
    "coming": "Coming",
    "unavailable": "Not at this site",
}
SYMBOLS: dict[State, str] = {
    "ready": "○",
    "starting": "◐",
    "running": "●",
    "stopping": "◑",
    "licence": "§",
    "coming": "…",
    "unavailable": "—",
}
REFUSALS: dict[str, State] = {"coming": "coming", "licence": "licence"}


@dataclass(frozen=True)
class Card:
    """A use case as one user sees it.

    Parameters
    ----------
    use_case : UseCase
        What it is.
    state : str
        One of `LABELS`.
    why : str
        Why it can't be opened, empty where it can.
    size : str
        The size that suits it best, empty where none does.
    """

    use_case: UseCase
    state: State
    why: str = ""
    size: str = ""

    @property
    def label(self) -> str:
        """The state in words."""
        return LABELS[self.state]

    @property
    def symbol(self) -> str:
        """The state as a symbol, beside the words."""
        return SYMBOLS[self.state]

    @property
    def can_open(self) -> bool:
        """Whether there is something to open or to start."""
        return self.state in ("ready", "starting", "running", "stopping")


def card(use_case: UseCase, deployment: Deployment, user: Any) -> Card:
    """Return the card of a use case for a user."""
    site = deployment.site
    spawner = user.spawners.get(use_case.name)
    try:
        launch = plan(
            use_case.name,
            Asked(),
            use_cases=deployment.use_cases,
            site=site,
            user=user.name,
            standing=standing_of(user, deployment),
        )
    except Refused as refusal:
        if refusal.reason == "licence" and spawner is not None and spawner.active:
            # Begun before its user took the acceptance back: it goes on until it's stopped.
            return Card(use_case, server_state(spawner), size=size_of(spawner))
        state = REFUSALS.get(refusal.reason, "unavailable")
        why = refusal.message
        if state == "coming":
            why = use_case.manifest.coming[0]
        return Card(use_case, state, why)
    size = launch.environment["BEAMHUB_SIZE"]
    if spawner is not None and spawner.active:
        return Card(use_case, server_state(spawner), size=size)
    obstacles = site.backend.obstacles(launch)
    if obstacles:
        return Card(use_case, "unavailable", " ".join([*obstacles, f"Ask {site.contact}."]))
    return Card(use_case, "ready", size=size)


def server_state(spawner: Any) -> State:
    """Return what a server that isn't off does at the moment."""
    if spawner.pending == "stop":
        return "stopping"
    return "running" if spawner.ready else "starting"
