"""Demand charges and carbon: cases worked out by hand, see `sites` for what they begin with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.domain.demand import DailyWindow, DemandCharge
from models.domain.scenario import Scenario
from models.domain.schedule import Schedule
from optimizer.engine import optimize
from tests.builders import MORNING, make_scenario, make_series, make_session, make_site, make_tariff
from tests.optimizer.assets.sites import HOURLY, costs_of, scenario_with, session_kw


class TestDemandCharge:
    """The peak of a month is paid for, as far as it is not yet reached."""

    def charged(self, charge: DemandCharge, *, energy_kwh: float = 10.0) -> Schedule:
        """A plan under one charge, of one session, at 0.20 and 0.30."""
        scenario = make_scenario(sessions=[make_session(energy_kwh=energy_kwh)], tariff=make_tariff())
        return optimize(replace(scenario, demand_charges=(charge,)), HOURLY)

    def test_a_high_price_flattens(self) -> None:
        """At 10 per kW the spread of 0.10 per kWh counts for nothing: 5 and 5 kW, 50 for the peak."""
        plan = self.charged(DemandCharge(charge_id="peak", price_per_kw=10.0))

        assert session_kw(plan) == [5.0, 5.0]
        assert costs_of(plan).demand_cost == pytest.approx(50.0)
        assert plan.total_cost == pytest.approx(0.2 * 5 + 0.3 * 5 + 50.0)

    def test_a_low_price_does_not(self) -> None:
        """A kW more saves 0.10 by moving a kWh and costs 0.05: all 10 kWh come in the cheap hour."""
        plan = self.charged(DemandCharge(charge_id="peak", price_per_kw=0.05))

        assert session_kw(plan) == [10.0, 0.0]

    def test_what_is_already_reached_is_free(self) -> None:
        """8 kW are paid for anyhow: 8 and 2 kW, and nothing more to pay."""
        plan = self.charged(DemandCharge(charge_id="peak", price_per_kw=10.0, peak_so_far_kw=8.0))

        assert session_kw(plan) == [8.0, 2.0]
        assert costs_of(plan).demand_cost == 0.0

    def test_only_its_window_counts(self) -> None:
        """Local time is an hour ahead of UTC: from 09:00 to 10:00 a kW costs 10, after that nothing."""
        window = DailyWindow(start_minute=9 * 60, end_minute=10 * 60)

        plan = self.charged(DemandCharge(charge_id="peak", price_per_kw=10.0, windows=(window,)))

        assert session_kw(plan) == [0.0, 10.0]
        assert costs_of(plan).demand_cost == pytest.approx(0.0)

    def test_a_new_month_begins_at_nothing(self) -> None:
        """The night to the first of April: 8 kW reached in March are of no help in April."""
        start = MORNING.replace(month=3, day=31, hour=21)
        session = make_session(energy_kwh=10, arrival=start)
        charge = DemandCharge(charge_id="peak", price_per_kw=10.0, peak_so_far_kw=8.0)
        scenario = make_scenario(sessions=[session], tariff=make_tariff((0.3, 0.2), start=start))

        plan = optimize(replace(scenario, demand_charges=(charge,)), HOURLY)

        assert session_kw(plan) == [8.0, 2.0]
        assert costs_of(plan).demand_cost == pytest.approx(20.0)

    def test_the_base_load_counts(self) -> None:
        """A building of 4 and 0 kW and a car of 6 kWh: the meter sees 5 and 5."""
        scenario = scenario_with(sessions=[make_session(energy_kwh=6)], base_load_kw={"building": (4, 0)})
        charge = DemandCharge(charge_id="peak", price_per_kw=10.0)

        plan = optimize(replace(scenario, demand_charges=(charge,)), HOURLY)

        assert plan.peak_import_kw == pytest.approx(5.0)

    def test_service_comes_first(self) -> None:
        """However dear the peak, the energy is served."""
        plan = self.charged(DemandCharge(charge_id="peak", price_per_kw=1e5), energy_kwh=40.0)

        assert plan.unmet_energy_kwh == pytest.approx(0.0, abs=1e-6)


class TestCarbon:
    """A price on carbon dioxide moves energy to the clean hour; the kilograms are told either way."""

    def scenario(self, price_per_kg: float) -> Scenario:
        """0.20 and 0.30 per kWh, 0.5 and 0.1 kg per kWh."""
        scenario = make_scenario(site=make_site(carbon_price_per_kg=price_per_kg), tariff=make_tariff())
        return replace(scenario, carbon_kg_per_kwh=make_series((0.5, 0.1)))

    def test_without_a_price_it_is_told_only(self) -> None:
        """10 kWh in the cheap hour: 5 kg that cost nothing."""
        plan = optimize(self.scenario(0.0), HOURLY)

        assert session_kw(plan) == [10.0, 0.0]
        assert (costs_of(plan).carbon_kg, costs_of(plan).carbon_cost) == pytest.approx((5.0, 0.0))

    def test_a_price_moves_energy(self) -> None:
        """At 0.50 per kg the hours count 0.45 and 0.35: 10 kWh in the second, 1 kg, 0.50; energy is told apart."""
        plan = optimize(self.scenario(0.5), HOURLY)

        assert session_kw(plan) == [0.0, 10.0]
        assert costs_of(plan).carbon_kg == pytest.approx(1.0)
        assert plan.energy_cost == pytest.approx(3.0)
        assert plan.total_cost == pytest.approx(3.5)

    def test_it_works_without_prices_of_energy(self) -> None:
        """Carbon alone decides where energy has no price."""
        plan = optimize(replace(self.scenario(0.5), tariff=None), HOURLY)

        assert session_kw(plan) == [0.0, 10.0]
