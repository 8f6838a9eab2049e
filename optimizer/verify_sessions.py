"""Whether a plan is of the sessions asked for, in whole steps, and within what stays, chargers and requests allow."""

from __future__ import annotations

import numpy as np

from models.domain.scenario import Scenario
from models.domain.time_grid import BoolArray, FloatArray, IntArray, TimeGrid
from optimizer.planned_power import RELATIVE_TOLERANCE, SECOND_TOLERANCE, TOLERANCE, PlannedPower, chargers_as_used


def session_power_kw(scenario: Scenario, plan: PlannedPower, *, stepless: bool) -> FloatArray:
    """The most each session may draw, (S,) kW; with settings the highest one that a charger has."""
    power_kw = []
    for session, charger in zip(plan.sessions, chargers_as_used(scenario, plan), strict=True):
        most_kw = (
            charger.max_power_kw if session.max_power_kw is None else min(charger.max_power_kw, session.max_power_kw)
        )
        power_kw.append(most_kw if stepless else charger.setting_kw(most_kw))
    return np.array(power_kw, dtype=np.float64)


def session_violations(
    scenario: Scenario,
    plan: PlannedPower,
    *,
    delivered_kwh: FloatArray,
    reachable_kwh: FloatArray,
    power_kw: FloatArray,
    stepless: bool,
) -> list[str]:
    """One sentence for each rule of sessions and steps that a plan breaks, the worst of its kind only.

    Args:
        scenario: What was asked and allowed.
        plan: What is planned.
        delivered_kwh: (S,), what it delivers, kWh.
        reachable_kwh: (S,), the most that can be delivered, kWh.
        power_kw: (S,), the most that can be drawn, kW.
        stepless: Whether chargers may be set to any power up to their most.
    """
    return [
        *_membership(scenario, plan),
        *_divided_steps(scenario, plan.grid),
        *_presence(plan),
        *_energy_bounds(plan, delivered_kwh, reachable_kwh),
        *_power_bounds(scenario, plan, power_kw),
        *(() if stepless else _settings(scenario, plan)),
    ]


def _membership(scenario: Scenario, plan: PlannedPower) -> list[str]:
    """Sessions that are not those asked for, listed twice, or left out although they lie in the window."""
    asked = {session.session_id: session for session in scenario.sessions}
    start_s, end_s = plan.grid.edges_s[[0, -1]]
    listed: set[str] = set()
    texts: list[str] = []
    for session in plan.sessions:
        if asked.get(session.session_id) != session:
            texts.append(f"session {session.session_id!r} is not the one that was asked for")
        if session.session_id in listed:
            texts.append(f"session {session.session_id!r} is listed twice")
        listed.add(session.session_id)
    texts += [
        f"session {session.session_id!r} lies inside the window and is not part of the plan"
        for session in scenario.sessions
        if session.session_id not in listed
        and session.arrival_s >= start_s - SECOND_TOLERANCE
        and session.departure_s <= end_s + SECOND_TOLERANCE
    ]
    return texts[:1]


def _divided_steps(scenario: Scenario, grid: TimeGrid) -> list[str]:
    """A step within which a limit or a price changes, so that neither would be counted rightly."""
    edges_s = scenario.edges_s(float(grid.edges_s[0]), float(grid.edges_s[-1]))
    inside_s = edges_s[(edges_s > grid.edges_s[0]) & (edges_s < grid.edges_s[-1])]
    after = np.searchsorted(grid.edges_s, inside_s)
    distance_s = np.minimum(grid.edges_s[after] - inside_s, inside_s - grid.edges_s[after - 1])
    return [
        f"a limit or price changes at {grid.instant(float(inside_s[index])).isoformat()}, within a step of the plan"
        for index in np.flatnonzero(distance_s > SECOND_TOLERANCE)[:1].tolist()
    ]


