"""Many scenarios on workers that may die: none lost, none twice, and only a few under way at once."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, Protocol, TypeVar

from models.errors import SolverError

logger = logging.getLogger(__name__)

ItemT = TypeVar("ItemT")
ItemT_contra = TypeVar("ItemT_contra", contravariant=True)
ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)

WAITING_PER_PLACE = 1
"""Chunks that wait for each place beside the one at work there: enough that no worker waits for the next chunk."""
MAX_DEATHS_IN_A_ROW = 20
"""Workers that die whatever they are given are not the fault of what they are given."""


class Place(Protocol):
    """Where chunks are worked on; see `optimizer.executors.Workers`."""

    @property
    def executor(self) -> Executor | None:
        """What takes work."""

    @property
    def places(self) -> int:
        """How many chunks are worked on at once."""

    def submit(self, work: Callable[[], ResultT]) -> Future[ResultT]:
        """Have some work done.

        Raises:
            BrokenExecutor: There is nobody to do it.
        """

    def replace(self, broken: Executor | None) -> None:
        """Start anew what died."""


class Work(Protocol[ItemT_contra, ResultT_co]):
    """What is done with a chunk."""

    def task(self, chunk: tuple[ItemT_contra, ...]) -> Callable[[], ResultT_co]:
        """What a worker is sent; it answers for every item of the chunk, and raises for none."""

    def lost(self, item: ItemT_contra, reason: str) -> ResultT_co:
        """What stands for an item that no worker survives."""


def run_chunks(
    items: Iterable[ItemT], work: Work[ItemT, ResultT], place: Place, *, chunk_size: int
) -> Iterator[ResultT]:
    """Work on items chunk by chunk, as many at once as there are places, and give results as they come.

    A chunk whose worker dies is tried again with nothing beside it. If it fails again its items are tried one by one,
    and one that fails once more is given up: so whatever was beside it is served.

    Args:
        items: What to work on; taken as places become free, never all at once.
        work: What to do.
        place: Where to do it.
        chunk_size: Items that are sent together.

    Yields:
        The result of each chunk; the items of all results together are those that went in, each once.

    Raises:
        SolverError: The executor gave the work back, or every worker dies.
    """
    upcoming = _chunks(items, chunk_size)
    under_way = _UnderWay(work=work, place=place)
    try:
        while True:
            while not under_way.suspects and len(under_way.chunks) < (1 + WAITING_PER_PLACE) * place.places:
                chunk = next(upcoming, None)
                if chunk is None:
                    break
                under_way.submit(chunk)
            if under_way.suspects and not under_way.chunks:
                under_way.submit(under_way.suspects.popleft(), alone=True)
            if not under_way.chunks:
                return
            yield from under_way.next_results()
    finally:
        for future in under_way.chunks:
            future.cancel()


@dataclass(slots=True, kw_only=True)
class _UnderWay(Generic[ItemT, ResultT]):
    """Chunks that are worked on, each with who works on it, and those under suspicion of killing their worker."""

    work: Work[ItemT, ResultT]
    place: Place
    chunks: dict[Future[ResultT], tuple[tuple[ItemT, ...], Executor | None]] = field(default_factory=dict)
    suspects: deque[tuple[ItemT, ...]] = field(default_factory=deque)
    alone: bool = False
    deaths_in_a_row: int = 0

    def submit(self, chunk: tuple[ItemT, ...], *, alone: bool = False) -> None:
        """Have a chunk worked on; alone, when there is nothing beside it and will not be until it is done."""
        self.alone = alone
        task = self.work.task(chunk)
        executor = self.place.executor
        try:
            future = self.place.submit(task)
        except BrokenExecutor:
            # A worker died since the last answer, perhaps with nothing to do.
            self.place.replace(executor)
            executor = self.place.executor
            future = self.place.submit(task)
        self.chunks[future] = chunk, executor

    def next_results(self) -> Iterator[ResultT]:
        """Wait until something is done."""
        done, _ = wait(self.chunks, return_when=FIRST_COMPLETED)
        for future in done:
            chunk, executor = self.chunks.pop(future)
            error = self._error(future, executor)
            if error is None:
                self.deaths_in_a_row = 0
                yield future.result()
                continue
            if isinstance(error, BrokenExecutor):
                self.place.replace(executor)
            yield from self._after_failure(chunk, f"{type(error).__name__}: {error}".removesuffix(": "))

    def _error(self, future: Future[ResultT], executor: Executor | None) -> BaseException | None:
        try:
            return future.exception()
        except CancelledError as error:
            if executor is not self.place.executor:
                return BrokenExecutor("the worker was ended with those beside it")
            raise SolverError("the executor gave back what it had taken; is the scheduler still there?") from error

    def _after_failure(self, chunk: tuple[ItemT, ...], reason: str) -> Iterator[ResultT]:
        logger.warning("items=%d alone=%s no worker answered (%s)", len(chunk), self.alone, reason)
        if not self.alone:
            self.suspects.append(chunk)
            return
        if len(chunk) > 1:
            self.suspects.extendleft((item,) for item in reversed(chunk))
            return
        self.deaths_in_a_row += 1
        if self.deaths_in_a_row >= MAX_DEATHS_IN_A_ROW:
            raise SolverError(f"workers die whatever they are given, {self.deaths_in_a_row} in a row; last: {reason}")
        yield self.work.lost(chunk[0], f"no worker survived it, which may need more memory than there is ({reason})")


def _chunks(items: Iterable[ItemT], size: int) -> Iterator[tuple[ItemT, ...]]:
    remaining = iter(items)
    while chunk := tuple(islice(remaining, size)):
        yield chunk
