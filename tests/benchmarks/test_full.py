"""The whole benchmark but for its times: same program, same day, fair pairs, tables that say what was measured."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from benchmarks import again
from benchmarks.figures import Figures, publish
from benchmarks.full import __main__ as driver
from benchmarks.full.cases import JPL_DAY, WHOLE_DAY, Case, synthetic, whole_steps
from benchmarks.full.contestants import LIBRARIES, PLANNERS, SOLVERS
from benchmarks.full.environments import OURS, REQUIREMENTS, UnavailableError
from benchmarks.full.memory import peak_mib
from benchmarks.full.ours import solved_program, whole_plan
from benchmarks.full.race import Contestant, Stable, race
from benchmarks.full.registry import Results
from benchmarks.full.shared import shared_day, shared_program
from benchmarks.full.tables import Compared, Result, axis_table, comparison, not_run
from benchmarks.full.workers import Answer, Worker
from benchmarks.peers import highs_arrays, pyomo_rules, scipy_linprog
from benchmarks.peers.network import UNITS_PER_KWH, columns_of, flow_of
from benchmarks.peers.program import SharedDay, SharedProgram
from benchmarks.peers.worker import answer, serve
from optimizer.bench.synthetic import scenario
from optimizer.options import Backend

HERE = {one.name: one for one in (*SOLVERS, *LIBRARIES) if one.environment == OURS and "through Pyomo" not in one.name}
"""Who runs in this environment, without programs that may not be installed."""
CASES = [JPL_DAY, synthetic(30), synthetic(30, limit_share=0.3), synthetic(30, three_phase=True)]


def program_of(case: Case) -> SharedProgram:
    """What peers are given."""
    return shared_program(*case.make())


class TestSameProgram:
    """Everybody solves what we solve."""

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
    @pytest.mark.parametrize("name", HERE)
    def test_same_objective(self, name: str, case: Case, tmp_path: Path) -> None:
        """As our engine on the scenario itself, with rows held."""
        modules = {"highs_arrays": highs_arrays, "scipy_linprog": scipy_linprog, "pyomo_rules": pyomo_rules}
        peer, program = HERE[name], program_of(case)
        program.save(tmp_path / "program.npz")

        found = answer(modules[peer.module], {"program": str(tmp_path / "program.npz"), "options": dict(peer.options)})
        ours = solved_program(*case.make(), program)()

        loose = 1e-4 if name == "PDLP" else 1e-6
        assert found["objective"] == pytest.approx(ours["objective"], rel=loose)
        assert float(str(found["violation"])) < (1e-2 if name == "PDLP" else 1e-5)

    @pytest.mark.parametrize("backend", list(Backend))
    @pytest.mark.parametrize("case", CASES[:3], ids=lambda case: case.name)
    def test_whole_plans_are_worth_as_much(self, case: Case, backend: Backend) -> None:
        """From the scenario to the verified schedule; stages that are merged exactly."""
        program = program_of(case)
        solution = highs_arrays.solve(program, {})

        plan = whole_plan(*case.make(), backend, float(program.cost[-1]))()

        assert plan["objective"] == pytest.approx(program.objective(solution), rel=1e-6)

    @pytest.mark.parametrize("case", CASES[:3], ids=lambda case: case.name)
    def test_as_a_flow(self, case: Case) -> None:
        """A minimum-cost flow by another program breaks nothing and is worth the same, to within the rounding of each
        column to a tenth of a watt-hour.
        """
        program = program_of(case)
        flow = flow_of(program)
        graph: nx.MultiDiGraph[int] = nx.MultiDiGraph()
        for node, supply in enumerate(flow.supply.tolist()):
            graph.add_node(node, demand=-supply)
        arcs = zip(*(part.tolist() for part in (flow.tail, flow.head, flow.capacity, flow.unit_cost)), strict=True)
        for index, (tail, head, capacity, cost) in enumerate(arcs):
            graph.add_edge(tail, head, key=index, capacity=capacity, weight=cost)
        _, by_node = nx.network_simplex(graph)
        moved = np.zeros(flow.tail.size, dtype=np.int64)
        for heads in by_node.values():
            for keys in heads.values():
                for key, amount in keys.items():
                    moved[key] = amount

        x = columns_of(program, moved)

        rounding = program.cost.size / UNITS_PER_KWH * float(np.abs(program.cost).max())
        assert program.violation(x) <= 1.0 / UNITS_PER_KWH
        assert program.objective(x) == pytest.approx(program.objective(highs_arrays.solve(program, {})), abs=rounding)

    @pytest.mark.parametrize(
        ("case", "reason"),
        [(synthetic(9, feeders=2), "several limits"), (synthetic(9, three_phase=True), "coefficient")],
        ids=["feeders", "phases"],
    )
    def test_what_is_no_flow(self, case: Case, reason: str) -> None:
        """It is refused, and not solved as something else."""
        with pytest.raises(ValueError, match=reason):
            flow_of(program_of(case))

    def test_only_sessions_and_limits(self) -> None:
        """A day of two groups is none that planners of one limit could be given."""
        with pytest.raises(ValueError, match="several limits"):
            shared_day(scenario(9, seed=1, feeders=2), WHOLE_DAY)


class TestSameDay:
    """What whole planners get."""

    def test_whole_steps(self) -> None:
        """A session draws all it may or nothing: in no step is it there for a part only. Two copies ask for twice as
        much behind twice the limit.
        """
        day, twice = (shared_day(*whole_steps(copies).make()) for copies in (1, 2))

        for max_kw in day.max_kw:
            assert np.unique(max_kw).size == 2
        assert twice.energy_kwh.sum() == pytest.approx(2 * day.energy_kwh.sum())
        assert twice.limit_kw == pytest.approx(2 * day.limit_kw)

    def test_worth_of_a_plan(self, tmp_path: Path) -> None:
        """10 kW for half an hour at 0.20 and 4 kW at 0.10 are 1.00 + 0.20; 7 of 9 kWh are met; 10 kW are 2 above the
        limit and 1 above what the session takes. It is the same from a file.
        """
        day = SharedDay(
            max_kw=np.array([[9.0, 9.0]]),
            energy_kwh=np.array([9.0]),
            price_per_kwh=np.array([0.2, 0.1]),
            limit_kw=np.array([8.0, 8.0]),
            step_hours=np.array([0.5]),
        )
        day.save(tmp_path / "day.npz")
        read = SharedDay.load(tmp_path / "day.npz")
        power_kw = np.array([[10.0, 4.0]])

        assert read.objective(power_kw) == pytest.approx(1.2)
        assert read.unmet_kwh(power_kw) == pytest.approx(2.0)
        assert read.violation(power_kw) == pytest.approx(2.0)


def times(*seconds: float) -> Callable[[], Answer]:
    """A run that takes so long, time after time, and the last for ever."""
    left = list(seconds)
    return lambda: {"seconds": left.pop(0) if len(left) > 1 else left[0], "objective": 1.0}


class TestRace:
    """Pairs within a round."""

    def test_a_machine_that_slows_down(self) -> None:
        """The first takes 1, then 2, then 4 s, the second always twice as long; warming up, it took ten times: the
        ratio is 2 whatever the machine does, and the warm-up counts for nothing.
        """
        first, second = race({"first": times(1, 1, 2, 4), "second": times(10, 2, 4, 8)}, budget_s=1e9)

        assert (first.over_first, second.over_first) == (1.0, 2.0)
        assert second.rounds == 11

    def test_who_takes_long_is_asked_once(self) -> None:
        """Its warm-up is what there is, beside what the first takes when it is warm."""
        _, slow = race({"first": times(2.0, 1.0), "slow": times(30.0)}, budget_s=20.0)

        assert (slow.rounds, slow.seconds, slow.over_first) == (1, 30.0, 30.0)

    def test_beside_a_first_that_takes_long(self) -> None:
        """It is asked once, for 8 s; who takes 2 s is asked on, and still has a ratio."""
        _, quick = race({"first": times(8.0), "quick": times(2.0)}, budget_s=5.0)

        assert (quick.rounds, quick.over_first) == (2, 0.25)

    def test_who_fails(self) -> None:
        """It is not asked again, and the reason is kept."""
        asked = []

        def broken() -> Mapping[str, object]:
            asked.append(1)
            return {"error": "no"}

        _, failed = race({"first": times(1.0), "broken": broken}, budget_s=9.0)

        assert (failed.seconds, failed.failure, len(asked)) == (None, "no", 1)


class TestWorkers:
    """Peers in processes of their own."""

    def test_an_error_is_an_answer(self, tmp_path: Path) -> None:
        """The process goes on after it; the first line has the versions."""
        program_of(synthetic(5)).save(tmp_path / "p.npz")
        wrong = {"program": str(tmp_path / "p.npz"), "options": {"solver": "nobody"}}
        right = {"program": str(tmp_path / "p.npz")}
        answers = io.StringIO()

        serve("highs_arrays", io.StringIO(f"{json.dumps(wrong)}\n{json.dumps(right)}\n"), answers)

        hello, refused, solved = map(json.loads, answers.getvalue().splitlines())
        assert "highspy" in hello["versions"]
        assert refused["error"] == "ValueError: HiGHS refuses solver=nobody"
        assert solved["seconds"] > 0

    def test_who_does_not_answer_in_time(self, tmp_path: Path) -> None:
        """Its process is ended, and the next request gets a new one."""
        program_of(synthetic(5)).save(tmp_path / "p.npz")
        peer = Contestant(name="peer", module="highs_arrays")
        stable = Stable([peer])
        request = {"program": str(tmp_path / "p.npz")}

        late = stable.run(peer, request, 0.0)
        in_time = stable.run(peer, request, 60.0)
        stable.close()

        assert late == {"error": "more than 0 s"}
        assert float(str(in_time["seconds"])) > 0
        assert "highspy" in str(stable.versions["peer"])

    def test_what_cannot_be_imported(self) -> None:
        """The reason is the peer's own last word."""
        with pytest.raises(UnavailableError, match="No module named 'linopy'"):
            Worker("linopy_direct", OURS)

    def test_an_ended_process(self) -> None:
        """It is not asked."""
        worker = Worker("highs_arrays", OURS)
        worker.close()

        with pytest.raises(EOFError, match="has ended"):
            worker.ask({}, timeout_s=1.0)

    def test_every_contestant_has_its_environment(self) -> None:
        """With pinned versions, so that figures can be had again."""
        wanted = {one.environment for one in (*SOLVERS, *LIBRARIES, *PLANNERS)} - {OURS}

        assert wanted == REQUIREMENTS.keys()
        assert all("==" in requirement for names in REQUIREMENTS.values() for requirement in names)


