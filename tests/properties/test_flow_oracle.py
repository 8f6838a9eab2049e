"""The optimum against an oracle that is no linear program: a minimum cost flow over integers.

With limits that are nested and count energy as it is, a plan is a flow from sessions through chargers and groups to
the grid, step by step. Network simplex over Python's integers finds the least cost exactly; unmet energy, cost and
delay are put into one integer weight, each unit of one heavier than all that can be had of the next.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import networkx as nx
import pytest
from hypothesis import given, settings

from models.domain.capacity import Phase
from models.domain.schedule import Schedule, ScheduleStatus
from optimizer.engine import optimize
from optimizer.options import COST_OBJECTIVE, LimitMode, Stage
from tests.properties.recount import limits_kw, price_at, steps
from tests.properties.strategies import Case, cases

TOLERANCE = 1e-5
"""kWh, currency or kWh h: what the solver's own tolerance leaves."""

RASTER_MINUTES = 3
"""A kW over 3 minutes is 50 Wh, so that energies of whole kW are whole Wh."""
HALF_RASTER_S = 90
WATT_HOURS = 1000
"""In a kWh."""
PRICE_UNITS = 1000
"""A price unit is a thousandth of the currency per kWh."""
PRIORITY_UNITS = 2
"""Priorities are halves."""

NESTED = cases(
    limit_modes=[LimitMode.MEAN],
    per_phase=False,
    objectives=[COST_OBJECTIVE],
    rasters=[15, 30, 60],
    minutes=RASTER_MINUTES,
)


@dataclass(frozen=True, kw_only=True)
class Flow:
    """What the oracle found.

    Args:
        unmet_kwh: Weighted by priority.
        energy_cost: Currency.
        delay_kwh_h: kWh h.
        arcs: How many capacities were rounded.
    """

    unmet_kwh: float
    energy_cost: float
    delay_kwh_h: float
    arcs: int


def in_whole_units(case: Case) -> Case:
    """Powers and limits in whole kW, energies in whole Wh, prices in thousandths."""
    site = replace(
        case.site,
        groups=tuple(
            replace(group, import_limit_kw=None if group.import_limit_kw is None else round(group.import_limit_kw))
            for group in case.site.groups
        ),
        chargers=tuple(replace(charger, max_power_kw=round(charger.max_power_kw)) for charger in case.site.chargers),
    )
    sessions = tuple(
        replace(
            session,
            energy_kwh=round(session.energy_kwh, 3),
            max_power_kw=None if session.max_power_kw is None else round(session.max_power_kw),
        )
        for session in case.sessions
    )
    received = tuple(
        replace(
            message,
            blocks=tuple(replace(block, capacity_kw=round(block.capacity_kw)) for block in message.blocks),
        )
        for message in case.messages
    )
    prices = tuple(replace(block, import_price_per_kwh=round(block.import_price_per_kwh, 3)) for block in case.prices)
    return replace(case, site=site, sessions=sessions, messages=received, prices=prices)


def in_one_group(case: Case) -> Case:
    """All chargers and forecasts at one group with the first limit there is."""
    limit_kw = next((group.import_limit_kw for group in case.site.groups if group.import_limit_kw), None)
    site = replace(
        case.site,
        groups=(replace(case.site.groups[0], parent_id=None, import_limit_kw=limit_kw),),
        chargers=tuple(replace(charger, group_id=case.site.groups[0].group_id) for charger in case.site.chargers),
    )
    received = tuple(replace(message, group_id=site.groups[0].group_id) for message in case.messages)
    return replace(case, site=site, messages=received)


