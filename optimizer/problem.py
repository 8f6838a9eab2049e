"""The scenario as arrays: what every formulation, heuristic and check reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from models.domain.asset import relief_on, share_on
from models.domain.capacity import EXPORT_KINDS, IMPORT_KINDS, SINGLE_PHASES, Phase
from models.domain.demand import DemandCharge
from models.domain.group import Charger, LimitCounts, Site
from models.domain.scenario import Scenario
from models.domain.schedule import Schedule
from models.domain.session import ChargingSession
from models.domain.time_grid import BoolArray, FloatArray, IntArray, TimeGrid, ceil_to_raster, floor_to_raster
from models.domain.uncertainty import Uncertainty
from models.errors import InputError
from models.units import SECONDS_PER_HOUR, amperes_per_kilowatt
from optimizer.arrays import sums_by
from optimizer.assets import (
    CURTAILED,
    VEHICLE_DISCHARGE,
    AssetArrays,
    SessionColumns,
    asset_arrays,
    fixed_power_kw,
    possible_energy_kwh,
)
from optimizer.lines import Line, site_lines
from optimizer.options import Fairness, LimitMode, LineForm, OptimizeOptions, PilotMode
from optimizer.pilot_rules import PilotRules
from optimizer.recourse import Recourse, recourse_of, surprised

ScalarT = TypeVar("ScalarT", bound=np.generic)

MAX_COLUMNS = 4_000_000
"""Power variables of one scenario; about 1 kB each in Pyomo."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CapacityLimit:
    """Something that holds down the power of some sessions together.

    Args:
        owner: The group, or the charger, whose limit it is.
        is_group: Whether the owner is a group.
        phase: The conductor it counts; ALL for all together.
        limit_kw: (T,), kW, infinite where it holds nothing down.
        share: (S,), how much of a session's power it counts: zero for those elsewhere.
        line: Index of the line whose limit it is, or a part of it; None where it is none of a line.
        every_moment: Whether it counts every moment, whatever others count.
        is_export: Whether it holds down what is fed in instead of what is drawn.
        others: What else it counts; None where sessions alone matter.
    """

    owner: str
    is_group: bool
    phase: Phase
    limit_kw: FloatArray
    share: FloatArray
    line: int | None = None
    every_moment: bool = False
    is_export: bool = False
    others: CountedAssets | None = None

    @property
    def label(self) -> str:
        """Its name in messages."""
        if self.line is not None:
            return f"line {self.owner}"
        kind = f"{'group' if self.is_group else 'charger'} {self.owner}"
        if self.is_export:
            kind += " export"
        return kind if self.phase is Phase.ALL else f"{kind} phase {self.phase}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CountedAssets:
    """What a limit counts beside the power that sessions draw.

    Args:
        session_relief: (S,), how much room a session's power makes under a limit of what is fed in.
        share: (O,), how much of an owner's flow in the limit's direction it counts.
        relief: (O,), how much room a flow in the other direction makes.
        fixed_kw: (T,), what it counts that nobody decides on, kW, above zero where it is drawn.
    """

    session_relief: FloatArray
    share: FloatArray
    relief: FloatArray
    fixed_kw: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LimitRows:
    """R pairs of a limit and a step in which it is finite and somebody may draw or feed in, in compressed rows.

        sum_k coefficient[k] * energy_kwh[column[k]]  <=  capacity_kwh[r]       for start[r] <= k < start[r + 1]

    Args:
        limit_index: (R,), index into the problem's limits.
        step_index: (R,).
        capacity_kwh: (R,), limit times length of the step, less what nobody decides on, kWh. What that alone exceeds is
            not asked of the plan, which must not add to it: the capacity is then zero, or what can be curtailed.
        start: (R + 1,), where a row begins.
        column: (nnz,), power columns, increasing within a row; from K on flows of assets.
        coefficient: (nnz,), share of the column's energy that counts; below zero where it makes room.
    """

    limit_index: IntArray
    step_index: IntArray
    capacity_kwh: FloatArray
    start: IntArray
    column: IntArray
    coefficient: FloatArray

    def load_kwh(self, energy_kwh: FloatArray) -> FloatArray:
        """What columns of these energies, (K + X,), put on each row: (R,), kWh."""
        rows = np.repeat(np.arange(self.limit_index.size), np.diff(self.start))
        weighted = self.coefficient * energy_kwh[self.column]
        return sums_by(rows, weighted, self.limit_index.size)


