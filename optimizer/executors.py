"""Where plans are made when not here: processes of our own, or a Dask cluster, behind one executor."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from models.domain import CapacityGroup, Charger, ChargingSession, Scenario, Site
from models.errors import InputError, SolverError
from optimizer.engine import optimize
from optimizer.options import OptimizeOptions

logger = logging.getLogger(__name__)

T = TypeVar("T")

WATCH_S = 1.0
"""How often it is asked which processes there are to watch."""
ANSWER_WITHIN_S = 20.0
"""How long a scheduler may take to answer the first call, and workers that are at something else are waited for."""


class Workers:
    """Processes of our own, or the workers of a Dask cluster, behind one `concurrent.futures.Executor`.

    What runs there is sent by its name, so they must be able to import it.

    Args:
        processes: How many of our own.
        cluster: Address of a Dask scheduler that takes their place, such as ``tcp://scheduler:8786``.
        options: How they will be asked to plan; what that takes is imported at the start.
        niceness: By how much our processes give way to others; see ``nice(2)``.
        answer_within_s: How long the scheduler may take to answer, s.
    """

    def __init__(
        self,
        *,
        processes: int = 1,
        cluster: str | None = None,
        options: OptimizeOptions | None = None,
        niceness: int = 0,
        answer_within_s: float | None = None,
    ) -> None:
        self._processes = processes
        self._cluster = cluster
        self._options = options or OptimizeOptions()
        self._niceness = niceness
        self._answer_within_s = ANSWER_WITHIN_S if answer_within_s is None else answer_within_s
        self._executor: Executor | None = None
        self._client: Any = None
        self._warming: Sequence[Future[None]] = ()
        self._replacing = threading.Lock()

    @property
    def executor(self) -> Executor | None:
        """What takes work; None before the start and after the end, another one after a replacement."""
        return self._executor

    @property
    def places(self) -> int:
        """How many pieces of work run at once; workers of a cluster come and go."""
        if self._client is None:
            return self._processes
        threads: dict[str, int] = self._client.nthreads()
        return max(1, sum(threads.values()))

    @property
    def elsewhere(self) -> bool:
        """Whether the work may run on machines that do not have our files."""
        return self._cluster is not None

    @property
    def warm(self) -> bool:
        """Whether new processes have imported what they need."""
        return all(future.done() for future in self._warming)

    def wait_until_warm(self, timeout_s: float) -> None:
        """Wait for new processes, for some time at most, s."""
        wait(self._warming, timeout_s)

    def start(self) -> None:
        """Start the processes, or connect to the cluster.

        Raises:
            InputError: The cluster cannot be reached.
        """
        self._executor = self._pool() if self._cluster is None else self._connected(self._cluster)

    def close(self, *, patience_s: float = 0.0) -> None:
        """End the processes, or leave the cluster; what has not begun does not begin.

        Args:
            patience_s: How long processes may take to finish, s.
        """
        executor, self._executor = self._executor, None
        if isinstance(executor, _WatchedPool):
            executor.end(patience_s=patience_s)
        elif executor is not None:
            executor.shutdown(wait=False)
        if self._client is not None:
            self._client.close()
            self._client = None

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have some work done.

        Raises:
            BrokenExecutor: There is nobody to do it: a process died, or they were not started.
        """
        if self._executor is None:
            raise BrokenExecutor("the workers were not started")
        return self._executor.submit(work)

    def replace(self, broken: Executor | None) -> None:
        """Start processes anew, once, where they died or hang; a cluster looks after its own."""
        with self._replacing:
            if self._executor is not broken or not isinstance(broken, _WatchedPool):
                return
            broken.end(patience_s=0.0)
            self._executor = self._pool()

    def are_healthy(self) -> bool:
        """Whether somebody is there to work; processes of our own that have died are started anew."""
        executor = self._executor
        if isinstance(executor, _WatchedPool):
            if sum(worker.is_alive() for worker in executor.workers()) == self._processes:
                return True
            self.replace(executor)
            return False
        if executor is None or self._client.status != "running":
            return False
        # Without workers a scheduler takes work all the same, and nobody does it.
        return bool(self._client.sync(self._client.scheduler.identity, n_workers=1)["workers"])

    def check(self) -> None:
        """Have a process of our own plan something small, or every worker of the cluster that is not at something else.

        Raises:
            SolverConfigError: The solver is not there, or refuses an option.
            InputError: A worker of the cluster has another version of this program, or none.
            SolverError: It cannot plan.
        """
        here = version("oscp-capacity-optimizer")
        try:
            versions = {future.result() for future in self._answered(self._checks())}
        except ImportError as error:
            raise InputError(
                f"the workers at {self._cluster} cannot import this program ({error}); install it"
            ) from error
        except BrokenExecutor as error:
            raise SolverError(f"a worker process died at its start: {error}") from error
        if others := versions - {here}:
            there = ", ".join(sorted(others))
            raise InputError(f"the workers at {self._cluster} have version {there} of this program, here is {here}")

    def _answered(self, checks: Sequence[Future[str]]) -> set[Future[str]]:
        """Those that are done when a scheduler would have to be; at least one."""
        done, _ = wait(checks, self._answer_within_s)
        if not done and self._cluster is not None:
            count = len(self._client.nthreads())
            logger.warning("cluster=%s workers=%d none has answered so far; waiting for one", self._cluster, count)
        return done or wait(checks, return_when=FIRST_COMPLETED).done

    def _checks(self) -> Sequence[Future[str]]:
        check = _Check(self._options)
        addresses = [] if self._client is None else [*self._client.nthreads()]
        if not addresses:
            return [self.submit(check)]
        # Should one die meanwhile, another answers in its place.
        executors = [
            self._client.get_executor(pure=False, workers=[address], allow_other_workers=True) for address in addresses
        ]
        return [executor.submit(check) for executor in executors]

    def _pool(self) -> _WatchedPool:
        pool = _WatchedPool(self._processes, self._niceness)
        self._warming = [pool.submit(warm_up, self._options) for _ in range(self._processes)]
        return pool

    def _connected(self, address: str) -> Executor:
        try:
            from distributed import Client  # noqa: PLC0415 - an extra, and a second to import
            from distributed.comm.addressing import get_address_host_port  # noqa: PLC0415
        except ImportError:
            raise InputError(
                f"{address} is a Dask scheduler, and distributed is not installed; install the extra 'cluster'"
            ) from None
        try:
            # A client that finds this out by itself tries for a minute to take leave of a scheduler it does not have.
            get_address_host_port(address, strict=True)
            self._client = Client(  # type: ignore[no-untyped-call]
                address, timeout=self._answer_within_s, set_as_default=False
            )
        except (OSError, TimeoutError, ValueError) as error:
            raise InputError(f"no Dask scheduler answers at {address}: {error}") from error
        executor: Executor = self._client.get_executor(pure=False)
        return executor


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Check:
    """What `Workers.check` sends; a class, so that a worker without this program fails when it unpacks it."""

    def __init__(self, options: OptimizeOptions) -> None:
        self._options = options

    def __call__(self) -> str:
        warm_up(self._options)
        return version("oscp-capacity-optimizer")


