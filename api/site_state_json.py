"""A `SiteState` as JSON and back, exact to the last digit and microsecond."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from api.site_state import Delivered, SiteState
from api.storages import Stored
from models.domain import CapacityBlock, CapacityForecasts, CapacityKind, CapacityUnit, Phase
from models.domain.measurement import (
    AssetCategory,
    EnergyDelta,
    EnergyMeters,
    EnergyReading,
    EnergyType,
    FlowDirection,
    MeterKey,
    PowerReading,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def state_to_json(state: SiteState) -> str:
    """The state as JSON."""
    return json.dumps(
        {
            "forecasts": [
                [*map(str, key), [[_us(b.start), _us(b.end), b.capacity_kw, b.unit, b.phase] for b in blocks]]
                for key, blocks in state.forecasts.series.items()
            ],
            "meters": [_reading(reading) for reading in state.meters.last.values()],
            "delivered": {key: _delivered(one) for key, one in state.delivered.items()},
            "counted": [[charger_id, phase, _us(until)] for (charger_id, phase), until in state.counted.items()],
            "flows": [
                [*_key(flow.key), flow.energy_kwh, _us(flow.start), _us(flow.end), flow.category]
                for flow in state.flows.values()
            ],
            "powers": [
                [one.group_id, one.asset_id, one.category, one.power_kw, one.phase, _us(one.measured_at)]
                for one in state.powers.values()
            ],
            "unanswered": dict(state.unanswered),
            "unread": list(state.unread),
            "sent": dict(state.sent),
            "asked": dict(state.asked),
            "expected": {key: _delivered(one) for key, one in state.expected.items()},
            "assumed_kw": dict(state.assumed_kw),
            "stored": {key: _stored(one) for key, one in state.stored.items()},
            "courses": {key: [_stored(one) for one in course] for key, course in state.courses.items()},
        },
        separators=(",", ":"),
    )


def state_from_json(text: str | None) -> SiteState:
    """What `state_to_json` wrote; the empty state for None."""
    if text is None:
        return SiteState()
    found: dict[str, Any] = json.loads(text)
    powers = [_to_power(values) for values in found["powers"]]
    flows = [_to_flow(values) for values in found["flows"]]
    return SiteState(
        forecasts=CapacityForecasts(
            series={
                (group_id, CapacityKind(kind), Phase(phase)): tuple(_block(block) for block in blocks)
                for group_id, kind, phase, blocks in found["forecasts"]
            }
        ),
        meters=EnergyMeters(last={reading.key: reading for reading in map(_to_reading, found["meters"])}),
        delivered={key: _to_delivered(values) for key, values in found["delivered"].items()},
        counted={(charger_id, Phase(phase)): _instant(until) for charger_id, phase, until in found["counted"]},
        flows={flow.key: flow for flow in flows},
        powers={(one.group_id, one.asset_id, one.phase): one for one in powers},
        unanswered=found["unanswered"],
        unread=tuple(found["unread"]),
        sent=found["sent"],
        asked=found["asked"],
        expected={key: _to_delivered(values) for key, values in found["expected"].items()},
        assumed_kw=found["assumed_kw"],
        # What earlier versions wrote knows of no storages.
        stored={key: _to_stored(values) for key, values in found.get("stored", {}).items()},
        courses={
            key: tuple(_to_stored(values) for values in course) for key, course in found.get("courses", {}).items()
        },
    )


def _us(instant: datetime) -> int:
    return (instant - EPOCH) // MICROSECOND


def _instant(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


def _block(values: list[Any]) -> CapacityBlock:
    start, end, capacity_kw, unit, phase = values
    return CapacityBlock(
        start=_instant(start), end=_instant(end), capacity_kw=capacity_kw, unit=CapacityUnit(unit), phase=Phase(phase)
    )


def _delivered(one: Delivered) -> list[Any]:
    return [_us(one.stated_at), one.energy_kwh, _us(one.until)]


def _to_delivered(values: list[Any]) -> Delivered:
    stated_us, energy_kwh, until_us = values
    return Delivered(stated_at=_instant(stated_us), energy_kwh=energy_kwh, until=_instant(until_us))


def _stored(one: Stored) -> list[Any]:
    return [one.energy_kwh, _us(one.at)]


def _to_stored(values: list[Any]) -> Stored:
    energy_kwh, at_us = values
    return Stored(energy_kwh=energy_kwh, at=_instant(at_us))


def _key(key: MeterKey) -> list[Any]:
    return [key.group_id, key.asset_id, key.direction, key.phase, key.energy_type]


def _to_key(values: list[Any]) -> MeterKey:
    group_id, asset_id, direction, phase, energy_type = values
    return MeterKey(
        group_id=group_id,
        asset_id=asset_id,
        direction=FlowDirection(direction),
        phase=Phase(phase),
        energy_type=EnergyType(energy_type),
    )


def _to_flow(values: list[Any]) -> EnergyDelta:
    *key, energy_kwh, start_us, end_us, category = values
    return EnergyDelta(
        key=_to_key(key),
        energy_kwh=energy_kwh,
        start=_instant(start_us),
        end=_instant(end_us),
        category=_to_category(category),
    )


def _to_power(values: list[Any]) -> PowerReading:
    group_id, asset_id, category, power_kw, phase, measured_us = values
    return PowerReading(
        group_id=group_id,
        asset_id=asset_id,
        category=AssetCategory(category),
        power_kw=power_kw,
        phase=Phase(phase),
        measured_at=_instant(measured_us),
    )


def _reading(reading: EnergyReading) -> list[Any]:
    return [
        *_key(reading.key),
        reading.value_kwh,
        _us(reading.measured_at),
        None if reading.started_at is None else _us(reading.started_at),
        reading.category,
    ]


def _to_reading(values: list[Any]) -> EnergyReading:
    *key, value_kwh, measured_us, started_us, category = values
    return EnergyReading(
        key=_to_key(key),
        value_kwh=value_kwh,
        measured_at=_instant(measured_us),
        started_at=None if started_us is None else _instant(started_us),
        category=_to_category(category),
    )


def _to_category(category: str | None) -> AssetCategory | None:
    return None if category is None else AssetCategory(category)
