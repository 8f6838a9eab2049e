"""Powers that chargers can be set to, decided in the program itself: with whole numbers.

A session in a step is off, or on at one of its settings, or on for the last time and switched off before the step ends.
Levels at equal distances form a band, so that one whole number of notches says which of them it is; a charger that
takes any power from a least one on needs none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.domain.time_grid import FloatArray, IntArray
from models.units import SECONDS_PER_HOUR
from optimizer.assets import AssetArrays
from optimizer.linear_program import ProgramBuilder, Rows, Terms
from optimizer.pilot_rules import NOTHING_KWH, PilotPlan, PilotRules
from optimizer.problem import CapacityProblem

SAME_NOTCH_KW = 1e-6
"""Distances between levels that differ by less are equal."""

SAME_TIME_S = 1e-3

AT_SETTING_KW = 1e-6
"""A power that close to a setting is the setting."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bands:
    """B pairs of a column and a band of settings that its session may be on in.

    A setting of band b is ``lowest_kw[b] + notch_kw[b] * n`` for n = 0, 1, ..., ``notches[b]``.

    Args:
        column: (B,), power columns, increasing.
        lowest_kw: (B,), kW.
        notch_kw: (B,), distance of settings, kW; zero where the band has one setting, or takes every power from the
            lowest on.
        notches: (B,), how many settings there are above the lowest.
        highest_kw: (B,), kW.
    """

    column: IntArray
    lowest_kw: FloatArray
    notch_kw: FloatArray
    notches: FloatArray
    highest_kw: FloatArray


def bands_of(problem: CapacityProblem, rules: PilotRules) -> Bands:
    """The bands of every column."""
    by_session = [_bands_of_session(rules, session) for session in range(len(problem.sessions))]
    found = [
        (column, *band)
        for column, session in enumerate(problem.column_session.tolist())
        for band in by_session[session]
    ]
    table = np.array(found, dtype=np.float64).reshape(-1, 5)
    return Bands(
        column=table[:, 0].astype(np.int64),
        lowest_kw=table[:, 1],
        notch_kw=table[:, 2],
        notches=table[:, 3],
        highest_kw=table[:, 4],
    )


def _bands_of_session(rules: PilotRules, session: int) -> list[tuple[float, float, float, float]]:
    """Lowest setting, notch, notches and highest setting of each band: runs of levels at equal distances."""
    maximum_kw = float(rules.maximum_kw[session])
    if not rules.has_levels[session]:
        return [(float(rules.minimum_kw[session]), 0.0, 0.0, maximum_kw)]
    level_kw = rules.level_kw[session]
    levels = level_kw[level_kw <= maximum_kw + AT_SETTING_KW].tolist()
    bands = []
    while levels:
        notch_kw = levels[1] - levels[0] if len(levels) > 1 else 0.0
        count = 1
        while count < len(levels) and abs(levels[count] - levels[count - 1] - notch_kw) <= SAME_NOTCH_KW:
            count += 1
        bands.append((levels[0], notch_kw, float(count - 1), levels[count - 1]))
        levels = levels[count:]
    return bands


def declare_pilots(builder: ProgramBuilder, problem: CapacityProblem, rules: PilotRules) -> None:
    """Declare the variables: (B,) ``is_on`` and ``notches``, (K,) ``stops``, all of them whole numbers."""
    bands = bands_of(problem, rules)
    builder.variable("is_on", upper=np.ones(bands.column.size), integer=True)
    builder.variable("notches", upper=bands.notches, integer=True)
    builder.variable("stops", upper=np.ones(problem.columns), integer=True)


def add_pilots(builder: ProgramBuilder, problem: CapacityProblem, rules: PilotRules) -> None:
    """Add the families that hold powers to settings."""
    bands = bands_of(problem, rules)
    builder.family("one_band", one_band(builder, bands, problem))
    builder.family("notches_on", notches_on(builder, bands))
    builder.family("highest_setting", highest_setting(builder, bands, problem))
    builder.family("lowest_setting", lowest_setting(builder, bands, problem, rules))
    builder.family("stop_once", stop_once(builder, bands, problem))
    if problem.assets is not None and problem.assets.stores.count and not rules.counts_power:
        builder.family("setting_on_curve", setting_on_curve(builder, bands, problem, problem.assets))
    if rules.minimum_run_hours > 0.0:
        builder.family("minimum_run", minimum_run(builder, bands, problem, rules))


