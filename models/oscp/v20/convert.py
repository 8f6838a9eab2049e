"""Between wire and domain: forecasts and measurements come in, optimum messages go out; only this module sees both."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from models.domain.asset import share_on
from models.domain.capacity import (
    SINGLE_PHASES,
    CapacityBlock,
    CapacityForecast,
    CapacityForecasts,
    CapacityKind,
    CapacityUnit,
    Phase,
)
from models.domain.group import Charger, Site
from models.domain.measurement import (
    AssetCategory,
    EnergyReading,
    EnergyType,
    FlowDirection,
    MeterKey,
    PowerReading,
    StoredEnergyReading,
)
from models.domain.schedule import Schedule
from models.domain.time_grid import FloatArray, require_aware
from models.oscp.v20.enums import CapacityForecastType, ForecastedBlockUnit, PhaseIndicator
from models.oscp.v20.fields import WIRE_DECIMALS, to_wire_instant
from models.oscp.v20.forecast import (
    MAX_BLOCKS,
    ForecastedBlock,
    GroupCapacityForecast,
    UpdateGroupCapacityForecast,
)
from models.oscp.v20.measurement import (
    EnergyMeasurement,
    InstantaneousMeasurement,
    UpdateAssetMeasurements,
    UpdateGroupMeasurements,
)
from models.units import (
    SECONDS_PER_HOUR,
    THREE_PHASES,
    amperes_to_kilowatts,
    energy_at_power_kwh,
    kilowatt_hours_to_watt_hours,
    kilowatts_to_amperes,
    kilowatts_to_watts,
    mean_power_kw,
    seconds_to_hours,
    watt_hours_to_kilowatt_hours,
    watts_to_kilowatts,
)

PLAN_DECIMALS = 6
"""Decimals, in a block's unit, to which the plan is known: sums of many rows carry noise well below."""
RELATIVE_NOISE = 1e-12
"""Room for the last digits that a conversion to kW and back may cost."""

STORED_ENERGY_UNITS = (CapacityUnit.WH, CapacityUnit.KWH)
"""Units in which an instantaneous value is the charge of a battery."""

ComplexArray = NDArray[np.complex128]
EnergyUntil = Callable[[FloatArray], FloatArray]
CurrentMessageT = TypeVar(
    "CurrentMessageT", GroupCapacityForecast, UpdateGroupCapacityForecast, UpdateAssetMeasurements
)


def to_current_per_conductor(message: CurrentMessageT) -> CurrentMessageT:
    """The message of a peer to which A with phase ALL or UNKNOWN is the sum of three conductors, as others state it.

    What is kept and planned with thus means the same whoever sent it; the peer is answered in its own way by
    `to_optimum_messages`.
    """
    if isinstance(message, UpdateAssetMeasurements):
        assets = tuple(
            asset.model_copy(
                update={
                    "instantaneous_measurement": measured.model_copy(update={"value": measured.value / THREE_PHASES})
                }
            )
            if (measured := asset.instantaneous_measurement) is not None and _is_total_current(measured)
            else asset
            for asset in message.measurements
        )
        return message.model_copy(update={"measurements": assets})
    blocks = tuple(
        block.model_copy(update={"capacity": block.capacity / THREE_PHASES}) if _is_total_current(block) else block
        for block in message.forecasted_blocks
    )
    return message.model_copy(update={"forecasted_blocks": blocks})


def _is_total_current(stated: ForecastedBlock | InstantaneousMeasurement) -> bool:
    return CapacityUnit(stated.unit.value) is CapacityUnit.A and Phase(stated.phase.value) not in SINGLE_PHASES


def to_capacity_forecast(message: GroupCapacityForecast, *, voltage_v: float) -> CapacityForecast:
    """What a message states, in kW.

    A current is that of one conductor for ONE, TWO and THREE, and that of each of three for ALL and UNKNOWN. An energy
    is a budget for its block: the mean power that spends it. Source: decision; the standard states neither.

    Args:
        message: As it came.
        voltage_v: Voltage from line to neutral at the group, V.

    Returns:
        The same blocks in the same order, each with the unit it was stated in.
    """
    return CapacityForecast(
        group_id=message.group_id,
        kind=CapacityKind(message.type.value),
        blocks=tuple(_to_block(block, voltage_v=voltage_v) for block in message.forecasted_blocks),
    )


