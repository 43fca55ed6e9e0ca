"""Workshops, their participants and what is told of checks.

Portals of version 0.1 made these without alembic: where they are, nothing is done.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "beamhub_workshops",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("code", sa.String(32), nullable=False, unique=True),
        sa.Column("trainer", sa.String(255), nullable=False),
        sa.Column("title", sa.String(100), nullable=False),
        sa.Column("use_case", sa.String(255), nullable=False),
        sa.Column("notebook", sa.String(200), nullable=False),
        sa.Column("size", sa.String(255), nullable=False),
        sa.Column("capacity", sa.Integer, nullable=False),
        sa.Column("begins", sa.DateTime, nullable=False),
        sa.Column("ends", sa.DateTime, nullable=False),
        sa.Column("zone", sa.String(64), nullable=False),
        sa.Column("invited", sa.JSON, nullable=False),
        if_not_exists=True,
    )
    index("beamhub_workshops", "trainer")
    op.create_table(
        "beamhub_participants",
        workshop_key(),
        sa.Column("user", sa.String(255), primary_key=True),
        sa.Column("joined", sa.DateTime, nullable=False),
        if_not_exists=True,
    )
    index("beamhub_participants", "user")
    op.create_table(
        "beamhub_checks",
        workshop_key(),
        sa.Column("user", sa.String(255), primary_key=True),
        sa.Column("notebook", sa.String(200), primary_key=True),
        sa.Column("check_name", sa.String(200), primary_key=True),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("told_at", sa.DateTime, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        if_not_exists=True,
    )


def workshop_key() -> "sa.Column[int]":
    """Return the column that says to which workshop a row belongs."""
    belongs = sa.ForeignKey("beamhub_workshops.number", ondelete="CASCADE")
    return sa.Column("workshop", sa.Integer, belongs, primary_key=True)


def index(table: str, column: str) -> None:
    """Make an index of a column."""
    op.create_index(f"ix_{table}_{column}", table, [column], if_not_exists=True)
