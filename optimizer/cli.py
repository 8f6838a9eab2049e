"""The command ``oscp-optimize``: plan a scenario folder, recheck a result, compare strategies, play a day again."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.errors import CapacityOptimizerError, InputError, SolverConfigError
from optimizer.advice_options import AskedBlocks
from optimizer.export_options import MAX_PERIODS, ExportFormat, ProfileOptions, RateUnit
from optimizer.options import (
    COST_OBJECTIVE,
    DEFAULT_LINE_SIDES,
    DEFAULT_SOLVER,
    MAX_MINIMUM_RUN,
    PEAK_OBJECTIVE,
    Backend,
    Fairness,
    Foresight,
    LimitMode,
    LineForm,
    Occasion,
    OptimizeOptions,
    PilotMode,
    RollOptions,
    SolverOptions,
    Strategy,
)

Advance = Callable[[], None]

if TYPE_CHECKING:
    from models.domain.uncertainty import Uncertainty
    from optimizer.comparison import ComparedStrategy
    from optimizer.hindsight import DayFigures
    from optimizer.scenario_io import LoadedScenario

# Imports inside the commands keep `--help` and `--version` fast: pandas, Plotly and Pyomo take a second together.

app = typer.Typer(
    help="Optimal, verified charging plans under the capacity limits of OSCP 2.0.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


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

IMAGE_KINDS = ("svg", "png")
UNMET_NOTICED_KWH = 1e-3
"""Less unmet energy than a meter shows is not an unmet request."""

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


def _print_version(wanted: bool) -> None:
    if wanted:
        print(distribution_version("oscp-capacity-optimizer"))
        raise typer.Exit


@app.callback()
def common(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and leave", is_eager=True, callback=_print_version),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens to standard error")] = False,
) -> None:
    """Optimal, verified charging plans under the capacity limits of OSCP 2.0."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.ERROR,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )


