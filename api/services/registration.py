"""Registration with a peer: tokens and addresses are exchanged, replaced and taken back."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from api import outgoing
from api.callbacks import check_url
from api.context import Context
from api.persistence import Transaction
from api.records import OutboxKind, Peer, PeerState, TokenKind
from api.services.reading import Incoming, UnservedVersionError, read_message
from api.settings import Settings
from models.oscp.v20 import OSCP_VERSION, Register, absolute_base_url

logger = logging.getLogger(__name__)

REGISTERS = (OutboxKind.REGISTER, OutboxKind.REGISTER_REPLY)
LOOKED_BACK = 200
"""Among how many of the newest messages to a peer the one that a Register answers is looked for."""


async def register(context: Context, incoming: Incoming) -> None:
    """Take a Register: the first of a peer, a new one in its place, or the reply to ours.

    Raises:
        InputError: It is no Register, or its URL must not be called.
        TokenRefusedError: The token is not valid any more.
        UnservedVersionError: The peer does not offer the version that is served here.
    """
    message = await read_message(Register, incoming, context.settings)
    now = context.clock.now()
    peer = await context.database.write(lambda tx: _register(tx, incoming, message, context.settings, now))
    if peer is not None:
        context.outbox_filled.notify()
        logger.info("peer=%s request=%s registered, state %s", peer.peer_id, incoming.answer_id, peer.state)


async def replace_registration(context: Context, incoming: Incoming) -> None:
    """Take a new token and address of a registered peer, from now on used in calling it.

    Raises:
        InputError: It is no Register, or its URL must not be called.
        TokenRefusedError: The token is not valid any more, or only good for registering.
        UnservedVersionError: The peer does not offer the version that is served here.
    """
    message = await read_message(Register, incoming, context.settings)
    now = context.clock.now()

    def replace(tx: Transaction) -> bool:
        peer = incoming.sender(tx, now=now)
        if _is_repetition(tx, incoming, context.settings, now):
            return False
        _keep_address(tx, peer, message, context.settings, now)
        # What waits for the old address goes out to the new one at once.
        tx.outbox.hurry(peer.peer_id, now=now)
        return True

    if await context.database.write(replace):
        context.outbox_filled.notify()
        logger.info("peer=%s request=%s replaced token and address", incoming.peer.peer_id, incoming.answer_id)


async def unregister(context: Context, incoming: Incoming) -> None:
    """Take back a registration: no token of the pair is valid any more, and nothing more is sent.

    Raises:
        TokenRefusedError: The token is not valid any more.
    """
    now = context.clock.now()

    def end(tx: Transaction) -> None:
        peer, _ = incoming.caller(tx, now=now)
        tx.peers.heard(peer.peer_id, now=now)
        tx.peers.revoke_tokens(peer.peer_id)
        tx.peers.update(
            peer.peer_id,
            state=PeerState.UNREGISTERED,
            outbound_token=None,
            next_heartbeat_at=None,
            handshake_due_at=None,
            offline_at=None,
            offline=False,
        )
        tx.outbox.cancel(peer.peer_id, now=now)

    await context.database.write(end)
    logger.info("peer=%s request=%s unregistered", incoming.peer.peer_id, incoming.answer_id)


def complete_registration(tx: Transaction, peer: Peer, token_hash: str, *, settings: Settings, now: datetime) -> Peer:
    """Note that a registration is through: both sides hold a token of the other.

    Args:
        tx: In which it is noted.
        peer: With whom.
        token_hash: The token that it presents from now on; every other one ends after a short grace, for requests that
            are under way.
        settings: Of the server.
        now: The present.

    Returns:
        The peer as it is now.
    """
    tx.peers.keep_only_token(peer.peer_id, token_hash, others_until=now + timedelta(seconds=settings.token_grace_s))
    handshake_after_s = 0.0 if peer.profile.start_handshake else settings.handshake_after_s
    return tx.peers.update(
        peer.peer_id,
        state=PeerState.REGISTERED,
        registered_at=now,
        handshake_due_at=now + timedelta(seconds=handshake_after_s),
        last_error="",
    )


def _register(tx: Transaction, incoming: Incoming, message: Register, settings: Settings, now: datetime) -> Peer | None:
    peer, token_kind = incoming.caller(tx, now=now)
    if _is_repetition(tx, incoming, settings, now):
        return None
    peer = _keep_address(tx, peer, message, settings, now)
    is_reply = _is_reply(tx, peer, token_kind, incoming.correlation_id)
    tx.outbox.cancel(peer.peer_id, now=now, kinds=REGISTERS)
    if is_reply:
        return complete_registration(tx, peer, incoming.token_hash, settings=settings, now=now)
    reply = outgoing.register(peer.peer_id, OutboxKind.REGISTER_REPLY, correlation_id=incoming.answer_id)
    tx.outbox.add([reply], now=now, supersede=False)
    return tx.peers.update(peer.peer_id, state=PeerState.REPLYING)


def _is_reply(tx: Transaction, peer: Peer, token_kind: TokenKind, correlation_id: str) -> bool:
    """Whether a Register answers one of ours; to answer it with another would never end.

    A token that was only ever told in a Register of ours says so, whatever the headers say: peers leave them out.
    """
    if token_kind is TokenKind.OFFERED:
        return True
    if token_kind is TokenKind.INITIAL or not correlation_id:
        return False
    sent = tx.outbox.of_peer(peer.peer_id, limit=LOOKED_BACK)
    return any(entry.message.kind in REGISTERS and entry.message.request_id == correlation_id for entry in sent)


def _keep_address(tx: Transaction, peer: Peer, message: Register, settings: Settings, now: datetime) -> Peer:
    tx.peers.heard(peer.peer_id, now=now)
    return tx.peers.update(peer.peer_id, outbound_token=message.token, base_url=_base_url(message, peer, settings))


def _base_url(message: Register, peer: Peer, settings: Settings) -> str:
    offered = message.base_url_of(OSCP_VERSION)
    if offered is None:
        versions = ", ".join(url.version for url in message.version_url)
        raise UnservedVersionError(
            f"version_url offers {versions}; this server speaks {OSCP_VERSION}, offer a base_url for it"
        )
    # A relative one counts from where the peer was called; nothing is known of a peer that calls first.
    url = absolute_base_url(offered, f"{peer.base_url}/register" if peer.base_url else "")
    check_url(url, settings)
    return url


def _is_repetition(tx: Transaction, incoming: Incoming, settings: Settings, now: datetime) -> bool:
    return incoming.is_repetition(tx, now=now, memory_s=settings.request_memory_s)
