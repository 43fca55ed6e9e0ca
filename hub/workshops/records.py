"""What is kept of workshops: read from their tables, and written, by one session."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, select, update
from sqlalchemy.orm import Session

from .rules import Wish, Workshop, next_in
from .tables import CheckRow, ParticipantRow, WaitingRow, WorkshopRow

CHECKS_MAX = 500
"""How many checks are kept of one participant."""


@dataclass(frozen=True)
class Told:
    """What a participant's notebook told of one check.

    Parameters
    ----------
    user, notebook, check : str
        Whose, and which.
    passed : bool
        Whether it held the last time.
    at : datetime
        When that was, in UTC.
    """

    user: str
    notebook: str
    check: str
    passed: bool
    at: datetime


class Records:
    """The workshops of a portal.

    Parameters
    ----------
    db : Session
        In the hub JupyterHub's own: a second connection would wait for it, and the hub's loop with
        that. Elsewhere one of `hub.workshops.database`.
    """

    def __init__(self, db: Session) -> None:
        self._db = db

    def add(self, wish: Wish, *, trainer: str, code: str) -> Workshop:
        """Keep a new workshop, and return it."""
        asked = {**vars(wish), "invited": sorted(wish.invited)}
        row = WorkshopRow(trainer=trainer, code=code, **asked)
        self._db.add(row)
        self._db.commit()
        return workshop_of(row)

    def get(self, number: int) -> Workshop | None:
        """Return a workshop by its number."""
        found = list(self._workshops(select(WorkshopRow).where(WorkshopRow.number == number)))
        return found[0] if found else None

    def codes(self) -> list[tuple[str, int]]:
        """Return the code of every workshop, with its number."""
        found = self._db.execute(select(WorkshopRow.code, WorkshopRow.number))
        return [(code, number) for code, number in found]

    def held_by(self, trainer: str | None) -> list[Workshop]:
        """Return a trainer's workshops, or with None all, those that end last first."""
        found = select(WorkshopRow).order_by(WorkshopRow.ends.desc())
        if trainer is not None:
            found = found.where(WorkshopRow.trainer == trainer)
        return list(self._workshops(found))

    def joined_by(self, user: str) -> list[Workshop]:
        """Return the workshops in which somebody takes part, those that end last first."""
        return self._with(select(ParticipantRow.workshop).where(ParticipantRow.user == user))

    def waited_for_by(self, user: str) -> list[Workshop]:
        """Return the workshops on whose waiting lists somebody is, those that end last first."""
        return self._with(select(WaitingRow.workshop).where(WaitingRow.user == user))

    def _with(self, numbers: Select[int]) -> list[Workshop]:
        found = select(WorkshopRow).where(WorkshopRow.number.in_(numbers))
        return list(self._workshops(found.order_by(WorkshopRow.ends.desc())))

    def _workshops(self, found: Select[WorkshopRow]) -> Iterator[Workshop]:
        """Read workshops anew: a command may have changed one since this session saw it."""
        fresh = found.execution_options(populate_existing=True)
        return map(workshop_of, self._db.scalars(fresh))

    def participants(self, number: int) -> list[str]:
        """Return the names of those who take part, in the order in which they came."""
        order = (ParticipantRow.joined, ParticipantRow.user)
        found = select(ParticipantRow.user).where(ParticipantRow.workshop == number)
        return list(self._db.scalars(found.order_by(*order)))

    def taken(self, number: int) -> int:
        """Return how many take part."""
        found = select(func.count()).where(ParticipantRow.workshop == number)
        return self._db.scalar(found) or 0

    def has_joined(self, number: int, user: str) -> bool:
        """Return whether somebody takes part."""
        return self._db.get(ParticipantRow, (number, user)) is not None

    def join(self, number: int, user: str, now: datetime) -> None:
        """Give somebody a place; who has one keeps it."""
        if not self.has_joined(number, user):
            self._db.add(ParticipantRow(workshop=number, user=user, joined=now))
            self._db.commit()

    def waiting(self, number: int) -> list[str]:
        """Return the names of those who wait for a place, the next one first."""
        found = select(WaitingRow.user).where(WaitingRow.workshop == number)
        return list(self._db.scalars(found.order_by(WaitingRow.place)))

    def wait(self, number: int, user: str) -> None:
        """Put somebody at the end of the waiting list; who is on it or has a place stays there."""
        if self.has_joined(number, user) or self._db.get(WaitingRow, (number, user)) is not None:
            return
        last = select(func.max(WaitingRow.place)).where(WaitingRow.workshop == number)
        place = (self._db.scalar(last) or 0) + 1
        self._db.add(WaitingRow(workshop=number, user=user, place=place))
        self._db.commit()

    def fill(self, workshop: Workshop, now: datetime) -> list[str]:
        """Give the places that are free to those who wait, and return who got one."""
        number = workshop.number
        waiting = self.waiting(number)
        names = list(next_in(workshop, self.taken(number), waiting, now)) if waiting else []
        for name in names:
            self._db.add(ParticipantRow(workshop=number, user=name, joined=now))
        if names:
            gone = (WaitingRow.workshop == number, WaitingRow.user.in_(names))
            self._db.execute(delete(WaitingRow).where(*gone))
            self._db.commit()
        return names

    def leave(self, number: int, user: str) -> None:
        """Take somebody off the waiting list, or their place and what was told of their checks."""
        for row in (WaitingRow, ParticipantRow, CheckRow):
            self._db.execute(delete(row).where(row.workshop == number, row.user == user))
        self._db.commit()

    def hands(self, number: int) -> dict[str, datetime]:
        """Return whose hands are raised, and since when; the longest raised first."""
        raised = ParticipantRow.hand_raised
        found = select(ParticipantRow.user, raised).where(ParticipantRow.workshop == number)
        ordered = found.where(raised.is_not(None)).order_by(raised, ParticipantRow.user)
        return {user: at for user, at in self._db.execute(ordered) if at is not None}

    def raise_hand(self, number: int, user: str, now: datetime) -> None:
        """Note that somebody in a workshop wants help; a hand that is raised stays as it is."""
        unraised = ParticipantRow.hand_raised.is_(None)
        self._set_hand(number, user, now, unraised)

    def take_hand_down(self, number: int, user: str) -> None:
        """Note that somebody has been helped, or helped themselves."""
        self._set_hand(number, user, None)

    def _set_hand(
        self, number: int, user: str, at: datetime | None, *only: ColumnElement[bool]
    ) -> None:
        mine = (ParticipantRow.workshop == number, ParticipantRow.user == user)
        self._db.execute(update(ParticipantRow).where(*mine, *only).values(hand_raised=at))
        self._db.commit()

    def tell_all(self, number: int, message: str, now: datetime) -> None:
        """Keep what a trainer tells all people in it, in the place of what was told before."""
        self._change(number, message=message, message_at=now)

    def take_message_back(self, number: int) -> None:
        """Tell nothing any more."""
        self._change(number, message="", message_at=None)

    def move_end(self, number: int, ends: datetime) -> None:
        """Let a workshop end at another time."""
        self._change(number, ends=ends)

    def change_capacity(self, number: int, capacity: int) -> None:
        """Let a workshop have more places, or fewer."""
        self._change(number, capacity=capacity)

    def _change(self, number: int, **values: Any) -> None:
        """Change a workshop, in one step: whoever else writes has not to wait for a second."""
        self._db.execute(update(WorkshopRow).where(WorkshopRow.number == number).values(values))
        self._db.commit()

    def remove(self, number: int) -> None:
        """Forget a workshop, who took part, and their checks."""
        self._remove([number])

    def remove_ended_before(self, then: datetime) -> int:
        """Forget the workshops that were over at a time, and return how many those were."""
        over = select(WorkshopRow.number).where(WorkshopRow.ends < then)
        numbers = list(self._db.scalars(over))
        if numbers:
            self._remove(numbers)
        return len(numbers)

    def _remove(self, numbers: Sequence[int]) -> None:
        for row in (CheckRow, WaitingRow, ParticipantRow):
            self._db.execute(delete(row).where(row.workshop.in_(numbers)))
        self._db.execute(delete(WorkshopRow).where(WorkshopRow.number.in_(numbers)))
        self._db.commit()

    def tell(
        self, number: int, user: str, notebook: str, checks: dict[str, bool], now: datetime
    ) -> None:
        """Keep what a participant's notebook tells of its checks; the last word counts.

        Parameters
        ----------
        number : int
            The workshop.
        user, notebook : str
            Whose notebook.
        checks : dict of str to bool
            Whether each holds, by its name, in the order of the notebook.
        now : datetime
            When, in UTC.
        """
        mine = (CheckRow.workshop == number) & (CheckRow.user == user)
        room = CHECKS_MAX - (self._db.scalar(select(func.count()).where(mine)) or 0)
        rows = self._db.scalars(select(CheckRow).where(mine, CheckRow.notebook == notebook))
        known = {row.check: row for row in rows}
        for place, (check, passed) in enumerate(checks.items()):
            row = known.get(check)
            if row is not None:
                row.passed, row.at, row.place = passed, now, place
            elif room > 0:
                room -= 1
                key = {"workshop": number, "user": user, "notebook": notebook, "check": check}
                self._db.add(CheckRow(**key, passed=passed, at=now, place=place))
        self._db.commit()

    def told(self, number: int) -> list[Told]:
        """Return what was told of all checks in a workshop, by participant and time."""
        columns = (CheckRow.user, CheckRow.notebook, CheckRow.check, CheckRow.passed, CheckRow.at)
        found = select(*columns).where(CheckRow.workshop == number)
        ordered = found.order_by(CheckRow.user, CheckRow.at, CheckRow.place)
        return [Told(*row) for row in self._db.execute(ordered)]


def workshop_of(row: WorkshopRow) -> Workshop:
    """Return what a row of the table says."""
    kept = {c.key: getattr(row, c.key) for c in WorkshopRow.__table__.columns}
    return Workshop(**{**kept, "invited": frozenset(kept["invited"])})
