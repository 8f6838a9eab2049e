"""What ``oscp-optimize batch`` shows: how far it is while it runs, and what came of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from optimizer.batch_run import BatchProgress
from optimizer.report import render_batch_summary
from optimizer.scenario_io.batch_figures import read_figures

Show = Callable[[BatchProgress], None]

SUMMARY_PAGE = "summary.html"
LINE_EVERY_S = 10.0
"""How often a line is written where standard error is no terminal."""


class Shown:
    """How far a batch is, on standard error: a bar on a terminal, else now and then a line.

    Args:
        show: Whether anything is shown.
    """

    def __init__(self, *, show: bool) -> None:
        self.latest: BatchProgress | None = None
        self._console = Console(stderr=True)
        self._lines = show and not self._console.is_terminal
        self._next_line_s = time.monotonic() + LINE_EVERY_S
        columns = (TextColumn("Planning"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}"))
        self._bar = Progress(
            *columns, console=self._console, transient=True, disable=not (show and self._console.is_terminal)
        )
        self._task = self._bar.add_task("Planning", total=None, pace="starting the workers")

    @contextmanager
    def on_screen(self) -> Iterator[Show]:
        """Show until the block ends."""
        with self._bar:
            yield self._update

    def _update(self, progress: BatchProgress) -> None:
        self.latest = progress
        completed = progress.already_done + progress.finished
        self._bar.update(self._task, total=progress.scenarios, completed=completed, pace=pace(progress))
        if self._lines and time.monotonic() >= self._next_line_s:
            print(f"{completed} of {progress.scenarios}, {pace(progress)}", file=sys.stderr, flush=True)
            self._next_line_s = time.monotonic() + LINE_EVERY_S


def pace(progress: BatchProgress) -> str:
    """How fast it goes, and how long it will take."""
    if progress.seconds_left is None:
        return "starting"
    failed = f", {progress.failed} failed" if progress.failed else ""
    left = timedelta(seconds=round(progress.seconds_left))
    return f"{progress.per_second:.1f} per second, {left} left{failed}"


def figures(progress: BatchProgress, results: Path) -> dict[str, object]:
    """What came of a batch, for machines."""
    return {
        "scenarios": progress.scenarios,
        "already_done": progress.already_done,
        "finished": progress.finished,
        "failed": progress.failed,
        "statuses": dict(sorted(progress.statuses.items())),
        "seconds": round(progress.seconds, 3),
        "per_second": round(progress.per_second, 3),
        "results": str(results),
    }


def print_outcome(progress: BatchProgress, results: Path) -> None:
    """What came of a batch, for people."""
    planned = ", ".join(f"{count} {status}" for status, count in sorted(progress.statuses.items()))
    lines = [("scenarios", f"{progress.scenarios}")]
    if progress.already_done:
        lines.append(("done before", f"{progress.already_done}"))
    lines.append(("this run", planned or "nothing to do"))
    if progress.finished:
        lines.append(("time", f"{progress.seconds:.1f} s, {progress.per_second:.1f} per second"))
    lines += [("results", str(results)), ("page", str(results / SUMMARY_PAGE))]
    if progress.failed:
        lines.append(("first failure", progress.first_failure))
    for name, text in lines:
        print(f"{name:<13} {text}")


def write_summary(results: Path) -> None:
    """Write the page of a batch beside its tables.

    Raises:
        InputError: The tables cannot be read.
    """
    page = render_batch_summary(read_figures(results), title=f"Batch {results.resolve().name}")
    new = results / f".{SUMMARY_PAGE}"
    new.write_text(page, encoding="utf-8")
    new.replace(results / SUMMARY_PAGE)


def interruption(progress: BatchProgress | None) -> str:
    """What to say to somebody who ended a batch."""
    if progress is None:
        return "interrupted before the first scenario was planned"
    done = progress.already_done + progress.finished - progress.failed
    return f"interrupted with {done} of {progress.scenarios} scenarios planned; go on with --resume"
