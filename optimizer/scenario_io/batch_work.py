"""What a worker does with a chunk of scenarios: read, plan, and hand back tables; one that fails stops no other."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from functools import partial
from time import perf_counter

from models.domain.scenario import Scenario
from models.errors import CapacityOptimizerError
from optimizer.engine import optimize
from optimizer.options import OptimizeOptions
from optimizer.scenario_io.batch_source import BatchSource, ScenarioKey
from optimizer.scenario_io.batch_tables import ChunkResult, FailedScenario, PlannedScenario, to_result
from optimizer.scenario_io.sent_files import SentFiles

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanWork:
    """Plans the scenarios of a source.

    Args:
        source: Where they lie.
        options: How to plan each.
        send_files: Whether workers get the files along with the task, since they may not see ours.
    """

    source: BatchSource
    options: OptimizeOptions
    send_files: bool = False

    def task(self, chunk: tuple[ScenarioKey, ...]) -> Callable[[], ChunkResult]:
        """What a worker is sent."""
        if self.send_files:
            return partial(plan_sent_chunk, self.source, chunk, self._files(chunk), self.options)
        return partial(plan_chunk, self.source, chunk, self.options)

    def lost(self, item: ScenarioKey, reason: str) -> ChunkResult:
        """A scenario that no worker survives."""
        return to_result((), (FailedScenario(key=item, error=reason, error_type="WorkerDied"),))

    def _files(self, chunk: tuple[ScenarioKey, ...]) -> dict[str, bytes]:
        """Files of some scenarios by their place below the source; those that several share are there once."""
        files: dict[str, bytes] = {}
        for key in chunk:
            with suppress(OSError):  # the worker tells that something is missing
                for place in self.source.files(key):
                    if place not in files:
                        files[place] = (self.source.root / place).read_bytes()
        return files


def plan_sent_chunk(
    source: BatchSource, chunk: tuple[ScenarioKey, ...], files: dict[str, bytes], options: OptimizeOptions
) -> ChunkResult:
    """As `plan_chunk`, with the files that came along."""
    return plan_chunk(replace(source, sent=SentFiles(root=source.root, contents=files)), chunk, options)


def plan_chunk(source: BatchSource, chunk: tuple[ScenarioKey, ...], options: OptimizeOptions) -> ChunkResult:
    """Plan some scenarios one after the other.

    Args:
        source: Where they lie.
        chunk: Which.
        options: How to plan each.

    Returns:
        Their plans and figures; for one without a plan what is wrong with it.
    """
    planned: list[PlannedScenario] = []
    failed: list[FailedScenario] = []
    for key in chunk:
        started = perf_counter()
        try:
            planned.append(_plan(source, key, options))
        except (CapacityOptimizerError, OSError) as error:
            failed.append(_failure(key, error, started))
        except Exception as error:
            # The other scenarios of a batch do not go without a plan for a mistake in this program.
            logger.exception("scenario=%s cannot be planned", key.name)
            failed.append(_failure(key, error, started))
    return to_result(planned, failed)


def _plan(source: BatchSource, key: ScenarioKey, options: OptimizeOptions) -> PlannedScenario:
    started = perf_counter()
    loaded = source.load(key)
    read_s = perf_counter() - started
    with loaded.naming_files():
        schedule = optimize(loaded.scenario, _of_day(options, key, loaded.scenario))
    return PlannedScenario(key=key, scenario=loaded.scenario, schedule=schedule, notes=loaded.notes, read_s=read_s)


def _of_day(options: OptimizeOptions, key: ScenarioKey, scenario: Scenario) -> OptimizeOptions:
    """The options; on a day on which nobody comes, with the day itself as the window, since no session tells one."""
    if scenario.sessions or key.day is None:
        return options
    start, end = (
        datetime.combine(day, time.min, scenario.site.time_zone) for day in (key.day, key.day + timedelta(days=1))
    )
    return replace(options, start=options.start or start, end=options.end or end)


def _failure(key: ScenarioKey, error: Exception, started: float) -> FailedScenario:
    return FailedScenario(key=key, error=str(error), error_type=type(error).__name__, seconds=perf_counter() - started)