@app.command()
def solve(
    scenario: Scenario,
    out: Annotated[Path, typer.Option(help="Result folder; an earlier result in it is replaced as a whole")],
    start: Start = None,
    end: End = None,
    step_minutes: StepMinutes = 15.0,
    limits: Limits = LimitMode.MEAN,
    currents: Currents = LimitMode.INSTANTANEOUS,
    line_form: Lines = LineForm.POLYGON,
    line_sides: LineSides = DEFAULT_LINE_SIDES,
    objective: Goal = Objective.COST,
    strategy: Annotated[Strategy, typer.Option(help="The optimum, or a heuristic")] = Strategy.OPTIMAL,
    pilots: Pilots = PilotMode.ROUNDED,
    minimum_run: MinimumRun = 0.0,
    solver: Solver = DEFAULT_SOLVER,
    backend: Carrier = Backend.PYOMO,
    prepared: Prepared = False,
    time_limit: TimeLimit = None,
    fairness: Annotated[
        Fairness, typer.Option(help="Who goes short: most energy, equal shares of requests, or equal energy by weight")
    ] = Fairness.TOTAL,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 3 when energy that could be served is not")
    ] = False,
    why: Annotated[
        bool,
        typer.Option("--why", help="Write why.json: what holds whom back, and what would have served who goes short"),
    ] = False,
    why_limit: Annotated[float | None, typer.Option(help="Wall time for finding what would, s [default: none]")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Plan a scenario and write the result folder.

    Exit code 0 with a plan, 2 on bad input, 3 with --strict when energy stays unmet, 1 otherwise.
    """
    options = _options(
        start, end, step_minutes, limits, objective, strategy, pilots, minimum_run, solver, backend, time_limit
    )
    options = _with_lines(options, currents, line_form, line_sides)
    with _errors_as_exit_codes():
        options = replace(options, fairness=fairness, why=why, why_limit_s=why_limit)
        from optimizer.engine import optimize  # noqa: PLC0415
        from optimizer.report import render_report  # noqa: PLC0415
        from optimizer.scenario_io import load_scenario, write_result  # noqa: PLC0415

        with _progress("Reading the scenario", "Planning", "Writing the result", show=not quiet) as advance:
            loaded = load_scenario(scenario)
            if prepared:
                options = replace(options, uncertainty=_uncertainty(loaded))
            advance()
            with loaded.naming_files():
                schedule = optimize(loaded.scenario, options)
            advance()
            summary = write_result(
                out,
                schedule,
                loaded.scenario,
                options,
                notes=loaded.notes,
                report_html=render_report(schedule, loaded.scenario.site),
            )
            advance()
    if as_json:
        print(json.dumps(summary, indent=2))
    elif not quiet:
        _print_summary(summary, out)
    if strict and schedule.unmet_energy_kwh > UNMET_NOTICED_KWH:
        raise typer.Exit(ExitCode.ENERGY_UNMET)


@app.command()
def verify(
    scenario: Scenario,
    result: Annotated[Path, typer.Argument(help="Result folder written by solve")],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Recheck a written result against its scenario, without the solver.

    Exit code 0 when every limit and every stated figure holds, 1 when one does not, 2 on unreadable files.
    """
    with _errors_as_exit_codes():
        from optimizer.recheck import recheck  # noqa: PLC0415
        from optimizer.scenario_io import load_scenario, read_result  # noqa: PLC0415

        known = load_scenario(scenario).scenario
        found = recheck(known, read_result(result, known))
    margin = found.smallest_margin_kw
    if as_json:
        figures = {
            "holds": not found.violations,
            "violations": list(found.violations),
            "smallest_margin_kw": margin if margin < float("inf") else None,
        }
        print(json.dumps(figures, indent=2))
    elif found.violations:
        for violation in found.violations:
            print(violation, file=sys.stderr)
    elif not quiet:
        print("Every limit, window, bound and stated figure holds.")
    if found.violations:
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def image(
    result: Annotated[Path, typer.Argument(help="Result folder written by solve")],
    out: Annotated[Path, typer.Option(help="File to write, .svg or .png")],
    chart: Annotated[str, typer.Option(help="timeline, or the place of a group in the report, from 0 on")] = "0",
) -> None:
    """Draw one chart of a report as SVG or PNG; needs a Chromium or Chrome, which runs without a window."""
    with _errors_as_exit_codes():
        from optimizer.report import draw_chart  # noqa: PLC0415

        kind = out.suffix.removeprefix(".")
        if kind not in IMAGE_KINDS:
            raise InputError(f"--out {str(out)!r} ends in {out.suffix!r}; name a file that ends in .svg or .png")
        out.write_bytes(draw_chart(result / "report.html", chart, kind))


def advise(
    scenario: Scenario,
    out: Annotated[Path, typer.Option(help="Folder to write; earlier advice in it is replaced as a whole")],
    start: Start = None,
    end: End = None,
    step_minutes: StepMinutes = 15.0,
    limits: Limits = LimitMode.MEAN,
    blocks: Annotated[
        AskedBlocks, typer.Option(help="Ask in the blocks stated, or in all whole hours of each local day (Taipower)")
    ] = AskedBlocks.STATED,
    least_value: Annotated[float, typer.Option(help="Do not ask for what is worth less, currency per kWh")] = 0.001,
    hand_back: Annotated[
        bool, typer.Option("--hand-back", help="Ask for no more than is needed where capacity is left")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Say what more capacity would be worth, block by block, and what can be handed back without loss.

    Writes advice.json and adjust.json, messages AdjustGroupCapacityForecast of OSCP 2.0. Exit code 2 on bad input.
    """
    with _errors_as_exit_codes():
        options = OptimizeOptions(
            start=_instant("--start", start),
            end=_instant("--end", end),
            raster=_raster(step_minutes),
            limit_mode=limits,
        )
        if not 0 < least_value < float("inf"):
            raise InputError(f"--least-value is {least_value:g}; it must be above 0")
        from optimizer.advice import advise as advice_for  # noqa: PLC0415
        from optimizer.scenario_io import load_scenario  # noqa: PLC0415
        from optimizer.scenario_io.advice_document import write_advice  # noqa: PLC0415

        loaded = load_scenario(scenario)
        with loaded.naming_files():
            advice = advice_for(loaded.scenario, options, least_value_per_kwh=least_value)
        document, messages = write_advice(out, advice, loaded.scenario, blocks=blocks, hand_back=hand_back)
    if as_json:
        print(json.dumps(document, indent=2))
    elif not quiet:
        asked = sum(block.asked_kw > 0 for block in advice.blocks)
        spare = sum(block.hand_back_kw > 0 for block in advice.blocks)
        print(f"more helps   in {asked} of {len(advice.blocks)} blocks, worth {advice.asked_value:.2f} together")
        print(f"to spare     in {spare} of {len(advice.blocks)} blocks")
        print(f"messages     {len(messages)} in {out / 'adjust.json'}")


@app.command()
def export(
    scenario: Scenario,
    result: Annotated[Path, typer.Argument(help="Result folder written by solve")],
    out: Annotated[Path, typer.Option(help="Folder to write; an earlier export in it is replaced as a whole")],
    how: Annotated[
        ExportFormat,
        typer.Option(
            "--format", help="SetChargingProfile for each charger, ChargingProfile for each session, or tables"
        ),
    ],
    unit: Annotated[RateUnit, typer.Option(help="Of charging profiles: W in all, or A on each phase")] = RateUnit.W,
    max_periods: Annotated[
        int, typer.Option(help="Of charging profiles: the most periods that a charger holds")
    ] = MAX_PERIODS,
    quiet: Quiet = False,
) -> None:
    """Write a result as charging profiles of OCPP or OCPI, CSV or Parquet.

    Exit code 0 when written, 2 on unreadable files or options that cannot be.
    """
    with _errors_as_exit_codes():
        from optimizer.exports.folder import write_export  # noqa: PLC0415
        from optimizer.scenario_io import load_scenario, read_result  # noqa: PLC0415

        options = ProfileOptions(unit=unit, max_periods=max_periods)
        known = load_scenario(scenario).scenario
        names = write_export(out, read_result(result, known), known.site, how, options)
    if not quiet:
        for name in names:
            print(out / name)


@app.command()
def compare(
    scenario: Scenario,
    start: Start = None,
    end: End = None,
    step_minutes: StepMinutes = 15.0,
    limits: Limits = LimitMode.MEAN,
    currents: Currents = LimitMode.INSTANTANEOUS,
    line_form: Lines = LineForm.POLYGON,
    line_sides: LineSides = DEFAULT_LINE_SIDES,
    objective: Goal = Objective.COST,
    pilots: Pilots = PilotMode.ROUNDED,
    minimum_run: MinimumRun = 0.0,
    solver: Solver = DEFAULT_SOLVER,
    backend: Carrier = Backend.PYOMO,
    time_limit: TimeLimit = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Plan a scenario with every strategy and print the figures side by side."""
    options = _options(
        start, end, step_minutes, limits, objective, Strategy.OPTIMAL, pilots, minimum_run, solver, backend, time_limit
    )
    options = _with_lines(options, currents, line_form, line_sides)
    with _errors_as_exit_codes():
        from optimizer.comparison import compare_strategies  # noqa: PLC0415
        from optimizer.scenario_io import load_scenario  # noqa: PLC0415

        loaded = load_scenario(scenario)
        tasks = (f"Planning: {strategy}" for strategy in Strategy)
        with loaded.naming_files(), _progress(*tasks, show=not quiet) as advance:
            compared = []
            for result in compare_strategies(loaded.scenario, options):
                compared.append(result)
                advance()
    if as_json:
        print(json.dumps([result.figures() for result in compared], indent=2))
    elif not quiet:
        print_comparison(compared, loaded.scenario.site.currency)


@app.command()
def batch(
    source: Annotated[Path, typer.Argument(help="Folder of scenario folders, or tables partitioned by site and day")],
    out: Annotated[Path, typer.Option(help="Data set of results: a folder that is missing, empty, or to be resumed")],
    workers: Annotated[int | None, typer.Option(min=1, max=1024, help="Processes [default: one a core]")] = None,
    cluster: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler that takes their place: tcp://HOST:8786")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Plan only what an earlier run left without a plan, and what failed")
    ] = False,
    chunk: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Scenarios planned and written together [default: by number]")
    ] = None,
    step_minutes: StepMinutes = 15.0,
    limits: Limits = LimitMode.MEAN,
    objective: Goal = Objective.COST,
    strategy: Annotated[Strategy, typer.Option(help="The optimum, or a heuristic")] = Strategy.OPTIMAL,
    pilots: Pilots = PilotMode.ROUNDED,
    minimum_run: MinimumRun = 0.0,
    solver: Solver = DEFAULT_SOLVER,
    backend: Carrier = Backend.PYOMO,
    time_limit: TimeLimit = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Plan many scenarios into a Parquet data set: schedule, sessions, groups and summary.

    Exit code 0 when every scenario has a plan, 4 when some failed (summary says why), 2 on bad input, 130 when
    interrupted, 1 otherwise. Whatever ends it, what is written stays good, and --resume goes on.
    """
    options = _options(
        None, None, step_minutes, limits, objective, strategy, pilots, minimum_run, solver, backend, time_limit
    )
    with _errors_as_exit_codes():
        from optimizer.batch_cli import Shown, figures, interruption, print_outcome  # noqa: PLC0415
        from optimizer.batch_run import run_batch  # noqa: PLC0415
        from optimizer.executors import Workers, usable_cores  # noqa: PLC0415

        if workers is not None and cluster is not None:
            raise InputError("--workers and --cluster exclude each other: a cluster has the workers it has")
        shown = Shown(show=not quiet)
        place = Workers(processes=workers or usable_cores(), cluster=cluster, options=options)
        try:
            with shown.on_screen() as on_progress:
                outcome = run_batch(
                    source, out, options, place, resume=resume, chunk_size=chunk, on_progress=on_progress
                )
        except KeyboardInterrupt:
            print(interruption(shown.latest), file=sys.stderr)
            raise typer.Exit(ExitCode.INTERRUPTED) from None
    if as_json:
        print(json.dumps(figures(outcome, out), indent=2))
    elif not quiet:
        print_outcome(outcome, out)
    if outcome.failed:
        raise typer.Exit(ExitCode.SCENARIOS_FAILED)


@app.command()
def roll(
    scenario: Scenario,
    out: Annotated[
        Path | None, typer.Option(help="Result folder; an earlier result in it is replaced as a whole [default: none]")
    ] = None,
    start: Start = None,
    end: End = None,
    step_minutes: StepMinutes = 15.0,
    limits: Limits = LimitMode.MEAN,
    currents: Currents = LimitMode.INSTANTANEOUS,
    line_form: Lines = LineForm.POLYGON,
    line_sides: LineSides = DEFAULT_LINE_SIDES,
    objective: Goal = Objective.COST,
    strategy: Annotated[Strategy, typer.Option(help="The optimum of what is known, or a heuristic")] = Strategy.OPTIMAL,
    every_event: Annotated[
        bool,
        typer.Option(
            "--every-event/--every-step",
            help="Plan anew when somebody arrives, leaves, is full or overdue; or at every step. In both cases when a "
            "forecast comes",
        ),
    ] = False,
    known: Annotated[
        Foresight, typer.Option(help="Of a vehicle that is there: what its driver stated, or what came to be")
    ] = Foresight.STATED,
    pilots: Pilots = PilotMode.ROUNDED,
    minimum_run: MinimumRun = 0.0,
    solver: Solver = DEFAULT_SOLVER,
    backend: Carrier = Backend.PYOMO,
    prepared: Prepared = False,
    moving_price: MovingPrice = 0.0,
    time_limit: TimeLimit = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Play a recorded day again: plan from what was known at each step, beside the optimum of perfect foresight.

    Exit code 0 with a day played to its end, 2 on bad input, 1 when a plan failed: nothing is rolled on from an older
    one.
    """
    plan = _options(
        start, end, step_minutes, limits, objective, strategy, pilots, minimum_run, solver, backend, time_limit
    )
    options = RollOptions(
        plan=_with_lines(plan, currents, line_form, line_sides),
        occasion=Occasion.EVERY_EVENT if every_event else Occasion.EVERY_STEP,
        foresight=known,
    )
    with _errors_as_exit_codes():
        from optimizer.hindsight import in_hindsight  # noqa: PLC0415
        from optimizer.report import render_report  # noqa: PLC0415
        from optimizer.rolling import roll as rolled_day  # noqa: PLC0415
        from optimizer.scenario_io import load_scenario, write_rolled_result  # noqa: PLC0415

        with _progress("Reading the scenario", "Rolling", "Looking back", "Writing", show=not quiet) as advance:
            loaded = load_scenario(scenario)
            plan = replace(
                options.plan,
                moving_price_per_kwh=moving_price,
                uncertainty=_uncertainty(loaded) if prepared else None,
            )
            options = replace(options, plan=plan)
            advance()
            with loaded.naming_files():
                rolled = rolled_day(loaded.day, options)
                advance()
                figures = list(in_hindsight(loaded.day, options, rolled))
            advance()
            if out is not None:
                report = render_report(rolled.schedule, loaded.scenario.site)
                write_rolled_result(
                    out, rolled, figures, loaded.scenario, options, notes=loaded.notes, report_html=report
                )
            advance()
    if as_json:
        print(json.dumps([figure.figures() for figure in figures], indent=2))
    elif not quiet:
        print_hindsight(figures, loaded.scenario.site.currency)


def print_hindsight(figures: list[DayFigures], currency: str) -> None:
    """Print one line for each policy."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    titles = ("policy", f"cost {currency}", "met %", "unmet kWh", "short", "peak kW", "min over limit")
    for title in (*titles, "changes", "plans", "moved kW", "ms/plan"):
        table.add_column(title, justify="left" if title == "policy" else "right", no_wrap=True)
    for one in figures:
        table.add_row(
            one.policy,
            f"{one.energy_cost:.2f}",
            f"{100 * one.energy_met:.2f}",
            f"{one.unmet_energy_kwh:.1f}",
            str(one.sessions_short),
            f"{one.peak_import_kw:.1f}",
            f"{one.minutes_over_limit:.0f}",
            str(one.pilot_changes),
            str(one.plans),
            f"{one.moved_kw:.1f}",
            f"{1000 * one.seconds:.1f}",
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def print_comparison(compared: list[ComparedStrategy], currency: str) -> None:
    """Print one line for each strategy."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    for title in ("strategy", f"cost {currency}", "unmet kWh", "short", "peak kW", "min over limit", "s", "status"):
        table.add_column(title, justify="left" if title in ("strategy", "status") else "right", no_wrap=True)
    for result in compared:
        table.add_row(
            result.strategy,
            f"{result.energy_cost:.2f}",
            f"{result.unmet_energy_kwh:.1f}",
            str(result.sessions_short),
            f"{result.peak_import_kw:.1f}",
            f"{result.minutes_over_limit:.0f}",
            f"{result.seconds:.3f}",
            result.status,
        )
    Console(width=None if sys.stdout.isatty() else 100).print(table)


def _options(
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
    with _errors_as_exit_codes():
        if not 0 <= minimum_run <= MAX_MINIMUM_RUN / timedelta(minutes=1):
            raise InputError(
                f"--minimum-run is {minimum_run:g}; it must be between 0 and {MAX_MINIMUM_RUN / timedelta(minutes=1):g}"
            )
        return OptimizeOptions(
            start=_instant("--start", start),
            end=_instant("--end", end),
            raster=_raster(step_minutes),
            limit_mode=limits,
            objective=STAGES[objective],
            strategy=strategy,
            pilots=pilots,
            minimum_run=timedelta(minutes=minimum_run),
            solver=SolverOptions(name=solver, backend=backend, time_limit_s=time_limit),
        )


def _with_lines(options: OptimizeOptions, currents: LimitMode, form: LineForm, sides: int) -> OptimizeOptions:
    with _errors_as_exit_codes():
        return replace(options, current_mode=currents, line_form=form, line_sides=sides)


def _raster(step_minutes: float) -> timedelta:
    if not 1 <= step_minutes <= 60:  # noqa: PLR2004 - a timedelta cannot hold every number
        raise InputError(f"--step-minutes is {step_minutes:g}; it must be between 1 and 60")
    return timedelta(minutes=step_minutes)


def _uncertainty(loaded: LoadedScenario) -> Uncertainty:
    if loaded.uncertainty is None:
        raise InputError("--prepared needs uncertainty.json in the scenario folder; add it, or leave the option out")
    return loaded.uncertainty


def _instant(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{option} is {text!r}; it must be a time in ISO 8601 with an offset, such as 2019-07-24T00:00:00-07:00"
        ) from error


@contextmanager
def _errors_as_exit_codes() -> Iterator[None]:
    """Say what is wrong on standard error and leave with the code for it."""
    try:
        yield
    except (InputError, SolverConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(ExitCode.BAD_INPUT) from error
    except (CapacityOptimizerError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(ExitCode.FAILED) from error


@contextmanager
def _progress(*tasks: str, show: bool) -> Iterator[Advance]:
    """A bar over named pieces of work on standard error; nothing where that is not a terminal."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not (show and console.is_terminal)) as bar:
        task = bar.add_task(tasks[0], total=len(tasks))
        upcoming = iter((*tasks[1:], "Done"))
        yield lambda: bar.update(task, advance=1, description=next(upcoming))


def _print_summary(summary: dict[str, object], out: Path) -> None:
    currency = summary["currency"]
    lines = (
        ("status", f"{summary['status']} ({summary['strategy']}, {summary['objective']})"),
        ("sessions", f"{summary['sessions']} over {summary['steps']} steps"),
        ("requested", f"{summary['requested_energy_kwh']:.1f} kWh"),
        ("delivered", f"{summary['delivered_energy_kwh']:.1f} kWh"),
        ("unmet", f"{summary['unmet_energy_kwh']:.1f} kWh"),
        ("unreachable", f"{summary['unreachable_energy_kwh']:.1f} kWh"),
        ("energy cost", f"{summary['energy_cost']:.2f} {currency}"),
        (
            "fairness",
            f"{summary['fairness']}, lowest share {summary['lowest_share']:.0%}, Jain {summary['jain_index']:.3f}",
        ),
        *_other_costs(summary),
        ("peak import", f"{summary['peak_import_kw']:.1f} kW"),
    )
    for name, text in lines:
        print(f"{name:<12} {text}")
    if summary["sessions_outside_window"]:
        print(f"left out     {summary['sessions_outside_window']} sessions not wholly inside the window")
    notes = summary["notes"]
    for note in notes if isinstance(notes, list) else []:
        print(f"note         {note}")
    print(f"report       {out / 'report.html'}")


def _other_costs(summary: dict[str, object]) -> Iterator[tuple[str, str]]:
    """Costs beside that of energy, as far as there are any."""
    currency = summary["currency"]
    found = [
        (words, float(str(summary[name])))
        for words, name in (("wear", "wear_cost"), ("peaks", "demand_cost"), ("carbon", "carbon_cost"))
    ]
    for words, cost in found:
        if cost:
            yield words, f"{cost:.2f} {currency}"
    if any(cost for _, cost in found):
        yield "total cost", f"{summary['total_cost']:.2f} {currency}"
    if summary["carbon_kg"]:
        yield "carbon", f"{summary['carbon_kg']:.1f} kg"


def main() -> None:
    """Run the command line."""
    app()
