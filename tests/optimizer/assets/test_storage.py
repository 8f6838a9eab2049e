"""Stationary batteries: cases worked out by hand, see `sites` for what they begin with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.domain.asset import Generator
from models.domain.group import LimitCounts, Site
from models.domain.schedule import ScheduleStatus
from models.errors import InputError
from models.oscp.v20 import to_optimum_messages
from optimizer.engine import optimize
from optimizer.formulation import formulate
from optimizer.objective import applicable_stages
from optimizer.options import COST_OBJECTIVE, PEAK_OBJECTIVE, Backend, SolverOptions
from optimizer.prepare import prepare
from tests.builders import (
    HOUR,
    MORNING,
    make_forecast,
    make_scenario,
    make_series,
    make_session,
    make_site,
    make_storage,
    make_tariff,
    make_vehicle,
)
from tests.optimizer.assets.sites import TWO_HOURS, asset, costs_of, figures, scenario_with


class TestStorage:
    """A battery moves energy to where it is worth more."""

    def test_it_buys_cheap_and_uses_dear(self) -> None:
        """Half full, 5 kW, 10 kWh: it takes 5 kWh at 0.20 and gives them back to a building at 0.30."""
        scenario = scenario_with(storages=[make_storage()], base_load_kw={"building": (6, 6)})

        plan = optimize(scenario, TWO_HOURS)

        battery = asset(plan, "battery")
        assert figures(battery.power_kw) == [5.0, -5.0]
        assert battery.stored_kwh is not None
        assert figures(battery.stored_kwh) == [10.0, 5.0]
        assert plan.energy_cost == pytest.approx(0.2 * 11 + 0.3 * 1)

    @pytest.mark.parametrize("ranks", [(0, 0), (0, 1), (2, 5)])
    def test_it_is_filled_whatever_classes_sessions_have(self, ranks: tuple[int, int]) -> None:
        """5 kWh are wanted in an empty battery by the end: they are bought, though nobody would get less without."""
        scenario = scenario_with(
            storages=[make_storage(energy_kwh=0.0, final_energy_kwh=5.0)],
            sessions=[
                replace(make_session(f"S{one}", charger_id="C1", energy_kwh=1.0), priority_class=rank)
                for one, rank in enumerate(ranks)
            ],
        )

        plan = optimize(scenario, TWO_HOURS)

        assert asset(plan, "battery").short_kwh == pytest.approx(0.0, abs=1e-6)

    def test_losses_count(self) -> None:
        """With 0.9 each way 5 kWh give back 4.05: at 0.20 and 0.30 that saves 0.215; at 0.25 and 0.30 it would lose."""
        pays = scenario_with(storages=[make_storage(efficiency=0.9)], base_load_kw={"building": (6, 6)})
        loses = replace(pays, tariff=make_tariff((0.25, 0.30)))

        plan, idle = optimize(pays, TWO_HOURS), optimize(loses, TWO_HOURS)

        assert figures(asset(plan, "battery").power_kw) == [5.0, -4.05]
        assert plan.energy_cost == pytest.approx(0.2 * 6 + 0.3 * 6 - (0.3 * 4.05 - 0.2 * 5))
        assert figures(asset(idle, "battery").power_kw) == [0.0, 0.0]

    def test_wear_counts(self) -> None:
        """A spread of 0.10 does not pay for 0.12 of wear; with 0.04 it does, and the wear is told."""
        cheap = scenario_with(storages=[make_storage(wear_price_per_kwh=0.04)], base_load_kw={"building": (6, 6)})
        dear = scenario_with(storages=[make_storage(wear_price_per_kwh=0.12)], base_load_kw={"building": (6, 6)})

        plan, idle = optimize(cheap, TWO_HOURS), optimize(dear, TWO_HOURS)

        assert costs_of(plan).wear_cost == pytest.approx(0.2)
        assert plan.total_cost == pytest.approx(0.2 * 11 + 0.3 * 1 + 0.2)
        assert figures(asset(idle, "battery").power_kw) == [0.0, 0.0]

    def test_it_is_left_as_full_as_it_was(self) -> None:
        """At one flat price nothing is gained: it stands still instead of being emptied into the building."""
        scenario = scenario_with(
            storages=[make_storage()], base_load_kw={"building": (6, 6)}, tariff=make_tariff((0.3, 0.3))
        )

        assert figures(asset(optimize(scenario, TWO_HOURS), "battery").power_kw) == [0.0, 0.0]

    def test_it_may_be_emptied_where_told_so(self) -> None:
        """With nothing wanted at the end its 5 kWh go into the dear hour, down to the 1 kWh that has to stay."""
        storage = make_storage(final_energy_kwh=1, min_energy_kwh=1)
        scenario = scenario_with(storages=[storage], base_load_kw={"building": (6, 6)}, tariff=make_tariff((0.3, 0.4)))

        plan = optimize(scenario, TWO_HOURS)

        stored_kwh = asset(plan, "battery").stored_kwh
        assert stored_kwh is not None
        assert figures(stored_kwh) == [6.0, 1.0] or figures(stored_kwh)[1] == 1.0
        assert plan.energy_cost == pytest.approx(0.3 * 6 + 0.4 * 6 - (0.4 * 5 - 0.3 * 1))

    def test_it_is_filled_as_far_as_it_can_be(self) -> None:
        """Wanted: 10 kWh at the end, from 5, behind a limit of 2 kW: 9 after two hours, and 1 is missing."""
        storage = make_storage(final_energy_kwh=10)
        scenario = scenario_with(storages=[storage], import_limit_kw=2, counts=LimitCounts.FLEXIBLE)

        plan = optimize(scenario, TWO_HOURS)

        battery = asset(plan, "battery")
        assert battery.stored_kwh is not None
        assert figures(battery.stored_kwh)[-1] == 9.0
        assert battery.short_kwh == pytest.approx(1.0)

    def test_it_helps_a_session_over_a_limit(self) -> None:
        """8 kWh in the first hour behind 4 kW: the battery gives 4 and takes them back in the second hour."""
        session = make_session(energy_kwh=8, departure=MORNING + HOUR)
        scenario = scenario_with(
            sessions=[session], storages=[make_storage()], import_limit_kw=4, counts=LimitCounts.FLEXIBLE
        )

        plan = optimize(scenario, TWO_HOURS)

        assert plan.unmet_energy_kwh == pytest.approx(0.0, abs=1e-6)
        assert figures(asset(plan, "battery").power_kw) == [-4.0, 4.0]

    @pytest.mark.parametrize("backend", Backend)
    def test_it_never_turns_energy_into_heat_for_money(self, backend: Backend) -> None:
        """At -1 per kWh losing energy would earn: drawing 10 kWh and feeding back 2.5 at once, hour after hour, 7.5 kWh
        are gone each time. It charges or it does not: half full, half of what it draws arrives, it takes 10 kWh once.
        """
        scenario = scenario_with(
            storages=[make_storage(efficiency=0.5, power_kw=10)],
            base_load_kw={"building": (20, 20)},
            tariff=make_tariff((-1.0, -1.0)),
        )
        options = replace(TWO_HOURS, solver=SolverOptions(backend=backend))

        plan = optimize(scenario, options)

        assert plan.status is ScheduleStatus.OPTIMAL
        assert sorted(figures(asset(plan, "battery").power_kw)) == [0.0, 10.0]
        assert plan.energy_cost == pytest.approx(-50.0)

    def test_whole_numbers_are_used_only_where_burning_pays(self) -> None:
        """No binary at positive prices, none for a battery without losses; one for each step with a negative price."""

        def switches(efficiency: float, prices: tuple[float, float]) -> int:
            scenario = scenario_with(
                storages=[make_storage(efficiency=efficiency)],
                base_load_kw={"building": (6, 6)},
                tariff=make_tariff(prices),
            )
            problem = prepare(scenario, TWO_HOURS)
            program = formulate(problem, applicable_stages(problem, COST_OBJECTIVE))
            return int(program.is_integer.sum())

        assert switches(0.9, (0.2, 0.3)) == 0
        assert switches(1.0, (-0.2, 0.3)) == 0
        assert switches(0.9, (-0.2, 0.3)) == 1

    def test_the_peak_is_shaved(self) -> None:
        """A building of 2 and 8 kW: with 3 kWh moved the meter sees 5 and 5."""
        scenario = scenario_with(storages=[make_storage()], base_load_kw={"building": (2, 8)})

        plan = optimize(scenario, replace(TWO_HOURS, objective=PEAK_OBJECTIVE))

        assert plan.peak_import_kw == pytest.approx(5.0)

    def test_an_optimum_tells_what_flexible_assets_draw(self) -> None:
        """Sessions and storages count, base load does not, and feeding in is told as zero."""
        scenario = scenario_with(
            sessions=[make_session(energy_kwh=3, departure=MORNING + HOUR)],
            storages=[make_storage()],
            base_load_kw={"building": (6, 6)},
            forecasts=make_scenario(forecasts=[make_forecast((20, 20))]).forecasts,
        )

        plan = optimize(scenario, TWO_HOURS)
        (message,) = to_optimum_messages(plan, scenario.site, scenario.forecasts, window=None)

        assert [block.capacity for block in message.forecasted_blocks] == [8.0, 0.0]


def test_a_site_names_each_asset_once() -> None:
    """Two assets of one id, an asset on no group, and a session with an unknown curve are refused by name."""
    with pytest.raises(InputError, match="asset 'battery' is listed twice"):
        make_site(storages=[make_storage(), make_storage()])
    with pytest.raises(InputError, match="'battery' hangs on the unknown group 'nowhere'"):
        make_site(storages=[make_storage(group_id="nowhere")])
    with pytest.raises(InputError, match="charge curve 'car' is not part"):
        make_scenario(sessions=[make_vehicle(charge_curve_id="car")])
    with pytest.raises(InputError, match="generator 'roof' has no forecast"):
        make_scenario(site=make_site(generators=[Generator(asset_id="roof", group_id="main")]))
    site: Site = make_site()
    with pytest.raises(InputError, match="'roof', which is no generator"):
        make_scenario(site=site, generation_kw={"roof": make_series((1,))})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"energy_kwh": 11.0}, "energy_kwh is 11.0; it must be between 0 and 10"),
        ({"min_energy_kwh": 6.0}, "energy_kwh is 5.0; it must be between 6 and 10"),
        ({"final_energy_kwh": 12.0}, "final_energy_kwh is 12.0"),
        ({"efficiency": 0.0}, "charge_efficiency is 0.0"),
        ({"efficiency": 1.1}, "charge_efficiency is 1.1"),
        ({"power_kw": -1.0}, "max_charge_kw is -1.0"),
        ({"wear_price_per_kwh": -0.1}, "wear_price_per_kwh is -0.1"),
        ({"max_energy_kwh": float("nan")}, "max_energy_kwh is nan"),
    ],
    ids=["overfull", "too empty", "wanted", "no efficiency", "above one", "power", "wear", "nan"],
)
def test_a_storage_that_cannot_be_is_refused(changes: dict[str, float], message: str) -> None:
    """The message names the storage, the field, the value and the bounds."""
    with pytest.raises(InputError, match=f"storage 'battery': {message}"):
        make_storage(**changes)  # type: ignore[arg-type]
