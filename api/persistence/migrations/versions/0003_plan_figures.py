"""Figures of a plan beside its document, so that they can be asked for of every site at once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COLUMNS = ("unmet_kwh", "gap", "limit_margin_kw")


def upgrade() -> None:
    """Add them; plans made before have none."""
    for column in COLUMNS:
        op.add_column("plan", sa.Column(column, sa.Float(), nullable=True))


def downgrade() -> None:
    """Drop them."""
    for column in COLUMNS:
        op.drop_column("plan", column)