@dataclass(frozen=True, kw_only=True, eq=False)
class CapacityProblem:
    """S sessions over T steps with K power columns: one for each pair of a session and a step in which it is present.

    Args:
        grid: The steps.
        sessions: (S,), by arrival and id, whatever the order of the scenario.
        max_power_kw: (S,), the lower of the charger's and the vehicle's limit, kW.
        reachable_energy_kwh: (S,), what is asked for, but no more than the stay allows, kWh.
        requested_energy_kwh: (S,), what is asked for, kWh.
        priority: (S,), weight of unmet energy.
        priority_class: (S,), rank before all weights, the lowest first.
        fairness: Who goes short.
        column_session: (K,), increasing.
        column_step: (K,), increasing within a session.
        column_start_s: (K,), begin of the presence within the step, seconds since the epoch.
        column_end_s: (K,), end of it.
        max_energy_kwh: (K,), power times presence, kWh, above zero.
        limit_weight: (K,), energy a limit counts per kWh: 1 for means; step length over presence where every moment
            counts.
        moment_weight: (K,), the latter in any case.
        lines: Everything that holds currents down; those that are linear are among the limits.
        curved_lines: Indices of the others, of whose polygons `optimizer.currents` adds to the limits what binds.
        line_sides: Sides of such a polygon.
        amperes_per_kw: Current of 1 kW on one conductor at the nominal voltage, A.
        counts_moments: Whether limits hold down every moment instead of the mean.
        limits: Everything that holds sessions down together; every group is there with phase ALL, limited or not.
        price_per_kwh: (T,), currency per kWh drawn; None without a tariff.
        export_price_per_kwh: (T,), currency per kWh fed in; None without a tariff.
        carbon_kg_per_kwh: (T,), kg per kWh drawn; None where nobody counts it.
        carbon_price_per_kg: Currency per kg.
        demand_charges: Prices on peaks.
        assets: What is beside plain charging; None where there is nothing.
        previous_energy_kwh: (K,), the plan in force, kWh; None without one.
        pilot_rules: Powers that sessions may be given; None where any will do.
        sessions_outside_window: How many sessions were left out because they are not wholly inside the window.
        notes: What was decided about odd input.
        moving_price_per_kwh: What a kWh must save to be moved against the plan in force, currency per kWh.
        recourses: What may come instead, over the same sessions; empty where what is stated is believed.
    """

    grid: TimeGrid
    sessions: tuple[ChargingSession, ...]
    max_power_kw: FloatArray
    reachable_energy_kwh: FloatArray
    requested_energy_kwh: FloatArray
    priority: FloatArray
    priority_class: IntArray
    fairness: Fairness
    column_session: IntArray
    column_step: IntArray
    column_start_s: FloatArray
    column_end_s: FloatArray
    max_energy_kwh: FloatArray
    limit_weight: FloatArray
    moment_weight: FloatArray
    lines: tuple[Line, ...]
    curved_lines: tuple[int, ...]
    line_sides: int
    amperes_per_kw: float
    limits: tuple[CapacityLimit, ...]
    price_per_kwh: FloatArray | None
    previous_energy_kwh: FloatArray | None
    pilot_rules: PilotRules | None
    sessions_outside_window: int
    notes: tuple[str, ...]
    moving_price_per_kwh: float = 0.0
    recourses: tuple[Recourse, ...] = ()
    counts_moments: bool = False
    export_price_per_kwh: FloatArray | None = None
    carbon_kg_per_kwh: FloatArray | None = None
    carbon_price_per_kg: float = 0.0
    demand_charges: tuple[DemandCharge, ...] = ()
    assets: AssetArrays | None = None

    @property
    def columns(self) -> int:
        """K, the number of pairs of a session and a step."""
        return self.column_session.size

    @cached_property
    def step_hours(self) -> FloatArray:
        """(T,), h."""
        return self.grid.step_hours

    @cached_property
    def first_column(self) -> IntArray:
        """(S + 1,), where a session's columns begin."""
        counts = np.bincount(self.column_session, minlength=len(self.sessions))
        return np.concatenate(([0], np.cumsum(counts)))

    @cached_property
    def import_cost_per_kwh(self) -> FloatArray | None:
        """(T,), what a kWh drawn counts, price and carbon together, currency per kWh; None where nothing is priced."""
        carbon = None
        if self.carbon_kg_per_kwh is not None and self.carbon_price_per_kg > 0:
            carbon = self.carbon_price_per_kg * self.carbon_kg_per_kwh
        if self.price_per_kwh is None:
            return carbon
        return self.price_per_kwh if carbon is None else self.price_per_kwh + carbon

    @cached_property
    def flow_step(self) -> IntArray:
        """(K + X,), the step of each power column and flow."""
        return self.column_step if self.assets is None else np.append(self.column_step, self.assets.flows.step)

    def with_flows(self, energy_kwh: FloatArray, flow_kwh: FloatArray | None) -> FloatArray:
        """Energies of all columns of limit rows, (K + X,), from those of sessions, (K,), and flows, (X,) or zero."""
        if self.assets is None:
            return energy_kwh
        return np.append(energy_kwh, np.zeros(self.assets.flows.count) if flow_kwh is None else flow_kwh)

    @cached_property
    def limit_rows(self) -> LimitRows:
        """The rows of all limits, limit by limit and step by step."""
        return _limit_rows(self)

    def weight_of(self, *, every_moment: bool) -> FloatArray:
        """(K,), energy counted per kWh."""
        return self.moment_weight if every_moment else self.limit_weight

    def columns_of(self, sessions: IntArray) -> IntArray:
        """All columns of some sessions, in order."""
        first = self.first_column[sessions]
        counts = self.first_column[sessions + 1] - first
        offset: IntArray = np.repeat(first - (np.cumsum(counts) - counts), counts)
        return np.arange(offset.size) + offset

    def delivered_kwh(self, energy_kwh: FloatArray, flow_kwh: FloatArray | None = None) -> FloatArray:
        """Energy of each session, (S,), kWh, from that of each column, (K,), and each flow, (X,).

        Of a vehicle that feeds in, what it would draw to be as full at the end:
        ``drawn - fed in / (charge_efficiency * discharge_efficiency)``.
        """
        delivered = sums_by(self.column_session, energy_kwh, len(self.sessions))
        if flow_kwh is None or self.assets is None:
            return delivered
        session, kwh_per_kwh = self.vehicle_discharge
        flows = self.assets.flows.of(VEHICLE_DISCHARGE)
        return delivered - sums_by(session, flow_kwh[flows] * kwh_per_kwh, delivered.size)

    @cached_property
    def vehicle_discharge(self) -> tuple[IntArray, FloatArray]:
        """Of each flow that vehicles feed in, the session, (D,), and what has to be drawn for a kWh of it, (D,)."""
        if self.assets is None:
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        stores = self.assets.stores
        feeds = (stores.session[stores.store] >= 0) & (stores.discharge_column >= 0)
        store = stores.store[feeds]
        return stores.session[store], 1.0 / (stores.charge_efficiency * stores.discharge_efficiency)[store]


