"""Storage, vehicles that feed in, generation and base load on random sites: what always holds, and a second opinion.

The second opinion is a program of its own over hours, written from the words of the documents and solved by SciPy:
energies instead of the engine's families, unmet energy first and cost second.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

from models.domain.asset import BaseLoad, Generator, Storage
from models.domain.demand import DemandCharge
from models.domain.group import CapacityGroup, LimitCounts
from models.domain.scenario import Scenario
from models.domain.schedule import Schedule, ScheduleStatus
from models.domain.session import ChargingSession
from optimizer.engine import optimize
from optimizer.options import (
    COST_OBJECTIVE,
    Backend,
    LimitMode,
    OptimizeOptions,
    PilotMode,
    SolverOptions,
    Stage,
    Strategy,
)
from optimizer.verify import verify
from tests.builders import (
    HOUR,
    MORNING,
    make_charger,
    make_scenario,
    make_series,
    make_site,
    make_storage,
    make_tariff,
    make_vehicle,
)

HOURS = 4
TOLERANCE = 1e-5
EXAMPLES = settings(max_examples=25, deadline=None)
OPTIONS = OptimizeOptions(raster=HOUR, start=MORNING, end=MORNING + HOURS * HOUR, objective=COST_OBJECTIVE)

POWERS = st.sampled_from([0.0, 3.0, 5.0, 8.0, 11.0])
EFFICIENCIES = st.sampled_from([1.0, 0.95, 0.8, 0.5])
PRICES = st.sampled_from([0.1, 0.2, 0.3, 0.0, -0.1, -0.5])


@dataclass(frozen=True, kw_only=True)
class Parts:
    """One site of one group, hour by hour."""

    cars: tuple[ChargingSession, ...]
    storage: Storage
    sun_kw: tuple[float, ...]
    load_kw: tuple[float, ...]
    drawn: tuple[float, ...]
    earned: tuple[float, ...]
    import_limit_kw: float
    export_limit_kw: float
    curtailable: bool
    peak_price: float

    @property
    def scenario(self) -> Scenario:
        """The same as a scenario."""
        group = CapacityGroup(
            group_id="main",
            import_limit_kw=self.import_limit_kw,
            export_limit_kw=self.export_limit_kw,
            limit_counts=LimitCounts.TOTAL,
        )
        site = make_site(
            groups=[group],
            chargers=[make_charger(car.charger_id, max_power_kw=11.0) for car in self.cars],
            storages=[self.storage],
            generators=[Generator(asset_id="sun", group_id="main", curtailable=self.curtailable)],
            base_loads=[BaseLoad(asset_id="load", group_id="main")],
        )
        charge = DemandCharge(charge_id="peak", price_per_kw=self.peak_price, peak_so_far_kw=4.0)
        return make_scenario(
            site=site,
            sessions=self.cars,
            tariff=make_tariff(self.drawn, exports_per_kwh=self.earned),
            generation_kw={"sun": make_series(self.sun_kw)},
            base_load_kw={"load": make_series(self.load_kw)},
            demand_charges=[charge] if self.peak_price else [],
        )


@st.composite
def parts(draw: st.DrawFn, *, lowest_kw: float = 9.0) -> Parts:
    """Anything of whole hours that one group can hold; its fixed powers stay below limits of 9 kW and more."""

    def hourly(values: st.SearchStrategy[float]) -> tuple[float, ...]:
        return tuple(draw(st.lists(values, min_size=HOURS, max_size=HOURS)))

    cars = []
    for index in range(draw(st.integers(0, 3))):
        first = draw(st.integers(0, HOURS - 1))
        last = draw(st.integers(first + 1, HOURS))
        cars.append(
            ChargingSession(
                session_id=f"car{index}",
                charger_id=f"c{index}",
                arrival=MORNING + first * HOUR,
                departure=MORNING + last * HOUR,
                energy_kwh=draw(st.sampled_from([0.0, 5.0, 12.0, 30.0])),
                discharge_power_kw=draw(st.sampled_from([0.0, 5.0, 11.0])),
                battery_capacity_kwh=40.0,
                arrival_soc=draw(st.sampled_from([0.1, 0.5, 0.9])),
                min_soc=draw(st.sampled_from([0.0, 0.2])),
                charge_efficiency=draw(EFFICIENCIES),
                discharge_efficiency=draw(EFFICIENCIES),
                wear_price_per_kwh=draw(st.sampled_from([0.0, 0.05])),
            )
        )
    storage = Storage(
        asset_id="battery",
        group_id="main",
        max_charge_kw=draw(POWERS),
        max_discharge_kw=draw(POWERS),
        energy_kwh=draw(st.sampled_from([2.0, 5.0, 10.0])),
        max_energy_kwh=10.0,
        min_energy_kwh=2.0,
        final_energy_kwh=draw(st.sampled_from([None, 2.0])),
        charge_efficiency=draw(EFFICIENCIES),
        discharge_efficiency=draw(EFFICIENCIES),
        wear_price_per_kwh=draw(st.sampled_from([0.0, 0.05])),
    )
    return Parts(
        cars=tuple(cars),
        storage=storage,
        sun_kw=hourly(st.sampled_from([0.0, 4.0, 9.0])),
        load_kw=hourly(st.sampled_from([0.0, 3.0, 7.0])),
        drawn=hourly(PRICES),
        earned=hourly(st.sampled_from([0.0, 0.05, 0.25, -0.05])),
        import_limit_kw=draw(st.sampled_from([lowest_kw + 1.0, 15.0, 40.0])),
        export_limit_kw=draw(st.sampled_from([lowest_kw, 20.0])),
        curtailable=draw(st.booleans()),
        peak_price=draw(st.sampled_from([0.0, 0.0, 1.0])),
    )


def planned(case: Parts, **changes: object) -> Schedule:
    """The optimum of a case, proved."""
    plan = optimize(case.scenario, replace(OPTIONS, **changes))  # type: ignore[arg-type]
    assert plan.status is ScheduleStatus.OPTIMAL
    return plan


class Oracle:
    """The same question in other words: columns are added one by one, rows as dictionaries, and SciPy decides."""

    def __init__(self, case: Parts) -> None:
        self.upper: list[float] = []
        self.lower: list[float] = []
        self.whole: list[int] = []
        self.rows: list[tuple[dict[int, float], float, float]] = []
        self.unmet: dict[int, float] = {}
        self.cost: dict[int, float] = {}
        self.over: dict[int, float] = {}
        self.net: list[dict[int, float]] = [{} for _ in range(HOURS)]
        for car in case.cars:
            self.car(car)
        self.battery(case.storage)
        for hour in range(HOURS):
            self.meter(case, hour)
        if case.peak_price:
            peak = self.column(np.inf)
            self.cost[peak] = case.peak_price
            for hour in range(HOURS):
                row = dict(self.net[hour])
                self.rows.append(({**row, peak: -1.0}, -np.inf, 4.0 - case.load_kw[hour] + case.sun_kw[hour]))

    def column(self, upper: float, *, lower: float = 0.0, whole: bool = False) -> int:
        """A further column."""
        self.upper.append(upper)
        self.lower.append(lower)
        self.whole.append(int(whole))
        return len(self.upper) - 1

    def one_way(self, charge: int, most_charge: float, discharge: int, most_discharge: float) -> None:
        """Never both at once, by a switch in every hour."""
        switch = self.column(1.0, whole=True)
        self.rows.append(({charge: 1.0, switch: -most_charge}, -np.inf, 0.0))
        self.rows.append(({discharge: 1.0, switch: most_discharge}, -np.inf, most_discharge))

    def car(self, car: ChargingSession) -> None:
        """Energy, state and what stays unmet of one car."""
        first = round((car.arrival - MORNING) / HOUR)
        last = round((car.departure - MORNING) / HOUR)
        state_kwh = 40.0 * (car.arrival_soc or 0.0)
        room_kwh = (40.0 - state_kwh) / car.charge_efficiency if car.discharge_power_kw else np.inf
        need_kwh = min(car.energy_kwh, 11.0 * (last - first), room_kwh)
        unmet = self.column(need_kwh)
        self.unmet[unmet] = 1.0
        balance, state = {unmet: 1.0}, {}
        for hour in range(first, last):
            drawn = self.column(11.0)
            self.net[hour][drawn] = 1.0
            balance[drawn] = 1.0
            state[drawn] = car.charge_efficiency
            if car.discharge_power_kw:
                fed = self.column(car.discharge_power_kw)
                self.net[hour][fed] = -1.0
                balance[fed] = -1.0 / (car.charge_efficiency * car.discharge_efficiency)
                state[fed] = -1.0 / car.discharge_efficiency
                self.cost[fed] = car.wear_price_per_kwh
                self.one_way(drawn, 11.0, fed, car.discharge_power_kw)
                least_kwh = 40.0 * min(car.min_soc, car.arrival_soc or 0.0)
                self.rows.append((dict(state), least_kwh - state_kwh, 40.0 - state_kwh))
        self.rows.append((balance, need_kwh, need_kwh))

    def battery(self, storage: Storage) -> None:
        """State of the battery after each hour."""
        state: dict[int, float] = {}
        for hour in range(HOURS):
            drawn, fed = self.column(storage.max_charge_kw), self.column(storage.max_discharge_kw)
            self.net[hour] |= {drawn: 1.0, fed: -1.0}
            state |= {drawn: storage.charge_efficiency, fed: -1.0 / storage.discharge_efficiency}
            self.cost[fed] = storage.wear_price_per_kwh
            self.one_way(drawn, storage.max_charge_kw, fed, storage.max_discharge_kw)
            least = storage.min_energy_kwh if hour < HOURS - 1 else min(storage.energy_kwh, storage.wanted_energy_kwh)
            self.rows.append((dict(state), least - storage.energy_kwh, storage.max_energy_kwh - storage.energy_kwh))

    def meter(self, case: Parts, hour: int) -> None:
        """Import, export, limits and sun of one hour."""
        unused = self.column(case.sun_kw[hour] if case.curtailable else 0.0)
        self.net[hour][unused] = 1.0
        fixed_kwh = case.load_kw[hour] - case.sun_kw[hour]
        drawn, fed = self.column(200.0), self.column(200.0)
        self.one_way(drawn, 200.0, fed, 200.0)
        negative = {column: -value for column, value in self.net[hour].items()}
        self.rows.append(({**negative, drawn: 1.0, fed: -1.0}, fixed_kwh, fixed_kwh))
        # What is exceeded anyhow may be, by no more than that.
        forced_kwh = case.sun_kw[hour] if not case.curtailable else 0.0
        over_import = self.column(max(fixed_kwh - case.import_limit_kw, 0.0))
        over_export = self.column(max(forced_kwh - case.load_kw[hour] - case.export_limit_kw, 0.0))
        self.over |= {over_import: 1.0, over_export: 1.0}
        self.rows.append(({**self.net[hour], over_import: -1.0}, -np.inf, case.import_limit_kw - fixed_kwh))
        self.rows.append(({**self.net[hour], over_export: 1.0}, -case.export_limit_kw - fixed_kwh, np.inf))
        self.cost[drawn] = case.drawn[hour]
        self.cost[fed] = -case.earned[hour]

    def best(self) -> tuple[float, float, float]:
        """Least excess over limits, least unmet energy at that, kWh, and the least cost at both, currency."""
        over_kwh = self.solve(self.over)
        unmet_kwh = self.solve(self.unmet, (self.over, over_kwh))
        return over_kwh, unmet_kwh, self.solve(self.cost, (self.over, over_kwh), (self.unmet, unmet_kwh))

    def solve(self, objective: dict[int, float], *held: tuple[dict[int, float], float]) -> float:
        """The least value of an objective, others held at theirs."""
        size = len(self.upper)

        def dense(row: dict[int, float]) -> NDArray[np.float64]:
            values = np.zeros(size)
            for column, value in row.items():
                values[column] += value
            return values

        rows = [*self.rows, *((row, -np.inf, value + 1e-7) for row, value in held)]
        found = milp(
            dense(objective),
            integrality=np.array(self.whole),
            bounds=Bounds(np.array(self.lower), np.array(self.upper)),
            constraints=LinearConstraint(
                np.array([dense(row) for row, _, _ in rows]),
                np.array([low for _, low, _ in rows]),
                np.array([high for _, _, high in rows]),
            ),
        )
        assert found.success, found.message
        return float(found.fun)


NOTHING_UNMET = Parts(
    cars=(
        replace(
            make_vehicle("car0", charger_id="c0", hours=HOURS, energy_kwh=12.0, arrival_soc=0.1),
            arrival=MORNING + 3 * HOUR,
        ),
    ),
    storage=replace(make_storage(power_kw=5.0, energy_kwh=5.0, min_energy_kwh=2.0), charge_efficiency=0.5),
    sun_kw=(0.0, 4.0, 9.0, 9.0),
    load_kw=(3.0, 3.0, 0.0, 3.0),
    drawn=(0.1, -0.1, -0.1, 0.1),
    earned=(0.0, 0.0, 0.0, 0.0),
    import_limit_kw=2.0,
    export_limit_kw=20.0,
    curtailable=True,
    peak_price=0.0,
)
"""Nothing stays unmet, which a search over whole numbers comes below by rounding."""


@EXAMPLES
@given(parts() | parts(lowest_kw=1.0))
@example(NOTHING_UNMET)
def test_the_optimum_is_that_of_another_program(case: Parts) -> None:
    """Excess, unmet energy and cost are those that SciPy finds with a switch for every battery and meter in every hour.

    Where a limit is exceeded, the first figure is by how much.
    """
    plan = planned(case)
    over_kwh, unmet_kwh, cost = Oracle(case).best()

    assert sum(one.excess_kwh for one in plan.violations) == pytest.approx(over_kwh, abs=1e-4)
    assert value_of(plan, Stage.UNMET_ENERGY) == pytest.approx(unmet_kwh, abs=TOLERANCE)
    assert plan.total_cost == pytest.approx(cost, abs=1e-4)


def value_of(plan: Schedule, name: Stage) -> float:
    """What a stage came to."""
    return next(stage.value for stage in plan.stages if stage.name == name)


@EXAMPLES
@given(
    parts() | parts(lowest_kw=1.0),
    st.sampled_from([(4.14, ()), (0.0, (3.0, 6.0, 11.0))]),
    st.sampled_from(LimitMode),
    st.sampled_from([PilotMode.ROUNDED, PilotMode.EXACT]),
)
def test_chargers_with_powers_of_their_own(
    case: Parts, powers: tuple[float, tuple[float, ...]], limit_mode: LimitMode, pilots: PilotMode
) -> None:
    """Beside assets too, chargers get powers that they have, at most as much is served, and never by a fallback.

    Who feeds in is given any power. Where a surplus has to be taken up by cars to the last kW, their powers may not
    allow it: more is fed in then, and as much served as may be.
    """
    least_kw, levels_kw = powers
    scenario = case.scenario
    chargers = tuple(
        replace(charger, min_power_kw=least_kw, power_levels_kw=levels_kw) for charger in scenario.site.chargers
    )
    scenario = replace(scenario, site=replace(scenario.site, chargers=chargers))
    options = replace(OPTIONS, limit_mode=limit_mode, pilots=pilots)

    plan = optimize(scenario, options)

    free = optimize(scenario, replace(options, pilots=PilotMode.CONTINUOUS))
    assert plan.unmet_energy_kwh >= free.unmet_energy_kwh - TOLERANCE
    for row, power_kw in enumerate(plan.power_kw.tolist()):
        if plan.sessions[int(plan.session_index[row])].session.discharge_power_kw > 0:
            continue
        assert power_kw >= least_kw - TOLERANCE
        assert not levels_kw or min(abs(power_kw - level_kw) for level_kw in levels_kw) < TOLERANCE
    assert plan.status is not ScheduleStatus.FALLBACK


@EXAMPLES
@given(parts())
def test_energy_is_neither_made_nor_lost(case: Parts) -> None:
    """Drawn less fed in is what cars, battery and building take less what the sun gives."""
    plan = planned(case)

    net_kwh = sum(float((asset.power_kw * plan.grid.step_hours).sum()) for asset in plan.assets)
    vehicles = {car.session_id for car in case.cars}
    net_kwh -= sum(float(one.power_kw.sum()) for one in plan.assets if one.asset_id in vehicles)
    net_kwh += float(plan.energy_kwh.sum())
    assert plan.costs is not None
    metered_kwh = plan.costs.import_energy_kwh - plan.costs.export_energy_kwh
    assert metered_kwh == pytest.approx(net_kwh, abs=TOLERANCE)


@EXAMPLES
@given(parts(), st.sampled_from([s for s in Strategy if s is not Strategy.OPTIMAL]))
def test_no_strategy_serves_more_or_costs_less(case: Parts, strategy: Strategy) -> None:
    """A heuristic leaves assets alone: it never beats the optimum, and what it does is verified."""
    plan = planned(case)
    other = optimize(case.scenario, replace(OPTIONS, strategy=strategy))

    if strategy is not Strategy.UNCONTROLLED:
        assert plan.unmet_energy_kwh <= other.unmet_energy_kwh + TOLERANCE
        if other.unmet_energy_kwh <= plan.unmet_energy_kwh + TOLERANCE:
            assert plan.total_cost <= other.total_cost + 1e-4


@EXAMPLES
@given(parts())
def test_more_battery_never_costs_more(case: Parts) -> None:
    """With a battery of twice the power and size nothing is served less or costs more."""
    larger = replace(
        case.storage,
        max_charge_kw=2 * case.storage.max_charge_kw,
        max_discharge_kw=2 * case.storage.max_discharge_kw,
        max_energy_kwh=2 * case.storage.max_energy_kwh,
    )

    plan, again = planned(case), planned(replace(case, storage=larger))

    assert again.stages[0].value <= plan.stages[0].value + TOLERANCE
    if again.stages[0].value >= plan.stages[0].value - TOLERANCE:
        assert again.total_cost <= plan.total_cost + 1e-4


@EXAMPLES
@given(parts())
def test_pyomo_and_arrays_are_one_program(case: Parts) -> None:
    """Both ways to HiGHS give the same values of the stages, and plans that pass for either meaning of a limit."""
    pyomo = planned(case)
    arrays = planned(case, solver=SolverOptions(backend=Backend.ARRAYS))

    assert [stage.value for stage in arrays.stages] == pytest.approx([stage.value for stage in pyomo.stages], abs=1e-6)
    moments = planned(case, limit_mode=LimitMode.INSTANTANEOUS)
    verify(case.scenario, moments, limit_mode=LimitMode.INSTANTANEOUS)
