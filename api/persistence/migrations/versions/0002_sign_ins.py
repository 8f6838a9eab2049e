"""Sign-ins to the page."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create their table."""
    op.create_table(
        "sign_in",
        sa.Column("cookie_hash", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["token_hash"], ["token.token_hash"], name=op.f("fk_sign_in_token_hash"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("cookie_hash", name=op.f("pk_sign_in")),
    )
    with op.batch_alter_table("sign_in") as batch_op:
        batch_op.create_index(op.f("ix_sign_in_token_hash"), ["token_hash"], unique=False)
        batch_op.create_index(op.f("ix_sign_in_expires_at"), ["expires_at"], unique=False)


def downgrade() -> None:
    """Drop it."""
    op.drop_table("sign_in")
