"""What a user can do with a use case here and now: the state that a card shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from spawners import Backend, Launch

from .deployment import Deployment
from .launching import requester_of, size_of
from .plan import FOR_THE_NEXT, Asked
from .refusal import Refused
from .usecases import UseCase

State = Literal[
    "ready", "starting", "running", "stopping", "licence", "members", "coming", "unavailable"
]
LABELS: dict[State, str] = {
    "ready": "Ready",
    "starting": "Starting",
    "running": "Running",
    "stopping": "Stopping",
    "licence": "Needs a licence",
    "members": "For members",
    "coming": "Coming",
    "unavailable": "Not at this site",
}
SYMBOLS: dict[State, str] = {
    "ready": "○",
    "starting": "◐",
    "running": "●",
    "stopping": "◑",
    "licence": "§",
    "members": "◇",
    "coming": "…",
    "unavailable": "—",
}
REFUSALS: dict[str, State] = {"coming": "coming", "licence": "licence", "members": "members"}


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
    closed : mapping
        Why a notebook can't be opened here, by its file; the others can.
    """

    use_case: UseCase
    state: State
    why: str = ""
    size: str = ""
    closed: Mapping[str, str] = field(default_factory=dict)

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
        # How much somebody has open isn't a matter of one use case: whoever opens it is told.
        requester = replace(requester_of(user, deployment), running={})
        launch = deployment.plan_for(requester, use_case.name, Asked())
    except Refused as refusal:
        if refusal.reason in FOR_THE_NEXT and spawner is not None and spawner.active:
            # What was begun goes on until it's stopped.
            return Card(use_case, server_state(spawner), size=size_of(spawner))
        state = REFUSALS.get(refusal.reason, "unavailable")
        why = refusal.message
        if state == "coming":
            why = use_case.manifest.coming[0]
        return Card(use_case, state, why)
    size = launch.environment["BEAMHUB_SIZE"]
    closed = closed_notebooks(use_case, launch, site.backend)
    if spawner is not None and spawner.active:
        return Card(use_case, server_state(spawner), size=size, closed=closed)
    obstacles = site.backend.obstacles(launch)
    if obstacles:
        return Card(use_case, "unavailable", " ".join([*obstacles, f"Ask {site.contact}."]))
    return Card(use_case, "ready", size=size, closed=closed)


def closed_notebooks(use_case: UseCase, launch: Launch, backend: Backend) -> dict[str, str]:
    """Return the notebooks that need programs which aren't here, with what is missing."""
    closed = {}
    for notebook in use_case.manifest.notebooks:
        needed = launch.model_copy(update={"programs": tuple(notebook.programs)})
        if notebook.programs and (obstacles := backend.obstacles(needed)):
            closed[notebook.file] = " ".join(obstacles)
    return closed


def server_state(spawner: Any) -> State:
    """Return what a server that isn't off does at the moment."""
    if spawner.pending == "stop":
        return "stopping"
    return "running" if spawner.ready else "starting"
