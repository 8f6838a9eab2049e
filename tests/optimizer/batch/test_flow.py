"""The flow of chunks through workers: none lost, none twice, few under way, whatever dies."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import SolverError
from optimizer.batch import MAX_DEATHS_IN_A_ROW, WAITING_PER_PLACE, run_chunks
from optimizer.executors import Workers

T = TypeVar("T")
Answer = list[tuple[int, bool]]
"""Items with whether they were done."""


@dataclass(kw_only=True)
class Deadly:
    """Work that answers for its items; some kill whoever works on them, some only as often as is said."""

    deaths: dict[int, int] = field(default_factory=dict)

    def task(self, chunk: tuple[int, ...]) -> Callable[[], Answer]:
        """Dies on the first deadly item."""
        return partial(self._done, chunk)

    def lost(self, item: int, reason: str) -> Answer:
        """An item that was not done."""
        assert reason
        return [(item, False)]

    def _done(self, chunk: tuple[int, ...]) -> Answer:
        for item in chunk:
            if self.deaths.get(item, 0) > 0:
                self.deaths[item] -= 1
                raise BrokenExecutor("died")
        return [(item, True) for item in chunk]


@dataclass(kw_only=True)
class Threads:
    """Two places whose deaths are exceptions; counts what is under way."""

    places: int = 2
    executor: Executor | None = field(default_factory=lambda: ThreadPoolExecutor(2))
    most: int = 0
    replaced: int = 0
    _under_way: set[Future[Any]] = field(default_factory=set)

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have it done in a thread."""
        assert self.executor is not None
        future = self.executor.submit(work)
        self._under_way = {other for other in self._under_way if not other.done()} | {future}
        self.most = max(self.most, len(self._under_way))
        return future

    def replace(self, broken: Executor | None) -> None:
        """Threads need none."""
        self.replaced += broken is self.executor


@given(
    items=st.integers(0, 40),
    chunk_size=st.integers(1, 7),
    deaths=st.dictionaries(st.integers(0, 39), st.integers(1, 4), max_size=10),
)
def test_every_item_is_answered_once(items: int, chunk_size: int, deaths: dict[int, int]) -> None:
    """Whatever kills a worker and however often: each item is in one result. One that kills three times, in its chunk,
    in its chunk alone and by itself, is given up; one that never kills is done.
    """
    place = Threads()
    answers = Counter[int]()
    given_up: set[int] = set()
    for result in run_chunks(range(items), Deadly(deaths=dict(deaths)), place, chunk_size=chunk_size):
        answers.update(item for item, _ in result)
        given_up.update(item for item, done in result if not done)

    assert answers == Counter(range(items))
    assert given_up <= deaths.keys()
    assert given_up >= {item for item, times in deaths.items() if times >= 3 and item < items}
    assert place.most <= (1 + WAITING_PER_PLACE) * place.places


def test_items_are_taken_as_places_become_free() -> None:
    """A source of a million scenarios is never held as a whole: two places hold four chunks of three at most."""
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(1000):
            taken += 1
            yield item

    finished = 0
    for result in run_chunks(items(), Deadly(), Threads(), chunk_size=3):
        finished += len(result)
        assert taken - finished <= (1 + WAITING_PER_PLACE) * 2 * 3
    assert finished == 1000


def test_workers_that_always_die_end_the_batch() -> None:
    """A fault of the machine is not written down as one of a million scenarios."""
    work = Deadly(deaths=dict.fromkeys(range(100), 9))

    with pytest.raises(SolverError, match=f"{MAX_DEATHS_IN_A_ROW} in a row"):
        list(run_chunks(range(100), work, Threads(), chunk_size=1))


def test_work_that_is_given_back_ends_the_batch() -> None:
    """A scheduler that went away cancels what it had; that is no scenario's fault either."""
    place = Threads()
    cancelled: Future[Any] = Future()
    cancelled.cancel()
    cancelled.set_running_or_notify_cancel()
    place.submit = lambda work: cancelled  # type: ignore[method-assign]

    with pytest.raises(SolverError, match="scheduler"):
        list(run_chunks(range(3), Deadly(), place, chunk_size=1))


class Killing:
    """Work in real processes; one item ends its process as the kernel does when memory runs out."""

    def task(self, chunk: tuple[int, ...]) -> Callable[[], Answer]:
        """Sleeps a little, so that others are under way beside it."""
        return partial(_kill_or_answer, chunk)

    def lost(self, item: int, reason: str) -> Answer:
        """An item that was not done."""
        return [(item, False)]


def _kill_or_answer(chunk: tuple[int, ...]) -> Answer:
    time.sleep(0.01)
    if 7 in chunk:
        os._exit(9)
    return [(item, True) for item in chunk]


def test_a_process_that_dies_takes_nothing_with_it() -> None:
    """Item 7 of 20 kills its process, and with it the pool of all; the other nineteen are done, each once."""
    workers = Workers(processes=2)
    workers.start()
    with closing(workers):
        answers = [one for result in run_chunks(range(20), Killing(), workers, chunk_size=3) for one in result]

    assert sorted(answers) == [(item, item != 7) for item in range(20)]