def prepare(scenario: Scenario, options: OptimizeOptions, *, edges_s: Sequence[float] = ()) -> CapacityProblem:
    """Put a scenario into arrays.

    Args:
        scenario: What is known.
        options: Window, raster and meaning of limits.
        edges_s: Further edges of the grid, seconds since the epoch; those outside of the window are dropped.

    Returns:
        The problem; the same for any order of the scenario's sessions, groups and chargers.

    Raises:
        InputError: No window follows from the input, prices leave a gap in it, or the problem is too large.
    """
    start, end = window(scenario, options)
    start_s, end_s = start.timestamp(), end.timestamp()
    sessions = sorted(
        (s for s in scenario.sessions if s.arrival_s >= start_s and s.departure_s <= end_s),
        key=lambda session: (session.arrival_s, session.session_id),
    )
    grid = _grid(scenario, options, (start, end), edges_s)
    chargers = [scenario.site.charger(session.charger_id).used_by(session.vehicle_phases) for session in sessions]
    max_power_kw = np.array(
        [
            _max_power_kw(session, charger, stepless=options.is_stepless)
            for session, charger in zip(sessions, chargers, strict=True)
        ],
        dtype=np.float64,
    )
    columns = _columns(sessions, grid, max_power_kw)
    max_energy_kwh = max_power_kw[columns.session] * columns.hours
    requested_kwh = np.array([session.energy_kwh for session in sessions], dtype=np.float64)
    of_sessions = SessionColumns(
        sessions=sessions,
        groups=[charger.group_id for charger in chargers],
        phases=[charger.phases for charger in chargers],
        charger_power_kw=np.array([charger.max_power_kw for charger in chargers], dtype=np.float64),
        session=columns.session,
        step=columns.step,
        hours=columns.hours,
        max_energy_kwh=max_energy_kwh,
    )
    assets = asset_arrays(scenario, grid, of_sessions)
    possible_kwh = (
        sums_by(columns.session, max_energy_kwh, len(sessions))
        if assets is None
        else possible_energy_kwh(assets.stores, of_sessions)
    )
    limits, notes = _limits(scenario, grid, sessions, chargers, assets)
    tariff = scenario.tariff
    carbon = scenario.carbon_kg_per_kwh
    moment_weight = grid.step_hours[columns.step] / columns.hours
    lines = site_lines(scenario, grid, chargers, options)
    is_curved = [options.line_form is LineForm.POLYGON and not line.is_exact_as_a_sum for line in lines]
    rules = PilotRules.of(chargers, max_power_kw, options, every_moment=any(line.every_moment for line in lines))
    if assets is not None:
        _require_alone(rules, lines, options)
    problem = CapacityProblem(
        grid=grid,
        sessions=tuple(sessions),
        max_power_kw=max_power_kw,
        reachable_energy_kwh=np.minimum(requested_kwh, possible_kwh),
        requested_energy_kwh=requested_kwh,
        priority=np.array([session.priority for session in sessions], dtype=np.float64),
        priority_class=np.array([session.priority_class for session in sessions], dtype=np.int64),
        fairness=options.fairness,
        column_session=columns.session,
        column_step=columns.step,
        column_start_s=columns.start_s,
        column_end_s=columns.end_s,
        max_energy_kwh=max_energy_kwh,
        limit_weight=np.ones(columns.session.size) if options.limit_mode is LimitMode.MEAN else moment_weight,
        moment_weight=moment_weight,
        lines=lines,
        curved_lines=tuple(np.flatnonzero(is_curved).tolist()),
        line_sides=options.line_sides,
        amperes_per_kw=amperes_per_kilowatt(scenario.site.nominal_voltage_v),
        limits=limits,
        price_per_kwh=None if tariff is None else tariff.import_price_on(grid),
        export_price_per_kwh=None if tariff is None else tariff.export_price_on(grid),
        carbon_kg_per_kwh=None if carbon is None else carbon.on(grid, "carbon intensity"),
        carbon_price_per_kg=scenario.site.carbon_price_per_kg,
        demand_charges=tuple(charge for charge in scenario.demand_charges if charge.price_per_kw > 0),
        assets=assets,
        counts_moments=options.limit_mode is not LimitMode.MEAN,
        pilot_rules=rules,
        previous_energy_kwh=None if scenario.previous is None else _previous(scenario.previous, sessions, columns),
        sessions_outside_window=len(scenario.sessions) - len(sessions),
        notes=notes,
        moving_price_per_kwh=options.moving_price_per_kwh,
    )
    linear = [
        line_limit(problem, index, lines[index].magnitude)
        for index in np.flatnonzero(~np.array(is_curved, dtype=bool)).tolist()
    ]
    problem = replace(problem, limits=(*limits, *linear)) if linear else problem
    if options.uncertainty is None or not sessions:
        return problem
    return replace(problem, recourses=_recourses(scenario, problem, options, options.uncertainty))