def minimum_cost_flow(case: Case, schedule: Schedule, rounded: Callable[[float], int]) -> Flow:
    """Least unmet energy, then least cost, then least delay, on the steps of a schedule.

    Args:
        case: Without phases; limits hold on the mean.
        schedule: Gives the steps only.
        rounded: Makes Wh whole.

    Returns:
        The three values.
    """
    window_s = float(schedule.grid.edges_s[0])
    need_wh = {
        session.session_id: rounded(reachable_kwh(case, session.session_id) * WATT_HOURS) for session in case.sessions
    }
    total_wh = sum(need_wh.values())
    longest = round((float(schedule.grid.edges_s[-1]) - window_s) / HALF_RASTER_S)
    highest = max((abs(round(block.import_price_per_kwh * PRICE_UNITS)) for block in case.prices), default=0)
    per_price_unit = total_wh * longest + 1
    per_unmet_unit = per_price_unit * (2 * highest * total_wh + 1) + 1

    graph: nx.DiGraph[object] = nx.DiGraph()
    graph.add_node("grid", demand=total_wh)
    chargers = {charger.charger_id: charger for charger in case.site.chargers}
    price: dict[int, int] = {}
    delay: dict[tuple[str, int], int] = {}
    for session in case.sessions:
        graph.add_node(session.session_id, demand=-need_wh[session.session_id])
        graph.add_edge(session.session_id, "grid", weight=round(session.priority * PRIORITY_UNITS) * per_unmet_unit)
    for step, (begin_s, end_s) in enumerate(steps(schedule)):
        hours = (end_s - begin_s) / 3600
        price[step] = round((price_at(case, begin_s) or 0.0) * PRICE_UNITS)
        for session in case.sessions:
            since_s, until_s = max(begin_s, session.arrival.timestamp()), min(end_s, session.departure.timestamp())
            if since_s >= until_s:
                continue
            delay[session.session_id, step] = round(((since_s + until_s) / 2 - window_s) / HALF_RASTER_S)
            graph.add_edge(
                session.session_id,
                (session.charger_id, step),
                capacity=rounded(power_kw(case, session.session_id) * (until_s - since_s) / 3600 * WATT_HOURS),
                weight=price[step] * per_price_unit + delay[session.session_id, step],
            )
        for charger in case.site.chargers:
            node = (charger.charger_id, step)
            if node in graph:
                graph.add_edge(node, ("group", charger.group_id, step))
                if stays_overlap(case, charger.charger_id, begin_s, end_s):
                    limit_wh = chargers[charger.charger_id].max_power_kw * hours * WATT_HOURS
                    graph.edges[node, ("group", charger.group_id, step)]["capacity"] = rounded(limit_wh)
        for group in case.site.groups:
            above = "grid" if group.parent_id is None else ("group", group.parent_id, step)
            graph.add_edge(("group", group.group_id, step), above)
            limit_kw = limits_kw(case, group.group_id, begin_s).get(Phase.ALL)
            if limit_kw is not None:
                capacity = rounded(limit_kw * hours * WATT_HOURS)
                graph.edges[("group", group.group_id, step), above]["capacity"] = capacity
    _, flow = nx.network_simplex(graph)

    given = {
        (session_id, step): flow[session_id][charger_id, step]
        for session_id in need_wh
        for charger_id, step in (node for node in flow[session_id] if node != "grid")
    }
    unmet = sum(flow[session.session_id]["grid"] * session.priority for session in case.sessions)
    cost = sum(wh * price[step] for (_, step), wh in given.items())
    waiting = sum(wh * delay[key] for key, wh in given.items())
    return Flow(
        unmet_kwh=unmet / WATT_HOURS,
        energy_cost=cost / WATT_HOURS / PRICE_UNITS,
        delay_kwh_h=waiting / WATT_HOURS * HALF_RASTER_S / 3600,
        arcs=graph.number_of_edges(),
    )


def power_kw(case: Case, session_id: str) -> float:
    """The lower of what the charger and the vehicle can."""
    session = next(session for session in case.sessions if session.session_id == session_id)
    charger = next(charger for charger in case.site.chargers if charger.charger_id == session.charger_id)
    return charger.max_power_kw if session.max_power_kw is None else min(charger.max_power_kw, session.max_power_kw)


def reachable_kwh(case: Case, session_id: str) -> float:
    """What a session asks for, but no more than its stay allows."""
    session = next(session for session in case.sessions if session.session_id == session_id)
    stay_s = session.departure.timestamp() - session.arrival.timestamp()
    return min(session.energy_kwh, power_kw(case, session_id) * stay_s / 3600)


def stays_overlap(case: Case, charger_id: str, begin_s: float, end_s: float) -> bool:
    """Whether two sessions are at one charger at once at some moment of a step."""
    stays = [
        (max(begin_s, session.arrival.timestamp()), min(end_s, session.departure.timestamp()))
        for session in case.sessions
        if session.charger_id == charger_id
    ]
    return any(
        max(one[0], other[0]) < min(one[1], other[1]) for index, one in enumerate(stays) for other in stays[:index]
    )


def assert_equal(case: Case) -> None:
    """The optimum reaches exactly what the flow does."""
    schedule = optimize(case.scenario, case.options)
    flow = minimum_cost_flow(case, schedule, round)

    assert schedule.status is ScheduleStatus.OPTIMAL
    reached = {stage.name: stage.value for stage in schedule.stages}
    assert reached[Stage.UNMET_ENERGY] == pytest.approx(flow.unmet_kwh, abs=TOLERANCE)
    assert schedule.energy_cost == pytest.approx(flow.energy_cost, abs=TOLERANCE)
    assert reached.get(Stage.EARLIEST_DELIVERY, 0.0) == pytest.approx(flow.delay_kwh_h, abs=TOLERANCE)


@settings(max_examples=100)
@given(NESTED)
def test_one_group_equals_a_flow(case: Case) -> None:
    """Where all figures are whole numbers the optimum of one group equals the flow in unmet energy, cost and delay."""
    assert_equal(in_whole_units(in_one_group(case)))


@settings(max_examples=100)
@given(NESTED)
def test_nested_groups_equal_a_flow(case: Case) -> None:
    """The same for groups within groups and for chargers that several sessions share."""
    assert_equal(in_whole_units(case))


@settings(max_examples=40)
@given(cases(limit_modes=[LimitMode.MEAN], per_phase=False, objectives=[COST_OBJECTIVE], rasters=[15, 30, 60]))
def test_odd_figures_equal_a_flow_within_its_rounding(case: Case) -> None:
    """Where figures are no whole Wh, capacities rounded down serve no more than the optimum, and less by no more than
    a Wh for each capacity, at the highest priority.
    """
    schedule = optimize(case.scenario, case.options)
    flow = minimum_cost_flow(case, schedule, math.floor)

    lost_kwh = flow.arcs * max(session.priority for session in case.sessions) / WATT_HOURS
    needs_lost_kwh = (
        sum(session.priority * (reachable_kwh(case, session.session_id) * WATT_HOURS % 1) for session in case.sessions)
        / WATT_HOURS
    )
    unmet_kwh = schedule.stages[0].value - needs_lost_kwh
    assert unmet_kwh - TOLERANCE <= flow.unmet_kwh <= unmet_kwh + lost_kwh + TOLERANCE
