"""Raised hands, and what a trainer tells all."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("beamhub_participants", sa.Column("hand_raised", sa.DateTime))
    op.add_column(
        "beamhub_workshops",
        sa.Column("message", sa.String(120), nullable=False, server_default=""),
    )
    op.add_column("beamhub_workshops", sa.Column("message_at", sa.DateTime))
