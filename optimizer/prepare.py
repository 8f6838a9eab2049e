"""From a scenario to arrays: window, grid, columns, limits, and the plan in force on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.domain.group import Charger
from models.domain.scenario import Scenario
from models.domain.schedule import Schedule
from models.domain.session import ChargingSession
from models.domain.time_grid import FloatArray, IntArray, TimeGrid
from models.domain.uncertainty import Uncertainty
from models.errors import InputError
from models.units import SECONDS_PER_HOUR, amperes_per_kilowatt
from optimizer.arrays import sums_by
from optimizer.capacity_limits import capacity_limits
from optimizer.line_limits import linear_limits, overload_notes
from optimizer.lines import site_lines
from optimizer.options import LimitMode, LineForm, OptimizeOptions, PilotMode
from optimizer.pilot_rules import PilotRules
from optimizer.prepare_assets import SessionColumns, asset_arrays, possible_energy_kwh
from optimizer.problem import CapacityProblem
from optimizer.recourse import Recourse, recourse_of, surprised
from optimizer.window import plan_grid, window

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
    grid = plan_grid(scenario, options, (start, end), edges_s)
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
    limits, notes = capacity_limits(scenario, grid, sessions, chargers, assets)
    tariff = scenario.tariff
    carbon = scenario.carbon_kg_per_kwh
    moment_weight = grid.step_hours[columns.step] / columns.hours
    lines = site_lines(scenario, grid, sessions, chargers, options, assets)
    notes = (*notes, *overload_notes(scenario, grid, lines))
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
    of_lines = linear_limits(problem)
    problem = replace(problem, limits=(*limits, *of_lines)) if of_lines else problem
    if options.uncertainty is None or not sessions:
        return problem
    if not options.uncertainty.surprises:
        return replace(problem, presence=_presence(problem, options.uncertainty))
    return replace(problem, recourses=_recourses(scenario, problem, options, options.uncertainty))


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
