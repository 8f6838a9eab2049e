"""Solving elsewhere: real worker processes that answer, die, hang, or lose their server; and a cluster."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import pytest

from api import executor as executor_module
from api.advice import Question
from api.executor import SolveExecutor
from api.settings import Settings
from api.situation import Situation
from models.domain import Scenario, ScheduleStatus
from models.errors import InputError, SolverError
from optimizer import OptimizeOptions
from tests.builders import make_forecast, make_scenario, make_session, make_site

OPTIONS = OptimizeOptions()
ORPHAN = """
import sys, time
from api.executor import SolveExecutor
from api.settings import Settings

if __name__ == "__main__":
    executor = SolveExecutor(Settings())
    executor.start()
    while not executor._workers.executor._processes:
        time.sleep(0.01)
    print(*executor._workers.executor._processes, flush=True)
    time.sleep(600)
"""


@dataclass(frozen=True, eq=False)
class _Trouble(Scenario):
    """A scenario that does something to the process that unpacks it."""

    deed: Callable[[], object] = os.getpid

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        """What a worker runs to get it."""
        return _unpack, (self.deed,)


def _unpack(deed: Callable[[], object]) -> Scenario:
    deed()
    return make_scenario()


def _hang() -> None:
    time.sleep(600)


def _linger() -> None:
    time.sleep(0.5)


def _die() -> None:
    os._exit(1)


def trouble(deed: Callable[[], object]) -> Scenario:
    """10 kWh for one session, and a deed."""
    plain = make_scenario()
    return _Trouble(site=plain.site, sessions=plain.sessions, deed=deed)


def question(scenario: Scenario) -> Question:
    """What another capacity of it is worth."""
    situation = Situation(
        scenario=scenario, options=OPTIONS, site=make_site(), forecasts=scenario.forecasts, load_kw={}, notes=()
    )
    return Question(situation=situation, least_value_per_kwh=0.001)


@pytest.fixture
def solver() -> Iterator[SolveExecutor]:
    """One worker process, and all the time it may need."""
    made = SolveExecutor(Settings(solve_deadline_s=60))
    made.start()
    with closing(made):
        yield made


def test_a_plan_of_another_process(solver: SolveExecutor) -> None:
    """What comes back is optimal."""
    schedule = asyncio.run(solver.solve(make_scenario(), OPTIONS))

    assert schedule.status is ScheduleStatus.OPTIMAL
    assert schedule.delivered_energy_kwh == pytest.approx(10)


def test_what_cannot_be_planned_is_told(solver: SolveExecutor) -> None:
    """The error of the worker is the error of the call, with its words."""
    with pytest.raises(InputError, match="C9"):
        asyncio.run(solver.solve(make_scenario(sessions=[make_session(charger_id="C9")]), OPTIONS))


def test_a_worker_that_dies_is_replaced(solver: SolveExecutor) -> None:
    """A scenario that kills whoever unpacks it gets a stand-in, and the next one an optimum."""
    killed = asyncio.run(solver.solve(trouble(_die), OPTIONS))
    following = asyncio.run(solver.solve(make_scenario(), OPTIONS))

    assert (killed.status, following.status) == (ScheduleStatus.FALLBACK, ScheduleStatus.OPTIMAL)
    assert "no worker answered" in killed.notes[0]
    assert killed.delivered_energy_kwh == pytest.approx(10)


def test_advice_of_another_process(solver: SolveExecutor) -> None:
    """Under 3 and 4 kW for 10 kWh in two hours, 3 kW more serve all."""
    advice = asyncio.run(solver.advise(question(make_scenario(forecasts=[make_forecast((3.0, 4.0))]))))

    assert sum(block.asked_kw for block in advice.blocks) >= 3.0


def test_nobody_makes_up_advice(solver: SolveExecutor) -> None:
    """Without a worker there is none: a rule of thumb knows no value."""
    with pytest.raises(SolverError, match="no worker answered"):
        asyncio.run(solver.advise(question(trouble(_die))))


def test_whoever_was_beside_a_dying_worker_is_served() -> None:
    """Three processes, three scenarios: the pool breaks for all of them; two are solved by the next one."""
    made = SolveExecutor(Settings(solve_deadline_s=60, solver_processes=3))
    made.start()

    async def all_at_once() -> list[ScheduleStatus]:
        scenarios = (trouble(_die), trouble(_linger), trouble(_linger))
        plans = await asyncio.gather(*(made.solve(one, OPTIONS) for one in scenarios))
        return [plan.status for plan in plans]

    with closing(made):
        statuses = asyncio.run(all_at_once())

    assert statuses == [ScheduleStatus.FALLBACK, ScheduleStatus.OPTIMAL, ScheduleStatus.OPTIMAL]


def test_a_worker_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the deadline a stand-in is made here, and the worker is ended."""
    monkeypatch.setattr(executor_module, "PATIENCE_S", 0.5)
    made = SolveExecutor(Settings(solve_deadline_s=0.5))
    made.start()
    with closing(made):
        schedule = asyncio.run(made.solve(trouble(_hang), OPTIONS))

    assert schedule.status is ScheduleStatus.FALLBACK


