"""The messages that answer or start a conversation with a peer, as they are put into the outbox."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from api.profiles import OptimumDelivery
from api.records import CONTROL_LANE, NewMessage, OutboxKind, Peer
from api.settings import Settings
from api.site_state import SiteState
from models.oscp.v20 import (
    Handshake,
    HandshakeAcknowledge,
    MeasurementConfiguration,
    RequiredBehaviour,
    UpdateGroupCapacityForecast,
)

DELIVERY_KINDS = {OptimumDelivery.UPDATE: OutboxKind.OPTIMUM, OptimumDelivery.ADJUST: OutboxKind.ADJUST}


def new_request_id() -> str:
    """An X-Request-ID."""
    return str(uuid.uuid4())


def register(peer_id: str, kind: OutboxKind, *, correlation_id: str = "") -> NewMessage:
    """A Register of some kind; its body, with a token made for the attempt, is written when it is sent.

    A reply always names the request it answers: a peer that misses it takes the reply for another registration, and
    registers back without end.
    """
    return NewMessage(
        peer_id=peer_id,
        kind=kind,
        lane=CONTROL_LANE,
        body=None,
        request_id=new_request_id(),
        correlation_id=correlation_id,
    )


def handshake(peer: Peer, settings: Settings) -> NewMessage:
    """Our wishes, where we start."""
    body = Handshake(required_behaviour=_wishes(peer, settings)).model_dump_json()
    return NewMessage(
        peer_id=peer.peer_id, kind=OutboxKind.HANDSHAKE, lane=CONTROL_LANE, body=body, request_id=new_request_id()
    )


def handshake_acknowledge(peer: Peer, settings: Settings, *, correlation_id: str) -> NewMessage:
    """Our wishes, in answer to the peer's."""
    body = HandshakeAcknowledge(required_behaviour=_wishes(peer, settings)).model_dump_json()
    return NewMessage(
        peer_id=peer.peer_id,
        kind=OutboxKind.HANDSHAKE_ACKNOWLEDGE,
        lane=CONTROL_LANE,
        body=body,
        request_id=new_request_id(),
        correlation_id=correlation_id,
    )


def optimum_messages(
    optima: Sequence[UpdateGroupCapacityForecast], peer: Peer, state: SiteState, *, site_id: str, plan_id: str
) -> tuple[list[NewMessage], dict[str, str]]:
    """A plan's OPTIMUM for each group that has news: another than was sent last, or a forecast to answer.

    Args:
        optima: What the plan says of each group.
        peer: Who is to know.
        state: Of the site, with what was sent last and which forecasts wait for an answer.
        site_id: The site.
        plan_id: The plan.

    Returns:
        The messages, none where the peer fetches plans itself; and by group what was sent last, these included.
    """
    kind = DELIVERY_KINDS.get(peer.profile.optimum_delivery)
    if kind is None:
        return [], dict(state.sent)
    by_group: dict[str, list[UpdateGroupCapacityForecast]] = {}
    for message in optima:
        by_group.setdefault(message.group_id, []).append(message)
    sent: dict[str, str] = {}
    messages: list[NewMessage] = []
    for group_id, parts in by_group.items():
        blocks = [block for part in parts for block in part.model_dump(mode="json")["forecasted_blocks"]]
        sent[group_id] = json.dumps(blocks, separators=(",", ":"))
        if group_id not in state.unanswered and _is_known(blocks, state.sent.get(group_id)):
            continue
        messages += [
            NewMessage(
                peer_id=peer.peer_id,
                kind=kind,
                lane=f"optimum:{group_id}",
                body=part.model_dump_json(),
                request_id=new_request_id(),
                correlation_id=state.unanswered.get(group_id, ""),
                site_id=site_id,
                group_id=group_id,
                plan_id=plan_id,
            )
            for part in parts
        ]
    return messages, sent


def _is_known(blocks: Sequence[Mapping[str, Any]], sent: str | None) -> bool:
    """Whether blocks are those sent last, but for the time that has passed meanwhile.

    Instants are compared as text, which is in order of time: all are written alike, in UTC.
    """
    if sent is None or not blocks:
        return not blocks
    first = blocks[0]["start_time"]
    left = [
        {**block, "start_time": max(block["start_time"], first)}
        for block in json.loads(sent)
        if block["end_time"] > first
    ]
    return left == list(blocks)


def _wishes(peer: Peer, settings: Settings) -> RequiredBehaviour:
    # Both fields always: one peer refuses a message without the configuration, another never answers without interval.
    return RequiredBehaviour(
        heartbeat_interval=peer.profile.heartbeat_interval_s or settings.heartbeat_interval_s,
        measurement_configuration=(MeasurementConfiguration.CONTINUOUS, MeasurementConfiguration.INTERMITTENT),
    )