def line_limit(problem: CapacityProblem, index: int, share: FloatArray, slack: float = 1.0) -> CapacityLimit:
    """A limit that holds a line down as far as one linear form of its currents goes.

    Args:
        problem: Has the line.
        index: Which one.
        share: (S,), the linear form, per kW of each session.
        slack: What its limit is multiplied by.

    Returns:
        The limit, infinite in steps in which it holds nobody down even at full power.
    """
    line = problem.lines[index]
    weight = problem.weight_of(every_moment=line.every_moment)
    most_kwh = share[problem.column_session] * weight * problem.max_energy_kwh
    most_kw = sums_by(problem.column_step, most_kwh, problem.grid.steps) / problem.step_hours
    limit_kw = line.limit_kw * slack
    return CapacityLimit(
        owner=line.line_id,
        is_group=False,
        phase=Phase.ALL,
        limit_kw=np.where(most_kw > limit_kw, limit_kw, np.inf),
        share=share,
        line=index,
        every_moment=line.every_moment,
    )


def _recourses(
    scenario: Scenario, plan: CapacityProblem, options: OptimizeOptions, uncertainty: Uncertainty
) -> tuple[Recourse, ...]:
    """The problem of every surprise, on steps that have the plan's edges."""
    edges_s = plan.grid.edges_s.tolist()
    shared_s = edges_s[0] + options.raster.total_seconds()
    believed = replace(scenario, sessions=plan.sessions, tariff=None, previous=None)
    choice = replace(
        options,
        start=plan.grid.start,
        uncertainty=None,
        # What comes later is planned again: what is simple and holds every limit is enough.
        pilots=PilotMode.CONTINUOUS,
        line_form=LineForm.MAGNITUDE,
    )
    recourses = []
    for surprise in uncertainty.surprises:
        then = surprised(believed, uncertainty, surprise, now_s=edges_s[0], latest=options.end)
        problem = prepare(then, choice, edges_s=edges_s)
        recourses.append(recourse_of(plan, problem, surprise, shared_s=shared_s))
    return tuple(recourses)


