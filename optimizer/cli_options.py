"""Options and arguments that commands share, what they make of them, and how errors end a command."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.errors import CapacityOptimizerError, InputError, SolverConfigError
from optimizer.options import (
    COST_OBJECTIVE,
    MAX_MINIMUM_RUN,
    PEAK_OBJECTIVE,
    Backend,
    LimitMode,
    LineForm,
    OptimizeOptions,
    PilotMode,
    SolverOptions,
    Strategy,
)

if TYPE_CHECKING:
    from models.domain.uncertainty import Uncertainty
    from optimizer.scenario_io import LoadedScenario


class ExitCode(IntEnum):
    """What the shell is told."""

    OK = 0
    FAILED = 1
    BAD_INPUT = 2
    ENERGY_UNMET = 3
    SCENARIOS_FAILED = 4
    INTERRUPTED = 130


class Objective(StrEnum):
    """What is minimised once as much energy as possible is served."""

    COST = "cost"
    PEAK = "peak"


STAGES = {Objective.COST: COST_OBJECTIVE, Objective.PEAK: PEAK_OBJECTIVE}

Scenario = Annotated[
    Path,
    typer.Argument(
        help="Scenario folder: site.json, sessions.csv and, where there are any, prices.csv, tariff.json, "
        "forecasts.json, generation.csv, base_load.csv, carbon.csv"
    ),
]

Start = Annotated[str | None, typer.Option(help="Begin of the window, ISO 8601 with offset [default: first arrival]")]

End = Annotated[str | None, typer.Option(help="End of the window, ISO 8601 with offset [default: last departure]")]

StepMinutes = Annotated[float, typer.Option(help="Longest step, minutes, 1 to 60")]

Limits = Annotated[LimitMode, typer.Option(help="What a limit in kW holds down: the mean of a step, or every moment")]

Currents = Annotated[LimitMode, typer.Option(help="What a limit in A of a line holds down: every moment, or the mean")]

Lines = Annotated[LineForm, typer.Option(help="How currents that differ in direction add up; both forms are safe")]

LineSides = Annotated[int, typer.Option(help="Sides of the polygon, 4 to 720: more waste less of a line")]

Goal = Annotated[Objective, typer.Option(help="After least unmet energy: least cost, or lowest peak and then cost")]

Pilots = Annotated[
    PilotMode, typer.Option(help="Powers that chargers cannot be set to: plan them, round them, or solve without them")
]

MinimumRun = Annotated[
    float, typer.Option(help="How long a session at a charger with a least power stays on once switched on, minutes")
]

Solver = Annotated[str, typer.Option(help="highs, or any other LP solver that Pyomo knows and that is installed")]

Carrier = Annotated[Backend, typer.Option(help="What carries the program to HiGHS: a Pyomo model, or plain arrays")]

TimeLimit = Annotated[float | None, typer.Option(help="Wall time for the solver, s [default: none]")]

MovingPrice = Annotated[
    float, typer.Option(help="What a kWh must save to be moved against the previous plan, currency per kWh")
]

Prepared = Annotated[
    bool, typer.Option("--prepared", help="Prepare the first steps for the surprises of uncertainty.json")
]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines")]

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors")]


def plan_options(
    start: str | None,
    end: str | None,
    step_minutes: float,
    limits: LimitMode,
    objective: Objective,
    strategy: Strategy,
    pilots: PilotMode,
    minimum_run: float,
    solver: str,
    backend: Backend,
    time_limit: float | None,
) -> OptimizeOptions:
    """How to plan, from what was given on the command line; `errors_as_exit_codes` ends a command given nonsense.

    Args:
        start: ISO 8601 with an offset; None for the first arrival.
        end: ISO 8601 with an offset; None for the last departure.
        step_minutes: Longest step, min.
        limits: What a limit in kW holds down.
        objective: What comes after unmet energy.
        strategy: The optimum, or one of the heuristics.
        pilots: What becomes of powers that chargers cannot be set to.
        minimum_run: How long a session stays on, min.
        solver: Its name.
        backend: What carries the program to HiGHS.
        time_limit: Wall time of the solver, s.
    """
    with errors_as_exit_codes():
        if not 0 <= minimum_run <= MAX_MINIMUM_RUN / timedelta(minutes=1):
            raise InputError(
                f"--minimum-run is {minimum_run:g}; it must be between 0 and {MAX_MINIMUM_RUN / timedelta(minutes=1):g}"
            )
        return OptimizeOptions(
            start=instant_of("--start", start),
            end=instant_of("--end", end),
            raster=raster_of(step_minutes),
            limit_mode=limits,
            objective=STAGES[objective],
            strategy=strategy,
            pilots=pilots,
            minimum_run=timedelta(minutes=minimum_run),
            solver=SolverOptions(name=solver, backend=backend, time_limit_s=time_limit),
        )


def with_lines(options: OptimizeOptions, currents: LimitMode, form: LineForm, sides: int) -> OptimizeOptions:
    """The same with what the options on lines say."""
    with errors_as_exit_codes():
        return replace(options, current_mode=currents, line_form=form, line_sides=sides)


def raster_of(step_minutes: float) -> timedelta:
    """The longest step.

    Raises:
        InputError: It is not from 1 to 60 min.
    """
    if not 1 <= step_minutes <= 60:  # noqa: PLR2004 - a timedelta cannot hold every number
        raise InputError(f"--step-minutes is {step_minutes:g}; it must be between 1 and 60")
    return timedelta(minutes=step_minutes)


def uncertainty_of(loaded: LoadedScenario) -> Uncertainty:
    """What ``--prepared`` prepares for.

    Raises:
        InputError: The scenario says nothing of it.
    """
    if loaded.uncertainty is None:
        raise InputError("--prepared needs uncertainty.json in the scenario folder; add it, or leave the option out")
    return loaded.uncertainty


def instant_of(option: str, text: str | None) -> datetime | None:
    """The instant that an option gives, with its offset; None where it was left out.

    Raises:
        InputError: It is no time in ISO 8601.
    """
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{option} is {text!r}; it must be a time in ISO 8601 with an offset, such as 2019-07-24T00:00:00-07:00"
        ) from error


@contextmanager
def errors_as_exit_codes() -> Iterator[None]:
    """Say what is wrong on standard error and leave with the code for it."""
    try:
        yield
    except (InputError, SolverConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(ExitCode.BAD_INPUT) from error
    except (CapacityOptimizerError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(ExitCode.FAILED) from error
