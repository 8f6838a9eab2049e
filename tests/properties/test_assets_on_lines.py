"""Limits in ampere where building, sun, battery and cars hang on conductors of their own: none is exceeded."""

from __future__ import annotations

import cmath
import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.domain.capacity import Phase
from models.domain.connection import Connection
from models.domain.group import LineLimit
from models.domain.scenario import Scenario
from models.domain.schedule import Schedule, ScheduleStatus
from models.domain.time_grid import FloatArray
from optimizer.engine import optimize
from optimizer.options import LimitMode, LineForm, PilotMode
from tests.properties.test_assets import EXAMPLES, OPTIONS, Parts, parts

VOLTAGE_V = 230.0
NEUTRAL = (1.0, 1.0, 1.0)
PHASES = st.sampled_from([Phase.ONE, Phase.TWO, Phase.THREE, Phase.ALL, Phase.UNKNOWN])
CONNECTIONS = st.sampled_from(["L1-N", "L2-N", "L1-L2", "L2-L3", "L1-L2-L3", "L1-L2-N"])


@st.composite
def sites(draw: st.DrawFn) -> tuple[Parts, Scenario]:
    """A group whose conductors and neutral have limits, and everything on it connected somehow."""
    case = draw(parts())
    scenario = case.scenario
    site = scenario.site
    limit_a = draw(st.sampled_from([16.0, 25.0, 40.0]))
    group = replace(site.groups[0], current_limit_a=(limit_a,) * 3)
    neutral = LineLimit(line_limit_id="neutral", group_id="main", limit_a=limit_a, weights=NEUTRAL)
    site = replace(
        site,
        groups=(group,),
        nominal_voltage_v=VOLTAGE_V,
        line_limits=(neutral,) if draw(st.booleans()) else (),
        chargers=tuple(replace(one, connection=Connection(draw(CONNECTIONS))) for one in site.chargers),
        storages=tuple(replace(one, phases=draw(PHASES)) for one in site.storages),
        generators=tuple(replace(one, phases=draw(PHASES)) for one in site.generators),
        base_loads=tuple(replace(one, phases=draw(PHASES)) for one in site.base_loads),
    )
    return case, replace(scenario, site=site)


def phasors(text: str) -> tuple[complex, complex, complex]:
    """Current on L1, L2 and L3 of a kW at a connection, A, from the words of the documents."""
    volts = {f"L{index + 1}": cmath.rect(1.0, -2 * math.pi * index / 3) for index in range(3)}
    names = [name for name in text.split("-") if name != "N"]
    currents = dict.fromkeys(volts, 0j)
    if len(names) == 2 and not text.endswith("N"):
        across = volts[names[0]] - volts[names[1]]
        current = 1000.0 / (math.sqrt(3) * VOLTAGE_V) * across / abs(across)
        currents[names[0]], currents[names[1]] = current, -current
    else:
        for name in names:
            currents[name] = 1000.0 / VOLTAGE_V / len(names) * volts[name]
    return currents["L1"], currents["L2"], currents["L3"]


OF_PHASES = {Phase.ONE: "L1-N", Phase.TWO: "L2-N", Phase.THREE: "L3-N", Phase.ALL: "L1-L2-L3"}


def currents_a(scenario: Scenario, plan: Schedule) -> tuple[np.ndarray, np.ndarray]:
    """Currents on L1, L2, L3 as planned, and those of building and sun alone: (3, T) of complex numbers each, A.

    What hangs on unknown conductors is left out: it may be anywhere.
    """
    site = scenario.site
    planned, alone = np.zeros((3, plan.grid.steps), dtype=complex), np.zeros((3, plan.grid.steps), dtype=complex)
    texts: Mapping[str, str] = {one.asset_id: OF_PHASES.get(one.phases, "") for one in site.assets}
    fixed = {one.asset_id for one in (*site.generators, *site.base_loads)}
    for asset in plan.assets:
        text = texts.get(asset.asset_id, "")
        if text:
            here = np.outer(phasors(text), asset.power_kw)
            planned += here
            alone += here if asset.asset_id in fixed else 0.0
    chargers = {charger.charger_id: charger for charger in site.chargers}
    for row, step in enumerate(plan.step_index.tolist()):
        session = plan.sessions[int(plan.session_index[row])].session
        connection = chargers[session.charger_id].connection
        assert connection is not None
        planned[:, step] += np.array(phasors(connection.text)) * plan.power_kw[row]
    return planned, alone