def to_energy_readings(message: UpdateAssetMeasurements | UpdateGroupMeasurements) -> tuple[EnergyReading, ...]:
    """The energy registers that a message reads, in kWh and in the order of the message.

    Entries for a group that differ in their value only are summed: one peer sends one for each asset, without its name.
    Source: decision.
    """
    if isinstance(message, UpdateAssetMeasurements):
        return tuple(
            _to_energy_reading(
                asset.energy_measurement,
                group_id=message.group_id,
                asset_id=asset.asset_id,
                category=AssetCategory(asset.asset_category.value),
            )
            for asset in message.measurements
            if asset.energy_measurement is not None
        )
    summed: dict[tuple[MeterKey, datetime, datetime | None], EnergyReading] = {}
    for measurement in message.measurements:
        reading = _to_energy_reading(measurement, group_id=message.group_id)
        same = (reading.key, reading.measured_at, reading.started_at)
        so_far_kwh = summed[same].value_kwh if same in summed else 0.0
        summed[same] = replace(reading, value_kwh=so_far_kwh + reading.value_kwh)
    return tuple(summed.values())


def to_power_readings(message: UpdateAssetMeasurements, *, voltage_v: float) -> tuple[PowerReading, ...]:
    """The powers and currents that a message states, in kW and in its order; phases count as in a forecast.

    Args:
        message: As it came.
        voltage_v: Voltage from line to neutral at the group, V.

    Returns:
        One reading for each asset with an instantaneous value in A, W or KW.
    """
    readings: list[PowerReading] = []
    for asset in message.measurements:
        measured = asset.instantaneous_measurement
        if measured is None or (unit := CapacityUnit(measured.unit.value)) in STORED_ENERGY_UNITS:
            continue
        phase = Phase(measured.phase.value)
        readings.append(
            PowerReading(
                group_id=message.group_id,
                asset_id=asset.asset_id,
                category=AssetCategory(asset.asset_category.value),
                power_kw=_to_kilowatts(measured.value, unit, phase, hours=math.nan, voltage_v=voltage_v),
                phase=phase,
                measured_at=measured.measure_time,
            )
        )
    return tuple(readings)


def to_stored_energy_readings(message: UpdateAssetMeasurements) -> tuple[StoredEnergyReading, ...]:
    """The charges of batteries that a message states, in kWh and in its order: instantaneous values in WH or KWH."""
    return tuple(
        StoredEnergyReading(
            group_id=message.group_id,
            asset_id=asset.asset_id,
            category=AssetCategory(asset.asset_category.value),
            energy_kwh=_to_kilowatt_hours(measured.value, unit),
            measured_at=measured.measure_time,
        )
        for asset in message.measurements
        if (measured := asset.instantaneous_measurement) is not None
        and (unit := CapacityUnit(measured.unit.value)) in STORED_ENERGY_UNITS
    )


