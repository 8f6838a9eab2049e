"""What the last plan left speeds up the next one, and changes nothing else."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.domain.scenario import Scenario
from models.domain.schedule import Schedule, ScheduleStatus
from optimizer import again, network, stages
from optimizer.again import Memory
from optimizer.basis import AT_LOWER, BASIC, Basis, basis_of
from optimizer.bench.synthetic import DAY as MORNING
from optimizer.bench.synthetic import scenario as synthetic_scenario
from optimizer.engine import optimize
from optimizer.options import Backend, OptimizeOptions, SolverOptions, Stage
from tests.properties.strategies import ENERGIES_KWH, HOURS, LIMITS_KW, MINUTE, PRICES, Case, cases, session_lists

DAY = synthetic_scenario(300, seed=1)
SHORT = synthetic_scenario(300, seed=1, limit_share=0.35)
NIGHT = MORNING + timedelta(days=1)
TOLERANCE = 1e-5
"""kWh or currency, of stages that each hold to 1e-6."""


def with_limit(day: Scenario, factor: float) -> Scenario:
    """The day with another limit of its one group."""
    root = day.site.groups[0]
    return replace(
        day, site=replace(day.site, groups=(replace(root, import_limit_kw=factor * (root.import_limit_kw or 0.0)),))
    )


Change = Callable[[st.DrawFn, Case], Case]


def other_limits(draw: st.DrawFn, case: Case) -> Case:
    """Any group may be limited otherwise, or no more, or for the first time."""
    groups = tuple(
        replace(group, import_limit_kw=draw(LIMITS_KW)) if draw(st.booleans()) else group for group in case.site.groups
    )
    return replace(case, site=replace(case.site, groups=groups))


def other_prices(draw: st.DrawFn, case: Case) -> Case:
    """Any block may have another price."""
    prices = tuple(
        replace(block, import_price_per_kwh=draw(PRICES)) if draw(st.booleans()) else block for block in case.prices
    )
    return replace(case, prices=prices)


def other_energies(draw: st.DrawFn, case: Case) -> Case:
    """Any vehicle may want more or less."""
    sessions = tuple(
        replace(session, energy_kwh=draw(ENERGIES_KWH)) if draw(st.booleans()) else session for session in case.sessions
    )
    return replace(case, sessions=sessions)


def arrivals(draw: st.DrawFn, case: Case) -> Case:
    """Up to three vehicles nobody knew of."""
    known = {session.session_id for session in case.sessions}
    come = draw(session_lists(case.site, most=3))
    fresh = (f"new{number}" for number in range(100))
    named = (next(name for name in fresh if name not in known) for _ in come)
    return replace(
        case,
        sessions=(*case.sessions, *(replace(one, session_id=name) for one, name in zip(come, named, strict=True))),
    )


def departures(draw: st.DrawFn, case: Case) -> Case:
    """Some vehicles are no longer planned for."""
    stay = tuple(session for session in case.sessions if draw(st.booleans()))
    return replace(case, sessions=stay or case.sessions[:1])


def time_moves_on(draw: st.DrawFn, case: Case) -> Case:
    """Vehicles that are there want what they want from now on."""
    now = min(session.arrival for session in case.sessions) + draw(st.integers(1, 60 * HOURS)) * MINUTE
    sessions = tuple(
        replace(session, arrival=max(session.arrival, now))
        for session in case.sessions
        if session.departure > now + timedelta(minutes=1)
    )
    return replace(case, sessions=sessions or case.sessions)


CHANGES: tuple[Change, ...] = (other_limits, other_prices, other_energies, arrivals, departures, time_moves_on)


@st.composite
def sequences(draw: st.DrawFn) -> list[Case]:
    """A case, and what becomes of it in up to five changes."""
    found = [draw(cases()).with_options(solver=SolverOptions(backend=draw(st.sampled_from(list(Backend)))))]
    for change in draw(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=5)):
        found.append(change(draw, found[-1]))
    return found


def assert_same(warm: Schedule, cold: Schedule) -> None:
    """Every stage reaches the same value, proved; both were verified before they were returned."""
    assert warm.status is cold.status is ScheduleStatus.OPTIMAL
    assert [stage.name for stage in warm.stages] == [stage.name for stage in cold.stages]
    assert [stage.value for stage in warm.stages] == pytest.approx(
        [stage.value for stage in cold.stages], rel=TOLERANCE, abs=TOLERANCE
    )


@settings(max_examples=100)
@given(sequence=sequences(), is_large=st.booleans())
def test_a_start_from_the_last_plan_changes_no_value(sequence: list[Case], *, is_large: bool) -> None:
    """Limits, prices and energies change, vehicles come and go, time moves on: as if planned from scratch each time.

    Whether prices are what is left, as of large programs, or bases.
    """
    memory = Memory()

    for case in sequence:
        with pytest.MonkeyPatch.context() as patch:
            if is_large:
                patch.setattr(network, "LEAST_COLUMNS", 0)
                patch.setattr(network, "MOST_SHORT", 1.0)
                patch.setattr(again, "ALIKE", 1e9)
            warm = optimize(case.scenario, case.options, memory=memory)

        assert_same(warm, optimize(case.scenario, case.options))


@settings(max_examples=40)
@given(sequences(), st.integers(0, 2**32 - 1))
def test_a_start_that_leads_nowhere_changes_no_value(sequence: list[Case], seed: int) -> None:
    """Bases of noise, singular, with too many members or too few, cost time only."""
    memory, generator = Memory(), np.random.default_rng(seed)

    for case in sequence:
        if memory.last is not None:
            ended = {name: basis_of(instance.highs) for name, instance in memory.last.instances.items()}
            noise = {name: noisy(basis, generator) for name, basis in ended.items() if basis is not None}
            memory.last = replace(memory.last, bases=noise, instances={})
        warm = optimize(case.scenario, case.options, memory=memory)

        assert_same(warm, optimize(case.scenario, case.options))


def noisy(basis: Basis, generator: np.random.Generator) -> Basis:
    """A basis of the same size, and nothing else in common."""

    def noise(like: NDArray[np.object_]) -> NDArray[np.object_]:
        return np.array([AT_LOWER, BASIC], dtype=object)[generator.integers(0, 2, like.size)]

    return Basis(columns=noise(basis.columns), rows=noise(basis.rows))


@pytest.mark.parametrize("backend", list(Backend))
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (DAY, with_limit(DAY, 0.97)),
        (SHORT, with_limit(SHORT, 0.97)),
        (replace(SHORT, sessions=SHORT.sessions[:150] + SHORT.sessions[151:]), SHORT),
        (SHORT, replace(SHORT, sessions=SHORT.sessions[:150] + SHORT.sessions[151:])),
    ],
    ids=["a lower limit", "a lower limit, scarce", "an arrival, scarce", "a departure, scarce"],
)
def test_small_changes_save_most_iterations(
    before: Scenario, after: Scenario, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    """300 vehicles, one more or less, or a limit 3 % lower: from the last basis at most 40 % of the iterations."""
    memory, options = Memory(), OptimizeOptions(solver=SolverOptions(backend=backend))
    optimize(before, options, memory=memory)

    with caplog.at_level(logging.DEBUG, logger="optimizer.stages"):
        warm_plan = optimize(after, options, memory=memory)
        warm = iterations(caplog)
        caplog.clear()
        cold_plan = optimize(after, options)
        cold = iterations(caplog)

    assert_same(warm_plan, cold_plan)
    assert 0 < warm < 0.4 * cold


@pytest.mark.parametrize(
    ("before", "after"),
    [(DAY, with_limit(DAY, 0.97)), (replace(DAY, sessions=DAY.sessions[:150] + DAY.sessions[151:]), DAY)],
    ids=["a lower limit", "an arrival"],
)
def test_prices_of_the_last_plan_save_nearly_all_iterations_of_a_large_program(
    before: Scenario, after: Scenario, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Unmet energy and cost start at what the last plan's limits were worth, and no sample is asked."""
    monkeypatch.setattr(network, "LEAST_COLUMNS", 0)
    monkeypatch.setattr(network.Network, "sample", lambda *_: None)
    memory, options = (
        Memory(),
        OptimizeOptions(
            solver=SolverOptions(backend=Backend.ARRAYS), objective=(Stage.UNMET_ENERGY, Stage.ENERGY_COST)
        ),
    )
    optimize(before, options, memory=memory)

    with caplog.at_level(logging.DEBUG, logger="optimizer.stages"):
        warm_plan = optimize(after, options, memory=memory)
        warm = iterations(caplog)
        caplog.clear()
        cold_plan = optimize(after, options)
        cold = iterations(caplog)

    assert_same(warm_plan, cold_plan)
    assert warm < 0.05 * cold


