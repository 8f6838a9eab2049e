"""Messages to peers that wait to go out, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, or_, select, update

from api.persistence.tables import outbox, peer
from api.records import NewMessage, OutboxKind, OutboxMessage, OutboxState, PeerState

REGISTRATION = (OutboxKind.REGISTER, OutboxKind.REGISTER_REPLY, OutboxKind.UNREGISTER)
PLANS = (OutboxKind.OPTIMUM, OutboxKind.ADJUST)

_earlier = outbox.alias("earlier")
_FIRST_OF_LANE = ~(
    select(_earlier.c.outbox_id)
    .where(
        _earlier.c.peer_id == outbox.c.peer_id,
        _earlier.c.lane == outbox.c.lane,
        _earlier.c.outbox_id < outbox.c.outbox_id,
        _earlier.c.state == OutboxState.PENDING,
    )
    .correlate(outbox)
    .exists()
)
_ALLOWED = or_(
    outbox.c.kind.in_(REGISTRATION),
    peer.c.state == PeerState.REGISTERED,
    and_(outbox.c.kind.not_in(PLANS), peer.c.state == PeerState.REPLYING),
)


class Outbox:
    """Stored messages to peers, within a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, messages: Sequence[NewMessage], *, now: datetime, supersede: bool = True) -> None:
        """Put messages there.

        Args:
            messages: In the order in which they are to go out.
            now: The present.
            supersede: Whether pending messages of the same peer, lane and kind that nobody is delivering become
                SUPERSEDED.
        """
        if supersede:
            for peer_id, lane, kind in dict.fromkeys((one.peer_id, one.lane, one.kind) for one in messages):
                self._supersede(
                    outbox.c.peer_id == peer_id,
                    outbox.c.lane == lane,
                    outbox.c.kind == kind,
                    or_(outbox.c.lease_until.is_(None), outbox.c.lease_until <= now),
                    now=now,
                )
        for one in messages:
            self._connection.execute(
                insert(outbox).values(
                    peer_id=one.peer_id,
                    kind=one.kind,
                    lane=one.lane,
                    body=one.body,
                    request_id=one.request_id,
                    correlation_id=one.correlation_id,
                    site_id=one.site_id,
                    group_id=one.group_id,
                    plan_id=one.plan_id,
                    state=OutboxState.PENDING,
                    created_at=now,
                    attempts=0,
                    next_attempt_at=one.not_before or now,
                    last_error="",
                )
            )

    def lease_due(
        self, *, owner: str, now: datetime, lease_s: float, limit: int, but: Sequence[str] = ()
    ) -> Sequence[OutboxMessage]:
        """Take messages that are due and that nobody holds.

        Due is what is pending, with its next attempt not in the future, and nothing of its lane pending before it.
        A peer neither REGISTERED nor REPLYING gets only what registers or unregisters; an OPTIMUM or
        ADJUST goes only to one that is REGISTERED; those named are left out. On PostgreSQL rows that
        another server is about to take are skipped.
        """
        until = now + timedelta(seconds=lease_s)
        statement = (
            select(outbox)
            .join(peer, peer.c.peer_id == outbox.c.peer_id)
            .where(
                _waiting(),
                outbox.c.next_attempt_at <= now,
                outbox.c.peer_id.not_in(but),
                or_(
                    outbox.c.lease_until.is_(None),
                    outbox.c.lease_until <= now,
                    outbox.c.lease_until > now + timedelta(seconds=2 * lease_s),
                ),
            )
            .order_by(outbox.c.next_attempt_at, outbox.c.outbox_id)
            .limit(limit)
            .with_for_update(skip_locked=True, of=outbox)
        )
        rows = self._connection.execute(statement).all()
        if rows:
            self._connection.execute(
                update(outbox)
                .where(outbox.c.outbox_id.in_([row.outbox_id for row in rows]))
                .values(lease_owner=owner, lease_until=until)
            )
        return [_to_message(row) for row in rows]

    def delivered(self, outbox_id: int, *, now: datetime) -> None:
        """Note that a peer took a message."""
        self._finish(outbox_id, OutboxState.DELIVERED, error="", now=now)

    def retry(self, outbox_id: int, *, error: str, next_attempt_at: datetime) -> None:
        """Note that an attempt failed, and when the next one is due; superseded where its lane has a newer one."""
        newer = outbox.alias("newer")
        is_outdated = self._connection.execute(
            select(newer.c.outbox_id)
            .join(outbox, and_(newer.c.peer_id == outbox.c.peer_id, newer.c.lane == outbox.c.lane))
            .where(
                outbox.c.outbox_id == outbox_id,
                newer.c.outbox_id > outbox_id,
                newer.c.kind == outbox.c.kind,
                newer.c.state == OutboxState.PENDING,
                or_(newer.c.plan_id.is_(None), newer.c.plan_id != outbox.c.plan_id),
            )
        ).first()
        if is_outdated is not None:
            self._finish(outbox_id, OutboxState.SUPERSEDED, error=error, now=next_attempt_at)
            return
        self._connection.execute(
            update(outbox)
            .where(outbox.c.outbox_id == outbox_id, outbox.c.state == OutboxState.PENDING)
            .values(attempts=outbox.c.attempts + 1, next_attempt_at=next_attempt_at, last_error=error, **_FREE)
        )

    def gave_up(self, outbox_id: int, *, error: str, now: datetime) -> None:
        """Note that a message will not be tried again."""
        self._finish(outbox_id, OutboxState.GIVEN_UP, error=error, now=now)

    def hurry(self, peer_id: str, *, now: datetime) -> None:
        """Make everything pending for a peer due now: it is back."""
        self._connection.execute(
            update(outbox)
            .where(outbox.c.peer_id == peer_id, outbox.c.state == OutboxState.PENDING, outbox.c.next_attempt_at > now)
            .values(next_attempt_at=now)
        )

    def cancel(self, peer_id: str, *, now: datetime, kinds: Sequence[OutboxKind] | None = None) -> None:
        """Make what is pending for a peer SUPERSEDED; of some kinds only, or all."""
        chosen: list[ColumnElement[bool]] = [outbox.c.peer_id == peer_id]
        if kinds is not None:
            chosen.append(outbox.c.kind.in_(kinds))
        self._supersede(*chosen, now=now)

    def release_all(self, owner: str) -> None:
        """Hand back every message a server that stops was delivering."""
        self._connection.execute(update(outbox).where(outbox.c.lease_owner == owner).values(**_FREE))

    def next_due_at(self, *, now: datetime) -> datetime | None:
        """When the next message is due that may go out and that nobody is delivering; None where there is none."""
        due_at = func.min(outbox.c.next_attempt_at, type_=outbox.c.next_attempt_at.type)
        found: datetime | None = self._connection.execute(
            select(due_at)
            .join(peer, peer.c.peer_id == outbox.c.peer_id)
            .where(_waiting(), or_(outbox.c.lease_until.is_(None), outbox.c.lease_until <= now))
        ).scalar()
        return found

    def of_peer(self, peer_id: str, *, limit: int) -> Sequence[OutboxMessage]:
        """Messages to a peer, the newest first."""
        statement = select(outbox).where(outbox.c.peer_id == peer_id).order_by(outbox.c.outbox_id.desc()).limit(limit)
        return [_to_message(row) for row in self._connection.execute(statement)]

    def waiting(self, *, peer_id: str | None, limit: int) -> Sequence[OutboxMessage]:
        """Pending messages to one peer or to all, the oldest first."""
        statement = select(outbox).where(outbox.c.state == OutboxState.PENDING).order_by(outbox.c.outbox_id)
        if peer_id is not None:
            statement = statement.where(outbox.c.peer_id == peer_id)
        return [_to_message(row) for row in self._connection.execute(statement.limit(limit))]

    def finished(self, *, peer_id: str | None, limit: int) -> Sequence[OutboxMessage]:
        """Messages that wait no more, to one peer or to all, the newest first."""
        statement = select(outbox).where(outbox.c.state != OutboxState.PENDING).order_by(outbox.c.outbox_id.desc())
        if peer_id is not None:
            statement = statement.where(outbox.c.peer_id == peer_id)
        return [_to_message(row) for row in self._connection.execute(statement.limit(limit))]

    def find(self, outbox_id: int, *, peer_id: str | None) -> OutboxMessage | None:
        """One message, to a peer or to any; None where there is none."""
        statement = select(outbox).where(outbox.c.outbox_id == outbox_id)
        if peer_id is not None:
            statement = statement.where(outbox.c.peer_id == peer_id)
        row = self._connection.execute(statement).one_or_none()
        return None if row is None else _to_message(row)

    def pending(self) -> tuple[int, datetime | None]:
        """How many messages are pending, and when the oldest was put there; None where none is."""
        oldest = func.min(outbox.c.created_at, type_=outbox.c.created_at.type)
        row = self._connection.execute(select(func.count(), oldest).where(outbox.c.state == OutboxState.PENDING)).one()
        return row[0], row[1]

    def _supersede(self, *chosen: ColumnElement[bool], now: datetime) -> None:
        self._connection.execute(
            update(outbox)
            .where(outbox.c.state == OutboxState.PENDING, *chosen)
            .values(state=OutboxState.SUPERSEDED, finished_at=now, **_FREE)
        )

    def _finish(self, outbox_id: int, state: OutboxState, *, error: str, now: datetime) -> None:
        self._connection.execute(
            update(outbox)
            .where(outbox.c.outbox_id == outbox_id, outbox.c.state == OutboxState.PENDING)
            .values(state=state, attempts=outbox.c.attempts + 1, finished_at=now, last_error=error, **_FREE)
        )


_FREE: dict[str, Any] = {"lease_owner": None, "lease_until": None}


def _waiting() -> ColumnElement[bool]:
    return and_(outbox.c.state == OutboxState.PENDING, _FIRST_OF_LANE, _ALLOWED)


def _to_message(row: Row[Any]) -> OutboxMessage:
    message = {field.name: getattr(row, field.name) for field in fields(NewMessage) if field.name != "not_before"}
    return OutboxMessage(
        outbox_id=row.outbox_id,
        message=NewMessage(**message | {"kind": OutboxKind(row.kind)}),
        state=OutboxState(row.state),
        created_at=row.created_at,
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        finished_at=row.finished_at,
        last_error=row.last_error,
    )
