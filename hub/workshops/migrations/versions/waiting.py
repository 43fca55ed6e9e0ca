"""A list of those who wait for a place."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    belongs = sa.ForeignKey("beamhub_workshops.number", ondelete="CASCADE")
    op.create_table(
        "beamhub_waiting",
        sa.Column("workshop", sa.Integer, belongs, primary_key=True),
        sa.Column("user", sa.String(255), primary_key=True),
        sa.Column("place", sa.Integer, nullable=False),
    )
    op.create_index("ix_beamhub_waiting_user", "beamhub_waiting", ["user"])