@pytest.mark.parametrize(
    ("after", "is_asked"),
    [
        (with_limit(DAY, 0.95), False),
        (replace(DAY, sessions=DAY.sessions[5:]), False),
        (with_limit(DAY, 0.8), True),
        (replace(DAY, tariff=synthetic_scenario(300, seed=2).tariff), True),
    ],
    ids=["limit", "departures", "lower limit", "other prices"],
)
def test_a_sample_is_asked_where_the_last_prices_cannot_be_right(
    after: Scenario, monkeypatch: pytest.MonkeyPatch, *, is_asked: bool
) -> None:
    """Where limits are others altogether, or anything costs something else."""
    monkeypatch.setattr(network, "LEAST_COLUMNS", 0)
    memory, asked = Memory(), 0

    def sample(*_: object) -> None:
        nonlocal asked
        asked += 1

    optimize(DAY, memory=memory)
    monkeypatch.setattr(network.Network, "sample", sample)
    optimize(after, memory=memory)

    assert bool(asked) == is_asked


def test_a_basis_that_is_refused_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """What HiGHS will not start from is planned from scratch."""
    memory = Memory()
    optimize(DAY, memory=memory)
    monkeypatch.setattr(stages, "hand_over", lambda *_: False)

    assert_same(optimize(DAY, memory=memory), optimize(DAY))


