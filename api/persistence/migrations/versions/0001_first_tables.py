"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "peer",
        sa.Column("peer_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("profile_name", sa.Text(), nullable=False),
        sa.Column("overrides", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("base_url", sa.Text(), nullable=True),
        sa.Column("outbound_token", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("registered_at", sa.BigInteger(), nullable=True),
        sa.Column("heartbeat_interval_s", sa.Integer(), nullable=True),
        sa.Column("measurement_configuration", sa.Text(), nullable=False),
        sa.Column("next_heartbeat_at", sa.BigInteger(), nullable=True),
        sa.Column("handshake_due_at", sa.BigInteger(), nullable=True),
        sa.Column("handshake_at", sa.BigInteger(), nullable=True),
        sa.Column("last_heard_at", sa.BigInteger(), nullable=True),
        sa.Column("offline_at", sa.BigInteger(), nullable=True),
        sa.Column("offline", sa.Boolean(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("peer_id", name=op.f("pk_peer")),
    )
    with op.batch_alter_table("peer") as batch_op:
        batch_op.create_index(
            "uq_peer_name",
            ["name"],
            unique=True,
            sqlite_where=sa.text("state NOT IN ('unregistered', 'failed')"),
            postgresql_where=sa.text("state NOT IN ('unregistered', 'failed')"),
        )

    op.create_table(
        "outbox",
        sa.Column(
            "outbox_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("peer_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=True),
        sa.Column("group_id", sa.Text(), nullable=True),
        sa.Column("plan_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["peer_id"], ["peer.peer_id"], name=op.f("fk_outbox_peer_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("outbox_id", name=op.f("pk_outbox")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("outbox") as batch_op:
        batch_op.create_index(batch_op.f("ix_outbox_finished_at"), ["finished_at"], unique=False)
        batch_op.create_index("ix_outbox_peer_id_outbox_id", ["peer_id", "outbox_id"], unique=False)
        batch_op.create_index(
            "ix_outbox_pending",
            ["peer_id", "lane", "outbox_id"],
            unique=False,
            sqlite_where=sa.text("state = 'pending'"),
            postgresql_where=sa.text("state = 'pending'"),
        )

    op.create_table(
        "seen_request",
        sa.Column("peer_id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["peer_id"], ["peer.peer_id"], name=op.f("fk_seen_request_peer_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("peer_id", "path", "group_id", "request_id", "body_hash", name=op.f("pk_seen_request")),
    )
    with op.batch_alter_table("seen_request") as batch_op:
        batch_op.create_index(batch_op.f("ix_seen_request_seen_at"), ["seen_at"], unique=False)

    op.create_table(
        "segment",
        sa.Column("peer_id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("set_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["peer_id"], ["peer.peer_id"], name=op.f("fk_segment_peer_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("peer_id", "path", "request_id", name=op.f("pk_segment")),
    )
    with op.batch_alter_table("segment") as batch_op:
        batch_op.create_index(batch_op.f("ix_segment_received_at"), ["received_at"], unique=False)

    op.create_table(
        "site",
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("peer_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("change_version", sa.BigInteger(), nullable=False),
        sa.Column("limit_version", sa.BigInteger(), nullable=False),
        sa.Column("attended_version", sa.BigInteger(), nullable=False),
        sa.Column("planned_version", sa.BigInteger(), nullable=False),
        sa.Column("failed_version", sa.BigInteger(), nullable=True),
        sa.Column("retry_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("lease_token", sa.Text(), nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["peer_id"], ["peer.peer_id"], name=op.f("fk_site_peer_id")),
        sa.PrimaryKeyConstraint("site_id", name=op.f("pk_site")),
    )
    with op.batch_alter_table("site") as batch_op:
        batch_op.create_index(batch_op.f("ix_site_due_at"), ["due_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_site_peer_id"), ["peer_id"], unique=False)
        batch_op.create_index(
            "ix_site_unattended",
            ["updated_at"],
            unique=False,
            sqlite_where=sa.text("version > attended_version"),
            postgresql_where=sa.text("version > attended_version"),
        )

    op.create_table(
        "token",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("peer_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["peer_id"], ["peer.peer_id"], name=op.f("fk_token_peer_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_token")),
    )
    with op.batch_alter_table("token") as batch_op:
        batch_op.create_index(batch_op.f("ix_token_peer_id"), ["peer_id"], unique=False)

    op.create_table(
        "charging_session",
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("energy_kwh", sa.Float(), nullable=False),
        sa.Column("departure", sa.BigInteger(), nullable=False),
        sa.Column("stated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["site_id"], ["site.site_id"], name=op.f("fk_charging_session_site_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("site_id", "session_id", name=op.f("pk_charging_session")),
    )
    with op.batch_alter_table("charging_session") as batch_op:
        batch_op.create_index(batch_op.f("ix_charging_session_departure"), ["departure"], unique=False)

    op.create_table(
        "event",
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_event_site_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("site_id", "version", name=op.f("pk_event")),
    )
    with op.batch_alter_table("event") as batch_op:
        batch_op.create_index(batch_op.f("ix_event_received_at"), ["received_at"], unique=False)

    op.create_table(
        "plan",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("plan_id", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_plan_site_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_plan")),
        sa.UniqueConstraint("plan_id", name=op.f("uq_plan_plan_id")),
    )
    with op.batch_alter_table("plan") as batch_op:
        batch_op.create_index(batch_op.f("ix_plan_made_at"), ["made_at"], unique=False)
        batch_op.create_index("ix_plan_site_id_number", ["site_id", "number"], unique=False)

    op.create_table(
        "site_content",
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("prices", sa.Text(), nullable=True),
        sa.Column("snapshot", sa.Text(), nullable=True),
        sa.Column("snapshot_version", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["site_id"], ["site.site_id"], name=op.f("fk_site_content_site_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("site_id", name=op.f("pk_site_content")),
    )
    op.create_table(
        "site_group",
        sa.Column("peer_id", sa.Text(), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("site_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["peer_id"], ["peer.peer_id"], name=op.f("fk_site_group_peer_id")),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_site_group_site_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("peer_id", "group_id", name=op.f("pk_site_group")),
    )
    with op.batch_alter_table("site_group") as batch_op:
        batch_op.create_index(batch_op.f("ix_site_group_site_id"), ["site_id"], unique=False)


def downgrade() -> None:
    """Drop them, with all that is stored."""
    with op.batch_alter_table("site_group") as batch_op:
        batch_op.drop_index(batch_op.f("ix_site_group_site_id"))

    op.drop_table("site_group")
    op.drop_table("site_content")
    with op.batch_alter_table("plan") as batch_op:
        batch_op.drop_index("ix_plan_site_id_number")
        batch_op.drop_index(batch_op.f("ix_plan_made_at"))

    op.drop_table("plan")
    with op.batch_alter_table("event") as batch_op:
        batch_op.drop_index(batch_op.f("ix_event_received_at"))

    op.drop_table("event")
    with op.batch_alter_table("charging_session") as batch_op:
        batch_op.drop_index(batch_op.f("ix_charging_session_departure"))

    op.drop_table("charging_session")
    with op.batch_alter_table("token") as batch_op:
        batch_op.drop_index(batch_op.f("ix_token_peer_id"))

    op.drop_table("token")
    with op.batch_alter_table("site") as batch_op:
        batch_op.drop_index(
            "ix_site_unattended",
            sqlite_where=sa.text("version > attended_version"),
            postgresql_where=sa.text("version > attended_version"),
        )
        batch_op.drop_index(batch_op.f("ix_site_peer_id"))
        batch_op.drop_index(batch_op.f("ix_site_due_at"))

    op.drop_table("site")
    with op.batch_alter_table("segment") as batch_op:
        batch_op.drop_index(batch_op.f("ix_segment_received_at"))

    op.drop_table("segment")
    with op.batch_alter_table("seen_request") as batch_op:
        batch_op.drop_index(batch_op.f("ix_seen_request_seen_at"))

    op.drop_table("seen_request")
    with op.batch_alter_table("outbox") as batch_op:
        batch_op.drop_index(
            "ix_outbox_pending",
            sqlite_where=sa.text("state = 'pending'"),
            postgresql_where=sa.text("state = 'pending'"),
        )
        batch_op.drop_index("ix_outbox_peer_id_outbox_id")
        batch_op.drop_index(batch_op.f("ix_outbox_finished_at"))

    op.drop_table("outbox")
    with op.batch_alter_table("peer") as batch_op:
        batch_op.drop_index(
            "uq_peer_name",
            sqlite_where=sa.text("state NOT IN ('unregistered', 'failed')"),
            postgresql_where=sa.text("state NOT IN ('unregistered', 'failed')"),
        )

    op.drop_table("peer")
