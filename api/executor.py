"""Where plans are solved: processes of our own, or a Dask cluster; never the process that answers requests."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing import connection
from typing import Any, TypeVar

from api.drafting import Draft, Task, drafted
from api.settings import Settings
from models.domain import CapacityGroup, Charger, ChargingSession, Scenario, Schedule, Site
from models.errors import CapacityOptimizerError, InputError
from optimizer import OptimizeOptions, optimize, plan_without_solver

logger = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE_S = 5.0
"""How long a worker may be late beyond the deadline that the solver itself keeps."""
HEALTH_TIMEOUT_S = 5.0
"""How long a cluster may take to say whether it has workers."""
NICENESS = 10
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
        self._executor: Executor | None = None
        self._client: Any = None
        self._warming: Sequence[Future[None]] = ()
        self._replacing = threading.Lock()
        self._free = asyncio.Semaphore(settings.solver_processes)
        self._alone = asyncio.Lock()

    async def healthy(self) -> bool:
        """Whether somebody is there to solve; processes that have died are started anew."""
        executor = self._executor
        if isinstance(executor, ProcessPoolExecutor):
            if len(_workers_of(executor)) == self.places:
                return True
            await asyncio.to_thread(self._replace, executor)
            return False
        if executor is None or self._client.status != "running":
            return False
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT_S):
                return await asyncio.to_thread(self._has_workers)
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
        self._executor = self._connected() if self._settings.executor else self._pool()

    def close(self) -> None:
        """End the processes, or leave the cluster."""
        executor, self._executor = self._executor, None
        if isinstance(executor, ProcessPoolExecutor):
            _end(executor, patience_s=CLOSING_S)
        elif executor is not None:
            executor.shutdown(wait=False)
        if self._client is not None:
            self._client.close()
            self._client = None

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
            lambda reason: drafted(task, partial(plan_without_solver, reason=reason)),
            site_id=task.work.site.site_id,
            # It may plan twice: to ask for more capacity it plans with none.
            deadline_s=2 * task.rules.solve_deadline_s + PATIENCE_S,
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
        await self._warmed_up()
        executor = self._executor
        try:
            async with asyncio.timeout(deadline_s):
                return await _submitted(executor, work)
        except (TimeoutError, BrokenExecutor, OSError) as error:
            logger.warning("site=%s no worker answered (%s)", site_id, _reason(error))
            await asyncio.to_thread(self._replace, executor)
            raise

    async def _warmed_up(self) -> None:
        """Wait for new workers: to end one that still imports would only start the same anew."""
        if not all(future.done() for future in self._warming):
            await asyncio.to_thread(wait, self._warming, WARM_UP_S)

    def _replace(self, broken: Executor | None) -> None:
        """Start processes anew, once, where they died or hang; a cluster looks after its own."""
        with self._replacing:
            if self._executor is not broken or not isinstance(broken, ProcessPoolExecutor):
                return
            _end(broken, patience_s=0.0)
            self._executor = self._pool()

    def _has_workers(self) -> bool:
        """Whether the cluster has any: without one, its scheduler takes work and nobody does it."""
        return bool(self._client.sync(self._client.scheduler.identity, n_workers=1)["workers"])

    def _pool(self) -> ProcessPoolExecutor:
        pool = ProcessPoolExecutor(
            self._settings.solver_processes,
            # Threads and connections of this process must not be copied into a worker.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_prepare_worker,
        )
        self._warming = [pool.submit(warm_up) for _ in range(self._settings.solver_processes)]
        return pool

    def _connected(self) -> Executor:
        try:
            from distributed import Client  # noqa: PLC0415 - an extra, and a second to import
        except ImportError:
            raise InputError(
                "OSCP_EXECUTOR names a Dask scheduler, and distributed is not installed; install the extra 'cluster'"
            ) from None
        try:
            self._client = Client(  # type: ignore[no-untyped-call]
                self._settings.executor, timeout=self._settings.solve_deadline_s, set_as_default=False
            )
        except (OSError, TimeoutError) as error:
            raise InputError(f"no Dask scheduler answers at {self._settings.executor}: {error}") from error
        executor: Executor = self._client.get_executor(pure=False)
        return executor


async def _submitted(executor: Executor | None, work: Callable[[], T]) -> T:
    if executor is None:
        raise BrokenExecutor("the executor was not started")
    future = executor.submit(work)
    try:
        return await asyncio.wrap_future(future)
    except (CapacityOptimizerError, TimeoutError, BrokenExecutor, OSError, asyncio.CancelledError):
        raise
    except Exception as error:
        raise CapacityOptimizerError(f"the solver failed: {type(error).__name__}: {error}") from error


def _end(pool: ProcessPoolExecutor, *, patience_s: float) -> None:
    """End processes whatever they are at: what they make is published elsewhere, or not at all."""
    workers = _workers_of(pool)
    pool.shutdown(wait=False, cancel_futures=True)
    end_s = time.monotonic() + patience_s
    for process in workers:
        process.join(max(0.0, end_s - time.monotonic()))
        process.kill()


def _workers_of(pool: ProcessPoolExecutor) -> list[multiprocessing.process.BaseProcess]:
    """Those that are alive."""
    ids = set(getattr(pool, "_processes", None) or ())
    return [process for process in multiprocessing.active_children() if process.pid in ids]


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def warm_up() -> None:
    """Solve something small, so that the first plan does not wait for imports."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    site = Site(
        site_id="warm-up",
        groups=(CapacityGroup(group_id="main", import_limit_kw=10.0),),
        chargers=(Charger(charger_id="C1", group_id="main", max_power_kw=10.0),),
    )
    session = ChargingSession(
        session_id="S1", charger_id="C1", arrival=start, departure=start + timedelta(hours=1), energy_kwh=1.0
    )
    optimize(Scenario(site=site, sessions=(session,)))


def _prepare_worker() -> None:
    # A terminal and a service manager signal every process; the server tells its workers when to end.
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    if hasattr(os, "nice"):
        # To take a message comes before planning on an older one.
        os.nice(NICENESS)
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()


def _end_with_parent() -> None:
    """A server that is killed tells its workers nothing; they must not outlive it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