@pytest.mark.parametrize("least_columns", [0, network.LEAST_COLUMNS])
@pytest.mark.parametrize("backend", list(Backend))
def test_a_day_without_anybody_leaves_and_takes_nothing(
    backend: Backend, least_columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From an empty day to a full one and back."""
    monkeypatch.setattr(network, "LEAST_COLUMNS", least_columns)
    memory, options = Memory(), OptimizeOptions(solver=SolverOptions(backend=backend), start=MORNING, end=NIGHT)

    for day in (DAY, replace(DAY, sessions=()), DAY):
        assert_same(optimize(day, options, memory=memory), optimize(day, options))


@pytest.mark.parametrize("share", [1.0, 0.35], ids=["enough", "scarce"])
def test_other_prices_start_from_scratch_unless_capacity_is_scarce(
    share: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Other prices of a day on which all is served leave nothing to start from."""
    memory, day = Memory(), synthetic_scenario(50, seed=1, limit_share=share)
    optimize(day, memory=memory)

    with caplog.at_level(logging.DEBUG, logger="optimizer.stages"):
        optimize(replace(day, tariff=synthetic_scenario(50, seed=2).tariff), memory=memory)

    assert ("method=in-place" in caplog.text) == (share < 1.0)


@pytest.mark.parametrize("share", [1.0, 0.35], ids=["enough", "scarce"])
def test_nothing_is_handed_over_anew_where_only_limits_and_needs_change(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every stage is solved by the instance that solved it before, time after time."""
    memory, day = Memory(), synthetic_scenario(50, seed=1, limit_share=share)
    optimize(day, memory=memory)
    changed = with_limit(day, 0.9), replace(day, sessions=(replace(day.sessions[0], energy_kwh=1.0), *day.sessions[1:]))
    cold = [optimize(one) for one in changed]
    monkeypatch.setattr(stages, "loaded", None)

    for one, expected in zip(changed, cold, strict=True):
        assert_same(optimize(one, memory=memory), expected)


def test_a_plan_that_was_broken_off_leaves_nothing_half_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is interrupted in the middle of a change has the next plan made anew."""
    memory, day = Memory(), synthetic_scenario(50, seed=1)
    optimize(day, memory=memory)
    changed = with_limit(day, 0.9)

    def broken_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stages, "limit_time", broken_off)
        with pytest.raises(KeyboardInterrupt):
            optimize(changed, memory=memory)

    assert_same(optimize(day, memory=memory), optimize(day))


def iterations(caplog: pytest.LogCaptureFixture) -> int:
    """Of simplex, in all solves that were logged."""
    return sum(int(found) for found in re.findall(r"iterations=(\d+)", caplog.text))
