"""What a caller may choose: window, raster, meaning of limits, objective, strategy, solver, how to play a day again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from models.domain.pickling import reduced
from models.domain.time_grid import check_raster, require_aware
from models.domain.uncertainty import Uncertainty
from models.errors import InputError


class LimitMode(StrEnum):
    """What a limit in kW holds down."""

    MEAN = "mean"
    """The mean power over a step, as a settlement period measures it."""
    INSTANTANEOUS = "instantaneous"
    """Every moment: a session counts with its full power in each step in which it draws anything."""


class LineForm(StrEnum):
    """How a limit of a current that is a sum of phasors becomes linear; neither ever allows too much."""

    MAGNITUDE = "magnitude"
    """The sum of amounts, whatever their directions."""
    POLYGON = "polygon"
    """A regular polygon inside the circle that the limit is; its sides are added where they bind."""


class Strategy(StrEnum):
    """How a schedule is made."""

    OPTIMAL = "optimal"
    UNCONTROLLED = "uncontrolled"
    EQUAL_SHARE = "equal-share"
    EARLIEST_DEADLINE = "edf"
    LEAST_LAXITY = "llf"
    ROUND_ROBIN = "round-robin"
    FIRST_COME = "fcfs"


class Fairness(StrEnum):
    """Who goes short where not everybody can be served; within a priority class, for classes come first."""

    TOTAL = "total"
    """The most energy, weighted by priority; who gets it among equals is left to the later stages."""
    MAX_MIN = "max_min"
    """The share of each request that is met, as equal as can be: lexicographic max-min. Weights count for nothing."""
    PROPORTIONAL = "proportional"
    """The energy each gets per unit of priority, as equal as can be: proportional fairness where limits are nested."""


class Backend(StrEnum):
    """What carries the linear program to the solver."""

    PYOMO = "pyomo"
    """A Pyomo model, which any solver that Pyomo knows can read."""
    ARRAYS = "arrays"
    """The formulation's own arrays, straight into HiGHS: the same program, sooner."""


class PilotMode(StrEnum):
    """How much a plan cares for the powers that chargers can really be set to."""

    CONTINUOUS = "continuous"
    """Not at all: any power up to the most."""
    ROUNDED = "rounded"
    """The best plan of any powers, turned into one of real powers close to it."""
    EXACT = "exact"
    """The best plan of real powers: a mixed-integer program, which may take long."""


class Stage(StrEnum):
    """One thing to minimise; stages are lexicographic: a later one never worsens an earlier one."""

    UNMET_ENERGY = "unmet_energy"
    """Unserved energy weighted by priority, kWh."""
    EXPECTED_UNMET = "expected_unmet"
    """The same over all that may come, each surprise by its probability, kWh; falls away without surprises."""
    LIKELY_UNMET = "likely_unmet"
    """The same with what is planned for when a vehicle may have left, by how likely that is, kWh; falls away where
    nothing is known of departures, and where there are surprises."""
    PEAK_POWER = "peak_power"
    """Highest power of the whole site, kW."""
    STEADY_COST = "steady_cost"
    """Cost of the energy and of moving it against the previous plan, currency; falls away where moving is free."""
    ENERGY_COST = "energy_cost"
    """Cost of the energy, currency; falls away without prices."""
    PREVIOUS_PLAN = "previous_plan"
    """Energy moved against the previous plan, kWh; falls away without one."""
    EARLIEST_DELIVERY = "earliest_delivery"
    """Delivered energy times its delay since the window's start, kWh h."""


EXCESS_STAGES = ("over_connection_kwh", "over_capacity_kwh")
"""Energy above limits that what nobody decides on exceeds: above connections, then above what providers allow, kWh.

They come before every objective, where there is any."""


def stage_of_class(rank: int, stage: Stage = Stage.UNMET_ENERGY) -> str:
    """The stage that counts the unmet energy of a priority class, where there are several."""
    return f"{stage}_class_{rank}"


SERVICE_STAGES = (Stage.UNMET_ENERGY, Stage.EXPECTED_UNMET, Stage.LIKELY_UNMET)
"""What comes first in every objective."""