def result(name: str, seconds: float | None, **more: object) -> Result:
    """How one contestant did."""
    made = {"name": name, "seconds": seconds, "over_first": seconds, "objective": 100.0, "violation": 0.0}
    return Result(**{"failure": None, **made, **more})  # type: ignore[typeddict-item]


class TestTables:
    """What is published."""

    def test_a_comparison(self) -> None:
        """Milliseconds and multiples in three digits; who was inexact or failed once is remarked on, who has no time
        at all is listed apart with the reason.
        """
        cases = [
            Compared(
                case="small",
                columns=1200,
                results=[
                    result("floor", 1.0),
                    result("rough", 0.0123, objective=100.01, violation=0.02),
                    result("absent", None, failure="no such package"),
                ],
            ),
            Compared(
                case="large",
                columns=5,
                results=[result("floor", 2.0), result("rough", None, failure="more than 60 s")],
            ),
        ]

        table = comparison("All", cases)

        assert table.columns == ("ms (over the first)", "small (1,200 columns)", "large (5 columns)", "remark")
        assert table.rows == (
            ("floor", "1,000 (1.00)", "2,000 (2.00)", ""),
            (
                "rough",
                "12.3 (0.01)",
                "-",
                "objective off by up to 1e-04; rows broken by up to 2e-02; more than 60 s",
            ),
        )
        assert not_run(cases) == {"absent": "no such package"}

    def test_an_axis(self) -> None:
        """A line for each size and one for the growth, back end by back end."""
        rungs = [
            {"extent": extent, "backend": backend, "phase_seconds": {"solve": extent / 1e3, "total": 2 * extent / 1e3}}
            for extent in (10, 1000)
            for backend in ("pyomo", "arrays")
        ]
        growth = {"pyomo": {"solve": 1.0, "total": None}, "arrays": {"solve": 1.0, "total": 1.0}}

        rows = axis_table({"case": "steps", "rungs": rungs, "growth": growth, "phases": ["solve", "total"]}).rows  # type: ignore[typeddict-item]

        assert rows == (
            ("pyomo, 10 steps", "10.0", "20.0"),
            ("pyomo, 1,000 steps", "1000.0", "2000.0"),
            ("pyomo, growth", "1.00", "-"),
            ("arrays, 10 steps", "10.0", "20.0"),
            ("arrays, 1,000 steps", "1000.0", "2000.0"),
            ("arrays, growth", "1.00", "1.00"),
        )

    def test_between_markers(self, tmp_path: Path) -> None:
        """What stands between them is replaced, the rest stays; a page without them is refused."""
        page = tmp_path / "page.md"
        page.write_text("a\n<!-- x -->\nold\n<!-- end of x -->\nb\n", encoding="utf-8")

        publish(Figures("T", ("a", "b"), (("1", "2"),)).markdown(), "x", page)

        text = page.read_text(encoding="utf-8")
        assert text == "a\n<!-- x -->\nT:\n\n| a | b |\n| --- | ---: |\n| 1 | 2 |\n<!-- end of x -->\nb\n"
        with pytest.raises(ValueError, match="<!-- y -->"):
            publish("", "y", page)


