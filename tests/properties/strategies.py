"""Random scenarios small enough to solve by the dozen: trees of groups, odd blocks, odd stays, any price."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from models.domain.capacity import SINGLE_PHASES, CapacityForecast, CapacityForecasts, Phase
from models.domain.group import CapacityGroup, Charger, Site
from models.domain.scenario import Scenario
from models.domain.schedule import Schedule
from models.domain.session import ChargingSession
from models.domain.tariff import EnergyTariff, PriceBlock
from models.oscp.v20 import (
    CapacityForecastType,
    ForecastedBlock,
    ForecastedBlockUnit,
    PhaseIndicator,
    UpdateGroupCapacityForecast,
    to_capacity_forecast,
)
from optimizer.options import COST_OBJECTIVE, PEAK_OBJECTIVE, LimitMode, OptimizeOptions, Stage, Strategy
from tests.builders import HOUR, MORNING

MINUTE = timedelta(minutes=1)
HOURS = 5
"""All that is drawn lies in the first hours from `MORNING` on."""
TARIFF_HOURS = HOURS + 2
"""Prices begin an hour before and end an hour after."""

OBJECTIVES = (COST_OBJECTIVE, PEAK_OBJECTIVE)
HEURISTICS = tuple(strategy for strategy in Strategy if strategy not in (Strategy.OPTIMAL, Strategy.UNCONTROLLED))

LIMITS_KW = st.one_of(
    st.integers(3, 40).map(float), st.floats(2.0, 40.0), st.sampled_from([None, None, 0.0, 10.0, 22.0, 100.0])
)
POWERS_KW = st.sampled_from([11.0, 22.0, 7.4, 3.7, 50.0, 11.0, 22.0, 0.0])
PHASES = st.sampled_from([Phase.ALL, Phase.ALL, *SINGLE_PHASES, Phase.UNKNOWN])
PRIORITIES = st.sampled_from([1.0, 1.0, 1.0, 0.5, 2.0, 3.0, 10.0])
ENERGIES_KWH = st.one_of(st.integers(5, 40).map(float), st.floats(1.0, 60.0), st.sampled_from([0.0, 0.001, 200.0]))
PRICES = st.one_of(st.floats(0.05, 0.6).map(lambda price: round(price, 4)), st.sampled_from([0.2, 0.2, 0.0, -0.1]))


@dataclass(frozen=True, kw_only=True)
class Case:
    """A scenario in its parts, so that a test can change one of them.

    Args:
        site: Groups and chargers.
        sessions: In any order.
        prices: In any order; empty without a tariff.
        messages: Forecasts in order of their arrival.
        options: How to plan.
        previous: The plan in force.
    """

    site: Site
    sessions: tuple[ChargingSession, ...]
    prices: tuple[PriceBlock, ...]
    messages: tuple[CapacityForecast, ...]
    options: OptimizeOptions
    previous: Schedule | None = None

    @property
    def scenario(self) -> Scenario:
        """All parts together."""
        return Scenario(
            site=self.site,
            sessions=self.sessions,
            tariff=EnergyTariff.from_blocks(self.prices) if self.prices else None,
            forecasts=CapacityForecasts.from_messages(self.messages),
            previous=self.previous,
        )

    @property
    def has_phases(self) -> bool:
        """Whether any limit counts one conductor."""
        return any(block.phase in SINGLE_PHASES for message in self.messages for block in message.blocks)

    def with_options(self, **changes: object) -> Case:
        """The same case, planned in another way."""
        return replace(self, options=replace(self.options, **changes))  # type: ignore[arg-type]


@st.composite
def sites(draw: st.DrawFn, *, limits_kw: st.SearchStrategy[float | None] = LIMITS_KW) -> Site:
    """Up to 4 groups in trees of any shape, listed in any order, with up to 4 chargers anywhere on them."""
    groups = [CapacityGroup(group_id="g0", import_limit_kw=draw(limits_kw))]
    for index in range(1, draw(st.integers(1, 4))):
        parent_id = draw(st.sampled_from([group.group_id for group in groups] + [None]))
        groups.append(CapacityGroup(group_id=f"g{index}", parent_id=parent_id, import_limit_kw=draw(limits_kw)))
    chargers = [
        Charger(
            charger_id=f"c{index}",
            group_id=draw(st.sampled_from(groups)).group_id,
            max_power_kw=draw(POWERS_KW),
            phases=draw(PHASES),
        )
        for index in range(draw(st.integers(1, 4)))
    ]
    return Site(
        site_id="random",
        groups=tuple(draw(st.permutations(groups))),
        chargers=tuple(draw(st.permutations(chargers))),
        time_zone=ZoneInfo(draw(st.sampled_from(["UTC", "Europe/Amsterdam", "Asia/Kathmandu"]))),
    )


@st.composite
def stays(draw: st.DrawFn, *, resolution_s: int = 1) -> tuple[datetime, datetime]:
    """An arrival and a departure within the hours, to the second unless coarser; most stay for an hour or more."""
    last = HOURS * 3600 // resolution_s
    arrival = draw(st.integers(0, last - 1))
    hour = 3600 // resolution_s
    stay = draw(st.one_of(st.integers(hour, last), st.integers(hour, last), st.integers(1, hour)))
    departure = min(arrival + stay, last)
    return (MORNING + timedelta(seconds=arrival * resolution_s), MORNING + timedelta(seconds=departure * resolution_s))


@st.composite
def session_lists(draw: st.DrawFn, site: Site, *, most: int = 7, resolution_s: int = 1) -> tuple[ChargingSession, ...]:
    """Sessions at the chargers of a site; several may be at one charger at the same time."""
    sessions = []
    for index in range(draw(st.one_of(st.integers(min(3, most), most), st.integers(1, most)))):
        arrival, departure = draw(stays(resolution_s=resolution_s))
        sessions.append(
            ChargingSession(
                session_id=f"s{index}",
                charger_id=draw(st.sampled_from(site.chargers)).charger_id,
                arrival=arrival,
                departure=departure,
                energy_kwh=draw(ENERGIES_KWH),
                max_power_kw=draw(st.sampled_from([None, None, 7.4, 11.0])),
                priority=draw(PRIORITIES),
            )
        )
    return tuple(draw(st.permutations(sessions)))


@st.composite
def tariffs(draw: st.DrawFn) -> tuple[PriceBlock, ...]:
    """No prices, one flat price, or hourly prices of either sign with some of them alike."""
    kind = draw(st.sampled_from(["none", "flat", "varied", "varied", "few"]))
    if kind == "none":
        return ()
    if kind == "flat":
        prices = [draw(PRICES)] * TARIFF_HOURS
    elif kind == "few":
        prices = draw(st.lists(st.sampled_from([0.1, 0.2]), min_size=TARIFF_HOURS, max_size=TARIFF_HOURS))
    else:
        prices = draw(st.lists(PRICES, min_size=TARIFF_HOURS, max_size=TARIFF_HOURS))
    return price_blocks(prices)


def price_blocks(prices_per_kwh: Sequence[float]) -> tuple[PriceBlock, ...]:
    """Hourly prices from an hour before `MORNING` on."""
    return tuple(
        PriceBlock(start=MORNING + (hour - 1) * HOUR, end=MORNING + hour * HOUR, import_price_per_kwh=price)
        for hour, price in enumerate(prices_per_kwh)
    )


@st.composite
def messages(
    draw: st.DrawFn, site: Site, *, per_phase: bool = True, most: int = 3, minutes: int = 1
) -> tuple[CapacityForecast, ...]:
    """Forecasts as they come over the wire: odd edges, overlaps and gaps, any unit, per phase, with fallbacks.

    One in A holds on each conductor, so that there is none where no forecast is to be for one phase.
    """
    units = [ForecastedBlockUnit.KW, ForecastedBlockUnit.KWH]
    if per_phase:
        units.append(ForecastedBlockUnit.A)
    received = []
    for _ in range(draw(st.integers(0, most))):
        group_id = draw(st.sampled_from(site.groups)).group_id
        kind = draw(
            st.sampled_from(
                [
                    CapacityForecastType.CONSUMPTION,
                    CapacityForecastType.CONSUMPTION,
                    CapacityForecastType.FALLBACK_CONSUMPTION,
                    CapacityForecastType.GENERATION,
                ]
            )
        )
        phase = draw(st.sampled_from(list(PhaseIndicator))) if per_phase else PhaseIndicator.ALL
        message = UpdateGroupCapacityForecast(
            group_id=group_id,
            type=kind,
            forecasted_blocks=tuple(
                draw(wire_blocks(phase, units, minutes=minutes)) for _ in range(draw(st.integers(1, 4)))
            ),
        )
        received.append(to_capacity_forecast(message, voltage_v=site.nominal_voltage_v))
    return tuple(received)


@st.composite
def wire_blocks(
    draw: st.DrawFn, phase: PhaseIndicator, units: Sequence[ForecastedBlockUnit], *, minutes: int
) -> ForecastedBlock:
    """One block on a raster of some minutes, that may begin before and end after the hours."""
    first = draw(st.integers(-30 // minutes, (HOURS * 60 - 30) // minutes))
    length = draw(st.integers(1, HOURS * 60 // minutes))
    return ForecastedBlock(
        capacity=draw(st.one_of(st.just(0.0), st.integers(1, 60).map(float), st.floats(0.5, 60.0))),
        phase=phase,
        unit=draw(st.sampled_from(units)),
        start_time=MORNING + first * minutes * MINUTE,
        end_time=MORNING + (first + length) * minutes * MINUTE,
    )


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    limit_modes: Iterable[LimitMode] = LimitMode,
    per_phase: bool = True,
    objectives: Iterable[tuple[Stage, ...]] = OBJECTIVES,
    rasters: Iterable[int] = (15, 30, 60, 60, 7),
    minutes: int = 0,
) -> Case:
    """Anything that can be planned.

    Args:
        draw: Hypothesis.
        limit_modes: Those to choose from.
        per_phase: Whether forecasts may be for one phase, or in A and so for each of them.
        objectives: Those to choose from.
        rasters: Those to choose from, minutes.
        minutes: What arrivals, departures and blocks are multiples of; 0 for seconds and minutes.
    """
    site = draw(sites())
    return Case(
        site=site,
        sessions=draw(session_lists(site, resolution_s=max(60 * minutes, 1))),
        prices=draw(tariffs()),
        messages=draw(messages(site, per_phase=per_phase, minutes=max(minutes, 1))),
        options=OptimizeOptions(
            raster=draw(st.sampled_from(list(rasters))) * MINUTE,
            limit_mode=draw(st.sampled_from(list(limit_modes))),
            objective=draw(st.sampled_from(list(objectives))),
        ),
    )
