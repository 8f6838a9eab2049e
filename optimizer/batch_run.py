"""A whole batch: every scenario of a source, planned by workers, into a data set of results."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from models.errors import InputError
from optimizer.batch import run_chunks
from optimizer.executors import Workers
from optimizer.options import OptimizeOptions
from optimizer.scenario_io.batch_results import check_results, open_results
from optimizer.scenario_io.batch_source import BatchSource, ScenarioKey, open_source
from optimizer.scenario_io.batch_tables import FAILED, ChunkResult
from optimizer.scenario_io.batch_work import PlanWork

MAX_CHUNK = 64
CHUNKS_PER_PLACE = 24
"""Enough of them that no worker is left alone with the last one for long."""

CLOSING_S = 5.0
"""How long a worker may take to end by itself when all is done."""
GIVING_UP_S = 1.0
"""How long it may take when somebody waits for the end of a batch that goes no further."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchProgress:
    """How far a batch is.

    Args:
        scenarios: How many the source has.
        already_done: How many had a plan before.
        statuses: How many of the others ended with which status.
        seconds: Time since the first of them was begun, s.
        first_failure: The first scenario without a plan and what is wrong with it; empty where there is none.
    """

    scenarios: int
    already_done: int
    statuses: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    seconds: float = 0.0
    first_failure: str = ""

    @property
    def finished(self) -> int:
        """Scenarios that this run planned, or found that it cannot."""
        return sum(self.statuses.values())

    @property
    def failed(self) -> int:
        """Scenarios without a plan."""
        return self.statuses.get(FAILED, 0)

    @property
    def per_second(self) -> float:
        """Scenarios finished in a second."""
        return self.finished / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """What the rest takes at this rate, s; None before the first is finished."""
        rest = self.scenarios - self.already_done - self.finished
        return rest / self.per_second if self.per_second > 0 else None

    def after(self, result: ChunkResult, seconds: float) -> BatchProgress:
        """The same with one more chunk."""
        return replace(
            self,
            statuses=Counter(self.statuses) + Counter(result.statuses),
            seconds=seconds,
            first_failure=self.first_failure or result.first_failure,
        )


def run_batch(
    source: Path,
    results: Path,
    options: OptimizeOptions,
    workers: Workers,
    *,
    resume: bool = False,
    chunk_size: int | None = None,
    on_progress: Callable[[BatchProgress], None] = lambda _: None,
) -> BatchProgress:
    """Plan every scenario of a source.

    Args:
        source: Scenario folders, or tables partitioned by site and day; see `optimizer.scenario_io.batch_source`.
        results: Where the data set of results is or shall be; see `optimizer.scenario_io.batch_results`.
        options: How to plan each scenario.
        workers: Who plans, with the same options; started and ended here.
        resume: Whether to plan only what an earlier run with the same options left without a plan.
        chunk_size: Scenarios that are planned and written together; by their number where None.
        on_progress: Told after every chunk, and once before.

    Returns:
        What came of it.

    Raises:
        InputError: The source or the folder of results is not what it must be, or there are no workers.
        SolverConfigError: The solver is not there, or refuses an option.
        SolverError: The workers die whatever they are given.
        OutputError: The results cannot be written.
    """
    opened = open_source(source)
    scenarios = _count(opened)
    check_results(results, options, resume=resume)
    try:
        workers.start()
        workers.check()
        with open_results(results, options, resume=resume) as dataset:
            already_done = sum(key.name in dataset.done for key in opened.walk()) if dataset.done else 0
            progress = BatchProgress(scenarios=scenarios, already_done=already_done)
            on_progress(progress)
            size = chunk_size or _chunk_size(scenarios - already_done, workers.places)
            work = PlanWork(source=opened, options=options, send_files=workers.elsewhere)
            started = time.monotonic()
            for result in run_chunks(_remaining(opened, dataset.done), work, workers, chunk_size=size):
                dataset.add(result)
                progress = progress.after(result, time.monotonic() - started)
                on_progress(progress)
        # Idle workers end at once; one that is killed leaves what it took of the system to be complained about.
        workers.close(patience_s=CLOSING_S)
    finally:
        workers.close(patience_s=GIVING_UP_S)
    return progress


def _count(source: BatchSource) -> int:
    scenarios = sum(1 for _ in source.walk())
    if not scenarios:
        raise InputError(
            f"{str(source.root)!r} holds no scenario: neither folders with a site.json nor a folder sessions with "
            "site_id=SITE/day=DAY in it"
        )
    return scenarios


def _remaining(source: BatchSource, done: set[str]) -> Iterator[ScenarioKey]:
    return (key for key in source.walk() if key.name not in done)


def _chunk_size(scenarios: int, places: int) -> int:
    return max(1, min(MAX_CHUNK, scenarios // (CHUNKS_PER_PLACE * places)))
