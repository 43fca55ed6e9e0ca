"""The tables of workshops, beside JupyterHub's own and in its database.

Whoever changes one adds a step to `migrations/versions`, by which databases that there are get it.
"""

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from .rules import MESSAGE_MAX, NAME_MAX, TITLE_MAX

TEXT_MAX = 200
"""Of a notebook's and a check's name."""


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
    message: Mapped[str] = mapped_column(String(MESSAGE_MAX), server_default="", default="")
    message_at: Mapped[datetime | None]


class ParticipantRow(Table):
    """Who takes part in a workshop."""

    __tablename__ = "beamhub_participants"
    workshop: Mapped[int] = mapped_column(
        ForeignKey(WorkshopRow.number, ondelete="CASCADE"), primary_key=True
    )
    user: Mapped[str] = mapped_column(String(NAME_MAX), primary_key=True, index=True)
    joined: Mapped[datetime]
    hand_raised: Mapped[datetime | None]


class WaitingRow(Table):
    """Who waits for a place in a workshop; the lowest number comes first."""

    __tablename__ = "beamhub_waiting"
    workshop: Mapped[int] = mapped_column(
        ForeignKey(WorkshopRow.number, ondelete="CASCADE"), primary_key=True
    )
    user: Mapped[str] = mapped_column(String(NAME_MAX), primary_key=True, index=True)
    place: Mapped[int]


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
