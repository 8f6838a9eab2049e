"""Plans with assets that do what they cannot, and sites without any."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.domain.demand import DemandCharge
from models.domain.scenario import Scenario
from models.domain.schedule import Schedule
from models.errors import VerificationError
from optimizer.engine import optimize
from optimizer.formulation import formulate
from optimizer.objective import applicable_stages, merge_weight
from optimizer.options import COST_OBJECTIVE, LimitMode
from optimizer.prepare import prepare
from optimizer.verify import verify
from tests.builders import make_scenario, make_session, make_storage, make_tariff, make_vehicle
from tests.optimizer.assets.sites import HOURLY, TWO_HOURS, costs_of, scenario_with


class TestVerification:
    """A plan that does what it cannot is refused, whoever made it."""

    def plan(self) -> tuple[Scenario, Schedule]:
        """A scenario with everything, and its plan."""
        scenario = scenario_with(
            sessions=[make_vehicle(energy_kwh=2, discharge_power_kw=4, efficiency=0.9)],
            storages=[make_storage(efficiency=0.9)],
            base_load_kw={"building": (6, 6)},
            generation_kw={"roof": (4, 1)},
            curtailable=True,
            import_limit_kw=30,
            export_limit_kw=10,
        )
        return scenario, optimize(scenario, HOURLY)

    def broken(self, broken_id: str, **changes: object) -> None:
        """Verify the plan with one asset's result changed."""
        scenario, plan = self.plan()
        assets = tuple(
            replace(result, **changes) if result.asset_id == broken_id else result  # type: ignore[arg-type]
            for result in plan.assets
        )
        verify(scenario, replace(plan, assets=assets), limit_mode=LimitMode.MEAN)

    def test_the_plan_itself_holds(self) -> None:
        """What the engine gave passes, which the tests below rest on."""
        scenario, plan = self.plan()

        verify(scenario, plan, limit_mode=LimitMode.MEAN)

    @pytest.mark.parametrize(
        ("asset_id", "changes", "message"),
        [
            ("battery", {"power_kw": np.array([6.0, 0.0])}, "'battery': planned between"),
            ("battery", {"power_kw": np.array([-5.0, -5.0])}, "'battery': emptied to"),
            ("battery", {"power_kw": np.array([5.0, 5.0])}, "'battery': filled to"),
            ("battery", {"power_kw": np.array([0.0, -1.0])}, "'battery': left with"),
            ("roof", {"power_kw": np.array([-9.0, -1.0])}, "'roof': planned to give what it does not have"),
            ("roof", {"power_kw": np.array([1.0, -1.0])}, "'roof': planned to give what it does not have"),
            ("battery", {"stored_kwh": np.array([1.0, 1.0])}, "state of storage 'battery'"),
            ("building", {"power_kw": np.array([5.0, 6.0])}, "power of 'building'"),
            ("building", {"asset_id": "shed"}, "'shed' is not one"),
        ],
        ids=["power", "empty", "full", "end", "sun", "drawing", "state", "load", "unknown"],
    )
    def test_what_an_asset_cannot_do_is_refused(self, asset_id: str, changes: dict[str, object], message: str) -> None:
        """The message names the asset and what it cannot."""
        with pytest.raises(VerificationError, match=message):
            self.broken(asset_id, **changes)

    def test_a_wrong_cost_is_refused(self) -> None:
        """Wear, peaks, revenue and carbon are recomputed like the cost of energy."""
        scenario, plan = self.plan()
        wrong = replace(plan, costs=replace(costs_of(plan), export_revenue=costs_of(plan).export_revenue + 1.0))

        with pytest.raises(VerificationError, match="export revenue"):
            verify(scenario, wrong, limit_mode=LimitMode.MEAN)

    def test_a_vehicle_emptied_too_far_is_refused(self) -> None:
        """The rows of a car are followed in order of time from its arrival."""
        scenario, plan = self.plan()
        hollow = replace(scenario.sessions[0], arrival_soc=0.05, min_soc=0.05)
        sessions = tuple(replace(result, session=hollow) for result in plan.sessions)
        feeding = replace(plan, sessions=sessions, power_kw=np.array([-4.0, 4.0 / 0.81 + 2.0]))

        with pytest.raises(VerificationError, match="'S1': emptied to"):
            verify(replace(scenario, sessions=(hollow,)), feeding, limit_mode=LimitMode.MEAN)


class TestNothingBeside:
    """A site without any of it is planned by the same program as ever."""

    def test_the_program_has_no_trace_of_it(self) -> None:
        """Variables and families are those of plain charging, and two stages are solved as one."""
        problem = prepare(make_scenario(tariff=make_tariff(exports_per_kwh=(0.1, 0.1))), HOURLY)
        stages = applicable_stages(problem, COST_OBJECTIVE)
        program = formulate(problem, stages)

        assert problem.assets is None
        assert list(program.columns) == ["energy_kwh", "unmet_kwh"]
        assert list(program.rows) == ["energy_balance", "capacity_limit"]
        assert merge_weight(problem, stages) is not None

    def test_stages_are_merged_only_where_that_is_proved(self) -> None:
        """Base load and generation leave the program a flow; a battery, a charged peak and a switch do not."""

        def merged(scenario: Scenario) -> bool:
            problem = prepare(scenario, TWO_HOURS)
            return merge_weight(problem, applicable_stages(problem, COST_OBJECTIVE)) is not None

        sessions = [make_session()]
        plain = scenario_with(sessions=sessions, base_load_kw={"building": (6, 6)}, generation_kw={"roof": (9, 9)})
        switch = replace(plain, tariff=make_tariff((0.1, 0.1), exports_per_kwh=(0.5, 0.5)))
        charged = replace(plain, demand_charges=(DemandCharge(charge_id="peak", price_per_kw=1.0),))

        assert merged(plain)
        assert not merged(switch)
        assert not merged(charged)
        assert not merged(scenario_with(sessions=sessions, storages=[make_storage()]))