def _presence(plan: PlannedPower) -> list[str]:
    """Rows outside their session's stay, outside a step, empty, or two of one session in one step."""
    arrival_s, departure_s = plan.arrival_s[plan.session_index], plan.departure_s[plan.session_index]
    step = plan.step
    step_start_s, step_end_s = plan.grid.edges_s[step], plan.grid.edges_s[step + 1]
    checks = (
        (
            "lies outside the stay",
            (plan.start_s < arrival_s - SECOND_TOLERANCE) | (plan.end_s > departure_s + SECOND_TOLERANCE),
        ),
        (
            "lies outside a step",
            (plan.start_s < step_start_s - SECOND_TOLERANCE) | (plan.end_s > step_end_s + SECOND_TOLERANCE),
        ),
        ("has no length", plan.end_s <= plan.start_s),
        ("repeats a step", _repeated(plan.session_index * (plan.grid.steps + 1) + step)),
    )
    return [
        f"session {plan.sessions[int(plan.session_index[row])].session_id!r}: power planned from "
        f"{plan.grid.instant(float(plan.start_s[row])).isoformat()} {what}"
        for what, broken in checks
        for row in np.flatnonzero(broken)[:1].tolist()
    ]


def _repeated(keys: IntArray) -> BoolArray:
    order = np.argsort(keys, kind="stable")
    repeated = np.zeros(keys.size, dtype=bool)
    repeated[order[1:]] = keys[order[1:]] == keys[order[:-1]]
    return repeated


def _power_bounds(scenario: Scenario, plan: PlannedPower, limit_kw: FloatArray) -> list[str]:
    below_zero = np.flatnonzero(~(plan.power_kw >= 0)).tolist()
    bad = [row for row in below_zero if not plan.power_kw[row] >= -_feeds_in_kw(scenario, plan, row)][:1]
    negative = [f"{_name(plan, plan.session_index[row])}: planned power is {plan.power_kw[row]} kW" for row in bad]
    worst = _worst_excess(plan.power_kw, limit_kw[plan.session_index])
    above = [
        f"{_name(plan, plan.session_index[row])}: planned {plan.power_kw[row]:.6f} kW, may draw "
        f"{limit_kw[plan.session_index[row]]:.6f} kW"
        for row in worst
    ]
    return [*negative, *above]


def _feeds_in_kw(scenario: Scenario, plan: PlannedPower, row: int) -> float:
    """What the session of a row may feed in, with the tolerance where it may at all, kW."""
    session = plan.sessions[int(plan.session_index[row])]
    most_kw = min(session.discharge_power_kw, scenario.site.charger(session.charger_id).max_power_kw)
    return most_kw + TOLERANCE if most_kw > 0 else 0.0


def _energy_bounds(plan: PlannedPower, delivered_kwh: FloatArray, reachable_kwh: FloatArray) -> list[str]:
    return [
        f"{_name(plan, index)}: planned {delivered_kwh[index]:.6f} kWh, can take {reachable_kwh[index]:.6f} kWh"
        for index in _worst_excess(delivered_kwh, reachable_kwh)
    ]


def _name(plan: PlannedPower, session: int) -> str:
    return f"session {plan.sessions[int(session)].session_id!r}"


def _worst_excess(actual: FloatArray, allowed: FloatArray) -> list[int]:
    """Index of the largest excess over what is allowed; empty where nothing exceeds it."""
    excess = actual - allowed
    worst = int(np.argmax(excess)) if excess.size else 0
    exceeded = excess.size and not excess[worst] <= TOLERANCE + RELATIVE_TOLERANCE * abs(allowed[worst])
    return [worst] if exceeded else []


def _settings(scenario: Scenario, plan: PlannedPower) -> list[str]:
    """Powers that a charger cannot be set to, and rows that end before their step although others follow."""
    texts: list[str] = []
    for index, charger in enumerate(chargers_as_used(scenario, plan)):
        session = plan.sessions[index]
        if charger.is_stepless or session.discharge_power_kw > 0:
            continue
        rows = np.flatnonzero(plan.session_index == index)
        rows = rows[np.argsort(plan.start_s[rows], kind="stable")]
        for row in rows.tolist():
            power_kw = float(plan.power_kw[row])
            if abs(charger.setting_kw(power_kw + TOLERANCE) - power_kw) > 2 * TOLERANCE:
                texts.append(
                    f"{_name(plan, index)}: planned {power_kw:.6f} kW, which charger {session.charger_id!r} has no "
                    "setting for"
                )
                break
        whole_until_s = np.minimum(plan.grid.edges_s[plan.step[rows] + 1], session.departure_s)
        early = plan.end_s[rows[:-1]] < whole_until_s[:-1] - SECOND_TOLERANCE
        late = plan.start_s[rows] > np.maximum(plan.grid.edges_s[plan.step[rows]], session.arrival_s) + SECOND_TOLERANCE
        if early.any() or late.any():
            texts.append(f"{_name(plan, index)}: is switched within a step and not for the last time")
    return texts[:1]
