"""The tables. Instants are whole microseconds since 1970-01-01T00:00Z: exact, and ordered alike in every database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    text,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """An instant, aware and in UTC on this side."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """What is stored."""
        return None if value is None else (value - EPOCH) // MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """What was stored."""
        return None if value is None else EPOCH + timedelta(microseconds=value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite counts up only what it calls INTEGER.
RowNumber = BigInteger().with_variant(Integer, "sqlite")

peer = Table(
    "peer",
    metadata,
    Column("peer_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("profile_name", Text, nullable=False),
    Column("overrides", Text, nullable=False),
    Column("time_zone", Text),
    Column("state", Text, nullable=False),
    Column("base_url", Text),
    Column("outbound_token", Text),
    Column("created_at", Instant, nullable=False),
    Column("registered_at", Instant),
    Column("heartbeat_interval_s", Integer),
    Column("measurement_configuration", Text, nullable=False),
    Column("next_heartbeat_at", Instant),
    Column("handshake_due_at", Instant),
    Column("handshake_at", Instant),
    Column("last_heard_at", Instant),
    Column("offline_at", Instant),
    Column("offline", Boolean, nullable=False),
    Column("last_error", Text, nullable=False),
)
Index(
    "uq_peer_name",
    peer.c.name,
    unique=True,
    sqlite_where=text("state NOT IN ('unregistered', 'failed')"),
    postgresql_where=text("state NOT IN ('unregistered', 'failed')"),
)

token = Table(
    "token",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("peer_id", Text, ForeignKey("peer.peer_id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
)

sign_in = Table(
    "sign_in",
    metadata,
    Column("cookie_hash", Text, primary_key=True),
    Column("token_hash", Text, ForeignKey("token.token_hash", ondelete="CASCADE"), index=True),
    Column("expires_at", Instant, nullable=False, index=True),
)

# What changes with every message is apart from what is large: SQLite writes a changed row anew as a whole.
site = Table(
    "site",
    metadata,
    Column("site_id", Text, primary_key=True),
    Column("peer_id", Text, ForeignKey("peer.peer_id"), nullable=False, index=True),
    Column("version", BigInteger, nullable=False),
    Column("change_version", BigInteger, nullable=False),
    Column("limit_version", BigInteger, nullable=False),
    Column("attended_version", BigInteger, nullable=False),
    Column("planned_version", BigInteger, nullable=False),
    Column("failed_version", BigInteger),
    Column("retry_at", Instant),
    Column("due_at", Instant, index=True),
    Column("updated_at", Instant, nullable=False),
    Column("last_error", Text, nullable=False),
    Column("lease_token", Text),
    Column("lease_owner", Text),
    Column("lease_until", Instant),
)
Index(
    "ix_site_unattended",
    site.c.updated_at,
    sqlite_where=text("version > attended_version"),
    postgresql_where=text("version > attended_version"),
)

site_content = Table(
    "site_content",
    metadata,
    Column("site_id", Text, ForeignKey("site.site_id", ondelete="CASCADE"), primary_key=True),
    Column("document", Text, nullable=False),
    Column("prices", Text),
    Column("snapshot", Text),
    Column("snapshot_version", BigInteger, nullable=False),
)

site_group = Table(
    "site_group",
    metadata,
    Column("peer_id", Text, ForeignKey("peer.peer_id"), primary_key=True),
    Column("group_id", Text, primary_key=True),
    Column("site_id", Text, ForeignKey("site.site_id", ondelete="CASCADE"), nullable=False, index=True),
)

event = Table(
    "event",
    metadata,
    Column("site_id", Text, ForeignKey("site.site_id", ondelete="CASCADE"), primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("group_id", Text, nullable=False),
    Column("received_at", Instant, nullable=False, index=True),
    Column("request_id", Text, nullable=False),
    Column("body", Text, nullable=False),
)

charging_session = Table(
    "charging_session",
    metadata,
    Column("site_id", Text, ForeignKey("site.site_id", ondelete="CASCADE"), primary_key=True),
    Column("session_id", Text, primary_key=True),
    Column("document", Text, nullable=False),
    Column("energy_kwh", Float, nullable=False),
    Column("departure", Instant, nullable=False, index=True),
    Column("stated_at", Instant, nullable=False),
)

seen_request = Table(
    "seen_request",
    metadata,
    Column("peer_id", Text, ForeignKey("peer.peer_id", ondelete="CASCADE"), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("group_id", Text, primary_key=True),
    Column("request_id", Text, primary_key=True),
    Column("body_hash", Text, primary_key=True),
    Column("seen_at", Instant, nullable=False, index=True),
)

segment = Table(
    "segment",
    metadata,
    Column("peer_id", Text, ForeignKey("peer.peer_id", ondelete="CASCADE"), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("request_id", Text, primary_key=True),
    Column("set_id", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received_at", Instant, nullable=False, index=True),
)

plan = Table(
    "plan",
    metadata,
    Column("number", RowNumber, primary_key=True, autoincrement=True),
    Column("plan_id", Text, nullable=False, unique=True),
    Column("site_id", Text, ForeignKey("site.site_id", ondelete="CASCADE"), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("made_at", Instant, nullable=False, index=True),
    Column("start", Instant, nullable=False),
    Column("end", Instant, nullable=False),
    Column("status", Text, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("unmet_kwh", Float),
    Column("gap", Float),
    Column("limit_margin_kw", Float),
)
Index("ix_plan_site_id_number", plan.c.site_id, plan.c.number)

outbox = Table(
    "outbox",
    metadata,
    Column("outbox_id", RowNumber, primary_key=True, autoincrement=True),
    Column("peer_id", Text, ForeignKey("peer.peer_id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("body", Text),
    Column("request_id", Text, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("site_id", Text),
    Column("group_id", Text),
    Column("plan_id", Text),
    Column("state", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Instant, nullable=False),
    Column("finished_at", Instant, index=True),
    Column("last_error", Text, nullable=False),
    Column("lease_owner", Text),
    Column("lease_until", Instant),
    sqlite_autoincrement=True,
)
Index("ix_outbox_peer_id_outbox_id", outbox.c.peer_id, outbox.c.outbox_id)
Index(
    "ix_outbox_pending",
    outbox.c.peer_id,
    outbox.c.lane,
    outbox.c.outbox_id,
    sqlite_where=text("state = 'pending'"),
    postgresql_where=text("state = 'pending'"),
)
