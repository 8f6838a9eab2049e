"""Peers, and the tokens we issued to them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    delete,
    insert,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.exc import IntegrityError

from api.persistence.ciphers import TokenCipher
from api.persistence.errors import ConflictError, NotFoundError
from api.persistence.frequent import FrequentStatement
from api.persistence.tables import EPOCH, MICROSECOND, outbox, peer, site_group, token
from api.records import OutboxKind, OutboxState, Peer, PeerState, TokenKind

HEARD_STEP = timedelta(seconds=1)
"""How exactly it is kept when a peer was last heard: servers wait for a row that is written with every message."""
MICROSECONDS_PER_SECOND = 1_000_000
GONE = (PeerState.UNREGISTERED, PeerState.FAILED)

_BY_TOKEN = (
    select(peer, token.c.kind.label("token_kind"))
    .join(token, token.c.peer_id == peer.c.peer_id)
    .where(
        token.c.token_hash == bindparam("token_hash"),
        or_(token.c.expires_at.is_(None), token.c.expires_at > bindparam("now", type_=token.c.expires_at.type)),
    )
)
_HOLDER = FrequentStatement(
    select(token.c.peer_id, token.c.kind, site_group.c.site_id)
    .outerjoin(
        site_group, and_(site_group.c.peer_id == token.c.peer_id, site_group.c.group_id == bindparam("of_group"))
    )
    .where(
        token.c.token_hash == bindparam("token_hash"),
        or_(token.c.expires_at.is_(None), token.c.expires_at > bindparam("now", type_=token.c.expires_at.type)),
    )
)
_HEARD = FrequentStatement(
    update(peer)
    .where(
        peer.c.peer_id == bindparam("of"),
        or_(
            peer.c.last_heard_at.is_(None),
            peer.c.last_heard_at < bindparam("stale", type_=peer.c.last_heard_at.type),
            peer.c.last_heard_at > bindparam("ahead", type_=peer.c.last_heard_at.type),
        ),
    )
    .values(last_heard_at=bindparam("now", type_=peer.c.last_heard_at.type))
)


class Peers:
    """Stored peers, within a transaction."""

    def __init__(self, connection: Connection, cipher: TokenCipher) -> None:
        self._connection = connection
        self._cipher = cipher

    def add(self, new: Peer) -> None:
        """Store a new peer.

        Raises:
            ConflictError: There is one of that name that is neither unregistered nor failed.
        """
        values = {field.name: getattr(new, field.name) for field in fields(Peer)}
        self._require_free_name(new.name)
        try:
            with self._connection.begin_nested():
                self._connection.execute(insert(peer).values(**self._to_columns(values)))
        except IntegrityError:
            raise ConflictError(f"there is a peer {new.name!r} already; choose another name or revoke it") from None

    def get(self, peer_id: str) -> Peer:
        """One peer.

        Raises:
            NotFoundError: There is none of that id.
        """
        row = self._connection.execute(select(peer).where(peer.c.peer_id == peer_id)).one_or_none()
        if row is None:
            raise NotFoundError(f"there is no peer {peer_id!r}")
        return self._to_peer(row)

    def all(self) -> Sequence[Peer]:
        """Every peer, in order of creation."""
        rows = self._connection.execute(select(peer).order_by(peer.c.created_at, peer.c.peer_id))
        return [self._to_peer(row) for row in rows]

    def update(self, peer_id: str, **changes: Any) -> Peer:  # noqa: ANN401 - fields of Peer
        """Change fields of a peer, named as in `Peer`.

        Raises:
            NotFoundError: There is none of that id.
            ConflictError: Its name was taken by another while it was unregistered or failed.
        """
        if changes:
            statement = update(peer).where(peer.c.peer_id == peer_id).values(**self._to_columns(changes))
            try:
                with self._connection.begin_nested():
                    self._connection.execute(statement)
            except IntegrityError:
                raise ConflictError(f"the name of peer {peer_id!r} is another peer's now; revoke that first") from None
        return self.get(peer_id)

    def by_token(self, token_hash: str, *, now: datetime) -> tuple[Peer, TokenKind] | None:
        """Whose token it is, by its hash; None where it was never issued, is revoked or has expired."""
        row = self._connection.execute(_BY_TOKEN, {"token_hash": token_hash, "now": now}).one_or_none()
        return None if row is None else (self._to_peer(row), TokenKind(row.token_kind))

    def holder_of(self, token_hash: str, group_id: str, *, now: datetime) -> tuple[str, TokenKind, str | None] | None:
        """Id of the peer whose token it is, as `by_token`, and id of its site that has a group."""
        row = _HOLDER.run(self._connection, token_hash=token_hash, of_group=group_id, now=now).fetchone()
        return None if row is None else (row[0], TokenKind(row[1]), row[2])

    def add_token(self, peer_id: str, token_hash: str, kind: TokenKind, *, now: datetime) -> None:
        """Let a peer present a token from now on."""
        self._connection.execute(
            insert(token).values(token_hash=token_hash, peer_id=peer_id, kind=kind, created_at=now, expires_at=None)
        )

    def keep_only_token(self, peer_id: str, token_hash: str, *, others_until: datetime) -> None:
        """Make one token the peer's current one; every other ends at an instant, those that end earlier stay so."""
        self._connection.execute(
            update(token)
            .where(
                token.c.peer_id == peer_id,
                token.c.token_hash != token_hash,
                or_(token.c.expires_at.is_(None), token.c.expires_at > others_until),
            )
            .values(expires_at=others_until)
        )
        self._connection.execute(
            update(token).where(token.c.token_hash == token_hash).values(kind=TokenKind.CURRENT, expires_at=None)
        )

    def revoke_tokens(self, peer_id: str) -> None:
        """Let no token of a peer be valid any more."""
        self._connection.execute(delete(token).where(token.c.peer_id == peer_id))

    def heard(self, peer_id: str, *, now: datetime, last: datetime | None = None) -> None:
        """Note that a peer sent something, unless it is known to have done so just now."""
        if last is not None and abs(now - last) <= HEARD_STEP:
            return
        _HEARD.run(self._connection, of=peer_id, now=now, stale=now - HEARD_STEP, ahead=now + HEARD_STEP)

    def claim_heartbeats(self, *, now: datetime, limit: int) -> Sequence[Peer]:
        """Registered peers whose next heartbeat is due; it is set one interval later, so that no two servers send it.

        A peer whose heartbeat is overdue by more than an interval gets one, not all it missed. After the clock stepped
        back by more than an interval, the next one is due at once.
        """
        interval_us = peer.c.heartbeat_interval_s * MICROSECONDS_PER_SECOND
        ahead_us = type_coerce(peer.c.next_heartbeat_at, BigInteger) - (now - EPOCH) // MICROSECOND
        due = or_(peer.c.next_heartbeat_at <= now, ahead_us > 2 * interval_us)
        found = self._claimable(
            and_(due, peer.c.next_heartbeat_at.is_not(None), peer.c.heartbeat_interval_s.is_not(None)), limit
        )
        claimed = []
        for one in found:
            next_at = now + timedelta(seconds=one.heartbeat_interval_s or 0)
            claimed.append(self.update(one.peer_id, next_heartbeat_at=next_at))
        return claimed

    def claim_handshakes(self, *, now: datetime, limit: int) -> Sequence[Peer]:
        """Registered peers whose handshake we are to start now; `handshake_due_at` is taken away."""
        found = self._claimable(peer.c.handshake_due_at <= now, limit)
        return [self.update(one.peer_id, handshake_due_at=None) for one in found]

    def claim_silent(self, *, now: datetime, grace_s: float, limit: int) -> Sequence[Peer]:
        """Registered peers whose `offline_at` passed more than a grace ago and who were not offline; now they are."""
        silent = and_(peer.c.offline_at <= now - timedelta(seconds=grace_s), peer.c.offline.is_(False))
        return [self.update(one.peer_id, offline=True) for one in self._claimable(silent, limit)]

    def claim_unanswered(self, *, now: datetime, timeout_s: float, limit: int) -> Sequence[Peer]:
        """Peers in state STARTING whose Register we delivered longer ago than a timeout; now they are FAILED."""
        registers = outbox.c.kind == OutboxKind.REGISTER
        newest = (
            select(outbox.c.outbox_id)
            .where(outbox.c.peer_id == peer.c.peer_id, registers)
            .order_by(outbox.c.outbox_id.desc())
            .limit(1)
            .correlate(peer)
            .scalar_subquery()
        )
        delivered = (
            select(outbox.c.outbox_id)
            .where(
                outbox.c.outbox_id == newest,
                outbox.c.state == OutboxState.DELIVERED,
                outbox.c.finished_at <= now - timedelta(seconds=timeout_s),
            )
            .correlate(peer)
            .exists()
        )
        found = self._claimable(delivered, limit, state=PeerState.STARTING)
        error = "the peer took our Register, and has not replied with its own; issue a new token"
        return [self.update(one.peer_id, state=PeerState.FAILED, last_error=error) for one in found]

    def _claimable(
        self, condition: ColumnElement[bool], limit: int, *, state: PeerState = PeerState.REGISTERED
    ) -> list[Peer]:
        rows = self._connection.execute(
            select(peer)
            .where(peer.c.state == state, condition)
            .order_by(peer.c.peer_id)
            .limit(limit)
            .with_for_update(skip_locked=True, of=peer)
        )
        return [self._to_peer(row) for row in rows.all()]

    def _require_free_name(self, name: str) -> None:
        taken = select(peer.c.peer_id).where(peer.c.name == name, peer.c.state.not_in(GONE))
        if self._connection.execute(taken).first() is not None:
            raise ConflictError(f"there is a peer {name!r} already; choose another name or revoke it")

    def _to_columns(self, values: dict[str, Any]) -> dict[str, Any]:
        columns = dict(values)
        if "overrides" in columns:
            columns["overrides"] = json.dumps(columns["overrides"], sort_keys=True)
        if "measurement_configuration" in columns:
            columns["measurement_configuration"] = ",".join(columns["measurement_configuration"])
        if columns.get("outbound_token") is not None:
            columns["outbound_token"] = self._cipher.encrypt(columns["outbound_token"])
        return columns

    def _to_peer(self, row: Row[Any]) -> Peer:
        values = {field.name: getattr(row, field.name) for field in fields(Peer)}
        configuration = values["measurement_configuration"]
        outbound = values["outbound_token"]
        return Peer(
            **values
            | {
                "overrides": json.loads(values["overrides"]),
                "state": PeerState(values["state"]),
                "measurement_configuration": tuple(configuration.split(",")) if configuration else (),
                "outbound_token": None if outbound is None else self._cipher.decrypt(outbound),
            }
        )