def one_band(builder: ProgramBuilder, bands: Bands, problem: CapacityProblem) -> Rows:
    """Be on in one band at the most, and stop only what is on.

        stops[k]  <=  sum_(b of k) is_on[b]  <=  1          for every column k

    Returns:
        Rows: first (K,) for the band, then (K,) for the stop.
    """
    column = np.arange(problem.columns)
    size = problem.columns
    terms = (
        Terms(row=bands.column, column=builder.columns("is_on"), coefficient=np.ones(bands.column.size)),
        Terms(row=size + bands.column, column=builder.columns("is_on"), coefficient=np.ones(bands.column.size)),
        Terms(row=size + column, column=builder.columns("stops"), coefficient=np.full(size, -1.0)),
    )
    return Rows.of_terms(
        terms,
        lower=np.concatenate((np.full(size, -np.inf), np.zeros(size))),
        upper=np.concatenate((np.ones(size), np.full(size, np.inf))),
    )


def notches_on(builder: ProgramBuilder, bands: Bands) -> Rows:
    """Count notches only in the band that is on.

        notches[b]  <=  most notches[b] * is_on[b]            for every band b that has any

    Returns:
        Rows indexed by those bands, in order.
    """
    which = np.flatnonzero(bands.notches > 0)
    row = np.arange(which.size)
    terms = (
        Terms(row=row, column=builder.columns("notches")[which], coefficient=np.ones(which.size)),
        Terms(row=row, column=builder.columns("is_on")[which], coefficient=-bands.notches[which]),
    )
    return Rows.of_terms(terms, lower=np.full(which.size, -np.inf), upper=np.zeros(which.size))


def highest_setting(builder: ProgramBuilder, bands: Bands, problem: CapacityProblem) -> Rows:
    """Deliver no more than the setting gives.

        energy_kwh[k]  <=  hours[k] * sum_(b of k) (setting_kw[b])            for every column k

    where a band without notches reaches from its lowest to its highest setting.

    Returns:
        Rows (K,), kWh.
    """
    has_notches = bands.notches > 0
    on_kw = np.where(has_notches, bands.lowest_kw, bands.highest_kw)
    return _setting_rows(builder, bands, problem, on_kw, lower=-np.inf, upper=0.0)


def lowest_setting(builder: ProgramBuilder, bands: Bands, problem: CapacityProblem, rules: PilotRules) -> Rows:
    """Deliver no less than the setting gives, but for the last time, when it may be switched off before the step ends.

        energy_kwh[k]  >=  hours[k] * sum_(b of k) (setting_kw[b])  -  max_energy_kwh[k] * stops[k]     for every k

    Where limits count the power of a row however long it is held, nothing is switched off before its step ends, and the
    last term falls away.

    Returns:
        Rows (K,), kWh.
    """
    early = np.arange(0 if rules.counts_power else problem.columns)
    stop = Terms(row=early, column=builder.columns("stops")[early], coefficient=problem.max_energy_kwh[early])
    return _setting_rows(builder, bands, problem, bands.lowest_kw, stop, lower=0.0, upper=np.inf)


def _setting_rows(
    builder: ProgramBuilder,
    bands: Bands,
    problem: CapacityProblem,
    on_kw: FloatArray,
    *more: Terms,
    lower: float,
    upper: float,
) -> Rows:
    """``lower <= energy_kwh - hours * (on_kw * is_on + notch_kw * notches) + more <= upper`` for every column."""
    hours = _hours(problem)[bands.column]
    has_notches = np.flatnonzero(bands.notches > 0)
    energy = Terms(
        row=np.arange(problem.columns),
        column=builder.columns("energy_kwh"),
        coefficient=np.ones(problem.columns),
    )
    is_on = Terms(row=bands.column, column=builder.columns("is_on"), coefficient=-hours * on_kw)
    notches = Terms(
        row=bands.column[has_notches],
        column=builder.columns("notches")[has_notches],
        coefficient=-(hours * bands.notch_kw)[has_notches],
    )
    size = problem.columns
    return Rows.of_terms((energy, is_on, notches, *more), lower=np.full(size, lower), upper=np.full(size, upper))


