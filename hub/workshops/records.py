"""What is kept of workshops: tables beside JupyterHub's own, in its database and by its session."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import JSON, Engine, ForeignKey, String, delete, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from .rules import NAME_MAX, TITLE_MAX, Wish, Workshop

TEXT_MAX = 200
"""Of a notebook's and a check's name."""
CHECKS_MAX = 500
"""How many checks are kept of one participant."""


class Table(DeclarativeBase):
    """What all tables of workshops have in common. Times are in UTC."""


class WorkshopRow(Table):
    """A workshop."""

    __tablename__ = "beamhub_workshops"
    number: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(32), unique=True)
    trainer: Mapped[str] = mapped_column(String(NAME_MAX), index=True)
    title: Mapped[str] = mapped_column(String(TITLE_MAX))
    use_case: Mapped[str] = mapped_column(String(NAME_MAX))
    notebook: Mapped[str] = mapped_column(String(TEXT_MAX))
    size: Mapped[str] = mapped_column(String(NAME_MAX))
    capacity: Mapped[int]
    begins: Mapped[datetime]
    ends: Mapped[datetime]
    zone: Mapped[str] = mapped_column(String(64))
    invited: Mapped[list[str]] = mapped_column(JSON)


class ParticipantRow(Table):
    """Who takes part in a workshop."""

    __tablename__ = "beamhub_participants"
    workshop: Mapped[int] = mapped_column(
        ForeignKey(WorkshopRow.number, ondelete="CASCADE"), primary_key=True
    )
    user: Mapped[str] = mapped_column(String(NAME_MAX), primary_key=True, index=True)
    joined: Mapped[datetime]


class CheckRow(Table):
    """What became last of a check of a participant's."""

    __tablename__ = "beamhub_checks"
    workshop: Mapped[int] = mapped_column(
        ForeignKey(WorkshopRow.number, ondelete="CASCADE"), primary_key=True
    )
    user: Mapped[str] = mapped_column(String(NAME_MAX), primary_key=True)
    notebook: Mapped[str] = mapped_column(String(TEXT_MAX), primary_key=True)
    check: Mapped[str] = mapped_column("check_name", String(TEXT_MAX), primary_key=True)
    passed: Mapped[bool]
    at: Mapped[datetime] = mapped_column("told_at")
    place: Mapped[int]


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


def make_tables(engine: Engine) -> None:
    """Make the tables that aren't there yet."""
    Table.metadata.create_all(engine)


class Records:
    """The workshops of a portal.

    Parameters
    ----------
    db : Session
        JupyterHub's own: a second connection would wait for it, and the hub's loop with that.
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
        row = self._db.get(WorkshopRow, number)
        return workshop_of(row) if row else None

    def codes(self) -> list[tuple[str, int]]:
        """Return the code of every workshop, with its number."""
        found = self._db.execute(select(WorkshopRow.code, WorkshopRow.number))
        return [(code, number) for code, number in found]

    def held_by(self, trainer: str | None) -> list[Workshop]:
        """Return a trainer's workshops, or with None all, those that end last first."""
        found = select(WorkshopRow).order_by(WorkshopRow.ends.desc())
        if trainer is not None:
            found = found.where(WorkshopRow.trainer == trainer)
        return [workshop_of(row) for row in self._db.scalars(found)]

    def joined_by(self, user: str) -> list[Workshop]:
        """Return the workshops in which somebody takes part, those that end last first."""
        taken = select(ParticipantRow.workshop).where(ParticipantRow.user == user)
        found = select(WorkshopRow).where(WorkshopRow.number.in_(taken))
        ordered = found.order_by(WorkshopRow.ends.desc())
        return [workshop_of(row) for row in self._db.scalars(ordered)]

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

    def move_end(self, number: int, ends: datetime) -> None:
        """Let a workshop end at another time."""
        row = self._db.get_one(WorkshopRow, number)
        row.ends = ends
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
        for row in (CheckRow, ParticipantRow):
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
