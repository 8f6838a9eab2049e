"""Peers as the operator deals with them: invited, registered with, looked at, revoked."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from api import outgoing
from api.callbacks import check_url
from api.context import Context
from api.persistence import ConflictError, Transaction
from api.records import OutboxKind, OutboxMessage, Peer, PeerState, TokenKind
from api.rest_schemas import NewPeer
from api.services.registration import complete_registration
from api.tokens import new_token, token_hash
from models.errors import InputError

logger = logging.getLogger(__name__)

SHOWN_MESSAGES = 50
IN_USE = frozenset({PeerState.INVITED, PeerState.STARTING, PeerState.REPLYING, PeerState.REGISTERED})
"""A name belongs to one peer in such a state."""
HAS_OURS = frozenset({PeerState.REPLYING, PeerState.REGISTERED})
"""The peer may hold a token of ours, and has to be told when it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """What the peer has to be told.

    Args:
        peer_id: Our id of the peer.
        token: What it presents; None where we register with it.
    """

    peer_id: str
    token: str | None


async def create(context: Context, new: NewPeer) -> Issued:
    """Let a peer in: with a token for its registration, or with ours at its URL.

    Raises:
        InputError: The URL must not be called, or a peer that does not register comes without one.
        ConflictError: There is a peer in use of that name.
    """
    if new.base_url is not None:
        check_url(new.base_url, context.settings)
    now = context.clock.now()
    peer = _peer(new, now)
    if not peer.profile.registers and peer.base_url is None:
        raise InputError(f"a peer of profile {peer.profile_name} does not register itself; give its base_url and token")
    token = None if _is_started_by_us(peer) else new_token()

    def add(tx: Transaction) -> None:
        tx.peers.add(peer)
        if token is not None:
            _admit(tx, peer, token, context, now)
        else:
            tx.outbox.add([outgoing.register(peer.peer_id, OutboxKind.REGISTER)], now=now)

    await context.database.write(add)
    context.outbox_filled.notify()
    logger.info("peer=%s created, profile %s, state %s", peer.peer_id, peer.profile_name, peer.state)
    return Issued(peer_id=peer.peer_id, token=token)


async def everyone(context: Context) -> Sequence[Peer]:
    """Every peer, in order of creation."""
    return await context.database.read(lambda tx: tx.peers.all())


async def one(context: Context, peer_id: str) -> tuple[Peer, Sequence[OutboxMessage]]:
    """A peer and the newest messages to it.

    Raises:
        NotFoundError: There is none of that id.
    """
    return await context.database.read(
        lambda tx: (tx.peers.get(peer_id), tx.outbox.of_peer(peer_id, limit=SHOWN_MESSAGES))
    )


async def revoke(context: Context, peer_id: str) -> None:
    """Let no token of a peer be valid any more, and tell it so where it was registered; again, it does nothing.

    Raises:
        NotFoundError: There is none of that id.
    """
    now = context.clock.now()

    def end(tx: Transaction) -> bool:
        peer = tx.peers.get(peer_id)
        if peer.state is PeerState.UNREGISTERED:
            return False
        tx.peers.revoke_tokens(peer_id)
        tx.outbox.cancel(peer_id, now=now)
        _rest(tx, peer_id, PeerState.UNREGISTERED)
        if peer.state in HAS_OURS and peer.profile.registers and peer.base_url and peer.outbound_token:
            tx.outbox.add([outgoing.register(peer_id, OutboxKind.UNREGISTER)], now=now)
        return True

    if await context.database.write(end):
        context.outbox_filled.notify()
        logger.info("peer=%s revoked", peer_id)


