"""Handshakes and heartbeats of a peer: what it wants of us, and until when it counts as alive."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from api import outgoing
from api.context import Context
from api.persistence import Transaction
from api.records import OutboxKind, Peer
from api.services.reading import Incoming, read_message
from models.oscp.v20 import Handshake, HandshakeAcknowledge, Heartbeat, RequiredBehaviour

logger = logging.getLogger(__name__)

LONGEST_PROMISE = timedelta(days=365)
"""What a heartbeat says beyond that is not believed."""


async def shake_hands(context: Context, incoming: Incoming) -> None:
    """Take the wishes of a peer and have them acknowledged with ours.

    Raises:
        InputError: It is no Handshake.
        TokenRefusedError: The token is not valid any more, or only good for registering.
    """
    message = await read_message(Handshake, incoming, context.settings)
    settings = context.settings
    now = context.clock.now()

    def shake(tx: Transaction) -> bool:
        peer = incoming.sender(tx, now=now)
        if incoming.is_repetition(tx, now=now, memory_s=settings.request_memory_s):
            return False
        _keep_wishes(tx, peer, message.required_behaviour, now)
        # One acknowledge that waits is enough for however many handshakes of a peer that cannot be reached.
        tx.outbox.cancel(peer.peer_id, now=now, kinds=[OutboxKind.HANDSHAKE_ACKNOWLEDGE])
        acknowledge = outgoing.handshake_acknowledge(peer, settings, correlation_id=incoming.answer_id)
        tx.outbox.add([acknowledge], now=now, supersede=False)
        return True

    if await context.database.write(shake):
        context.outbox_filled.notify()
        _log_wishes(incoming, message.required_behaviour)


async def take_acknowledge(context: Context, incoming: Incoming) -> None:
    """Take the wishes with which a peer acknowledges our Handshake; the last one said holds.

    Raises:
        InputError: It is no HandshakeAcknowledge.
        TokenRefusedError: The token is not valid any more, or only good for registering.
    """
    message = await read_message(HandshakeAcknowledge, incoming, context.settings)
    now = context.clock.now()

    def take(tx: Transaction) -> bool:
        peer = incoming.sender(tx, now=now)
        if incoming.is_repetition(tx, now=now, memory_s=context.settings.request_memory_s):
            return False
        _keep_wishes(tx, peer, message.required_behaviour, now)
        return True

    if await context.database.write(take):
        _log_wishes(incoming, message.required_behaviour)


async def take_heartbeat(context: Context, incoming: Incoming) -> None:
    """Note until when a peer counts as alive; one that was offline is back.

    A heartbeat that comes again says what it said, so none is taken for a repetition: a peer whose heartbeats are all
    the same is alive too.

    Raises:
        InputError: It is no Heartbeat.
        TokenRefusedError: The token is not valid any more, or only good for registering.
    """
    message = await read_message(Heartbeat, incoming, context.settings)
    now = context.clock.now()

    def beat(tx: Transaction) -> bool:
        peer = incoming.sender(tx, now=now)
        tx.peers.heard(peer.peer_id, now=now)
        interval_s = peer.profile.heartbeat_interval_s or context.settings.heartbeat_interval_s
        stated_at = message.offline_at(now, interval_s=interval_s)
        tx.peers.update(peer.peer_id, offline_at=min(max(stated_at, now), now + LONGEST_PROMISE), offline=False)
        if peer.offline:
            _welcome_back(tx, peer, now)
        return peer.offline

    if await context.database.write(beat):
        context.outbox_filled.notify()
        logger.info("peer=%s request=%s is back online", incoming.peer.peer_id, incoming.answer_id)


def _welcome_back(tx: Transaction, peer: Peer, now: datetime) -> None:
    tx.outbox.hurry(peer.peer_id, now=now)
    if peer.profile.start_handshake:
        tx.peers.update(peer.peer_id, handshake_due_at=now)


def _keep_wishes(tx: Transaction, peer: Peer, wishes: RequiredBehaviour, now: datetime) -> None:
    tx.peers.heard(peer.peer_id, now=now)
    tx.peers.update(
        peer.peer_id,
        heartbeat_interval_s=wishes.heartbeat_interval,
        measurement_configuration=tuple(wish.value for wish in wishes.measurement_configuration),
        handshake_at=now,
        next_heartbeat_at=None if wishes.heartbeat_interval is None else now,
        handshake_due_at=None,
    )


def _log_wishes(incoming: Incoming, wishes: RequiredBehaviour) -> None:
    logger.info(
        "peer=%s request=%s shook hands, heartbeats every %s s",
        incoming.peer.peer_id,
        incoming.answer_id,
        wishes.heartbeat_interval,
    )