def setting_on_curve(builder: ProgramBuilder, bands: Bands, problem: CapacityProblem, assets: AssetArrays) -> Rows:
    """Hold the setting under a charge curve, and not only the energy: what is switched off early draws more till then.

        sum_(b of n) (setting_kw[b])  +  slope * stored[n]  <=  intercept       for every line of the curve

    where a band without notches counts with its lowest setting: what draws more fills its step.

    Returns:
        Rows line by line of each battery with a curve whose vehicle is not given any power, kW.
    """
    state, intercept_kw, slope = assets.stores.curve_lines
    has_settings = np.isin(assets.stores.charge_column[state], bands.column[bands.lowest_kw > 0])
    state, intercept_kw, slope = state[has_settings], intercept_kw[has_settings], slope[has_settings]
    first = np.searchsorted(bands.column, np.arange(problem.columns + 1))
    column = assets.stores.charge_column[state]
    count = first[column + 1] - first[column]
    band, row = _ranges(first[column], count), np.repeat(np.arange(state.size), count)
    has_notches, sloping = bands.notches[band] > 0, np.flatnonzero(slope)
    notched = band[has_notches]
    terms = (
        Terms(row=row, column=builder.columns("is_on")[band], coefficient=bands.lowest_kw[band]),
        Terms(row=row[has_notches], column=builder.columns("notches")[notched], coefficient=bands.notch_kw[notched]),
        Terms(row=sloping, column=builder.columns("stored_kwh")[state[sloping]], coefficient=slope[sloping]),
    )
    return Rows.of_terms(terms, lower=np.full(state.size, -np.inf), upper=intercept_kw)


def stop_once(builder: ProgramBuilder, bands: Bands, problem: CapacityProblem) -> Rows:
    """Stay off after the last time.

        sum_(b of k) is_on[b]  +  sum_(earlier j of the session) stops[j]  <=  1        for every column k but a first

    Returns:
        Rows indexed by the columns that are not the first of their session, kept in order.
    """
    column = np.arange(problem.columns)
    first = problem.first_column[problem.column_session]
    later = column > first
    row_of = np.cumsum(later) - 1
    on_later = later[bands.column]
    count = (column - first)[later]
    earlier = _ranges(first[later], count)
    terms = (
        Terms(
            row=row_of[bands.column[on_later]],
            column=builder.columns("is_on")[on_later],
            coefficient=np.ones(int(on_later.sum())),
        ),
        Terms(
            row=np.repeat(row_of[later], count),
            column=builder.columns("stops")[earlier],
            coefficient=np.ones(earlier.size),
        ),
    )
    size = int(later.sum())
    return Rows.of_terms(terms, lower=np.full(size, -np.inf), upper=np.ones(size))


def minimum_run(builder: ProgramBuilder, bands: Bands, problem: CapacityProblem, rules: PilotRules) -> Rows:
    """Stay on for a while once switched on, unless it was for the last time.

        on[j]  >=  on[k] - on[k - 1] - sum_(k <= i < j) stops[i]       where on[k] = sum_(b of k) is_on[b]

    for every column k and each later column j of its session that begins before the run is long enough.

    Returns:
        Rows, one for each such pair.
    """
    column = np.arange(problem.columns)
    start_s = problem.column_start_s
    last = problem.first_column[problem.column_session + 1]
    run_s = rules.minimum_run_hours * SECONDS_PER_HOUR - SAME_TIME_S
    # Within a session columns follow one another in time; one more than a session is long never begins within a run.
    until = np.array(
        [k + np.searchsorted(start_s[k:stop], start_s[k] + run_s) for k, stop in zip(column, last, strict=True)],
        dtype=np.int64,
    )
    count = np.maximum(until - column - 1, 0)
    begin = np.repeat(column, count)
    after = _ranges(column + 1, count)
    row = np.arange(begin.size)
    has_before = begin > problem.first_column[problem.column_session[begin]]
    stopped = after - begin
    on_terms = [
        _on_terms(builder, bands, problem, row, after, 1.0),
        _on_terms(builder, bands, problem, row, begin, -1.0),
        _on_terms(builder, bands, problem, row[has_before], begin[has_before] - 1, 1.0),
    ]
    stops = Terms(
        row=np.repeat(row, stopped),
        column=builder.columns("stops")[_ranges(begin, stopped)],
        coefficient=np.ones(int(stopped.sum())),
    )
    return Rows.of_terms((*on_terms, stops), lower=np.zeros(row.size), upper=np.full(row.size, np.inf))


