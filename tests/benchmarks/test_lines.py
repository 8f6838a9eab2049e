"""Line currents of real networks: the site in groups and weights against the networks' files, and the exact cone."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.cases import DATA, garage_site, with_lines
from benchmarks.cone import Network
from benchmarks.lines import LineCase, cases, exact_optimum, worst_excess
from models.domain import Scenario
from models.domain.time_grid import TimeGrid
from optimizer import optimize
from optimizer.options import LimitMode, LineForm, OptimizeOptions
from optimizer.planned_power import PlannedPower
from optimizer.verify_currents import line_currents
from tests.builders import HOUR, MORNING, make_session

SMALL = [case for case in cases() if case.network == "office001"]


@pytest.mark.parametrize("network", ["jpl", "caltech", "office001"])
def test_groups_and_weights_are_the_network(network: str) -> None:
    """At random powers the largest current of each line, in ampere, is at least that of the network's file, and where
    no currents of a line oppose one another the same; limits and numbers of lines agree.
    """
    plain = garage_site(network, 1000.0)
    known = Network.read(DATA / f"site_{network}.json")
    site = with_lines(plain, network)
    chargers = [charger.charger_id for charger in site.chargers]
    power_kw = np.random.default_rng(1).uniform(0, 6.656, len(chargers))
    sessions = tuple(
        make_session(f"S{n}", charger_id=charger_id, departure=MORNING + HOUR) for n, charger_id in enumerate(chargers)
    )
    edges_s = np.array([MORNING.timestamp(), (MORNING + HOUR).timestamp()])
    plan = PlannedPower(
        grid=TimeGrid(edges_s=edges_s),
        sessions=sessions,
        session_index=np.arange(len(chargers)),
        start_s=np.full(len(chargers), edges_s[0]),
        end_s=np.full(len(chargers), edges_s[1]),
        power_kw=np.where([name in known.phasor for name in chargers], power_kw, 0.0),
    )
    scenario = Scenario(site=site, sessions=sessions)

    found = sorted(
        (float(limit_a[0]), float(current_a[0]))
        for _, current_a, limit_a in line_currents(
            scenario, plan, limit_mode=LimitMode.MEAN, current_mode=LimitMode.MEAN
        )
    )

    stated = sorted(
        (limit_a, abs(known.currents_a(n, chargers, plan.power_kw))) for n, (_, limit_a) in enumerate(known.lines)
    )
    panels = len(site.groups) - 1
    assert len(found) == 3 * panels + len(site.line_limits)
    if network != "caltech":
        # The pods of Caltech have one limit in the file and three, of which two are the same, in the site.
        assert [limit_a for limit_a, _ in found] == pytest.approx([limit_a for limit_a, _ in stated])
    for limit_a, current_a in stated:
        assert any(one == pytest.approx(limit_a) and other >= current_a - 1e-6 for one, other in found), (
            f"no line of {limit_a} A carries {current_a} A"
        )


@pytest.mark.parametrize("case", SMALL, ids=[f"{case.transformers_kw:g} kW" for case in SMALL])
def test_within_half_a_point_of_the_cone(case: LineCase) -> None:
    """The polygon serves within half a point of what the exact cone allows, the sum of amounts less; none exceeds a
    line of the network's file.
    """
    scenario = case.scenario
    options = OptimizeOptions(start=case.day, end=case.day + 30 * HOUR, current_mode=LimitMode.MEAN)
    polygon = optimize(scenario, options)
    amounts = optimize(scenario, replace(options, line_form=LineForm.MAGNITUDE))

    exact, _ = exact_optimum(case, scenario, polygon)

    need_kwh = polygon.delivered_energy_kwh + polygon.unmet_energy_kwh
    assert polygon.delivered_energy_kwh <= exact.delivered_energy_kwh + 1e-3
    assert exact.delivered_energy_kwh - polygon.delivered_energy_kwh <= 0.005 * need_kwh
    assert amounts.delivered_energy_kwh < polygon.delivered_energy_kwh
    assert worst_excess(case, polygon) <= 1e-9
    assert worst_excess(case, amounts) <= 1e-9


def test_an_excess_is_found() -> None:
    """What measures safety finds a plan made for wider transformers."""
    wide = replace(SMALL[0], transformers_kw=50.0)
    options = OptimizeOptions(start=wide.day, end=wide.day + 30 * HOUR)

    schedule = optimize(wide.scenario, options)

    assert worst_excess(SMALL[0], schedule) > 1.0
    assert math.isfinite(worst_excess(wide, schedule))