def _max_power_kw(session: ChargingSession, charger: Charger, *, stepless: bool) -> float:
    power_kw = charger.max_power_kw if session.max_power_kw is None else min(charger.max_power_kw, session.max_power_kw)
    return power_kw if stepless else charger.setting_kw(power_kw)


def _require_alone(rules: PilotRules | None, lines: Sequence[Line], options: OptimizeOptions) -> None:
    """Let pass assets without what they would have to follow, and nobody makes them.

    Raises:
        InputError: Beside assets, chargers have powers of their own, lines have limits, or surprises are prepared for.
    """
    found = [
        (rules is not None, "chargers with min_power_kw or power_levels_kw", "plan with any power"),
        (bool(lines), "limits in A of lines", "state the limits in kW"),
        (options.uncertainty is not None, "plans prepared for surprises", "plan for what is stated"),
    ]
    for is_there, what, remedy in found:
        if is_there:
            raise InputError(
                f"{what} are not planned together with storages, generators, base loads or vehicles whose state is "
                f"followed; {remedy}, or leave the assets out"
            )


def window(scenario: Scenario, options: OptimizeOptions) -> tuple[datetime, datetime]:
    """First and last instant of the plan.

    Without sessions it is the time for which forecasts and prices, as far as there are any, are both known.

    Raises:
        InputError: Nothing says when the window is, or it is empty.
    """
    zone = scenario.site.time_zone
    if scenario.sessions:
        first = min(scenario.sessions, key=lambda session: session.arrival_s).arrival
        last = max(scenario.sessions, key=lambda session: session.departure_s).departure
    else:
        first, last = _known_time(scenario, options)
    start = options.start or floor_to_raster(first, options.raster, zone)
    end = options.end or ceil_to_raster(last, options.raster, zone)
    if end.timestamp() <= start.timestamp():
        raise InputError(f"window end {end.isoformat()} is not after its start {start.isoformat()}")
    return start, end


def _known_time(scenario: Scenario, options: OptimizeOptions) -> tuple[datetime, datetime]:
    """First and last instant for which every source that says anything says something."""
    sources = [scenario.forecasts.edges_s(exports=scenario.can_feed_in)]
    if scenario.tariff is not None:
        sources.append(scenario.tariff.edges_s())
    sources += [series.edges_s() for series in (*scenario.generation_kw.values(), *scenario.base_load_kw.values())]
    extents = [(float(edges_s.min()), float(edges_s.max())) for edges_s in sources if edges_s.size]
    if extents:
        first_s, last_s = max(first for first, _ in extents), min(last for _, last in extents)
        return datetime.fromtimestamp(first_s, tz=UTC), datetime.fromtimestamp(last_s, tz=UTC)
    if options.start is None or options.end is None:
        raise InputError(
            "there are no sessions, forecasts or prices that say when to plan; give both start and end of the window"
        )
    return options.start, options.end


