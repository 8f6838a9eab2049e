"""Pruning by age, backup and restore."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path

from sqlalchemy import Delete, delete, func, select, tuple_
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from api.persistence.database import Database
from api.persistence.tables import (
    charging_session,
    event,
    outbox,
    plan,
    seen_request,
    segment,
    sign_in,
    site_content,
    token,
)
from api.persistence.transaction import Transaction
from models.errors import InputError


def prune(database: Database, *, before: datetime, requests_before: datetime, batch: int = 10_000) -> int:
    """Delete what is over, in batches, so that nobody waits long.

    Messages that the state of their site includes, plans that are not in force, finished deliveries and sessions that
    departed, all from before an instant; traces of requests, segments, and tokens and sign-ins that expired from before
    another.

    Returns:
        How many rows were deleted.
    """
    deleted = 0
    for statement in _deletions(before, requests_before, batch):
        while True:
            count = database.write_now(partial(_run, statement=statement))
            deleted += count
            if count < batch:
                break
    return deleted


def backup(database_url: str, target: Path) -> None:
    """Write a consistent copy of a SQLite database in use to a new file.

    Raises:
        InputError: The target exists, or the database is not SQLite (PostgreSQL: use pg_dump).
    """
    source = _sqlite_file(database_url, advice="back it up with pg_dump --format=custom")
    if not source.exists():
        raise InputError(f"there is no database {str(source)!r} to back up; check --database-url")
    if target.exists():
        raise InputError(f"{str(target)!r} exists; a backup replaces nothing, name a new file")
    _copy(source, target)


def restore(source: Path, database_url: str) -> None:
    """Put a backup in the place of a SQLite database that no server uses; it appears as a whole or not at all.

    Raises:
        InputError: The source is no intact backup, or the database is in use or not SQLite.
    """
    target = _sqlite_file(database_url, advice="restore it with pg_restore --clean")
    _require_intact(source)
    if target.exists():
        _require_unused(target)
    _copy(source, target)
    for suffix in ("-wal", "-shm"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)


def _deletions(before: datetime, requests_before: datetime, batch: int) -> Iterator[Delete]:
    included = (
        select(site_content.c.snapshot_version)
        .where(site_content.c.site_id == event.c.site_id)
        .correlate(event)
        .scalar_subquery()
    )
    old_events = select(event.c.site_id, event.c.version).where(
        event.c.received_at < before, event.c.version <= included
    )
    yield delete(event).where(tuple_(event.c.site_id, event.c.version).in_(old_events.limit(batch)))
    newest = select(func.max(plan.c.number)).group_by(plan.c.site_id)
    old_plans = select(plan.c.number).where(plan.c.made_at < before, plan.c.number.not_in(newest))
    yield delete(plan).where(plan.c.number.in_(old_plans.limit(batch)))
    old_messages = select(outbox.c.outbox_id).where(outbox.c.finished_at < before)
    yield delete(outbox).where(outbox.c.outbox_id.in_(old_messages.limit(batch)))
    departed = select(charging_session.c.site_id, charging_session.c.session_id).where(
        charging_session.c.departure < before
    )
    yield delete(charging_session).where(
        tuple_(charging_session.c.site_id, charging_session.c.session_id).in_(departed.limit(batch))
    )
    key = tuple(seen_request.primary_key.columns)
    forgotten = select(*key).where(seen_request.c.seen_at < requests_before)
    yield delete(seen_request).where(tuple_(*key).in_(forgotten.limit(batch)))
    segment_key = tuple(segment.primary_key.columns)
    old_segments = select(*segment_key).where(segment.c.received_at < requests_before)
    yield delete(segment).where(tuple_(*segment_key).in_(old_segments.limit(batch)))
    yield delete(sign_in).where(
        sign_in.c.cookie_hash.in_(
            select(sign_in.c.cookie_hash).where(sign_in.c.expires_at < requests_before).limit(batch)
        )
    )
    expired = select(token.c.token_hash).where(token.c.expires_at < requests_before)
    yield delete(token).where(token.c.token_hash.in_(expired.limit(batch)))


def _run(tx: Transaction, *, statement: Delete) -> int:
    return tx.connection.execute(statement).rowcount


def _sqlite_file(database_url: str, *, advice: str) -> Path:
    try:
        url = make_url(database_url)
    except ArgumentError:
        raise InputError(f"database_url {database_url!r} is no URL; write sqlite:///FILE") from None
    if url.get_backend_name() != "sqlite" or not url.database:
        raise InputError(f"database_url {url.render_as_string()!r} is not a SQLite file; {advice}")
    return Path(url.database)


def _copy(source: Path, target: Path) -> None:
    unfinished = target.with_name(f".{target.name}.partial")
    unfinished.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(source)) as reader, closing(sqlite3.connect(unfinished)) as writer:
            reader.backup(writer)
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.replace(target)
    except (OSError, sqlite3.Error) as error:
        raise InputError(f"{str(source)!r} cannot be copied to {str(target)!r}: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _require_intact(source: Path) -> None:
    if not source.is_file():
        raise InputError(f"there is no backup {str(source)!r}")
    try:
        with closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute("PRAGMA integrity_check").fetchone()[0]
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        raise InputError(f"{str(source)!r} is no backup: {error}") from error
    if found != "ok" or "alembic_version" not in tables:
        raise InputError(f"{str(source)!r} is no intact backup of this server")


def _require_unused(target: Path) -> None:
    try:
        with closing(sqlite3.connect(target, timeout=0)) as connection:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            connection.rollback()
    except sqlite3.OperationalError as error:
        raise InputError(f"the database {str(target)!r} is in use ({error}); stop the server first") from error
