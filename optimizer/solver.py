"""Programs solved with HiGHS, stage by stage."""

from __future__ import annotations

import time

from optimizer.highs import Solution
from optimizer.linear_program import LinearProgram
from optimizer.options import SolverOptions
from optimizer.stages import NO_HINTS, Hints, MissingRows, Run
from optimizer.whole_numbers import search


def solve(
    program: LinearProgram,
    options: SolverOptions,
    *,
    hints: Hints = NO_HINTS,
    missing_rows: MissingRows | None = None,
) -> Solution:
    """Minimise the stages of a program in order, each exactly.

    Args:
        program: The program; it must be feasible and bounded.
        options: Time limit for all stages, threads and further options of HiGHS.
        hints: What is known of it.
        missing_rows: Rows to be added until no solution breaks one; finitely many, and such that a solution that
            breaks none keeps all that may still come. A program with whole numbers is solved without them.

    Returns:
        The solution. A stage that a time limit stopped is reported as such; what earlier stages reached holds.

    Raises:
        SolverError: Not even the first stage was solved; the message names the status.
        SolverConfigError: HiGHS refuses an option.
    """
    deadline = None if options.time_limit_s is None else time.perf_counter() + options.time_limit_s
    if program.integer_variables:
        return search(program, options, deadline, hints.start)
    return Run(program, options, deadline, hints=hints, missing_rows=missing_rows).solution()