def _on_terms(
    builder: ProgramBuilder, bands: Bands, problem: CapacityProblem, row: IntArray, column: IntArray, sign: float
) -> Terms:
    """``sign * sum_(b of column) is_on[b]`` in each row."""
    first = np.searchsorted(bands.column, np.arange(problem.columns + 1))
    count = first[column + 1] - first[column]
    return Terms(
        row=np.repeat(row, count),
        column=builder.columns("is_on")[_ranges(first[column], count)],
        coefficient=np.full(int(count.sum()), sign),
    )


def _ranges(start: IntArray, count: IntArray) -> IntArray:
    """``start[i], start[i] + 1, ..., start[i] + count[i] - 1`` of each i, one behind the other."""
    offset: IntArray = np.repeat(start - (np.cumsum(count) - count), count)
    return np.arange(offset.size) + offset


def start_from(problem: CapacityProblem, rules: PilotRules, plan: PilotPlan) -> dict[str, FloatArray]:
    """The variables of a plan of real powers: a point from which a search may start.

    Returns:
        Values by variable: (K,) ``energy_kwh``, (S,) ``unmet_kwh``, (B,) ``is_on`` and ``notches``, (K,) ``stops``.
    """
    bands = bands_of(problem, rules)
    power_kw = (plan.energy_kwh / plan.hours)[bands.column]
    inside = (power_kw >= bands.lowest_kw - AT_SETTING_KW) & (power_kw <= bands.highest_kw + AT_SETTING_KW)
    is_on = (power_kw > 0.0) & inside
    notch_kw = np.where(bands.notch_kw > 0, bands.notch_kw, 1.0)
    notches = np.where(is_on & (bands.notches > 0), np.round((power_kw - bands.lowest_kw) / notch_kw), 0.0)
    planned = np.flatnonzero(plan.energy_kwh)
    stops = np.zeros(problem.columns)
    last = np.flatnonzero(np.diff(problem.column_session[planned], append=-1))
    stops[planned[last]] = 1.0
    return {
        "energy_kwh": plan.energy_kwh,
        "unmet_kwh": problem.reachable_energy_kwh - problem.delivered_kwh(plan.energy_kwh),
        "is_on": is_on.astype(np.float64),
        "notches": notches,
        "stops": stops,
    }


def plan_of(problem: CapacityProblem, rules: PilotRules, energy_kwh: FloatArray) -> PilotPlan:
    """The settings and times behind energies that the program found.

    Args:
        problem: The scenario as arrays.
        rules: What powers there are.
        energy_kwh: (K,), kWh.
    """
    full_hours = _hours(problem)
    energy_kwh = np.where(energy_kwh > NOTHING_KWH, energy_kwh, 0.0)
    power_kw = energy_kwh / full_hours
    session = problem.column_session
    setting_kw = rules.at_most_kw(session, power_kw + AT_SETTING_KW)
    near = np.abs(setting_kw - power_kw) <= 2 * AT_SETTING_KW
    higher_kw = rules.above_kw(session, power_kw)
    shortened = ~near & (energy_kwh > 0.0)
    hours = np.where(shortened, energy_kwh / np.where(shortened, higher_kw, 1.0), full_hours)
    return PilotPlan(
        energy_kwh=np.where(near & rules.has_levels[session], setting_kw * full_hours, energy_kwh),
        full_hours=full_hours,
        hours=hours,
    )


def _hours(problem: CapacityProblem) -> FloatArray:
    return (problem.column_end_s - problem.column_start_s) / SECONDS_PER_HOUR
