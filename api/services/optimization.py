"""Planning without state: a scenario in, a plan out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from datetime import timedelta
from typing import Any, Protocol

import numpy as np
from pydantic import TypeAdapter
from pydantic_core import to_json

from api.advice import Question
from api.rest_schemas import OptimizeRequest, PlanOptions
from api.settings import Settings
from models.domain import Scenario, Schedule
from models.errors import CapacityOptimizerError, InputError
from optimizer.advice import Advice
from optimizer.options import COST_OBJECTIVE, PEAK_OBJECTIVE, OptimizeOptions, SolverOptions
from optimizer.scenario_io import LoadedScenario
from optimizer.scenario_io.documents import SeriesDocuments, read_scenario_document
from optimizer.scenario_io.files import parse_json
from optimizer.scenario_io.plan_document import to_plan_document
from optimizer.window import window

MAX_AT_ONCE = 4
"""Requests that are solved or wait for it; sites are planned by the same processes."""
MAX_CELLS = 1_000_000
"""Steps of all sessions and groups together; 1,000 sessions of 10 h in quarters of an hour have 40,000."""
STAGES = {"cost": COST_OBJECTIVE, "peak": PEAK_OBJECTIVE}

_OPTIONS = TypeAdapter(PlanOptions)


class BusyError(CapacityOptimizerError):
    """As many requests as may wait are being served; ask again later."""


class Solver(Protocol):
    """Makes plans apart from the event loop."""

    async def solve(self, scenario: Scenario, options: OptimizeOptions) -> Schedule:
        """A verified plan."""

    async def advise(self, question: Question) -> Advice:
        """What another capacity is worth."""


class Optimizations:
    """Plans for whoever asks, a few at a time.

    Args:
        settings: Of the server.
        solver: Makes the plans.
        max_at_once: Requests that are solved or wait for it.
    """

    def __init__(self, settings: Settings, solver: Solver, *, max_at_once: int = MAX_AT_ONCE) -> None:
        self._settings = settings
        self._solver = solver
        self._free = max_at_once
        # The deadline of a solve counts from when it is handed over: who waits, waits here.
        self._turn = asyncio.Lock()

    async def optimize(self, value: object) -> dict[str, Any]:
        """The plan document of a scenario.

        Args:
            value: As `OptimizeRequest` describes it.

        Raises:
            InputError: A part does not hold what it must, or it is too large; the message names part, row and field.
            BusyError: Too many are being served.
        """
        with self._place():
            loaded, options = await asyncio.to_thread(_read, value, self._settings)
            async with self._turn:
                schedule = await self._solver.solve(loaded.scenario, options)
            return await asyncio.to_thread(_document, schedule, loaded, options)

    async def advice(self, question: Question) -> Advice:
        """What another capacity is worth.

        Raises:
            SolverError: No advice was found in time.
            BusyError: Too many are being served.
        """
        with self._place():
            async with self._turn:
                return await self._solver.advise(question)

    async def plans(self, *asked: tuple[Scenario, OptimizeOptions]) -> list[Schedule]:
        """A plan of each scenario, one after the other.

        Raises:
            BusyError: Too many are being served.
        """
        with self._place():
            async with self._turn:
                return [await self._solver.solve(scenario, options) for scenario, options in asked]

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._free == 0:
            raise BusyError("as many plans as may be made at once are being made")
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


def _read(value: object, settings: Settings) -> tuple[LoadedScenario, OptimizeOptions]:
    parts = _parts(value)
    given = parse_options(parts.get("options"))
    options = OptimizeOptions(
        start=given.start,
        end=given.end,
        raster=timedelta(minutes=given.step_minutes),
        limit_mode=given.limits,
        current_mode=given.currents,
        line_form=given.line_form,
        line_sides=given.line_sides,
        objective=STAGES[given.objective],
        strategy=given.strategy,
        pilots=given.pilots,
        minimum_run=timedelta(minutes=given.minimum_run_minutes),
        fairness=given.fairness,
        why=given.why,
        why_limit_s=settings.why_limit_s,
        solver=SolverOptions(time_limit_s=settings.solve_deadline_s),
    )
    series = SeriesDocuments(**{item.name: parts.get(item.name) for item in fields(SeriesDocuments)})
    loaded = read_scenario_document(
        parts["site"], parts["sessions"], parts.get("prices"), parts.get("forecasts"), series
    )
    _check_size(loaded.scenario, options)
    return loaded, options


def parse_options(value: object) -> PlanOptions:
    """How to plan; the defaults where None.

    Raises:
        InputError: They are none; the message names field and value.
    """
    return PlanOptions() if value is None else parse_json("options", to_json(value), _OPTIONS)


def _document(schedule: Schedule, loaded: LoadedScenario, options: OptimizeOptions) -> dict[str, Any]:
    document: dict[str, Any] = to_plan_document(schedule, loaded.scenario, options, notes=loaded.notes)
    return document


def _parts(value: object) -> Mapping[str, object]:
    known = OptimizeRequest.model_fields
    if not isinstance(value, dict):
        raise InputError(f"the body must be an object with {', '.join(known)}")
    if unknown := sorted(value.keys() - known.keys()):
        raise InputError(f"the body has the unknown field {unknown[0]!r}; it may have {', '.join(known)}")
    if missing := [name for name, field in known.items() if field.is_required() and name not in value]:
        raise InputError(f"the body lacks the field {missing[0]}")
    return value


def _check_size(scenario: Scenario, options: OptimizeOptions) -> None:
    """Refuse what would keep a process, or its memory, from the sites that are planned there too."""
    start, end = window(scenario, options)
    start_s, end_s = start.timestamp(), end.timestamp()
    edges_s = scenario.edges_s(start_s, end_s)
    inside = np.unique(edges_s[(edges_s > start_s) & (edges_s < end_s)])
    steps = (end_s - start_s) / options.raster.total_seconds() + inside.size + 1
    stays_s = sum(session.departure_s - session.arrival_s for session in scenario.sessions)
    site = scenario.site
    others = len(site.groups) + len(site.storages) + len(site.generators) + len(site.base_loads)
    cells = steps * (stays_s / (end_s - start_s) + others) + len(scenario.sessions)
    if cells > MAX_CELLS:
        raise InputError(
            f"{len(scenario.sessions)} sessions and {len(scenario.site.groups)} groups in {steps:.0f} steps make about "
            f"{cells:.0f} values, more than the {MAX_CELLS} that are planned at once; take longer steps, a shorter "
            "window or fewer sessions"
        )