@EXAMPLES
@given(sites(), st.sampled_from(LineForm), st.booleans())
def test_no_line_is_exceeded(site: tuple[Parts, Scenario], form: LineForm, moments: bool) -> None:
    """As planned, no conductor carries more than its limit, or than building and sun alone put on it."""
    _, scenario = site
    mode = LimitMode.INSTANTANEOUS if moments else LimitMode.MEAN
    plan = optimize(scenario, replace(OPTIONS, line_form=form, limit_mode=mode, current_mode=mode))

    assert plan.status in (ScheduleStatus.OPTIMAL, ScheduleStatus.FEASIBLE)
    planned, alone = currents_a(scenario, plan)
    weights = {
        "L1": (1, 0, 0),
        "L2": (0, 1, 0),
        "L3": (0, 0, 1),
        **({"neutral": NEUTRAL} if scenario.site.line_limits else {}),
    }
    limit_a = scenario.site.groups[0].current_limit_a
    assert limit_a is not None
    for each in weights.values():
        carried = np.abs(np.array(each) @ planned)
        parts_a: FloatArray = np.abs(np.array(each) @ alone) + _amounts(scenario, plan, each)
        assert (carried <= np.maximum(limit_a[0], parts_a) + 1e-4).all()


def _amounts(scenario: Scenario, plan: Schedule, weights: tuple[float, ...]) -> FloatArray:
    """Building and sun, each for itself, added up: (T,), A."""
    total = np.zeros(plan.grid.steps)
    fixed = {one.asset_id: one.phases for one in (*scenario.site.generators, *scenario.site.base_loads)}
    for asset in plan.assets:
        text = OF_PHASES.get(fixed.get(asset.asset_id, Phase.UNKNOWN))
        if text:
            total += np.abs(np.array(weights) @ np.outer(phasors(text), asset.power_kw))
    return total


@EXAMPLES
@given(sites())
def test_wider_lines_serve_no_less(site: tuple[Parts, Scenario]) -> None:
    """Twice the limits never serve less; and without limits in ampere it is the plan of kW alone."""
    _, scenario = site
    (group,) = scenario.site.groups
    assert group.current_limit_a is not None
    first, second, third = (2 * limit for limit in group.current_limit_a)
    wide = replace(group, current_limit_a=(first, second, third))
    none = replace(group, current_limit_a=None)

    plans = [
        optimize(replace(scenario, site=replace(scenario.site, groups=(one,), line_limits=lines)), OPTIONS)
        for one, lines in ((group, scenario.site.line_limits), (wide, ()), (none, ()))
    ]

    unmet = [plan.unmet_energy_kwh for plan in plans]
    assert unmet[0] >= unmet[1] - 1e-5 >= unmet[2] - 2e-5


@EXAMPLES
@given(sites())
def test_chargers_with_powers_of_their_own(site: tuple[Parts, Scenario]) -> None:
    """All of it together: amperes, assets, and a least current of 6 A for whoever does not feed in."""
    _, scenario = site
    chargers = tuple(replace(one, min_power_kw=1.38) for one in scenario.site.chargers)
    scenario = replace(scenario, site=replace(scenario.site, chargers=chargers))

    plan = optimize(scenario, OPTIONS)

    feeds_in = np.array([result.session.discharge_power_kw > 0 for result in plan.sessions], dtype=bool)
    assert (plan.power_kw[~feeds_in[plan.session_index]] >= 1.38 - 1e-6).all()
    free = optimize(scenario, replace(OPTIONS, pilots=PilotMode.CONTINUOUS))
    assert plan.unmet_energy_kwh >= free.unmet_energy_kwh - 1e-5