def to_optimum_messages(
    schedule: Schedule,
    site: Site,
    forecasts: CapacityForecasts,
    *,
    window: tuple[datetime, datetime] | None,
    ampere_all_per_conductor: bool = True,
) -> list[UpdateGroupCapacityForecast]:
    """Answer each group's CONSUMPTION blocks, or its FALLBACK_CONSUMPTION blocks where it has no others, with the plan.

        value = energy planned in the block / hours of the block inside the plan

    in the block's own phase and unit (an energy unit: the energy planned), never above the capacity the block states.
    The power is what the flexible assets, vehicles and storages, draw together, zero where they feed in on balance: an
    OPTIMUM has no direction, so that blocks of GENERATION are held and not answered. A current is that on the block's
    conductor, for ALL that on the fullest of the three; with storages it follows from their power.

    Args:
        schedule: The plan.
        site: Groups and chargers; a group's power is that of all sessions and storages below it.
        forecasts: What the groups may draw.
        window: Blocks are cut to it and left out beyond it; None answers every block, with zero where there is no plan.
        ampere_all_per_conductor: Whether the peer takes A with phase ALL for the current of each of three conductors;
            else for their sum, see `to_current_per_conductor`.

    Returns:
        One message of type OPTIMUM for each group with blocks to answer, in the site's order, its blocks in order of
        time; more than one only where there are more than `MAX_BLOCKS` blocks.

    Raises:
        InputError: A session of the schedule is at a charger the site does not have, or the window has no time zone.
    """
    chargers = [
        site.charger(result.session.charger_id).used_by(result.session.vehicle_phases) for result in schedule.sessions
    ]
    messages: list[UpdateGroupCapacityForecast] = []
    for group in site.groups:
        kind = _answered_kind(forecasts, group.group_id)
        answered: list[ForecastedBlock] = []
        for phase in forecasts.phases(group.group_id, kind):
            blocks = _clipped(forecasts.blocks(group.group_id, kind, phase), window)
            here = np.array([group.group_id in site.path(charger.group_id) for charger in chargers], dtype=np.float64)
            share = np.array([charger.share_on(phase) for charger in chargers])
            storages_kw = _storage_power(schedule, site, group.group_id, phase)
            planned_kw, planned_hours = _planned_power(schedule, here * share, storages_kw, blocks)
            in_amperes = np.array([block.unit is CapacityUnit.A for block in blocks], dtype=bool)
            is_of_conductor = phase in SINGLE_PHASES or ampere_all_per_conductor
            if in_amperes.any() and is_of_conductor and not storages_kw.any():
                current_kw = _planned_current(schedule, _currents(site, chargers, here, phase), phase, blocks)
                planned_kw = np.where(in_amperes, current_kw, planned_kw)
            answered += [
                _to_wire_block(
                    block,
                    power_kw=power_kw,
                    hours=hours,
                    voltage_v=site.nominal_voltage_v,
                    conductors=_conductors(phase) if ampere_all_per_conductor else 1,
                )
                for block, power_kw, hours in zip(blocks, planned_kw.tolist(), planned_hours.tolist(), strict=True)
            ]
        answered.sort(key=lambda block: block.start_time)
        messages += _optimum_messages(group.group_id, answered)
    return messages


def _to_energy_reading(
    measurement: EnergyMeasurement,
    *,
    group_id: str,
    asset_id: str | None = None,
    category: AssetCategory | None = None,
) -> EnergyReading:
    key = MeterKey(
        group_id=group_id,
        asset_id=asset_id,
        direction=FlowDirection(measurement.direction.value),
        phase=Phase(measurement.phase.value),
        energy_type=EnergyType(measurement.energy_type.value),
    )
    return EnergyReading(
        key=key,
        value_kwh=_to_kilowatt_hours(measurement.value, CapacityUnit(measurement.unit.value)),
        measured_at=measurement.measure_time,
        started_at=measurement.initial_measure_time,
        category=category,
    )


def _to_kilowatt_hours(value: float, unit: CapacityUnit) -> float:
    return watt_hours_to_kilowatt_hours(value) if unit is CapacityUnit.WH else value


def _to_block(block: ForecastedBlock, *, voltage_v: float) -> CapacityBlock:
    phase = Phase(block.phase.value)
    unit = CapacityUnit(block.unit.value)
    hours = _hours(block.start_time, block.end_time)
    return CapacityBlock(
        start=block.start_time,
        end=block.end_time,
        capacity_kw=_to_kilowatts(block.capacity, unit, phase, hours=hours, voltage_v=voltage_v),
        phase=phase,
        unit=unit,
    )


def _to_kilowatts(value: float, unit: CapacityUnit, phase: Phase, *, hours: float, voltage_v: float) -> float:
    match unit:
        case CapacityUnit.KW:
            return value
        case CapacityUnit.W:
            return watts_to_kilowatts(value)
        case CapacityUnit.A:
            return amperes_to_kilowatts(value, voltage_v=voltage_v, conductors=_conductors(phase))
        case CapacityUnit.KWH:
            return mean_power_kw(value, hours=hours)
        case CapacityUnit.WH:
            return mean_power_kw(watt_hours_to_kilowatt_hours(value), hours=hours)


