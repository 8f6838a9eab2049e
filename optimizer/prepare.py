"""From a scenario to arrays: window, grid, columns, limits, and the plan in force on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from models.domain.asset import relief_on, share_on
from models.domain.capacity import EXPORT_KINDS, IMPORT_KINDS, SINGLE_PHASES, Phase
from models.domain.group import Charger, LimitCounts, Site
from models.domain.scenario import Scenario
from models.domain.schedule import Schedule
from models.domain.session import ChargingSession
from models.domain.time_grid import BoolArray, FloatArray, IntArray, TimeGrid, ceil_to_raster, floor_to_raster
from models.domain.uncertainty import Uncertainty
from models.domain.violation import STATED_KW
from models.errors import InputError
from models.units import SECONDS_PER_HOUR, amperes_per_kilowatt
from optimizer.arrays import sums_by
from optimizer.assets import AssetArrays, fixed_power_kw
from optimizer.lines import BesideSessions, Line, site_lines
from optimizer.options import LimitMode, LineForm, OptimizeOptions, PilotMode
from optimizer.pilot_rules import PilotRules
from optimizer.prepare_assets import SessionColumns, asset_arrays, possible_energy_kwh
from optimizer.problem import CapacityLimit, CapacityProblem, CountedAssets
from optimizer.recourse import Recourse, recourse_of, surprised

MAX_COLUMNS = 4_000_000
"""Power variables of one scenario; about 1 kB each in Pyomo."""


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
    lines = site_lines(scenario, grid, sessions, chargers, options, assets)
    notes = (*notes, *_overloaded_lines(scenario, grid, lines))
    is_curved = [options.line_form is LineForm.POLYGON and not line.is_exact_as_a_sum for line in lines]
    rules = PilotRules.of(
        chargers,
        max_power_kw,
        options,
        feeds_in=[session.discharge_power_kw > 0 for session in sessions],
        every_moment=any(line.every_moment for line in lines),
    )
    if assets is not None and options.uncertainty is not None:
        raise InputError(
            "plans prepared for surprises are not planned together with storages, generators, base loads or vehicles "
            "whose state is followed; plan for what is stated, or leave the assets out"
        )
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
    linear += [_feeding_limit(problem, index) for index, line in enumerate(lines) if line.beside and line.beside.feeds]
    problem = replace(problem, limits=(*limits, *linear)) if linear else problem
    if options.uncertainty is None or not sessions:
        return problem
    if not options.uncertainty.surprises:
        return replace(problem, presence=_presence(problem, options.uncertainty))
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
    limit_kw = line.limit_kw * slack
    if line.beside is None:
        weight = problem.weight_of(every_moment=line.every_moment)
        most_kwh = share[problem.column_session] * weight * problem.max_energy_kwh
        most_kw = sums_by(problem.column_step, most_kwh, problem.grid.steps) / problem.step_hours
        limit_kw = np.where(most_kw > limit_kw, limit_kw, np.inf)
    return CapacityLimit(
        owner=line.line_id,
        is_group=False,
        phase=Phase.ALL,
        limit_kw=limit_kw,
        share=share,
        line=index,
        every_moment=line.every_moment,
        others=None if line.beside is None else _drawn_beside(line.beside, share.size),
    )


def _overloaded_lines(scenario: Scenario, grid: TimeGrid, lines: Sequence[Line]) -> Iterator[str]:
    """A note for each line that base load alone overloads: no plan can help it."""
    in_amperes = amperes_per_kilowatt(scenario.site.nominal_voltage_v)
    for line in lines:
        over = np.zeros(0) if line.beside is None else line.beside.drawn_kw - line.limit_kw
        if line.beside is not None and over.max(initial=0.0) > STATED_KW:
            worst = int(np.argmax(over))
            drawn_a, limit_a = (kw * in_amperes for kw in (line.beside.drawn_kw[worst], line.limit_kw[worst]))
            yield (
                f"line {line.line_id!r} carries {drawn_a:.1f} A of base load from "
                f"{grid.instant(float(grid.edges_s[worst])).isoformat()}, above its {limit_a:.1f} A: no plan is safe "
                "there, and this one adds nothing"
            )


def _drawn_beside(beside: BesideSessions, sessions: int) -> CountedAssets:
    """What a line counts beside what sessions draw: on one conductor what is drawn, elsewhere what is fed in too."""
    generated = 0.0 if beside.is_conductor else -beside.amount
    return CountedAssets(
        session_relief=np.zeros(sessions),
        share=np.where(beside.draws, beside.amount, generated),
        relief=np.where(beside.is_conductor | ~beside.draws, 0.0, -beside.amount),
        fixed_kw=beside.fixed_kw,
    )


def _feeding_limit(problem: CapacityProblem, index: int) -> CapacityLimit:
    """A limit that holds down what is fed in over one conductor; what is drawn meanwhile makes no room."""
    line = problem.lines[index]
    if line.beside is None:
        raise ValueError(f"nothing is fed in over line {line.line_id!r}")
    sessions = np.zeros(len(problem.sessions))
    return CapacityLimit(
        owner=line.line_id,
        is_group=False,
        phase=Phase.ALL,
        limit_kw=line.limit_kw,
        share=sessions,
        line=index,
        every_moment=line.every_moment,
        is_export=True,
        others=CountedAssets(
            session_relief=sessions,
            share=line.beside.amount,
            relief=np.where(line.beside.draws, 0.0, line.beside.amount),
            fixed_kw=-line.beside.fed_kw,
        ),
    )


def _presence(problem: CapacityProblem, uncertainty: Uncertainty) -> FloatArray:
    """How likely each session is still there in the middle of each of its columns: (K,), 0 to 1."""
    presence = np.ones(problem.columns)
    middle_s = (problem.column_start_s + problem.column_end_s) / 2
    now_s = float(problem.grid.edges_s[0])
    for index, session in enumerate(problem.sessions):
        errors = uncertainty.errors_of(session.session_id)
        if errors is not None:
            mine = slice(int(problem.first_column[index]), int(problem.first_column[index + 1]))
            since_hours = (max(now_s, session.arrival_s) - session.departure_s) / SECONDS_PER_HOUR
            presence[mine] = errors.staying(since_hours, (middle_s[mine] - session.departure_s) / SECONDS_PER_HOUR)
    return presence


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
            limit = CapacityLimit(
                owner=group_id,
                is_group=True,
                phase=phase,
                limit_kw=limit_kw,
                share=share,
                connection_kw=_connection_kw(site, group_id, phase, export=False),
            )
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
                    connection_kw=_connection_kw(site, group_id, phase, export=True),
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


def _connection_kw(site: Site, group_id: str, phase: Phase, *, export: bool) -> float:
    """What the connection of a group allows whatever a capacity provider says, kW; infinite where nobody says."""
    group = next(group for group in site.groups if group.group_id == group_id)
    stated = group.export_limit_kw if export else group.import_limit_kw
    return np.inf if stated is None or phase is not Phase.ALL else stated


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
