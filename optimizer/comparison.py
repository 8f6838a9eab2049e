"""Every strategy on the same scenario, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from models.domain.scenario import Scenario
from optimizer.engine import optimize
from optimizer.options import OptimizeOptions, Strategy
from optimizer.planned_power import TOLERANCE

SHORT_KWH = 1e-3
"""A session that lacks less is served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedStrategy:
    """The figures of one strategy.

    Args:
        strategy: Its name.
        status: How good its plan is known to be.
        energy_cost: Currency.
        delivered_energy_kwh: kWh.
        unmet_energy_kwh: kWh that could have been served and are not.
        sessions_short: Sessions that lack energy their stay would allow.
        peak_import_kw: kW.
        minutes_over_limit: Minutes in which at least one group exceeds its limit.
        seconds: Wall time from scenario to verified plan, s.
    """

    strategy: str
    status: str
    energy_cost: float
    delivered_energy_kwh: float
    unmet_energy_kwh: float
    sessions_short: int
    peak_import_kw: float
    minutes_over_limit: float
    seconds: float

    def figures(self) -> dict[str, str | float | int]:
        """The same as a dictionary."""
        return asdict(self)


def compare_strategies(scenario: Scenario, options: OptimizeOptions) -> Iterator[ComparedStrategy]:
    """Plan a scenario with every strategy, the optimum first.

    Args:
        scenario: What is known.
        options: As for one plan; their strategy is not used.

    Yields:
        The figures of each strategy as soon as it is planned.
    """
    for strategy in Strategy:
        schedule = optimize(scenario, replace(options, strategy=strategy))
        yield ComparedStrategy(
            strategy=strategy.value,
            status=schedule.status.value,
            energy_cost=schedule.energy_cost,
            delivered_energy_kwh=schedule.delivered_energy_kwh,
            unmet_energy_kwh=schedule.unmet_energy_kwh,
            sessions_short=sum(result.unmet_energy_kwh > SHORT_KWH for result in schedule.sessions),
            peak_import_kw=schedule.peak_import_kw,
            minutes_over_limit=schedule.minutes_over_limit(TOLERANCE),
            seconds=schedule.seconds["total"],
        )
