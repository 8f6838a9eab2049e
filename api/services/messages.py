"""Forecasts and measurements of a peer: read, checked, and kept before they are acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from pydantic import ValidationError

from api.context import Context
from api.persistence import NotFoundError, Transaction
from api.profiles import PeerProfile
from api.records import EventKind, Segment
from api.services.reading import THREAD_BYTES, Incoming, described, exact_json, parsed, reading_context
from api.settings import Settings
from models.errors import InputError
from models.oscp.v20 import (
    ReadingContext,
    UpdateAssetMeasurements,
    UpdateGroupCapacityForecast,
    UpdateGroupMeasurements,
    to_capacity_forecast,
    to_current_per_conductor,
)

logger = logging.getLogger(__name__)

HIGHEST_VOLTAGE_V = 100_000.0
"""The highest that a site may state: what can be converted there can be converted everywhere."""
PLAIN_CAPACITY = 1e5
"""Up to this it is less in whatever unit: as energy within a millisecond, 3.6e11 kW."""
MAX_CAPACITY_KW = 1e12
"""A thousand terawatts; more than that comes out only of an energy for a block of a few milliseconds."""

MessageT = TypeVar("MessageT", UpdateGroupCapacityForecast, UpdateAssetMeasurements, UpdateGroupMeasurements)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageKind(Generic[MessageT]):
    """A message about a group.

    Args:
        event: As what it is kept.
        model: How it is read.
        check: Raises InputError where it is valid, but makes no sense.
        join: One message of several with the same group; None where they cannot be one.
        restate: What a profile makes of it, so that it means the same whoever sent it.
    """

    event: EventKind
    model: type[MessageT]
    check: Callable[[MessageT], None]
    join: Callable[[Sequence[MessageT]], MessageT | None]
    restate: Callable[[MessageT, PeerProfile], MessageT]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    group_id: str
    body: str


async def take_forecast(context: Context, incoming: Incoming) -> None:
    """Keep an UpdateGroupCapacityForecast; see `_take`."""
    await _take(context, incoming, FORECAST)


async def take_asset_measurements(context: Context, incoming: Incoming) -> None:
    """Keep an UpdateAssetMeasurements; see `_take`."""
    await _take(context, incoming, ASSET_MEASUREMENTS)


async def take_group_measurements(context: Context, incoming: Incoming) -> None:
    """Keep an UpdateGroupMeasurements; see `_take`."""
    await _take(context, incoming, GROUP_MEASUREMENTS)


async def _take(context: Context, incoming: Incoming, kind: MessageKind[MessageT]) -> None:
    """Keep a message, or a part of one; when it returns, that is durable.

    Raises:
        InputError: It is no such message, or one of absurd values.
        NotFoundError: The peer has no such group.
        TokenRefusedError: The token is not valid any more, or only good for registering.
    """
    if incoming.segment is None:
        stored = await _take_whole(context, incoming, kind)
    else:
        stored = await _take_segment(context, incoming, kind)
    if stored is not None:
        context.site_changed.notify()
        logger.debug(
            "peer=%s group=%s request=%s %s kept as version %d",
            incoming.peer.peer_id,
            stored[0],
            incoming.answer_id,
            kind.event,
            stored[1],
        )


async def _take_whole(context: Context, incoming: Incoming, kind: MessageKind[MessageT]) -> tuple[str, int] | None:
    settings = context.settings
    now = context.clock.now()
    reading = reading_context(incoming.peer, settings)
    if len(incoming.body) > THREAD_BYTES:
        prepared = await asyncio.to_thread(_prepared, kind, incoming, reading)
    else:
        prepared = _prepared(kind, incoming, reading)

    def keep(tx: Transaction) -> tuple[str, int] | None:
        site_id = incoming.site_of(tx, prepared.group_id, now=now)
        if incoming.is_repetition(tx, group_id=prepared.group_id, now=now, memory_s=settings.request_memory_s):
            return None
        return _append(tx, site_id, incoming, kind.event, prepared, now)

    return await context.database.write(keep)


async def _take_segment(context: Context, incoming: Incoming, kind: MessageKind[MessageT]) -> tuple[str, int] | None:
    settings = context.settings
    now = context.clock.now()
    reading = reading_context(incoming.peer, settings)

    def keep(tx: Transaction) -> tuple[str, int] | InputError | None:
        peer = incoming.sender(tx, now=now)
        if incoming.is_repetition(tx, now=now, memory_s=settings.request_memory_s):
            return None
        segments = _with_segment(tx, incoming, settings, now)
        if segments is None:
            tx.peers.heard(peer.peer_id, now=now)
            return None
        # In the transaction that takes the parts out, for they are acknowledged: the message is never in neither place.
        try:
            message = _joined(kind, [segment.body for segment in segments], reading)
            prepared = _restated(kind, message, incoming.peer.profile)
        except InputError as error:
            # Returned, not raised: what can never be read is not kept until it is too old.
            return error
        site_id = incoming.site_of(tx, prepared.group_id, now=now)
        return _append(tx, site_id, incoming, kind.event, prepared, now)

    result = await context.database.write(keep)
    if isinstance(result, InputError):
        raise result
    return result


def _with_segment(tx: Transaction, incoming: Incoming, settings: Settings, now: datetime) -> Sequence[Segment] | None:
    index, count = incoming.segment or (1, 1)
    return tx.inbox.add_segment(
        incoming.peer.peer_id,
        incoming.path,
        Segment(
            index=index,
            count=count,
            request_id=incoming.request_id,
            correlation_id=incoming.correlation_id,
            body=incoming.body,
        ),
        now=now,
        age_s=settings.segment_age_s,
        max_bytes=settings.max_body_bytes,
        max_segments=settings.max_segments,
    )


def _append(
    tx: Transaction, site_id: str | None, incoming: Incoming, event: EventKind, prepared: _Prepared, now: datetime
) -> tuple[str, int]:
    if site_id is None:
        raise NotFoundError(f"there is no group {prepared.group_id!r}")
    version = tx.sites.append_event(
        site_id, event, prepared.group_id, request_id=incoming.request_id, body=prepared.body, now=now
    )
    tx.peers.heard(incoming.peer.peer_id, now=now, last=incoming.peer.last_heard_at)
    return prepared.group_id, version


def _prepared(kind: MessageKind[MessageT], incoming: Incoming, reading: ReadingContext) -> _Prepared:
    return _restated(kind, parsed(kind.model, incoming.body, reading), incoming.peer.profile)


def _restated(kind: MessageKind[MessageT], message: MessageT, profile: PeerProfile) -> _Prepared:
    restated = kind.restate(message, profile)
    kind.check(restated)
    return _Prepared(group_id=restated.group_id, body=exact_json(restated))


def _joined(kind: MessageKind[MessageT], bodies: Sequence[bytes], reading: ReadingContext) -> MessageT:
    """The message of its parts: their arrays in one, where each is a message itself, else their bytes in a row."""
    try:
        parts = [parsed(kind.model, body, reading) for body in bodies]
    except InputError:
        parts = []
    try:
        whole = kind.join(parts) if parts else None
    except ValidationError as error:
        raise InputError(f"the {len(bodies)} segments together: {described(error.errors())}") from None
    return parsed(kind.model, b"".join(bodies), reading) if whole is None else whole


def _check_forecast(message: UpdateGroupCapacityForecast) -> None:
    if all(block.capacity <= PLAIN_CAPACITY for block in message.forecasted_blocks):
        return
    for index, block in enumerate(to_capacity_forecast(message, voltage_v=HIGHEST_VOLTAGE_V).blocks):
        if block.capacity_kw > MAX_CAPACITY_KW:
            stated = message.forecasted_blocks[index]
            raise InputError(
                f"forecasted_blocks.{index}: {stated.capacity:g} {stated.unit} from {block.start.isoformat()} to "
                f"{block.end.isoformat()} is {block.capacity_kw:g} kW, more than {MAX_CAPACITY_KW:g} kW"
            )


def _accept(message: UpdateAssetMeasurements | UpdateGroupMeasurements) -> None:
    """Whatever its model admits."""


def _join_forecasts(parts: Sequence[UpdateGroupCapacityForecast]) -> UpdateGroupCapacityForecast | None:
    if len({(part.group_id, part.type) for part in parts}) > 1:
        return None
    blocks = tuple(block for part in parts for block in part.forecasted_blocks)
    return UpdateGroupCapacityForecast(group_id=parts[0].group_id, type=parts[0].type, forecasted_blocks=blocks)


def _join_asset_measurements(parts: Sequence[UpdateAssetMeasurements]) -> UpdateAssetMeasurements | None:
    if len({part.group_id for part in parts}) > 1:
        return None
    measurements = tuple(measurement for part in parts for measurement in part.measurements)
    return UpdateAssetMeasurements(group_id=parts[0].group_id, measurements=measurements)


def _join_group_measurements(parts: Sequence[UpdateGroupMeasurements]) -> UpdateGroupMeasurements | None:
    if len({part.group_id for part in parts}) > 1:
        return None
    measurements = tuple(measurement for part in parts for measurement in part.measurements)
    return UpdateGroupMeasurements(group_id=parts[0].group_id, measurements=measurements)


def _restate_forecast(message: UpdateGroupCapacityForecast, profile: PeerProfile) -> UpdateGroupCapacityForecast:
    return message if profile.ampere_all_per_conductor else to_current_per_conductor(message)


def _restate_assets(message: UpdateAssetMeasurements, profile: PeerProfile) -> UpdateAssetMeasurements:
    return message if profile.ampere_all_per_conductor else to_current_per_conductor(message)


def _as_it_is(message: UpdateGroupMeasurements, _profile: PeerProfile) -> UpdateGroupMeasurements:
    return message


FORECAST = MessageKind(
    event=EventKind.FORECAST,
    model=UpdateGroupCapacityForecast,
    check=_check_forecast,
    join=_join_forecasts,
    restate=_restate_forecast,
)
ASSET_MEASUREMENTS = MessageKind(
    event=EventKind.ASSET_MEASUREMENTS,
    model=UpdateAssetMeasurements,
    check=_accept,
    join=_join_asset_measurements,
    restate=_restate_assets,
)
GROUP_MEASUREMENTS = MessageKind(
    event=EventKind.GROUP_MEASUREMENTS,
    model=UpdateGroupMeasurements,
    check=_accept,
    join=_join_group_measurements,
    restate=_as_it_is,
)
