"""Peers as they are doing, and what was said by and to them; never a token."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from api.context import Context
from api.monitor.sign_in import Viewer
from api.persistence import NotFoundError, Transaction
from api.records import EventKind, LoggedEvent, OutboxKind, OutboxMessage, OutboxState, Peer

Json = dict[str, object]

LISTED = 100
MAX_BODY = 200_000
"""Characters of a message that are shown; a browser lays out no more at ease."""
NAMES = {
    EventKind.FORECAST: "UpdateGroupCapacityForecast",
    EventKind.ASSET_MEASUREMENTS: "UpdateAssetMeasurements",
    EventKind.GROUP_MEASUREMENTS: "UpdateGroupMeasurements",
    OutboxKind.REGISTER: "Register",
    OutboxKind.REGISTER_REPLY: "Register (reply)",
    OutboxKind.UNREGISTER: "Unregister",
    OutboxKind.HANDSHAKE: "Handshake",
    OutboxKind.HANDSHAKE_ACKNOWLEDGE: "HandshakeAcknowledge",
    OutboxKind.OPTIMUM: "UpdateGroupCapacityForecast",
    OutboxKind.ADJUST: "AdjustGroupCapacityForecast",
}
_TYPE = re.compile(r'"type":\s?"([A-Z_]+)"')


async def peers_view(context: Context, viewer: Viewer) -> Json:
    """The peers a viewer may see, with how their heartbeats are and what waits for them."""
    now = context.clock.now()

    def read(tx: Transaction) -> tuple[Sequence[Peer], Sequence[OutboxMessage]]:
        peers = tx.peers.all() if viewer.peer_id is None else [tx.peers.get(viewer.peer_id)]
        return peers, tx.outbox.waiting(peer_id=viewer.peer_id, limit=10 * LISTED)

    peers, waiting = await context.database.read(read)
    of_peer: dict[str, list[OutboxMessage]] = {}
    for message in waiting:
        of_peer.setdefault(message.message.peer_id, []).append(message)
    grace_s = context.settings.heartbeat_grace_s
    return {
        "now": now.timestamp(),
        "heartbeat_grace_s": grace_s,
        "peers": [_peer(peer, of_peer.get(peer.peer_id, [])) for peer in peers],
    }


async def log_view(context: Context, viewer: Viewer, peer_id: str | None) -> Json:
    """The newest messages from and to one peer, or all the viewer may see."""
    chosen = viewer.peer_id or peer_id
    now = context.clock.now()

    def read(tx: Transaction) -> tuple[Sequence[LoggedEvent], Sequence[OutboxMessage], dict[str, str]]:
        names = {peer.peer_id: peer.name for peer in tx.peers.all()}
        sent = [
            *tx.outbox.waiting(peer_id=chosen, limit=LISTED),
            *tx.outbox.finished(peer_id=chosen, limit=LISTED),
        ]
        return tx.monitoring.log(peer_id=chosen, limit=LISTED), sent, names

    came, sent, names = await context.database.read(read)
    entries = [_received(event, names) for event in came] + [_sent(message, names) for message in sent]
    entries.sort(key=lambda entry: (entry["at"], entry["key"]), reverse=True)
    return {"now": now.timestamp(), "entries": entries[:LISTED]}


async def outbox_view(context: Context, viewer: Viewer) -> Json:
    """What waits to go out, and what became of the messages before."""
    now = context.clock.now()

    def read(tx: Transaction) -> tuple[Sequence[OutboxMessage], Sequence[OutboxMessage], dict[str, str]]:
        return (
            tx.outbox.waiting(peer_id=viewer.peer_id, limit=LISTED),
            tx.outbox.finished(peer_id=viewer.peer_id, limit=LISTED),
            {peer.peer_id: peer.name for peer in tx.peers.all()},
        )

    waiting, finished, names = await context.database.read(read)
    return {
        "now": now.timestamp(),
        "waiting": [_sent(message, names) for message in waiting],
        "finished": [_sent(message, names) for message in finished],
    }


async def body_view(context: Context, viewer: Viewer, key: str) -> Json:
    """One message in full, as JSON laid out for reading.

    Args:
        context: Of the server.
        viewer: Who asks.
        key: As in `log_view`.

    Raises:
        NotFoundError: There is none that the viewer may see.
    """
    direction, _, rest = key.partition(":")
    body: str | None = None
    if direction == "in":
        version, _, site_id = rest.partition(":")
        if _is_number(version):
            body = await context.database.read(
                lambda tx: tx.monitoring.event_body(site_id, int(version), peer_id=viewer.peer_id)
            )
    elif direction == "out" and _is_number(rest):
        found = await context.database.read(lambda tx: tx.outbox.find(int(rest), peer_id=viewer.peer_id))
        # A Register is written when it is sent, with a token made for it: nothing of it is kept.
        body = None if found is None else found.message.body or "{}"
    if body is None:
        raise NotFoundError("there is no such message, or it is kept no longer")
    text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    return {"key": key, "text": text[:MAX_BODY], "is_cut": len(text) > MAX_BODY}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19  # noqa: PLR2004 - what a database's integer holds


def _peer(peer: Peer, waiting: Sequence[OutboxMessage]) -> Json:
    return {
        "peer_id": peer.peer_id,
        "name": peer.name,
        "profile": peer.profile_name,
        "state": peer.state,
        "base_url": peer.base_url,
        "offline": peer.offline,
        "last_heard_at": _seconds(peer.last_heard_at),
        "offline_at": _seconds(peer.offline_at),
        "next_heartbeat_at": _seconds(peer.next_heartbeat_at),
        "heartbeat_interval_s": peer.heartbeat_interval_s,
        "registered_at": _seconds(peer.registered_at),
        "handshake_at": _seconds(peer.handshake_at),
        "last_error": peer.last_error,
        "waiting": len(waiting),
        "retries": sum(message.attempts for message in waiting),
    }


def _received(event: LoggedEvent, names: dict[str, str]) -> dict[str, Any]:
    kind = _TYPE.search(event.head) if event.kind is EventKind.FORECAST else None
    return {
        "key": f"in:{event.version}:{event.site_id}",
        "direction": "in",
        "at": event.received_at.timestamp(),
        "peer": names.get(event.peer_id, event.peer_id),
        "name": NAMES[event.kind],
        "type": kind.group(1) if kind else "",
        "site_id": event.site_id,
        "group_id": event.group_id,
        "state": "received",
        "size": event.characters,
    }


def _sent(entry: OutboxMessage, names: dict[str, str]) -> dict[str, Any]:
    message = entry.message
    body = message.body or ""
    kind = _TYPE.search(body[:300])
    return {
        "key": f"out:{entry.outbox_id}",
        "direction": "out",
        "at": entry.created_at.timestamp(),
        "peer": names.get(message.peer_id, message.peer_id),
        "name": NAMES[message.kind],
        "type": kind.group(1) if kind else "",
        "site_id": message.site_id,
        "group_id": message.group_id,
        "state": entry.state,
        "attempts": entry.attempts,
        "next_attempt_at": entry.next_attempt_at.timestamp() if entry.state is OutboxState.PENDING else None,
        "finished_at": _seconds(entry.finished_at),
        "last_error": entry.last_error,
        "size": len(body),
    }


def _seconds(instant: datetime | None) -> float | None:
    return None if instant is None else instant.timestamp()