class TestDriver:
    """The command."""

    def test_a_part_of_a_run(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One case is measured and kept on file with its machine, beside what was there; plots are small."""
        monkeypatch.setattr("benchmarks.full.comparisons.PLANNER_CASES", (whole_steps(1),))
        monkeypatch.setattr("benchmarks.full.comparisons.PLANNERS", ())
        monkeypatch.setattr("benchmarks.full.comparisons.BUDGET_S", 0.0)
        out = tmp_path / "results.json"
        Results(out).add("planners", {"case": "before", "columns": 1, "results": [result("floor", 1.0)]})

        code = driver.main(["--only", "planners", "--cases", "JPL", "--out", str(out)])

        assert code == 0
        before, case = Results(out).of("planners")
        assert (before["case"], case["case"]) == ("before", "JPL, 82 sessions")
        assert json.loads(out.read_text(encoding="utf-8"))["parts"]["planners"]["before"]["machine"]["cores"] >= 1
        assert "ours, arrays: whole plan" in capsys.readouterr().out
        assert "* evcc optimizer: it is no package of PyPI" in driver.page(Results(out))

    def test_plans_again_are_a_part(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Their cases are chosen by name like all others, and their table is one of its own, outside of the page."""
        monkeypatch.setattr(again, "SIZES", (20,))
        out = tmp_path / "results.json"

        assert driver.main(["--only", "again", "--cases", "an arrival, 20 sessions", "--out", str(out)]) == 0

        assert [case["case"] for case in Results(out).of("again")] == [
            f"an arrival, 20 sessions, {backend}" for backend in ("pyomo", "arrays")
        ]
        assert "again / from scratch" in capsys.readouterr().out
        assert driver.page(Results(out)) == ""

    def test_plots(self, tmp_path: Path) -> None:
        """Of what is on file, each below 100 kB, the same from one run to the next."""
        results = Results(tmp_path / "results.json")
        seconds = dict.fromkeys(("build", "translate", "solve", "verify", "total"), 0.1)
        rungs = [{"extent": extent, "backend": "pyomo", "phase_seconds": seconds} for extent in (10, 100)]
        results.add("ladder", {"case": "sessions", "rungs": rungs, "growth": {"pyomo": seconds}, "phases": []})
        cases = Compared(case="synthetic 1,000", columns=9, results=[result("floor", 1.0), result("absent", None)])
        results.add("solvers", {**cases})

        for folder in ("a", "b"):
            driver.draw(results, tmp_path / folder)

        for name in ("growth.svg", "solvers.svg"):
            first, second = ((tmp_path / folder / name).read_bytes() for folder in ("a", "b"))
            assert first == second
            assert len(first) < 100_000
            assert f"(plots/{name})" in driver.page(results)


def test_memory_of_this_process() -> None:
    """More than an interpreter with NumPy needs, and less than the machine has."""
    assert 30 < peak_mib() < 100_000
