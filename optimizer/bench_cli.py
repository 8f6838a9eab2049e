"""The command ``oscp-optimize bench``: how long plans take on this machine."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from models.errors import InputError
from optimizer.cli_options import AsJson, Quiet, StepMinutes, errors_as_exit_codes, raster_of

if TYPE_CHECKING:
    from optimizer.bench.machine import Facts
    from optimizer.bench.timing import Timing

DEFAULT_SIZES = "10,50,200,1000,5000"
MOST_SESSIONS, MOST_GROUPS = 100_000, 1_000


def bench(
    further: Annotated[
        list[str] | None, typer.Argument(hidden=True, help="Numbers of sessions after the first")
    ] = None,
    *,
    sizes: Annotated[
        str, typer.Option(help="Numbers of sessions, increasing, with commas or spaces between")
    ] = DEFAULT_SIZES,
    step_minutes: StepMinutes = 15.0,
    groups: Annotated[int, typer.Option(min=1, max=MOST_GROUPS, help="Groups with limits of their own")] = 1,
    three_phase: Annotated[bool, typer.Option("--three-phase", help="Limits for each phase besides")] = False,
    seconds: Annotated[float, typer.Option(min=0.0, max=3600.0, help="Wall time for repeating each size, s")] = 5.0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Measure plans of synthetic days on this machine: each phase at each size, both back ends, and how time grows.

    Exit code 0 when measured, 2 on bad input.
    """
    with errors_as_exit_codes():
        numbers = sizes_of(",".join((sizes, *(further or ()))))
        raster = raster_of(step_minutes)
        from optimizer.bench.machine import machine  # noqa: PLC0415
        from optimizer.bench.timing import Size, timings  # noqa: PLC0415
        from optimizer.cli_output import progress  # noqa: PLC0415

        facts = machine()
        wanted = [Size(sessions=number, raster=raster, groups=groups, three_phase=three_phase) for number in numbers]
        found: list[Timing] = []
        with progress(*(f"Planning {number} sessions" for number in numbers), show=not quiet) as advance:
            for size in wanted:
                found.extend(timings([size], budget_s=seconds))
                advance()
    if as_json:
        print(json.dumps({"machine": facts, "timings": documents(found), "growth": growths(found)}, indent=2))
    elif not quiet:
        _print(facts, found)


def sizes_of(text: str) -> list[int]:
    """Numbers of sessions.

    Raises:
        InputError: They are not whole, out of bounds, or do not increase.
    """
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"--sizes is {text!r}; give whole numbers with commas between, such as 50,500") from error
    if numbers != sorted(set(numbers)) or not 1 <= numbers[0] <= numbers[-1] <= MOST_SESSIONS:
        raise InputError(f"--sizes is {text!r}; the numbers must increase and be from 1 to {MOST_SESSIONS}")
    return numbers


def documents(found: list[Timing]) -> list[dict[str, object]]:
    """Timings as JSON holds them."""
    return [
        {
            "sessions": one.size.sessions,
            "steps": one.steps,
            "groups": one.size.groups,
            "three_phase": one.size.three_phase,
            "backend": one.backend.value,
            "rounds": one.rounds,
            "phase_seconds": {name: round(value, 6) for name, value in one.phase_seconds.items()},
        }
        for one in found
    ]


def growths(found: list[Timing]) -> dict[str, dict[str, float | None]]:
    """Exponents of growth with the number of sessions, by back end and phase."""
    from optimizer.bench.timing import growth  # noqa: PLC0415

    backends = dict.fromkeys(one.backend for one in found)
    mine = {backend: [one for one in found if one.backend is backend] for backend in backends}
    return {backend.value: growth(timed, [one.size.sessions for one in timed]) for backend, timed in mine.items()}


def _print(facts: Facts, found: list[Timing]) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from optimizer.bench.timing import PHASES  # noqa: PLC0415

    print(f"{facts['processor']}, {facts['cores']} cores, {facts['memory_gib']} GiB, load {facts['load_average_1min']}")
    print(f"Python {facts['python']}, highspy {facts['highspy']}, Pyomo {facts['pyomo']}, NumPy {facts['numpy']}")
    table = Table(box=None, pad_edge=False, title="Time of a plan with all stages, ms", title_justify="left")
    for title in ("back end", "sessions", "steps", *PHASES):
        table.add_column(title, justify="left" if title == "back end" else "right", no_wrap=True)
    exponents = growths(found)
    for backend, growth in exponents.items():
        for one in found:
            if one.backend.value == backend:
                times = (f"{1e3 * one.phase_seconds[name]:.1f}" for name in PHASES)
                table.add_row(backend, str(one.size.sessions), str(one.steps), *times)
        told = ("-" if growth[name] is None else f"{growth[name]:.2f}" for name in PHASES)
        table.add_row("growth", "", "", *told, end_section=True)
    Console(width=None if sys.stdout.isatty() else 110).print(table)
    print("growth: exponent of time over the larger half of the sizes; 1 where time doubles with the sessions")
