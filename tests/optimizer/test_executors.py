"""Processes that plan: they end when they are told to, whatever they are at."""

from __future__ import annotations

import multiprocessing
import struct
import threading
import time
from concurrent.futures import BrokenExecutor
from multiprocessing import connection

import pytest

from optimizer.executors import Workers
from optimizer.options import OptimizeOptions, Strategy

PATIENCE_S = 60.0
WITHOUT_SOLVER = OptimizeOptions(strategy=Strategy.LEAST_LAXITY)


def answer_halfway() -> None:
    """Answer with the length of an answer and nothing more."""

    def send_length(self: connection.Connection, buffer: memoryview) -> None:
        self._send(struct.pack("!i", len(buffer)))  # type: ignore[attr-defined]
        time.sleep(PATIENCE_S)

    connection.Connection._send_bytes = send_length  # type: ignore[attr-defined]


def test_a_worker_that_dies_in_the_middle_of_its_answer() -> None:
    """Whoever waits for the answer is told that there is none, and work goes on in new processes."""
    workers = Workers(processes=2, options=WITHOUT_SOLVER)
    workers.start()
    try:
        workers.check()
        broken = workers.executor
        future = workers.submit(answer_halfway)
        time.sleep(0.5)
        multiprocessing.active_children()[0].kill()

        with pytest.raises(BrokenExecutor):
            future.result(PATIENCE_S / 2)

        workers.replace(broken)
        workers.check()
    finally:
        workers.close()


def test_a_pool_is_locked_until_its_workers_have_ended() -> None:
    """As Python 3.13 does where a worker has died: they are ended all the same, and others take their place."""
    workers = Workers(processes=1, options=WITHOUT_SOLVER)
    workers.start()
    locked, ended = threading.Event(), threading.Event()
    try:
        workers.check()
        pool = workers.executor
        (worker,) = pool.workers()  # type: ignore[union-attr]

        def hold() -> None:
            with pool._shutdown_lock:  # type: ignore[union-attr]
                locked.set()
                if connection.wait([worker.sentinel], PATIENCE_S / 4):
                    ended.set()

        holding = threading.Thread(target=hold, daemon=True)
        holding.start()
        locked.wait(PATIENCE_S)

        workers.replace(pool)

        holding.join(PATIENCE_S)
        assert ended.is_set()
        workers.check()
    finally:
        workers.close()


def test_nobody_waits_for_the_rest_of_an_answer() -> None:
    """A worker is ended in the middle of its answer: what waits for it in this process ends too."""
    before = set(threading.enumerate())
    workers = Workers(processes=1, options=WITHOUT_SOLVER)
    workers.start()
    workers.check()
    workers.submit(answer_halfway)
    time.sleep(0.5)

    workers.close()

    ended_s = time.monotonic() + PATIENCE_S / 2
    for thread in set(threading.enumerate()) - before:
        thread.join(max(0.0, ended_s - time.monotonic()))
        assert not thread.is_alive(), thread