def _from_kilowatts(power_kw: float, unit: CapacityUnit, *, conductors: int, hours: float, voltage_v: float) -> float:
    match unit:
        case CapacityUnit.KW:
            return power_kw
        case CapacityUnit.W:
            return kilowatts_to_watts(power_kw)
        case CapacityUnit.A:
            return kilowatts_to_amperes(power_kw, voltage_v=voltage_v, conductors=conductors)
        case CapacityUnit.KWH:
            return energy_at_power_kwh(power_kw, hours=hours)
        case CapacityUnit.WH:
            return kilowatt_hours_to_watt_hours(energy_at_power_kwh(power_kw, hours=hours))


def _conductors(phase: Phase) -> int:
    return 1 if phase in SINGLE_PHASES else THREE_PHASES


def _hours(start: datetime, end: datetime) -> float:
    return seconds_to_hours((end - start).total_seconds())


def _answered_kind(forecasts: CapacityForecasts, group_id: str) -> CapacityKind:
    stated = forecasts.phases(group_id, CapacityKind.CONSUMPTION)
    return CapacityKind.CONSUMPTION if stated else CapacityKind.FALLBACK_CONSUMPTION


def _clipped(blocks: Iterable[CapacityBlock], window: tuple[datetime, datetime] | None) -> list[CapacityBlock]:
    """What of the blocks lies in the window and lasts long enough to be written."""
    first, last = (to_wire_instant(require_aware(edge, "window")) for edge in window) if window else (None, None)
    kept: list[CapacityBlock] = []
    for block in blocks:
        start, end = to_wire_instant(block.start), to_wire_instant(block.end)
        start = start if first is None else max(start, first)
        end = end if last is None else min(end, last)
        if start < end:
            kept.append(replace(block, start=start, end=end))
    return kept


def _storage_power(schedule: Schedule, site: Site, group_id: str, phase: Phase) -> FloatArray:
    """Power of all storages below a group on a phase: (T,), kW, below zero where they feed in."""
    power_kw = np.zeros(schedule.grid.steps)
    storages = {storage.asset_id: storage for storage in site.storages}
    for result in schedule.assets:
        storage = storages.get(result.asset_id)
        if storage is not None and group_id in site.path(storage.group_id):
            power_kw += share_on(storage.phases, phase) * result.power_kw
    return power_kw


def _planned_power(
    schedule: Schedule, share: FloatArray, storages_kw: FloatArray, blocks: Sequence[CapacityBlock]
) -> tuple[FloatArray, FloatArray]:
    """Mean power over what of each block lies inside the plan, and how long that is.

    Args:
        schedule: The plan, K rows of S sessions.
        share: (S,), how much of each session's power counts.
        storages_kw: (T,), what storages draw besides, kW.
        blocks: B blocks.

    Returns:
        (B,), kW, and (B,), h; both zero for a block outside the plan.
    """
    grid_start_s, grid_end_s = schedule.grid.edges_s[0], schedule.grid.edges_s[-1]
    start_s = np.clip([block.start.timestamp() for block in blocks], grid_start_s, grid_end_s)
    end_s = np.clip([block.end.timestamp() for block in blocks], grid_start_s, grid_end_s)
    hours = (end_s - start_s) / SECONDS_PER_HOUR
    energy_until = _cumulative_energy(schedule, share)
    stored_kwh = np.concatenate(([0.0], np.cumsum(storages_kw * schedule.grid.step_hours)))
    energy_kwh = energy_until(end_s) - energy_until(start_s)
    energy_kwh += np.interp(end_s, schedule.grid.edges_s, stored_kwh)
    energy_kwh -= np.interp(start_s, schedule.grid.edges_s, stored_kwh)
    return np.divide(energy_kwh, hours, out=np.zeros_like(hours), where=hours > 0), hours


