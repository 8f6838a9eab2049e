"""Valid objects for tests; a test overrides the one field it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from models.domain.asset import BaseLoad, ChargeCurve, Generator, Storage
from models.domain.capacity import CapacityBlock, CapacityForecast, CapacityForecasts, CapacityKind, CapacityUnit, Phase
from models.domain.connection import Connection
from models.domain.demand import DemandCharge
from models.domain.group import CapacityGroup, Charger, LineLimit, Site
from models.domain.scenario import Scenario
from models.domain.schedule import GroupResult, Schedule, ScheduleStatus, SessionResult, StageResult
from models.domain.series import Series, ValueBlock
from models.domain.session import ChargingSession
from models.domain.tariff import EnergyTariff, PriceBlock
from models.domain.time_grid import TimeGrid
from models.oscp.v20 import (
    CapacityForecastType,
    ForecastedBlock,
    ForecastedBlockUnit,
    PhaseIndicator,
    UpdateGroupCapacityForecast,
)

MORNING = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


def make_session(
    session_id: str = "S1",
    *,
    charger_id: str = "C1",
    arrival: datetime = MORNING,
    departure: datetime | None = None,
    energy_kwh: float = 10.0,
    max_power_kw: float | None = None,
    priority: float = 1.0,
    vehicle_phases: int | None = None,
) -> ChargingSession:
    """10 kWh at charger C1 within two hours."""
    return ChargingSession(
        session_id=session_id,
        charger_id=charger_id,
        arrival=arrival,
        departure=arrival + 2 * HOUR if departure is None else departure,
        energy_kwh=energy_kwh,
        max_power_kw=max_power_kw,
        priority=priority,
        vehicle_phases=vehicle_phases,
    )


def make_charger(
    charger_id: str = "C1",
    *,
    group_id: str = "main",
    max_power_kw: float = 22.0,
    phases: Phase = Phase.UNKNOWN,
    connection: Connection | None = None,
    voltage_v: float | None = None,
) -> Charger:
    """A charger of 22 kW in the group main."""
    return Charger(
        charger_id=charger_id,
        group_id=group_id,
        max_power_kw=max_power_kw,
        phases=phases,
        connection=connection,
        voltage_v=voltage_v,
    )


def make_site(
    *,
    site_id: str = "depot",
    groups: Iterable[CapacityGroup] = (CapacityGroup(group_id="main", import_limit_kw=100.0),),
    chargers: Iterable[Charger] | None = None,
    time_zone: str = "Europe/Amsterdam",
    currency: str = "EUR",
    nominal_voltage_v: float = 230.0,
    line_limits: Iterable[LineLimit] = (),
    storages: Iterable[Storage] = (),
    generators: Iterable[Generator] = (),
    base_loads: Iterable[BaseLoad] = (),
    charge_curves: Iterable[ChargeCurve] = (),
    carbon_price_per_kg: float = 0.0,
) -> Site:
    """One group of 100 kW with one charger."""
    return Site(
        site_id=site_id,
        groups=tuple(groups),
        chargers=(make_charger(),) if chargers is None else tuple(chargers),
        time_zone=ZoneInfo(time_zone),
        currency=currency,
        nominal_voltage_v=nominal_voltage_v,
        line_limits=tuple(line_limits),
        storages=tuple(storages),
        generators=tuple(generators),
        base_loads=tuple(base_loads),
        charge_curves=tuple(charge_curves),
        carbon_price_per_kg=carbon_price_per_kg,
    )


def make_storage(
    asset_id: str = "battery",
    *,
    group_id: str = "main",
    power_kw: float = 5.0,
    energy_kwh: float = 5.0,
    max_energy_kwh: float = 10.0,
    min_energy_kwh: float = 0.0,
    final_energy_kwh: float | None = None,
    efficiency: float = 1.0,
    wear_price_per_kwh: float = 0.0,
) -> Storage:
    """A half full battery of 10 kWh and 5 kW without losses; an efficiency is that of each direction."""
    return Storage(
        asset_id=asset_id,
        group_id=group_id,
        max_charge_kw=power_kw,
        max_discharge_kw=power_kw,
        energy_kwh=energy_kwh,
        max_energy_kwh=max_energy_kwh,
        min_energy_kwh=min_energy_kwh,
        final_energy_kwh=final_energy_kwh,
        charge_efficiency=efficiency,
        discharge_efficiency=efficiency,
        wear_price_per_kwh=wear_price_per_kwh,
    )


def make_vehicle(
    session_id: str = "S1",
    *,
    charger_id: str = "C1",
    energy_kwh: float = 0.0,
    hours: float = 2.0,
    discharge_power_kw: float = 0.0,
    battery_capacity_kwh: float = 40.0,
    arrival_soc: float = 0.5,
    min_soc: float = 0.0,
    efficiency: float = 1.0,
    wear_price_per_kwh: float = 0.0,
    charge_curve_id: str | None = None,
) -> ChargingSession:
    """A half full car of 40 kWh that stays for two hours; an efficiency is that of each direction."""
    return ChargingSession(
        session_id=session_id,
        charger_id=charger_id,
        arrival=MORNING,
        departure=MORNING + hours * HOUR,
        energy_kwh=energy_kwh,
        discharge_power_kw=discharge_power_kw,
        battery_capacity_kwh=battery_capacity_kwh,
        arrival_soc=arrival_soc,
        min_soc=min_soc,
        charge_efficiency=efficiency,
        discharge_efficiency=efficiency,
        wear_price_per_kwh=wear_price_per_kwh,
        charge_curve_id=charge_curve_id,
    )


def make_series(values: Iterable[float], *, start: datetime = MORNING) -> Series:
    """Figures that hold an hour each, one after the other."""
    return Series.from_blocks(
        ValueBlock(start=start + hour * HOUR, end=start + (hour + 1) * HOUR, value=value)
        for hour, value in enumerate(values)
    )


def make_tariff(
    prices_per_kwh: Iterable[float] = (0.20, 0.30),
    *,
    exports_per_kwh: Iterable[float | None] | None = None,
    start: datetime = MORNING,
) -> EnergyTariff:
    """Prices that hold an hour each, one after the other."""
    prices = list(prices_per_kwh)
    exports = [None] * len(prices) if exports_per_kwh is None else list(exports_per_kwh)
    return EnergyTariff.from_blocks(
        PriceBlock(
            start=start + hour * HOUR,
            end=start + (hour + 1) * HOUR,
            import_price_per_kwh=price_per_kwh,
            export_price_per_kwh=export_per_kwh,
        )
        for hour, (price_per_kwh, export_per_kwh) in enumerate(zip(prices, exports, strict=True))
    )


def make_forecast(
    capacities_kw: Iterable[float] = (50.0, 40.0),
    *,
    group_id: str = "main",
    kind: CapacityKind = CapacityKind.CONSUMPTION,
    phase: Phase = Phase.ALL,
    unit: CapacityUnit = CapacityUnit.KW,
    start: datetime = MORNING,
) -> CapacityForecast:
    """Capacities that hold an hour each, one after the other."""
    blocks = tuple(
        CapacityBlock(
            start=start + hour * HOUR, end=start + (hour + 1) * HOUR, capacity_kw=capacity_kw, phase=phase, unit=unit
        )
        for hour, capacity_kw in enumerate(capacities_kw)
    )
    return CapacityForecast(group_id=group_id, kind=kind, blocks=blocks)


def make_message(
    capacities: Iterable[float] = (50.0, 40.0),
    *,
    group_id: str = "main",
    kind: CapacityForecastType = CapacityForecastType.CONSUMPTION,
    phase: PhaseIndicator = PhaseIndicator.ALL,
    unit: ForecastedBlockUnit = ForecastedBlockUnit.KW,
    start: datetime = MORNING,
) -> UpdateGroupCapacityForecast:
    """The OSCP message of `make_forecast`."""
    blocks = tuple(
        ForecastedBlock(
            capacity=capacity,
            phase=phase,
            unit=unit,
            start_time=start + hour * HOUR,
            end_time=start + (hour + 1) * HOUR,
        )
        for hour, capacity in enumerate(capacities)
    )
    return UpdateGroupCapacityForecast(group_id=group_id, type=kind, forecasted_blocks=blocks)


def make_scenario(
    *,
    site: Site | None = None,
    sessions: Iterable[ChargingSession] | None = None,
    tariff: EnergyTariff | None = None,
    forecasts: Iterable[CapacityForecast] = (),
    previous: Schedule | None = None,
    generation_kw: Mapping[str, Series] | None = None,
    base_load_kw: Mapping[str, Series] | None = None,
    demand_charges: Iterable[DemandCharge] = (),
    carbon_kg_per_kwh: Series | None = None,
) -> Scenario:
    """One session at one charger of one group; no prices and no forecasts."""
    return Scenario(
        site=make_site() if site is None else site,
        sessions=(make_session(),) if sessions is None else tuple(sessions),
        tariff=tariff,
        forecasts=CapacityForecasts.from_messages(forecasts),
        previous=previous,
        generation_kw=generation_kw or {},
        base_load_kw=base_load_kw or {},
        demand_charges=tuple(demand_charges),
        carbon_kg_per_kwh=carbon_kg_per_kwh,
    )


def make_one_limit(
    limit_kw: float | None,
    sessions: Iterable[ChargingSession],
    *,
    tariff: EnergyTariff | None = None,
    max_power_kw: float = 22.0,
) -> Scenario:
    """Sessions at chargers of their own in one group."""
    asked = [replace(session, charger_id=f"C-{session.session_id}") for session in sessions]
    site = make_site(
        groups=[CapacityGroup(group_id="main", import_limit_kw=limit_kw)],
        chargers=[make_charger(session.charger_id, max_power_kw=max_power_kw) for session in asked],
    )
    return make_scenario(site=site, sessions=asked, tariff=tariff)


def make_schedule(*, session: ChargingSession | None = None, notes: tuple[str, ...] = ()) -> Schedule:
    """The plan of `make_scenario` with `make_tariff`: 10 kW in the first of two hours, 10 kWh for 2 EUR."""
    edges_s = np.array([(MORNING + hour * HOUR).timestamp() for hour in range(3)])
    return Schedule(
        grid=TimeGrid(edges_s=edges_s, time_zone=ZoneInfo("Europe/Amsterdam")),
        sessions=(
            SessionResult(
                session=session or make_session(),
                delivered_energy_kwh=10.0,
                unmet_energy_kwh=0.0,
                unreachable_energy_kwh=0.0,
            ),
        ),
        session_index=np.array([0]),
        step_index=np.array([0]),
        start_s=edges_s[:1],
        end_s=edges_s[1:2],
        power_kw=np.array([10.0]),
        groups=(
            GroupResult(
                group_id="main",
                power_kw=np.array([10.0, 0.0]),
                limit_kw=np.array([100.0, 100.0]),
                shadow_price_per_kwh=np.array([0.0, 0.0]),
            ),
        ),
        price_per_kwh=np.array([0.20, 0.30]),
        energy_cost=2.0,
        peak_import_kw=10.0,
        status=ScheduleStatus.OPTIMAL,
        strategy="optimal",
        stages=(StageResult(name="unmet_energy", value=0.0, proved=True),),
        notes=notes,
        seconds={"solve": 0.5},
    )