def test_workers_do_not_outlive_a_server_that_is_killed() -> None:
    """A server that gets no chance to end its workers leaves none behind."""
    server = subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    with server.stdout:
        worker = int(server.stdout.readline())
    server.send_signal(signal.SIGKILL)
    server.wait()

    end_s = time.monotonic() + 30
    while _lives(worker) and time.monotonic() < end_s:
        time.sleep(0.05)
    assert not _lives(worker)


def test_it_is_healthy_while_somebody_solves() -> None:
    """Before the start and after the end nobody does; a worker that died while nothing was to be done is replaced."""
    made = SolveExecutor(Settings())
    seen = [asyncio.run(made.healthy())]
    made.start()
    with closing(made):
        seen.append(asyncio.run(made.healthy()))
        assert isinstance(made._workers.executor, ProcessPoolExecutor)
        (worker,) = made._workers.executor._processes
        os.kill(worker, signal.SIGKILL)
        while _lives_unreaped(worker):
            time.sleep(0.01)
        seen += [asyncio.run(made.healthy()), asyncio.run(made.healthy())]
    seen.append(asyncio.run(made.healthy()))

    assert seen == [False, True, False, True, False]


def test_a_cluster_is_healthy_while_it_has_workers() -> None:
    """A scheduler without workers takes work that nobody does; one that is gone takes none."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=0, processes=False, dashboard_address=":0", protocol="tcp://", host="127.0.0.1"
    ) as cluster:
        made = SolveExecutor(Settings(executor=cluster.scheduler_address))
        made.start()
        with closing(made):
            seen = [asyncio.run(made.healthy())]
            cluster.scale(1)
            cluster.wait_for_workers(1)
            seen.append(asyncio.run(made.healthy()))

    assert seen == [False, True]


def test_a_cluster_solves() -> None:
    """A Dask scheduler named by its address takes the place of processes of our own."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0", protocol="tcp://", host="127.0.0.1"
    ) as cluster:
        made = SolveExecutor(Settings(executor=cluster.scheduler_address))
        made.start()
        with closing(made):
            schedule = asyncio.run(made.solve(make_scenario(), OPTIONS))

    assert schedule.status is ScheduleStatus.OPTIMAL


def test_a_cluster_that_does_not_answer_is_named() -> None:
    """The server refuses to start, and says where it looked."""
    made = SolveExecutor(Settings(executor="tcp://127.0.0.1:9", solve_deadline_s=0.5))
    with pytest.raises(InputError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        made.start()


def _lives_unreaped(pid: int) -> bool:
    """Whether a child of this process has not ended, or nobody noticed yet."""
    return any(child.pid == pid for child in multiprocessing.active_children())


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_deadline_counts_from_when_a_worker_can_work() -> None:
    """On a busy machine imports take longer than a plan may: nothing is handed over before they are through."""
    made = SolveExecutor(Settings())
    warm: Future[None] = Future()
    made._workers._warming = [warm]

    async def solve_while_cold() -> tuple[int, ScheduleStatus]:
        solving = asyncio.create_task(made.solve(make_scenario(), OPTIONS))
        for _ in range(100):
            await asyncio.sleep(0)
        before = workers._work_queue.qsize() + len(workers._threads)
        warm.set_result(None)
        return before, (await solving).status

    with ThreadPoolExecutor(1) as workers:
        made._workers._executor = workers
        assert asyncio.run(solve_while_cold()) == (0, ScheduleStatus.OPTIMAL)
