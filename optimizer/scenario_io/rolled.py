"""Result folders of days played again: those of a plan, with a log of every plan and the figures of other policies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, fields
from pathlib import Path

from models.domain.scenario import Scenario
from optimizer.hindsight import DayFigures
from optimizer.options import Foresight, Occasion, RollOptions
from optimizer.rolling import Replan, RolledDay
from optimizer.scenario_io.result_files import HINDSIGHT_FILE, REPLANS_FILE
from optimizer.scenario_io.results import ExtraTable, write_result

_OCCASIONS = {
    Occasion.EVERY_STEP: "at every step",
    Occasion.EVERY_EVENT: "at every event",
}
_BELIEFS = {
    Foresight.STATED: "as drivers stated it",
    Foresight.TRUE: "as it came to be",
}


def write_rolled_result(
    folder: Path,
    rolled: RolledDay,
    figures: Sequence[DayFigures],
    scenario: Scenario,
    options: RollOptions,
    *,
    notes: Sequence[str] = (),
    report_html: str | None = None,
) -> dict[str, object]:
    """Write the result folder of a rolled day; it appears complete or not at all.

    Args:
        folder: As in `write_result`.
        rolled: What came of the day.
        figures: What other policies would have made of it.
        scenario: What happened.
        options: How it was played.
        notes: As in `write_result`.
        report_html: As in `write_result`.

    Returns:
        The content of summary.json.

    Raises:
        InputError: The folder holds something else than a result.
    """
    how = (
        f"played again, planned {len(rolled.replans)} times, {_OCCASIONS[options.occasion]}, from departure and "
        f"request {_BELIEFS[options.foresight]}; {REPLANS_FILE} has every plan, {HINDSIGHT_FILE} other policies"
    )
    return write_result(
        folder,
        rolled.schedule,
        scenario,
        options.plan,
        notes=(how, *notes),
        report_html=report_html,
        tables=(
            ExtraTable(
                name=REPLANS_FILE,
                columns=[field.name for field in fields(Replan)],
                rows=_replan_rows(rolled),
            ),
            ExtraTable(
                name=HINDSIGHT_FILE,
                columns=[field.name for field in fields(DayFigures)],
                rows=(astuple(figure) for figure in figures),
            ),
        ),
    )


def _replan_rows(rolled: RolledDay) -> Iterator[Sequence[object]]:
    for replan in rolled.replans:
        cells = {field.name: getattr(replan, field.name) for field in fields(Replan)}
        yield list((cells | {"at": replan.at.isoformat(), "status": replan.status.value}).values())
