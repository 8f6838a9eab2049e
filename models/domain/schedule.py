"""The result: power per session and step, what stays unserved and why, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

import numpy as np

from models.domain.measurement import AssetCategory
from models.domain.pickling import reduced
from models.domain.session import ChargingSession
from models.domain.time_grid import FloatArray, IntArray, TimeGrid
from models.domain.violation import LimitViolation
from models.domain.why import ReasonCode, Why
from models.units import MINUTES_PER_HOUR, SECONDS_PER_HOUR

SMALLEST_VALUE = 1e-9
"""A share of less than this would be one of nothing."""


class ScheduleStatus(StrEnum):
    """How good a schedule is known to be; every one of them has been verified."""

    OPTIMAL = "optimal"
    """Every stage of the objective was proved optimal."""
    FEASIBLE = "feasible"
    """Stopped at the time limit: it holds every limit, the stages reported as optimal are, the later ones are not."""
    FALLBACK = "fallback"
    """The solver gave nothing usable in time; a heuristic under the same limits made it."""
    HEURISTIC = "heuristic"
    """A heuristic was asked for."""
    ROLLED = "rolled"
    """What came of a day that was planned anew again and again, each time from what was known then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionResult:
    """What one session gets.

    Args:
        session: The session as asked for.
        delivered_energy_kwh: Energy planned, kWh.
        unmet_energy_kwh: What its stay would allow and the plan does not deliver, kWh.
        unreachable_energy_kwh: What its stay does not allow whatever the plan, kWh.
        reason: Why it goes short; empty when it does not.
        reason_codes: The same for machines.
    """

    session: ChargingSession
    delivered_energy_kwh: float
    unmet_energy_kwh: float
    unreachable_energy_kwh: float
    reason: str = ""
    reason_codes: tuple[ReasonCode, ...] = ()

    @property
    def share(self) -> float:
        """How much of the request is met, 0 to 1; 1 where nothing is asked for."""
        return self.delivered_energy_kwh / self.session.energy_kwh if self.session.energy_kwh > 0 else 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupResult:
    """What one group draws in each of T steps.

    Args:
        group_id: The group.
        power_kw: (T,), kW, counted as its limit counts it (mean over the step, or everything that may coincide); below
            zero where it feeds in.
        limit_kw: (T,), kW, infinite where nothing limits the group itself.
        shadow_price_per_kwh: (T,), currency saved per further kWh of this limit; zero where it does not bind, NaN where
            no solver said.
        export_limit_kw: (T,), kW, infinite where nothing limits what it feeds in; None where nothing can.
        export_shadow_price_per_kwh: The same as for the limit; None where nothing can be fed in.
    """

    group_id: str
    power_kw: FloatArray
    limit_kw: FloatArray
    shadow_price_per_kwh: FloatArray
    export_limit_kw: FloatArray | None = None
    export_shadow_price_per_kwh: FloatArray | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AssetResult:
    """What one asset beside the chargers, or a vehicle whose state is followed, does in each of T steps.

    Args:
        asset_id: The asset, or the session of the vehicle.
        category: STORAGE, GENERATION or CONSUMPTION; CHARGING for a vehicle.
        power_kw: (T,), mean of the step, kW, below zero where it feeds in.
        stored_kwh: (T,), what is in it at the end of the step, kWh, NaN where a vehicle is not there; None for others.
        available_kw: (T,), what a generator would feed in uncurtailed, kW; None for others.
        short_kwh: What a storage lacks at the end of what was to be in it, kWh.
    """

    asset_id: str
    category: AssetCategory
    power_kw: FloatArray
    stored_kwh: FloatArray | None = None
    available_kw: FloatArray | None = None
    short_kwh: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What a plan costs beside its import, currency, and what it moves.

    Args:
        import_energy_kwh: Drawn from the grid by all roots, kWh.
        export_energy_kwh: Fed in by all roots, kWh.
        export_revenue: What the export earns; part of the schedule's energy cost.
        wear_cost: Wear of batteries by what they feed in.
        demand_cost: For peaks above those already reached.
        carbon_kg: Carbon dioxide of the import, kg.
        carbon_cost: What that counts at the site's price.
        curtailed_energy_kwh: Generation left unused, kWh.
    """

    import_energy_kwh: float = 0.0
    export_energy_kwh: float = 0.0
    export_revenue: float = 0.0
    wear_cost: float = 0.0
    demand_cost: float = 0.0
    carbon_kg: float = 0.0
    carbon_cost: float = 0.0
    curtailed_energy_kwh: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LineResult:
    """What one line carries in each of T steps.

    Args:
        line_id: The line limit's id; of a group's connection, the group and the conductor.
        group_id: Whose sessions it carries.
        current_a: (T,), A, the most that can flow, whatever vehicles leave of what they may draw.
        limit_a: (T,), A, infinite where nothing limits it.
        shadow_price_per_kwh: (T,), currency saved per further kWh of the limit, its current at the site's nominal
            voltage; zero where it does not bind, NaN where no solver said.
    """

    line_id: str
    group_id: str
    current_a: FloatArray
    limit_a: FloatArray
    shadow_price_per_kwh: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """The value one stage of the objective reached.

    Args:
        name: Name of the stage.
        value: Its value, in the stage's unit.
        proved: Whether the solver proved it optimal.
        bound: What no plan can go below, earlier stages held; None where only proved optima were sought.
    """

    name: str
    value: float
    proved: bool
    bound: float | None = None


def _share_above(stage: StageResult) -> float | None:
    if stage.proved:
        return 0.0
    if stage.bound is None:
        return None
    return abs(stage.value - stage.bound) / max(abs(stage.value), SMALLEST_VALUE)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Schedule:
    """Power of S sessions over T steps, held as K rows of non-zero power.

    Args:
        grid: The T steps.
        sessions: (S,) results in canonical order (arrival, then id).
        session_index: (K,), which session a row is of.
        step_index: (K,), which step it lies in.
        start_s: (K,), seconds since the epoch, clipped to the session's presence.
        end_s: (K,), seconds since the epoch, clipped to the session's presence.
        power_kw: (K,), kW while present, below zero where a vehicle feeds in; times the row's length it is the energy.
        groups: One result for each group of the site.
        lines: One result for each line with a limit in ampere.
        price_per_kwh: (T,), currency per kWh; None without a tariff.
        energy_cost: Cost of the energy drawn less revenue of that fed in, currency; zero without a tariff.
        peak_import_kw: Highest power of the whole site, kW: of its sessions, or, with other assets, its net import.
        status: How good it is known to be.
        strategy: What made it.
        stages: Value of each stage of the objective, first stage first.
        notes: What was taken as it was although it looks wrong.
        why: What holds whom back, and what would have served who goes short; None where nobody asked.
        seconds: Wall time of each phase, s.
        assets: Storages, generators, base loads, and vehicles whose state is followed.
        costs: What is paid for beside the energy, and what is moved; None where nobody has added it up.
        violations: Where groups exceed a limit. Of an optimum it is the least that what nobody decides on leaves; a
            heuristic does nothing about it, and uncontrolled charging looks at no limits.
    """

    grid: TimeGrid
    sessions: tuple[SessionResult, ...]
    session_index: IntArray
    step_index: IntArray
    start_s: FloatArray
    end_s: FloatArray
    power_kw: FloatArray
    groups: tuple[GroupResult, ...]
    price_per_kwh: FloatArray | None
    energy_cost: float
    peak_import_kw: float
    status: ScheduleStatus
    strategy: str
    lines: tuple[LineResult, ...] = ()
    stages: tuple[StageResult, ...] = ()
    notes: tuple[str, ...] = ()
    why: Why | None = None
    seconds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    assets: tuple[AssetResult, ...] = ()
    costs: Costs | None = None
    violations: tuple[LimitViolation, ...] = ()

    def __reduce__(self) -> tuple[Callable[[], Schedule], tuple[()]]:
        return reduced(self)

    @property
    def energy_kwh(self) -> FloatArray:
        """(K,), kWh of each row."""
        return self.power_kw * (self.end_s - self.start_s) / SECONDS_PER_HOUR

    @property
    def requested_energy_kwh(self) -> float:
        """What all sessions ask for, kWh."""
        return sum(result.session.energy_kwh for result in self.sessions)

    @property
    def delivered_energy_kwh(self) -> float:
        """What all sessions get, kWh."""
        return sum(result.delivered_energy_kwh for result in self.sessions)

    @property
    def unmet_energy_kwh(self) -> float:
        """What could have been served to somebody and is not, kWh."""
        return sum(result.unmet_energy_kwh for result in self.sessions)

    @property
    def unreachable_energy_kwh(self) -> float:
        """What stays do not allow, kWh."""
        return sum(result.unreachable_energy_kwh for result in self.sessions)

    @property
    def gap(self) -> float | None:
        """How far a stage may be from the best that is possible, as a share of its value, and that of the worst stage.

        Zero where every stage is proved optimal; None where there is no bound to compare with, or no stage.
        """
        shares = [_share_above(stage) for stage in self.stages]
        known = [share for share in shares if share is not None]
        return max(known) if known and len(known) == len(shares) else None

    @property
    def limit_margin_kw(self) -> float | None:
        """Least distance of a group's power from its limit in any step, kW, negative above it; None without limits."""
        least_kw = min((float(np.min(one.limit_kw - one.power_kw)) for one in self.groups), default=np.inf)
        return least_kw if np.isfinite(least_kw) else None

    @property
    def lowest_share(self) -> float:
        """The lowest share of a request that is met, 0 to 1; 1 without sessions."""
        return min((result.share for result in self.sessions), default=1.0)

    @property
    def jain_index(self) -> float:
        """How equal the shares of requests are that are met.

            (sum_s share[s])^2 / (S * sum_s share[s]^2)

        1 where all are equal, 1 / S where one gets everything; 1 where nobody asks or gets anything. Source: R. Jain,
        D. Chiu and W. Hawe, A Quantitative Measure of Fairness and Discrimination (1984).
        """
        return jain_index([result.share for result in self.sessions if result.session.energy_kwh > 0])

    @property
    def total_cost(self) -> float:
        """Energy, wear, peaks and carbon together: what the plan minimises, currency."""
        costs = self.costs or Costs()
        return self.energy_cost + costs.wear_cost + costs.demand_cost + costs.carbon_cost

    def group(self, group_id: str) -> GroupResult:
        """The result of one group.

        Raises:
            KeyError: There is none of that id.
        """
        for result in self.groups:
            if result.group_id == group_id:
                return result
        raise KeyError(group_id)

    def minutes_over_limit(self, tolerance: float) -> float:
        """Minutes in which a group or line carries more than its limit by more than a tolerance in kW or A."""
        over = np.zeros(self.grid.steps, dtype=bool)
        for group in self.groups:
            over |= group.power_kw > group.limit_kw + tolerance
            if group.export_limit_kw is not None:
                over |= -group.power_kw > group.export_limit_kw + tolerance
        for line in self.lines:
            over |= line.current_a > line.limit_a + tolerance
        return float(self.grid.step_hours[over].sum() * MINUTES_PER_HOUR)


def jain_index(shares: Sequence[float]) -> float:
    """Jain's index of some shares; 1 where there are none above zero."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares > 0 else 1.0