COST_OBJECTIVE = (
    Stage.UNMET_ENERGY,
    Stage.STEADY_COST,
    Stage.ENERGY_COST,
    Stage.PREVIOUS_PLAN,
    Stage.EARLIEST_DELIVERY,
)
PEAK_OBJECTIVE = (
    Stage.UNMET_ENERGY,
    Stage.PEAK_POWER,
    Stage.STEADY_COST,
    Stage.ENERGY_COST,
    Stage.PREVIOUS_PLAN,
    Stage.EARLIEST_DELIVERY,
)

DEFAULT_SOLVER = "highs"

MAX_MINIMUM_RUN = timedelta(hours=4)
DEFAULT_LINE_SIDES = 48
MIN_LINE_SIDES, MAX_LINE_SIDES = 4, 720


@dataclass(frozen=True, slots=True, kw_only=True)
class SolverOptions:
    """Which solver, and for how long.

    Args:
        name: ``highs`` for HiGHS itself; any other name is looked up among Pyomo's solvers.
        backend: What carries the program to HiGHS; another solver takes it from Pyomo only.
        time_limit_s: Wall time for all stages together, s; None for no limit.
        threads: Threads HiGHS may use; one value for the life of a process. None lets HiGHS choose.
        extra: Further options by the solver's own names; one it refuses is an error.
    """

    name: str = DEFAULT_SOLVER
    backend: Backend = Backend.PYOMO
    time_limit_s: float | None = None
    threads: int | None = None
    extra: Mapping[str, str | float | int | bool] = field(default_factory=lambda: MappingProxyType({}))

    def __reduce__(self) -> tuple[Callable[[], SolverOptions], tuple[()]]:
        return reduced(self)

    def __post_init__(self) -> None:
        if self.backend is Backend.ARRAYS and self.name != DEFAULT_SOLVER:
            raise InputError(f"solver {self.name!r} takes the back end {Backend.PYOMO} only, not {self.backend}")
        if self.time_limit_s is not None and not (math.isfinite(self.time_limit_s) and self.time_limit_s >= 0):
            raise InputError(f"time limit {self.time_limit_s} s must be finite and not negative")

    def left_since(self, began_s: float) -> SolverOptions:
        """The same with what is left of the time limit.

        Args:
            began_s: When it began to run, by `time.perf_counter`, s.
        """
        if self.time_limit_s is None:
            return self
        return replace(self, time_limit_s=max(self.time_limit_s - (time.perf_counter() - began_s), 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizeOptions:
    """How to plan one scenario.

    Args:
        start: Begin of the window; None for the first arrival, floored to the raster.
        end: End of the window; None for the last departure, ceiled to the raster.
        raster: Longest step, 1 min to 1 h.
        limit_mode: What a limit in kW, or a capacity provider's in A, holds down.
        current_mode: The same for limits in ampere that the site states of its own lines.
        line_form: How currents that differ in direction are added up.
        line_sides: Sides of the polygon, 4 to 720; it gives away at most 1 - cos(pi / sides) of a line.
        objective: Stages in order of importance, unmet energy first, none twice.
        strategy: The optimum, or one of the heuristics.
        pilots: How much the plan cares for least powers and power levels of chargers.
        minimum_run: How long a session with a least power stays on once it was switched on, unless its need is met, it
            leaves, or the limits have no room for it.
        fairness: Who goes short in the optimum.
        unserved_value_per_kwh: What a kWh served instead of lost is worth in shadow prices, currency per kWh. It weighs
            nothing in the plan itself, in which unmet energy comes first whatever it costs.
        moving_price_per_kwh: What a kWh must save to be moved against the previous plan, currency per kWh; at 0 any
            saving is enough.
        uncertainty: What the first steps are to be prepared for; None to believe what is stated.
        why: Whether to say what holds each session back in each step, and what would have served who goes short.
        why_limit_s: Wall time for finding what would have served whom, s; None for no limit. The worst served come
            first; who is not reached is named.
        solver: Solver and time limit.
    """

    start: datetime | None = None
    end: datetime | None = None
    raster: timedelta = timedelta(minutes=15)
    limit_mode: LimitMode = LimitMode.MEAN
    current_mode: LimitMode = LimitMode.INSTANTANEOUS
    line_form: LineForm = LineForm.POLYGON
    line_sides: int = DEFAULT_LINE_SIDES
    objective: tuple[Stage, ...] = COST_OBJECTIVE
    strategy: Strategy = Strategy.OPTIMAL
    pilots: PilotMode = PilotMode.ROUNDED
    minimum_run: timedelta = timedelta(0)
    fairness: Fairness = Fairness.TOTAL
    unserved_value_per_kwh: float = 10.0
    moving_price_per_kwh: float = 0.0
    uncertainty: Uncertainty | None = None
    why: bool = False
    why_limit_s: float | None = None
    solver: SolverOptions = field(default_factory=SolverOptions)

    def left_since(self, began_s: float) -> OptimizeOptions:
        """The same with what is left of the solver's time limit; the argument is that of `SolverOptions.left_since`."""
        return replace(self, solver=self.solver.left_since(began_s))

    @property
    def measured(self) -> OptimizeOptions:
        """The same for what was drawn in the end: a vehicle takes what it likes of what its charger is set to."""
        return replace(self, pilots=PilotMode.CONTINUOUS)

    @property
    def is_stepless(self) -> bool:
        """Whether powers are planned to which chargers may not be settable."""
        return self.pilots is PilotMode.CONTINUOUS or self.strategy is Strategy.UNCONTROLLED

    def __post_init__(self) -> None:
        check_raster(self.raster)
        for name, instant in (("start", self.start), ("end", self.end)):
            if instant is not None:
                require_aware(instant, name)
        if not timedelta(0) <= self.minimum_run <= MAX_MINIMUM_RUN:
            raise InputError(
                f"minimum_run is {self.minimum_run}; it must be between 0 and {MAX_MINIMUM_RUN}: a session that has to "
                "stay on for longer keeps others from the limits"
            )
        if not MIN_LINE_SIDES <= self.line_sides <= MAX_LINE_SIDES:
            raise InputError(f"line_sides is {self.line_sides}; it must be {MIN_LINE_SIDES} to {MAX_LINE_SIDES}")
        if self.fairness is not Fairness.TOTAL and self.pilots is PilotMode.EXACT:
            raise InputError(
                f"fairness {self.fairness} and pilots {self.pilots} do not go together: fair shares are found for "
                f"powers without steps; choose pilots {PilotMode.ROUNDED}"
            )
        if self.why_limit_s is not None and not (math.isfinite(self.why_limit_s) and self.why_limit_s >= 0):
            raise InputError(f"why_limit_s is {self.why_limit_s}; it must be finite and not negative")
        if not self.objective or self.objective[0] not in SERVICE_STAGES:
            raise InputError("the objective must begin with unmet_energy: the cheapest plan would serve nobody")
        if not (math.isfinite(self.moving_price_per_kwh) and self.moving_price_per_kwh >= 0):
            raise InputError(f"moving_price_per_kwh is {self.moving_price_per_kwh}; it must be finite and not negative")
        if len(set(self.objective)) != len(self.objective):
            raise InputError(f"the objective names a stage twice: {', '.join(self.objective)}")


class Occasion(StrEnum):
    """When a day is planned anew. In any case it is when a forecast comes: limits do not wait."""

    EVERY_STEP = "step"
    """At every edge of the grid; who arrives in between waits for the next one."""
    EVERY_EVENT = "event"
    """When a vehicle arrives, leaves, is full, or stays past its stated departure."""


class Foresight(StrEnum):
    """What is believed of the vehicles that are there."""

    STATED = "estimated"
    """The driver's word, as far as there is one."""
    TRUE = "actual"
    """When they leave and what they take, known on arrival; who comes next stays unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollOptions:
    """How to play a day.

    Args:
        plan: How each plan is made. Its window is that of the day; its limits hold at every moment where a plan may be
            cut short within a step.
        occasion: When to plan anew.
        foresight: What is believed of the vehicles.
    """

    plan: OptimizeOptions = field(default_factory=OptimizeOptions)
    occasion: Occasion = Occasion.EVERY_STEP
    foresight: Foresight = Foresight.STATED