async def issue_token(context: Context, peer_id: str) -> Issued:
    """A new token for a peer: for its registration, or, where it does not register, for all it sends.

    A registered peer may go on with the tokens it has until it registers anew. What was issued to any other before is
    not valid any more.

    Raises:
        NotFoundError: There is none of that id.
        ConflictError: Another peer has its name meanwhile.
    """
    now = context.clock.now()
    token = new_token()

    def issue(tx: Transaction) -> None:
        peer = tx.peers.get(peer_id)
        _require_free_name(tx, peer)
        if peer.profile.registers and peer.state not in HAS_OURS:
            tx.peers.revoke_tokens(peer_id)
            tx.outbox.cancel(peer_id, now=now)
            _rest(tx, peer_id, PeerState.INVITED)
        _admit(tx, peer, token, context, now)

    await context.database.write(issue)
    context.outbox_filled.notify()
    logger.info("peer=%s has a new token", peer_id)
    return Issued(peer_id=peer_id, token=token)


async def register_again(context: Context, peer_id: str) -> Peer:
    """Start a registration with a peer once more, which replaces the tokens of both sides when it is through.

    Until then a registered peer is served and called as before.

    Raises:
        NotFoundError: There is none of that id.
        ConflictError: It is not known how to call it, it does not register, or another peer has its name meanwhile.
    """
    now = context.clock.now()

    def start(tx: Transaction) -> Peer:
        peer = tx.peers.get(peer_id)
        if not peer.profile.registers:
            raise ConflictError(f"peer {peer.name!r} does not register; issue a new token to replace the one it has")
        if peer.base_url is None or peer.outbound_token is None:
            raise ConflictError(
                f"it is not known where peer {peer.name!r} is called and with which token; issue a token, "
                "with which it registers itself"
            )
        check_url(peer.base_url, context.settings)
        _require_free_name(tx, peer)
        tx.outbox.cancel(peer_id, now=now, kinds=[OutboxKind.REGISTER, OutboxKind.UNREGISTER])
        tx.outbox.add([outgoing.register(peer_id, OutboxKind.REGISTER)], now=now, supersede=False)
        return peer if peer.state in HAS_OURS else tx.peers.update(peer_id, state=PeerState.STARTING, last_error="")

    peer = await context.database.write(start)
    context.outbox_filled.notify()
    logger.info("peer=%s is to be registered with again", peer_id)
    return peer


def _peer(new: NewPeer, now: datetime) -> Peer:
    return Peer(
        peer_id=str(uuid.uuid4()),
        name=new.name,
        profile_name=new.profile,
        overrides=new.overrides.model_dump(mode="json", exclude_none=True),
        time_zone=new.time_zone,
        state=PeerState.INVITED if new.base_url is None else PeerState.STARTING,
        base_url=None if new.base_url is None else new.base_url.rstrip("/"),
        outbound_token=new.token,
        created_at=now,
    )


def _is_started_by_us(peer: Peer) -> bool:
    return peer.base_url is not None and peer.profile.registers


def _admit(tx: Transaction, peer: Peer, token: str, context: Context, now: datetime) -> None:
    """Let a peer present a new token: one to register with, or its own where it does not register."""
    hashed = token_hash(token)
    if peer.profile.registers:
        tx.peers.add_token(peer.peer_id, hashed, TokenKind.INITIAL, now=now)
        return
    tx.peers.add_token(peer.peer_id, hashed, TokenKind.CURRENT, now=now)
    complete_registration(tx, peer, hashed, settings=context.settings, now=now)


def _rest(tx: Transaction, peer_id: str, state: PeerState) -> None:
    """Put a peer into a state in which nothing is sent to it."""
    tx.peers.update(
        peer_id,
        state=state,
        next_heartbeat_at=None,
        handshake_due_at=None,
        offline_at=None,
        offline=False,
        last_error="",
    )


def _require_free_name(tx: Transaction, peer: Peer) -> None:
    if peer.state in IN_USE:
        return
    for other in tx.peers.all():
        if other.name == peer.name and other.peer_id != peer.peer_id and other.state in IN_USE:
            raise ConflictError(f"peer {other.peer_id!r} has the name {peer.name!r} meanwhile; revoke it first")
