"""The command ``oscp-optimize``: plan a scenario folder, recheck a result, compare strategies, play a day again."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import replace
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Annotated

import typer

from models.errors import InputError
from optimizer.advice_options import AskedBlocks
from optimizer.bench_cli import bench
from optimizer.cli_options import (
    AsJson,
    Carrier,
    Currents,
    End,
    ExitCode,
    Goal,
    Limits,
    Lines,
    LineSides,
    MinimumRun,
    MovingPrice,
    Objective,
    Pilots,
    Prepared,
    Quiet,
    Scenario,
    Solver,
    Start,
    StepMinutes,
    TimeLimit,
    errors_as_exit_codes,
    instant_of,
    plan_options,
    raster_of,
    uncertainty_of,
    with_lines,
)
from optimizer.cli_output import print_comparison, print_hindsight, print_summary, progress
from optimizer.export_options import MAX_PERIODS, ExportFormat, ProfileOptions, RateUnit
from optimizer.options import (
    DEFAULT_LINE_SIDES,
    DEFAULT_SOLVER,
    Backend,
    Fairness,
    Foresight,
    LimitMode,
    LineForm,
    Occasion,
    OptimizeOptions,
    PilotMode,
    RollOptions,
    Strategy,
)

app = typer.Typer(
    help="Optimal, verified charging plans under the capacity limits of OSCP 2.0.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

IMAGE_KINDS = ("svg", "png")

UNMET_NOTICED_KWH = 1e-3
"""Less unmet energy than a meter shows is not an unmet request."""


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
    why_limit: Annotated[float, typer.Option(help="Wall time for finding what would, s")] = 60.0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Plan a scenario and write the result folder.

    Exit code 0 with a plan, 2 on bad input, 3 with --strict when energy stays unmet, 1 otherwise.
    """
    options = plan_options(
        start, end, step_minutes, limits, objective, strategy, pilots, minimum_run, solver, backend, time_limit
    )
    options = with_lines(options, currents, line_form, line_sides)
    with errors_as_exit_codes():
        options = replace(options, fairness=fairness, why=why, why_limit_s=why_limit)
        from optimizer.engine import optimize  # noqa: PLC0415
        from optimizer.report import render_report  # noqa: PLC0415
        from optimizer.scenario_io import load_scenario, write_result  # noqa: PLC0415

        with progress("Reading the scenario", "Planning", "Writing the result", show=not quiet) as advance:
            loaded = load_scenario(scenario)
            if prepared:
                options = replace(options, uncertainty=uncertainty_of(loaded))
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
        print_summary(summary, out)
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
    with errors_as_exit_codes():
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
    with errors_as_exit_codes():
        from optimizer.report import draw_chart  # noqa: PLC0415

        kind = out.suffix.removeprefix(".")
        if kind not in IMAGE_KINDS:
            raise InputError(f"--out {str(out)!r} ends in {out.suffix!r}; name a file that ends in .svg or .png")
        out.write_bytes(draw_chart(result / "report.html", chart, kind))


@app.command()
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
    with errors_as_exit_codes():
        options = OptimizeOptions(
            start=instant_of("--start", start),
            end=instant_of("--end", end),
            raster=raster_of(step_minutes),
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
    with errors_as_exit_codes():
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
    options = plan_options(
        start, end, step_minutes, limits, objective, Strategy.OPTIMAL, pilots, minimum_run, solver, backend, time_limit
    )
    options = with_lines(options, currents, line_form, line_sides)
    with errors_as_exit_codes():
        from optimizer.comparison import compare_strategies  # noqa: PLC0415
        from optimizer.scenario_io import load_scenario  # noqa: PLC0415

        loaded = load_scenario(scenario)
        tasks = (f"Planning: {strategy}" for strategy in Strategy)
        with loaded.naming_files(), progress(*tasks, show=not quiet) as advance:
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
    """Plan many scenarios into a Parquet data set, with its totals as summary.html.

    Exit code 0 when every scenario has a plan, 4 when some failed (summary says why), 2 on bad input, 130 when
    interrupted, 1 otherwise. Whatever ends it, what is written stays good, and --resume goes on.
    """
    options = plan_options(
        None, None, step_minutes, limits, objective, strategy, pilots, minimum_run, solver, backend, time_limit
    )
    with errors_as_exit_codes():
        from optimizer.batch_cli import Shown, figures, interruption, print_outcome, write_summary  # noqa: PLC0415
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
        write_summary(out)
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
    plan = plan_options(
        start, end, step_minutes, limits, objective, strategy, pilots, minimum_run, solver, backend, time_limit
    )
    options = RollOptions(
        plan=with_lines(plan, currents, line_form, line_sides),
        occasion=Occasion.EVERY_EVENT if every_event else Occasion.EVERY_STEP,
        foresight=known,
    )
    with errors_as_exit_codes():
        from optimizer.hindsight import in_hindsight  # noqa: PLC0415
        from optimizer.report import render_report  # noqa: PLC0415
        from optimizer.rolling import roll as rolled_day  # noqa: PLC0415
        from optimizer.scenario_io import load_scenario, write_rolled_result  # noqa: PLC0415

        with progress("Reading the scenario", "Rolling", "Looking back", "Writing", show=not quiet) as advance:
            loaded = load_scenario(scenario)
            plan = replace(
                options.plan,
                moving_price_per_kwh=moving_price,
                uncertainty=uncertainty_of(loaded) if prepared else None,
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


app.command()(bench)


def main() -> None:
    """Run the command line."""
    app()
