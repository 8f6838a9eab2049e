"""What whoever watches asks for: what has changed, and what was said, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, literal_column, select

from api.persistence.tables import event, outbox, peer, plan, site
from api.records import Event, EventKind, LoggedEvent, OutboxState, PeerStamp, SiteStamp

HEAD_CHARACTERS = 300
"""Of a message, enough to tell what it is about."""


class Monitoring:
    """Reads for those who watch, within a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def site_stamps(self) -> Sequence[SiteStamp]:
        """Of every site, what differs as soon as anything of it does; reads no message and no plan."""
        newest = select(func.max(plan.c.number)).where(plan.c.site_id == site.c.site_id).scalar_subquery()
        rows = self._connection.execute(
            select(
                site.c.site_id,
                site.c.peer_id,
                site.c.version,
                site.c.attended_version,
                site.c.planned_version,
                site.c.last_error,
                newest.label("plan_number"),
                peer.c.name,
                peer.c.state,
                peer.c.offline,
            ).join(peer, peer.c.peer_id == site.c.peer_id)
        )
        return [
            SiteStamp(
                site_id=row.site_id,
                peer_id=row.peer_id,
                stamp=f"{row.version}.{row.attended_version}.{row.planned_version}.{row.plan_number or 0}"
                f".{len(row.last_error)}.{row.state}.{row.offline:d}.{row.name}",
            )
            for row in rows
        ]

    def peer_stamps(self) -> Sequence[PeerStamp]:
        """Of every peer, what differs as soon as its state, or anything in its outbox, does."""
        mine = outbox.c.peer_id == peer.c.peer_id
        # Written out, as the partial index of what is pending asks for.
        pending = outbox.c.state == literal_column(f"'{OutboxState.PENDING}'")
        rows = self._connection.execute(
            select(
                peer.c.peer_id,
                peer.c.state,
                peer.c.offline,
                peer.c.last_error,
                peer.c.handshake_at,
                select(func.max(outbox.c.outbox_id)).where(mine).scalar_subquery().label("newest"),
                select(func.count()).where(mine, pending).scalar_subquery().label("waiting"),
                select(func.sum(outbox.c.attempts)).where(mine, pending).scalar_subquery().label("attempts"),
            )
        )
        return [
            PeerStamp(
                peer_id=row.peer_id,
                stamp=f"{row.state}.{row.offline:d}.{len(row.last_error)}.{row.handshake_at or ''}"
                f".{row.newest or 0}.{row.waiting}.{row.attempts or 0}",
            )
            for row in rows
        ]

    def events_since(self, site_id: str, *, after: int, since: datetime) -> Sequence[Event]:
        """Messages about a site that made a version after another one and came since an instant, in order."""
        rows = self._connection.execute(
            select(event)
            .where(event.c.site_id == site_id, event.c.version > after, event.c.received_at >= since)
            .order_by(event.c.version)
        )
        return [
            Event(
                version=row.version,
                kind=EventKind(row.kind),
                group_id=row.group_id,
                received_at=row.received_at,
                request_id=row.request_id,
                body=row.body,
            )
            for row in rows
        ]

    def log(self, *, peer_id: str | None, limit: int) -> Sequence[LoggedEvent]:
        """Messages that came, of one peer or of all, the newest first; without their bodies."""
        return [_to_logged(row) for row in self._connection.execute(_logged(peer_id).limit(limit))]

    def changes_between(self, site_id: str, after: int, until: int, *, limit: int) -> Sequence[LoggedEvent]:
        """Messages about a site of the versions after one and up to another, the newest first."""
        statement = _logged(None).where(event.c.site_id == site_id, event.c.version > after, event.c.version <= until)
        return [_to_logged(row) for row in self._connection.execute(statement.limit(limit))]

    def event_body(self, site_id: str, version: int, *, peer_id: str | None) -> str | None:
        """A message about a site of a peer, or of any, as JSON; None where there is none."""
        statement = (
            select(event.c.body)
            .join(site, site.c.site_id == event.c.site_id)
            .where(event.c.site_id == site_id, event.c.version == version)
        )
        if peer_id is not None:
            statement = statement.where(site.c.peer_id == peer_id)
        body: str | None = self._connection.execute(statement).scalar()
        return body


def _logged(peer_id: str | None) -> Any:  # noqa: ANN401 - a statement
    statement = (
        select(
            event.c.version,
            event.c.kind,
            event.c.site_id,
            event.c.group_id,
            event.c.received_at,
            event.c.request_id,
            site.c.peer_id,
            func.substr(event.c.body, 1, HEAD_CHARACTERS).label("head"),
            func.length(event.c.body).label("characters"),
        )
        .join(site, site.c.site_id == event.c.site_id)
        .order_by(event.c.received_at.desc(), event.c.version.desc())
    )
    return statement if peer_id is None else statement.where(site.c.peer_id == peer_id)


def _to_logged(row: Row[Any]) -> LoggedEvent:
    return LoggedEvent(
        version=row.version,
        kind=EventKind(row.kind),
        peer_id=row.peer_id,
        site_id=row.site_id,
        group_id=row.group_id,
        received_at=row.received_at,
        request_id=row.request_id,
        head=row.head,
        characters=row.characters,
    )