def _grid(
    scenario: Scenario, options: OptimizeOptions, span: tuple[datetime, datetime], edges_s: Sequence[float]
) -> TimeGrid:
    known_s = scenario.edges_s(*(instant.timestamp() for instant in span))
    return TimeGrid.build(
        *span,
        raster=options.raster,
        extra_edges_s=np.concatenate((known_s, np.array(edges_s, dtype=np.float64))),
        time_zone=scenario.site.time_zone,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Columns:
    session: IntArray
    step: IntArray
    start_s: FloatArray
    end_s: FloatArray
    hours: FloatArray


def _columns(sessions: Sequence[ChargingSession], grid: TimeGrid, max_power_kw: FloatArray) -> _Columns:
    """One column for each session and step that share time, if the session may draw power."""
    arrival_s = np.array([session.arrival_s for session in sessions])
    departure_s = np.array([session.departure_s for session in sessions])
    first = np.searchsorted(grid.edges_s, arrival_s, side="right") - 1
    behind = np.searchsorted(grid.edges_s, departure_s, side="left")
    counts = np.where(max_power_kw > 0, behind - first, 0)
    total = int(counts.sum())
    if total > MAX_COLUMNS:
        raise InputError(
            f"{len(sessions)} sessions over {grid.steps} steps need {total} power variables; "
            f"at most {MAX_COLUMNS} fit; choose a shorter window or a longer step"
        )
    session = np.repeat(np.arange(len(sessions)), counts)
    step = np.arange(total) + np.repeat(first - (np.cumsum(counts) - counts), counts)
    start_s = np.maximum(grid.edges_s[step], arrival_s[session])
    end_s = np.minimum(grid.edges_s[step + 1], departure_s[session])
    return _Columns(
        session=session, step=step, start_s=start_s, end_s=end_s, hours=(end_s - start_s) / SECONDS_PER_HOUR
    )


def _limits(
    scenario: Scenario,
    grid: TimeGrid,
    sessions: Sequence[ChargingSession],
    chargers: Sequence[Charger],
    assets: AssetArrays | None,
) -> tuple[tuple[CapacityLimit, ...], tuple[str, ...]]:
    site = scenario.site
    members: dict[str, list[int]] = defaultdict(list)
    for index, charger in enumerate(chargers):
        for group_id in site.path(charger.group_id):
            members[group_id].append(index)
    stated, notes = _group_limits_kw(scenario, grid, export=False)
    limits: list[CapacityLimit] = []
    for (group_id, phase), limit_kw in sorted(stated.items()):
        if phase is Phase.ALL or np.isfinite(limit_kw).any():
            share = np.zeros(len(sessions))
            share[members[group_id]] = [chargers[index].share_on(phase) for index in members[group_id]]
            limit = CapacityLimit(owner=group_id, is_group=True, phase=phase, limit_kw=limit_kw, share=share)
            limits.append(limit if assets is None else _counting(limit, scenario, assets, chargers))
    if assets is not None and scenario.can_feed_in:
        exports, export_notes = _group_limits_kw(scenario, grid, export=True)
        notes += export_notes
        limits += [
            _counting(
                CapacityLimit(
                    owner=group_id,
                    is_group=True,
                    phase=phase,
                    limit_kw=limit_kw,
                    share=np.zeros(len(sessions)),
                    is_export=True,
                ),
                scenario,
                assets,
                chargers,
            )
            for (group_id, phase), limit_kw in sorted(exports.items())
            if np.isfinite(limit_kw).any()
        ]
    if any(limit.phase is not Phase.ALL for limit in limits) and any(c.wiring is None for c in chargers):
        notes.append("limits per phase meet chargers of unknown phase, which count in full on each phase")
    shared = _charger_limits(site, grid, sessions)
    if assets is not None:
        shared = [_with_discharge(limit, assets, len(sessions)) for limit in shared]
    return (*limits, *shared), tuple(notes)


def _with_discharge(limit: CapacityLimit, assets: AssetArrays, sessions: int) -> CapacityLimit:
    """A shared charger, which counts what its vehicles feed in like what they draw."""
    here = np.array([float(owner.charger_id == limit.owner) for owner in assets.flows.owners])
    others = CountedAssets(
        session_relief=np.zeros(sessions), share=here, relief=-here, fixed_kw=np.zeros(limit.limit_kw.size)
    )
    return replace(limit, others=others)


def _counting(
    limit: CapacityLimit, scenario: Scenario, assets: AssetArrays, chargers: Sequence[Charger]
) -> CapacityLimit:
    """A limit of a group with what it counts beside the power that sessions draw."""
    site, phase = scenario.site, limit.phase
    below = frozenset(group.group_id for group in site.groups if limit.owner in site.path(group.group_id))
    counts_all = next(g for g in site.groups if g.group_id == limit.owner).limit_counts is LimitCounts.TOTAL
    owners = assets.flows.owners
    counted = [owner.group_id in below and (counts_all or owner.flexible) for owner in owners]
    steps = limit.limit_kw.size

    def of_owners(weight: Callable[[Phase, Phase], float]) -> FloatArray:
        return np.array(
            [weight(owner.phases, phase) if used else 0.0 for owner, used in zip(owners, counted, strict=True)]
        )

    session_relief = [charger.relief_on(phase) if charger.group_id in below else 0.0 for charger in chargers]
    others = CountedAssets(
        session_relief=np.array(session_relief, dtype=np.float64),
        share=of_owners(share_on),
        relief=of_owners(relief_on),
        fixed_kw=fixed_power_kw(assets.fixed, below, phase, steps, export=limit.is_export)
        if counts_all
        else np.zeros(steps),
    )
    return replace(limit, others=others)


def _group_limits_kw(
    scenario: Scenario, grid: TimeGrid, *, export: bool
) -> tuple[dict[tuple[str, Phase], FloatArray], list[str]]:
    """Limit of each group and stated phase, (T,) kW, infinite where there is none.

    The lower of connection limit and forecast holds. Where a group has forecasts but none covers a step, and neither
    the group nor anything that feeds it has a limit then, the limit is zero: a gap never means unlimited.
    """
    site, forecasts = scenario.site, scenario.forecasts
    capacity_on = forecasts.export_capacity_on if export else forecasts.import_capacity_on
    kinds = EXPORT_KINDS if export else IMPORT_KINDS
    limits: dict[tuple[str, Phase], FloatArray] = {}
    limited: dict[str, BoolArray] = {}
    for group in site.groups:
        stated = group.export_limit_kw if export else group.import_limit_kw
        static_kw = np.inf if stated is None else stated
        for phase in (Phase.ALL, *SINGLE_PHASES):
            stated_kw = np.nan_to_num(capacity_on(grid, group.group_id, phase), nan=np.inf)
            limits[group.group_id, phase] = np.minimum(stated_kw, static_kw) if phase is Phase.ALL else stated_kw
        by_phase = [np.isfinite(limits[group.group_id, phase]) for phase in (Phase.ALL, *SINGLE_PHASES)]
        limited[group.group_id] = np.logical_or.reduce(by_phase)
    notes = []
    for group in site.groups:
        if forecasts.has_limits(group.group_id, kinds):
            gap = ~np.logical_or.reduce([limited[group_id] for group_id in site.path(group.group_id)])
            limits[group.group_id, Phase.ALL][gap] = 0.0
            if gap.any():
                field = "export_limit_kw" if export else "import_limit_kw"
                notes.append(
                    f"no {'export ' if export else ''}capacity is known for group {group.group_id!r} in "
                    f"{int(gap.sum())} steps, the first at "
                    f"{grid.instant(float(grid.edges_s[int(np.argmax(gap))])).isoformat()}: planned as 0 kW; state "
                    f"{field} or send {kinds[1]} to allow more"
                )
    return limits, notes


def _charger_limits(site: Site, grid: TimeGrid, sessions: Sequence[ChargingSession]) -> list[CapacityLimit]:
    """Where sessions overlap on one charger they share its power; elsewhere the bound of a column is enough."""
    by_charger: dict[str, list[int]] = defaultdict(list)
    for index, session in enumerate(sessions):
        by_charger[session.charger_id].append(index)
    limits = []
    for charger_id, indices in sorted(item for item in by_charger.items() if len(item[1]) > 1):
        shared = np.zeros(grid.steps, dtype=bool)
        busy_until_s = -np.inf
        for session in (sessions[index] for index in indices):
            both_until_s = min(busy_until_s, session.departure_s)
            if session.arrival_s < both_until_s:
                shared |= (grid.edges_s[:-1] < both_until_s) & (grid.edges_s[1:] > session.arrival_s)
            busy_until_s = max(busy_until_s, session.departure_s)
        if shared.any():
            share = np.zeros(len(sessions))
            share[indices] = 1.0
            limit_kw = np.where(shared, site.charger(charger_id).max_power_kw, np.inf)
            limits.append(
                CapacityLimit(owner=charger_id, is_group=False, phase=Phase.ALL, limit_kw=limit_kw, share=share)
            )
    return limits


def _previous(previous: Schedule, sessions: Sequence[ChargingSession], columns: _Columns) -> FloatArray:
    """Energy the previous plan would deliver in each column: its rows, integrated over the column's presence."""
    energy_kwh = np.zeros(columns.session.size)
    index_of = {session.session_id: index for index, session in enumerate(sessions)}
    first = np.searchsorted(columns.session, np.arange(len(sessions) + 1))
    for row in range(previous.power_kw.size):
        index = index_of.get(previous.sessions[int(previous.session_index[row])].session.session_id)
        if index is None:
            continue
        mine = slice(int(first[index]), int(first[index + 1]))
        overlap_s = np.minimum(columns.end_s[mine], previous.end_s[row]) - np.maximum(
            columns.start_s[mine], previous.start_s[row]
        )
        energy_kwh[mine] += previous.power_kw[row] * np.maximum(overlap_s, 0.0) / SECONDS_PER_HOUR
    return energy_kwh


def _limit_rows(problem: CapacityProblem) -> LimitRows:
    limit_index, step_index, capacity, counts, columns, coefficients = [], [], [], [], [], []
    for index, limit in enumerate(problem.limits):
        mine, coefficient = counted_columns(problem, limit)
        kept = np.isfinite(limit.limit_kw[problem.flow_step[mine]])
        if limit.is_export:
            kept &= _may_exceed(problem, limit, mine, coefficient)[problem.flow_step[mine]]
        mine, coefficient = mine[kept], coefficient[kept]
        order = np.argsort(problem.flow_step[mine], kind="stable")
        mine, coefficient = mine[order], coefficient[order]
        steps, sizes = np.unique(problem.flow_step[mine], return_counts=True)
        limit_index.append(np.full(steps.size, index))
        step_index.append(steps)
        capacity.append(_capacity_kwh(problem, limit, steps))
        counts.append(sizes)
        columns.append(mine)
        coefficients.append(coefficient)
    return LimitRows(
        limit_index=_joined(limit_index, np.int64),
        step_index=_joined(step_index, np.int64),
        capacity_kwh=_joined(capacity, np.float64),
        start=np.concatenate(([0], np.cumsum(_joined(counts, np.int64)))),
        column=_joined(columns, np.int64),
        coefficient=_joined(coefficients, np.float64),
    )


def _may_exceed(problem: CapacityProblem, limit: CapacityLimit, mine: IntArray, coefficient: FloatArray) -> BoolArray:
    """In which steps a limit can be exceeded at all: (T,)."""
    if problem.assets is None:
        return np.ones(problem.grid.steps, dtype=bool)
    most = np.append(problem.max_energy_kwh, problem.assets.flows.max_kwh)[mine] * np.maximum(coefficient, 0.0)
    limited = np.flatnonzero(np.isfinite(limit.limit_kw))
    exceeded = np.zeros(problem.grid.steps, dtype=bool)
    most_kwh = sums_by(problem.flow_step[mine], most, problem.grid.steps)
    exceeded[limited] = most_kwh[limited] > _capacity_kwh(problem, limit, limited)
    return exceeded


def _capacity_kwh(problem: CapacityProblem, limit: CapacityLimit, steps: IntArray) -> FloatArray:
    """What a limit leaves in some steps for those who are planned, kWh."""
    capacity_kwh: FloatArray = limit.limit_kw[steps] * problem.step_hours[steps]
    if limit.others is None:
        return capacity_kwh
    fixed_kwh = (limit.others.fixed_kw * problem.step_hours)[steps]
    left_kwh = capacity_kwh + fixed_kwh if limit.is_export else capacity_kwh - fixed_kwh
    return np.maximum(left_kwh, _least_kwh(problem, limit, steps))


def counted_columns(problem: CapacityProblem, limit: CapacityLimit) -> tuple[IntArray, FloatArray]:
    """The columns and flows that a limit counts, and how much of each.

    Where every moment counts, what flows for a part of a step counts as if for all of it, and makes no room.
    """
    others = limit.others
    if others is None or problem.assets is None:
        weight = problem.weight_of(every_moment=limit.every_moment)
        mine = problem.columns_of(np.flatnonzero(limit.share))
        return mine, limit.share[problem.column_session[mine]] * weight[mine]
    flows = problem.assets.flows
    whole_step = problem.limit_weight == 1.0
    if limit.is_export:
        drawn = np.where(whole_step, -others.session_relief[problem.column_session], 0.0)
    else:
        drawn = limit.share[problem.column_session] * problem.limit_weight
    weight = _flow_weight(problem)
    with_limit = flows.sign < 0 if limit.is_export else flows.sign > 0
    other = np.where(
        with_limit, others.share[flows.owner] * weight, np.where(weight == 1.0, -others.relief[flows.owner], 0.0)
    )
    coefficient = np.concatenate((drawn, other))
    mine = np.flatnonzero(coefficient)
    return mine, coefficient[mine]


def _flow_weight(problem: CapacityProblem) -> FloatArray:
    """(X,), energy a limit counts per kWh of a flow in its direction."""
    if problem.assets is None:
        return np.zeros(0)
    flows = problem.assets.flows
    if not problem.counts_moments:
        return np.ones(flows.count)
    return problem.step_hours[flows.step] / flows.hours


def _least_kwh(problem: CapacityProblem, limit: CapacityLimit, steps: IntArray) -> FloatArray:
    """What a limit's capacity is taken for where fixed powers alone exceed it: zero, or all that can be curtailed."""
    least = np.zeros(steps.size)
    if problem.assets is None or limit.others is None or not limit.is_export:
        return least
    flows = problem.assets.flows
    curtailed = flows.of(CURTAILED)
    relief = limit.others.share[flows.owner[curtailed]] * flows.max_kwh[curtailed]
    return least - sums_by(flows.step[curtailed], relief, problem.grid.steps)[steps]


def _joined(parts: list[NDArray[ScalarT]], dtype: type[ScalarT]) -> NDArray[ScalarT]:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=dtype)
