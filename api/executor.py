"""What the endpoint has solved elsewhere: each scenario within a deadline, and never in the process that answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from dataclasses import replace
from functools import partial
from typing import TypeVar

from api.advice import Question, answered
from api.drafting import Draft, Task, drafted
from api.settings import Settings
from models.domain import Scenario, Schedule
from models.errors import CapacityOptimizerError, SolverError
from optimizer import OptimizeOptions, optimize, plan_without_solver
from optimizer.advice import Advice
from optimizer.executors import Workers

logger = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE_S = 5.0
"""How long a worker may be late beyond the deadline that the solver itself keeps."""

HEALTH_TIMEOUT_S = 5.0
"""How long it may take to say whether somebody is there to solve."""

NICENESS = 10
"""To take a message comes before planning on an older one."""
WARM_UP_S = 60.0
"""How long a new worker may take to import what it needs, on a busy machine, before deadlines count."""
CLOSING_S = 2.0
"""How long a worker may take to end by itself when the server stops."""


class SolveExecutor:
    """Solves scenarios elsewhere, each within a deadline.

    Args:
        settings: Where, in how many processes, and how long.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._workers = Workers(
            processes=settings.solver_processes,
            cluster=settings.executor,
            niceness=NICENESS,
            answer_within_s=settings.solve_deadline_s,
        )
        self._free = asyncio.Semaphore(settings.solver_processes)
        self._alone = asyncio.Lock()

    async def healthy(self) -> bool:
        """Whether somebody is there to solve; processes that have died are started anew."""
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT_S):
                return await asyncio.to_thread(self._workers.are_healthy)
        except (TimeoutError, OSError):
            return False

    @property
    def places(self) -> int:
        """How many scenarios are solved at once."""
        return self._settings.solver_processes

    def start(self) -> None:
        """Start the processes, or connect to the cluster.

        Raises:
            InputError: The cluster cannot be reached.
        """
        self._workers.start()

    def close(self) -> None:
        """End the processes, or leave the cluster: what they make is published elsewhere, or not at all."""
        self._workers.close(patience_s=CLOSING_S)

    async def solve(self, scenario: Scenario, options: OptimizeOptions) -> Schedule:
        """The plan of a scenario.

        Args:
            scenario: What is known.
            options: How to plan; the time limit is that of the settings where it has none.

        Returns:
            A schedule that passed verification; the previous plan or a heuristic's, when no worker answered in time.

        Raises:
            CapacityOptimizerError: It cannot be planned (see `optimizer.optimize`).
        """
        limit_s = options.solver.time_limit_s or self._settings.solve_deadline_s
        bounded = replace(options, solver=replace(options.solver, time_limit_s=limit_s))
        return await self._done(
            partial(optimize, scenario, bounded),
            lambda reason: plan_without_solver(scenario, bounded, reason=reason),
            site_id=scenario.site.site_id,
            deadline_s=limit_s + PATIENCE_S,
        )

    async def draft(self, task: Task) -> Draft:
        """What comes of a look at a site, see `api.drafting.drafted`.

        Raises:
            CapacityOptimizerError: It cannot be planned.
        """
        return await self._done(
            partial(drafted, task),
            lambda reason: drafted(task, partial(plan_without_solver, reason=reason), advise=None),
            site_id=task.work.site.site_id,
            # It may solve twice: to ask for another capacity it plans with none, or seeks its value.
            deadline_s=2 * task.rules.solve_deadline_s + PATIENCE_S,
        )

    async def advise(self, question: Question) -> Advice:
        """What another capacity of a site's groups is worth, see `api.advice.answered`.

        Raises:
            CapacityOptimizerError: It cannot be planned, or nobody answered in time.
        """
        return await self._done(
            partial(answered, question),
            _nobody,
            site_id=question.situation.site.site_id,
            deadline_s=self._settings.solve_deadline_s + PATIENCE_S,
        )

    async def _done(self, work: Callable[[], T], stand_in: Callable[[str], T], *, site_id: str, deadline_s: float) -> T:
        """What a worker makes of some work; where none answers, what is made here without a solver, told why."""
        # The deadline counts from when a worker is free.
        async with self._free:
            try:
                try:
                    return await self._answer(work, site_id, deadline_s)
                except BrokenExecutor:
                    # The worker may have died of other work. Each is tried again alone, so that only that one fails.
                    async with self._alone:
                        return await self._answer(work, site_id, deadline_s)
            except (TimeoutError, BrokenExecutor, OSError) as error:
                reason = f"no worker answered ({_reason(error)})"
        return await asyncio.to_thread(stand_in, reason)

    async def _answer(self, work: Callable[[], T], site_id: str, deadline_s: float) -> T:
        if not self._workers.warm:
            # To end one that still imports would only start the same anew.
            await asyncio.to_thread(self._workers.wait_until_warm, WARM_UP_S)
        executor = self._workers.executor
        try:
            async with asyncio.timeout(deadline_s):
                return await self._submitted(work)
        except (TimeoutError, BrokenExecutor, OSError) as error:
            logger.warning("site=%s no worker answered (%s)", site_id, _reason(error))
            await asyncio.to_thread(self._workers.replace, executor)
            raise

    async def _submitted(self, work: Callable[[], T]) -> T:
        future = self._workers.submit(work)
        try:
            return await asyncio.wrap_future(future)
        except (CapacityOptimizerError, TimeoutError, BrokenExecutor, OSError, asyncio.CancelledError):
            raise
        except Exception as error:
            raise CapacityOptimizerError(f"the solver failed: {type(error).__name__}: {error}") from error


def _nobody(reason: str) -> Advice:
    raise SolverError(f"there is no advice: {reason}")


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")