def warm_up(options: OptimizeOptions) -> None:
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
    optimize(Scenario(site=site, sessions=(session,)), options)


class _WatchedPool(ProcessPoolExecutor):
    """Processes that may die at any moment, also in the middle of an answer.

    Python's own pool waits for the rest of such an answer for ever, since it holds the pipe open for writing itself; so
    does whoever waits for the pool, this process at its end included (seen in Python 3.11).

    Args:
        processes: How many.
        niceness: By how much they give way to others.
    """

    def __init__(self, processes: int, niceness: int) -> None:
        super().__init__(
            processes,
            # Threads and connections of this process must not be copied into a worker.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_prepare_worker,
            initargs=(niceness,),
        )
        self._answers: Any = self._result_queue
        self._ending, self._closing = threading.Event(), threading.Lock()
        threading.Thread(target=self._watch, name="watch-workers", daemon=True).start()

    def workers(self) -> list[BaseProcess]:
        """Those that were started."""
        return list((self._processes or {}).values())

    def end(self, *, patience_s: float) -> None:
        """End them whatever they are at.

        Args:
            patience_s: How long they may take to finish, s.
        """
        self._ending.set()
        workers = self.workers()
        # Where one has died, Python 3.13 may keep the pool locked until the others have ended.
        ask = partial(self.shutdown, wait=False, cancel_futures=True)
        threading.Thread(target=ask, name="end-workers", daemon=True).start()
        end_s = time.monotonic() + patience_s
        try:
            for worker in workers:
                worker.join(max(0.0, end_s - time.monotonic()))
        finally:
            # Somebody who has no patience at all interrupts the wait.
            self._kill(workers)

    def _kill(self, workers: Sequence[BaseProcess]) -> None:
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.join()
        # Nobody writes any more: what waits for the rest of an answer is told that there is none. Who ends the pool may
        # do so just when one has died by itself.
        with self._closing:
            self._answers._writer.close()  # noqa: SLF001

    def _watch(self) -> None:
        """End all when one dies by itself: the pool is broken then in any case."""
        while not self._ending.wait(0 if self.workers() else WATCH_S):
            workers = self.workers()
            if connection.wait([worker.sentinel for worker in workers], WATCH_S) and not self._ending.is_set():
                self._kill(workers)
                return


def _prepare_worker(niceness: int) -> None:
    # A terminal and a service manager signal every process; who started the workers tells them when to end.
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    if niceness and hasattr(os, "nice"):
        os.nice(niceness)
    end_with_parent(lambda: os._exit(1))


def end_with_parent(end: Callable[[], None]) -> None:
    """Have this process end when the one that started it does: one that is killed tells its processes nothing.

    Args:
        end: Ends it; called in a thread. Never, where nobody started it by `multiprocessing`.
    """
    parent = multiprocessing.parent_process()

    def wait_for_end() -> None:
        if parent is not None:
            connection.wait([parent.sentinel])
            end()

    threading.Thread(target=wait_for_end, name="end-with-parent", daemon=True).start()
