"""What is known of workshops at this moment, by one reader for all who look at them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from .board import Progress
from .rules import State, Workshop
from .shared import Shared

LOOK_S = 1.0
"""So old may be what a command has changed."""


@dataclass(frozen=True)
class Room:
    """A workshop and who is in it.

    Parameters
    ----------
    workshop : Workshop
        Which.
    names : tuple of str
        Who takes part, in the order in which they came.
    waiting : tuple of str
        Who waits for a place, the next one first.
    hands : mapping of str to datetime
        Whose hands are raised, and since when in UTC; who has waited longest first.
    """

    workshop: Workshop
    names: tuple[str, ...]
    waiting: tuple[str, ...]
    hands: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        """Whether all places are taken."""
        return len(self.names) >= self.workshop.capacity

    def place(self, name: str) -> int:
        """Return somebody's place on the waiting list, 1 for the next, 0 for none."""
        return self.waiting.index(name) + 1 if name in self.waiting else 0

    def mine(self, name: str, now: datetime) -> "Mine":
        """Return what somebody sees of it."""
        return Mine(
            workshop=self.workshop,
            state=self.workshop.state(now),
            joined=name in self.names,
            place=self.place(name),
            waiting=len(self.waiting),
            is_full=self.is_full,
            hand=self.hands.get(name),
        )


@dataclass(frozen=True)
class Mine:
    """What somebody sees of a workshop.

    Parameters
    ----------
    workshop : Workshop
        Which.
    state : str
        Whether it runs.
    joined : bool
        Whether they take part.
    place, waiting : int
        Their place on the waiting list, 0 for none, and how many are on it.
    is_full : bool
        Whether all places are taken.
    hand : datetime or None
        Since when their hand is raised, in UTC.
    """

    workshop: Workshop
    state: State
    joined: bool
    place: int
    waiting: int
    is_full: bool
    hand: datetime | None = None

    @property
    def may_take_home(self) -> bool:
        """Whether their folder is offered to them: to whoever takes part, or took part."""
        return self.joined and self.state != "to come"


class Live:
    """The workshops at which somebody looks: by their numbers, and what is in them by their codes.

    A number may be that of a workshop which has been deleted; a code never is.
    """

    def __init__(self) -> None:
        self.rooms: Shared[int, Room | None] = Shared(LOOK_S)
        self.progress: Shared[str, Mapping[str, Progress]] = Shared()
        self.boards: Shared[str, str] = Shared(LOOK_S)
        """As HTML."""
