"""With one price, or none, energy comes as early as the limits let it."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.capacity import Phase
from optimizer.options import OptimizeOptions
from tests.builders import HOUR, MORNING, make_charger, make_session, make_site
from tests.properties.optima import EXAMPLES, TOLERANCE, solved
from tests.properties.recount import limits_kw, steps
from tests.properties.strategies import (
    HOURS,
    MINUTE,
    POWERS_KW,
    PRICES,
    TARIFF_HOURS,
    Case,
    messages,
    price_blocks,
    session_lists,
)


class TestEarliestDelivery:
    """With one price, or none, energy comes as early as the limits let it."""

    @EXAMPLES
    @given(st.data())
    def test_one_session_is_filled_from_the_front(self, data: st.DataObject) -> None:
        """One session in one group at a flat price: each step in turn gives the least of what the session still needs,
        what it can draw while present, and what the group may draw.
        """
        site = make_site(chargers=[make_charger(max_power_kw=data.draw(POWERS_KW))])
        (session,) = data.draw(session_lists(site, most=1).filter(lambda sessions: len(sessions) == 1))
        price = data.draw(st.one_of(st.none(), PRICES))
        case = Case(
            site=site,
            sessions=(session,),
            prices=() if price is None else price_blocks([price] * TARIFF_HOURS),
            messages=data.draw(messages(site, per_phase=False)),
            options=OptimizeOptions(raster=data.draw(st.sampled_from([15, 60])) * MINUTE),
        )

        plan = solved(case)

        power_kw = min(site.chargers[0].max_power_kw, session.max_power_kw or math.inf)
        left_kwh = session.energy_kwh
        expected = []
        for begin_s, end_s in steps(plan):
            present_s = min(end_s, session.departure.timestamp()) - max(begin_s, session.arrival.timestamp())
            limit_kw = limits_kw(case, "main", begin_s)[Phase.ALL]
            given_kwh = min(left_kwh, power_kw * max(present_s, 0.0) / 3600, limit_kw * (end_s - begin_s) / 3600)
            left_kwh -= given_kwh
            expected.append(given_kwh)
        planned = np.zeros(plan.grid.steps)
        np.add.at(planned, plan.step_index, plan.energy_kwh)
        assert planned.tolist() == pytest.approx(expected, abs=TOLERANCE)

    @EXAMPLES
    @given(st.data())
    def test_a_full_group_is_full_from_the_front(self, data: st.DataObject) -> None:
        """Sessions with the same stay in one group at a flat price: up to any instant they get together the least of
        what they need and what the group may draw until then.
        """
        powers_kw = data.draw(st.lists(st.sampled_from([3.7, 11.0, 22.0]), min_size=1, max_size=4))
        site = make_site(chargers=[make_charger(f"c{index}", max_power_kw=kw) for index, kw in enumerate(powers_kw)])
        limit_kw = data.draw(st.floats(1.0, min(powers_kw)))
        energies_kwh = data.draw(st.lists(st.floats(1.0, 20.0), min_size=len(powers_kw), max_size=len(powers_kw)))
        sessions = tuple(
            make_session(f"s{index}", charger_id=f"c{index}", departure=MORNING + HOURS * HOUR, energy_kwh=kwh)
            for index, kwh in enumerate(energies_kwh)
        )
        site = replace(site, groups=(replace(site.groups[0], import_limit_kw=limit_kw),))
        options = OptimizeOptions(raster=timedelta(minutes=30))
        case = Case(
            site=site, sessions=sessions, prices=price_blocks([0.2] * TARIFF_HOURS), messages=(), options=options
        )

        plan = solved(case)

        until_kwh = np.cumsum(plan.group("main").power_kw * 0.5)
        expected = [min(sum(energies_kwh), limit_kw * 0.5 * (step + 1)) for step in range(plan.grid.steps)]
        assert until_kwh.tolist() == pytest.approx(expected, abs=TOLERANCE)
