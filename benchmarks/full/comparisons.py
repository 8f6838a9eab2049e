"""The three comparisons: solvers, modelling libraries on the same program, planners on the same day."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path

from benchmarks.full.cases import PEER_CASES, PLANNER_CASES, SOLVER_CASES, Case
from benchmarks.full.contestants import LIBRARIES, NOT_RUN, PLANNERS, SOLVERS
from benchmarks.full.ours import Run, solved_program, whole_plan
from benchmarks.full.race import Contestant, Stable, Timed, race
from benchmarks.full.shared import shared_day, shared_program
from benchmarks.peers.program import SharedProgram
from models.domain import Scenario
from optimizer.options import Backend, OptimizeOptions

Document = dict[str, object]
Chosen = Callable[[Case], bool]

TIMEOUT_S = 60.0
BUDGET_S = 3.0
ENGINE, OURS_ARRAYS, OURS_PYOMO = "our engine", "ours, arrays: whole plan", "ours, Pyomo: whole plan"


def solvers(chosen: Chosen) -> Iterator[Document]:
    """Every solver on the same programs, the floor first, and our engine."""
    return _on_programs(SOLVERS, filter(chosen, SOLVER_CASES), lambda *given: {ENGINE: solved_program(*given)})


def libraries(chosen: Chosen) -> Iterator[Document]:
    """Every modelling library on the same programs, the floor first, our engine and our own whole plans."""

    def ours(scenario: Scenario, options: OptimizeOptions, program: SharedProgram) -> dict[str, Run]:
        unmet_cost = float(program.cost[-1])
        return {
            ENGINE: solved_program(scenario, options, program),
            OURS_ARRAYS: whole_plan(scenario, options, Backend.ARRAYS, unmet_cost),
            OURS_PYOMO: whole_plan(scenario, options, Backend.PYOMO, unmet_cost),
        }

    return _on_programs(LIBRARIES, filter(chosen, PEER_CASES), ours)


def _on_programs(
    contestants: Sequence[Contestant],
    cases: Iterable[Case],
    ours: Callable[[Scenario, OptimizeOptions, SharedProgram], dict[str, Run]],
) -> Iterator[Document]:
    with closing(Stable(contestants)) as stable, tempfile.TemporaryDirectory() as folder:
        for case in cases:
            scenario, options = case.make()
            program = shared_program(scenario, options)
            path = Path(folder) / "program.npz"
            program.save(path)
            runs = _asked(stable, contestants, case, {"program": str(path)}) | ours(scenario, options, program)
            timed = race(runs, budget_s=BUDGET_S)
            yield _document(case, timed, stable, columns=program.cost.size, rows=program.row_upper.size)


def planners(chosen: Chosen) -> Iterator[Document]:
    """Every planner on the same days, ours first."""
    with closing(Stable(PLANNERS)) as stable, tempfile.TemporaryDirectory() as folder:
        for case in filter(chosen, PLANNER_CASES):
            scenario, options = case.make()
            day = shared_day(scenario, options)
            path = Path(folder) / "day.npz"
            day.save(path)
            runs: dict[str, Run] = {
                OURS_ARRAYS: whole_plan(scenario, options, Backend.ARRAYS),
                OURS_PYOMO: whole_plan(scenario, options, Backend.PYOMO),
                **_asked(stable, PLANNERS, case, {"day": str(path)}),
            }
            timed = race(runs, budget_s=BUDGET_S)
            timed += [Timed(name=name, failure=reason) for name, reason in NOT_RUN.items()]
            yield _document(case, timed, stable, columns=int((day.max_kw > 0).sum()))


def _asked(
    stable: Stable, contestants: Sequence[Contestant], case: Case, request: Mapping[str, object]
) -> dict[str, Run]:
    return {
        contestant.name: partial(stable.run, contestant, request, TIMEOUT_S)
        for contestant in contestants
        if contestant.largest is None or case.sessions <= contestant.largest
    }


def _document(case: Case, timed: list[Timed], stable: Stable, **extent: int) -> Document:
    return {
        "case": case.name,
        "sessions": case.sessions,
        **extent,
        "results": [asdict(one) for one in timed],
        "versions": dict(stable.versions),
    }