def _currents(site: Site, chargers: Sequence[Charger], here: FloatArray, phase: Phase) -> ComplexArray:
    """Current on L1, L2 and L3 for each kW of some sessions, as power of one conductor at the nominal voltage: (S, 4).

    The last column is of those whose connection is not known, whatever their direction.
    """
    per_kw = np.zeros((len(chargers), len(SINGLE_PHASES) + 1), dtype=np.complex128)
    for index, charger in enumerate(chargers):
        wiring = charger.wiring
        if wiring is None:
            per_kw[index, -1] = 1.0 if phase in SINGLE_PHASES else 1.0 / THREE_PHASES
        else:
            currents_a = np.array(wiring.currents_a_per_kw(site.nominal_voltage_v, charger.voltage_v))
            per_kw[index, :-1] = currents_a * amperes_to_kilowatts(1.0, voltage_v=site.nominal_voltage_v, conductors=1)
    return here[:, None] * per_kw


def _planned_current(
    schedule: Schedule, per_kw: ComplexArray, phase: Phase, blocks: Sequence[CapacityBlock]
) -> FloatArray:
    """Mean current over what of each block lies inside the plan, as the power that unit A of the phase stands for.

    Args:
        schedule: The plan, K rows of S sessions.
        per_kw: (S, 4), from `_currents`.
        phase: The conductor, or ALL for the fullest of them.
        blocks: B blocks.

    Returns:
        (B,), kW.
    """
    no_storages_kw = np.zeros(schedule.grid.steps)
    known = [
        np.hypot(
            _planned_power(schedule, per_kw[:, index].real, no_storages_kw, blocks)[0],
            _planned_power(schedule, per_kw[:, index].imag, no_storages_kw, blocks)[0],
        )
        for index in ((SINGLE_PHASES.index(phase),) if phase in SINGLE_PHASES else range(len(SINGLE_PHASES)))
    ]
    loose, _ = _planned_power(schedule, per_kw[:, -1].real, no_storages_kw, blocks)
    each: FloatArray = np.max(known, axis=0) + loose
    return each * _conductors(phase)


def _cumulative_energy(schedule: Schedule, share: FloatArray) -> EnergyUntil:
    """Energy planned before an instant, kWh; linear between the edges of rows, so a row may straddle a block's edge."""
    power_kw = schedule.power_kw * share[schedule.session_index]
    edges_s, position = np.unique(np.concatenate((schedule.start_s, schedule.end_s)), return_inverse=True)
    if not edges_s.size:
        return np.zeros_like
    level_kw = np.cumsum(np.bincount(position, weights=np.concatenate((power_kw, -power_kw))))
    step_kwh = level_kw[:-1] * np.diff(edges_s) / SECONDS_PER_HOUR
    energy_kwh = np.concatenate(([0.0], np.cumsum(step_kwh)))
    return lambda instant_s: np.interp(instant_s, edges_s, energy_kwh)


def _to_wire_block(
    block: CapacityBlock, *, power_kw: float, hours: float, voltage_v: float, conductors: int
) -> ForecastedBlock:
    block_hours = _hours(block.start, block.end)
    stated = _from_kilowatts(
        block.capacity_kw, block.unit, conductors=conductors, hours=block_hours, voltage_v=voltage_v
    )
    planned = _from_kilowatts(power_kw, block.unit, conductors=conductors, hours=hours, voltage_v=voltage_v)
    return ForecastedBlock(
        capacity=_rounded_down(max(0.0, min(round(planned, PLAN_DECIMALS), stated))),
        phase=PhaseIndicator(block.phase.value),
        unit=ForecastedBlockUnit(block.unit.value),
        start_time=block.start,
        end_time=block.end,
    )


def _rounded_down(value: float) -> float:
    """Cut to the decimals of the wire.

    Down, because a value rounded up could ask for more than the block allows: a limit of 10.0006 kW, fully used, would
    be answered with 10.001 kW.
    """
    scale = 10.0**WIRE_DECIMALS
    return math.floor(value * scale * (1 + RELATIVE_NOISE)) / scale


def _optimum_messages(group_id: str, blocks: Sequence[ForecastedBlock]) -> list[UpdateGroupCapacityForecast]:
    return [
        UpdateGroupCapacityForecast(
            group_id=group_id,
            type=CapacityForecastType.OPTIMUM,
            forecasted_blocks=tuple(blocks[first : first + MAX_BLOCKS]),
        )
        for first in range(0, len(blocks), MAX_BLOCKS)
    ]
