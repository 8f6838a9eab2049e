"""Random but repeatable scenarios of any size: one group, or a tree, over one day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from models.domain import CapacityGroup, Charger, ChargingSession, EnergyTariff, Phase, PriceBlock, Scenario, Site
from models.domain.capacity import SINGLE_PHASES
from models.units import DEFAULT_NOMINAL_VOLTAGE_V, THREE_PHASES, amperes_per_kilowatt

DAY = datetime(2026, 3, 2, tzinfo=UTC)
MEAN_KW_PER_SESSION = 1.45
"""Group limit per session at which a day's demand fits with little to spare."""
PHASE_MARGIN = 1.1


def scenario(
    sessions: int,
    *,
    seed: int,
    price: str = "varied",
    limit_share: float = 1.0,
    feeders: int = 0,
    three_phase: bool = False,
) -> Scenario:
    """One day of charging at one group.

    Args:
        sessions: How many sessions.
        seed: Of the random generator; part of a benchmark's name.
        price: ``varied`` by the hour, ``flat``, ``negative`` around noon, or ``none``.
        limit_share: Limit of the root over the comfortable one; 0.35 leaves about a quarter of the energy unserved.
        feeders: Groups between the root and the chargers, each with a limit of its own.
        three_phase: Whether chargers hang on one phase each, in turn, and every group has a limit for each phase
            besides, a tenth above its share.

    Returns:
        The scenario, one day long.
    """
    generator = np.random.default_rng(seed)
    limit_kw = MEAN_KW_PER_SESSION * sessions * limit_share
    groups = _groups(limit_kw, feeders, three_phase=three_phase)
    arrival_h = np.sort(np.clip(generator.normal(11.0, 4.5, sessions), 0.0, 20.0))
    stay_h = np.clip(generator.gamma(4.0, 1.5, sessions), 0.75, 23.95 - arrival_h)
    energy_kwh = np.minimum(generator.gamma(2.5, 5.5, sessions), 0.9 * 11.0 * stay_h)
    asked = tuple(
        ChargingSession(
            session_id=f"s{index:06d}",
            charger_id=f"c{index:06d}",
            arrival=DAY + timedelta(seconds=round(arrival_h[index] * 3600)),
            departure=DAY + timedelta(seconds=round((arrival_h[index] + stay_h[index]) * 3600)),
            energy_kwh=round(float(energy_kwh[index]), 3),
        )
        for index in range(sessions)
    )
    chargers = _chargers(sessions, groups, three_phase=three_phase)
    site = Site(site_id=f"synthetic-{sessions}", groups=groups, chargers=chargers)
    return Scenario(site=site, sessions=asked, tariff=_tariff(price, generator))


def _groups(limit_kw: float, feeders: int, *, three_phase: bool) -> tuple[CapacityGroup, ...]:
    def group(group_id: str, limit_kw: float, parent_id: str | None = None) -> CapacityGroup:
        phase_a = PHASE_MARGIN * limit_kw / THREE_PHASES * amperes_per_kilowatt(DEFAULT_NOMINAL_VOLTAGE_V)
        return CapacityGroup(
            group_id=group_id,
            parent_id=parent_id,
            import_limit_kw=limit_kw,
            current_limit_a=(phase_a, phase_a, phase_a) if three_phase else None,
        )

    rows = (group(f"feeder-{row:03d}", 1.3 * limit_kw / feeders, "root") for row in range(feeders))
    return (group("root", limit_kw), *rows)


def _chargers(count: int, groups: tuple[CapacityGroup, ...], *, three_phase: bool) -> tuple[Charger, ...]:
    feeders = groups[1:] or groups
    return tuple(
        Charger(
            charger_id=f"c{index:06d}",
            group_id=feeders[index % len(feeders)].group_id,
            max_power_kw=11.0,
            phases=SINGLE_PHASES[index % THREE_PHASES] if three_phase else Phase.UNKNOWN,
        )
        for index in range(count)
    )


def _tariff(price: str, generator: np.random.Generator) -> EnergyTariff | None:
    if price == "none":
        return None
    hours = np.arange(24)
    by_hour = {
        "varied": 0.20 + 0.08 * np.sin(hours / 24 * 4 * np.pi) + generator.normal(0, 0.02, 24),
        "flat": np.full(24, 0.25),
        "negative": 0.15 - 0.25 * np.exp(-(((hours - 13) / 3.0) ** 2)),
    }[price]
    return EnergyTariff.from_blocks(
        PriceBlock(
            start=DAY + timedelta(hours=hour),
            end=DAY + timedelta(hours=hour + 1),
            import_price_per_kwh=round(float(by_hour[hour]), 5),
        )
        for hour in range(24)
    )
