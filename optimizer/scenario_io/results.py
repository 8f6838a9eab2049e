"""Result folders: a schedule as CSV, JSON and OSCP messages, written as a whole."""

from __future__ import annotations

import csv
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel

from models.domain.scenario import Scenario
from models.domain.schedule import Costs, Schedule
from models.oscp.v20 import to_optimum_messages
from optimizer.options import OptimizeOptions, Stage
from optimizer.scenario_io.fields import SCHEMA_VERSION
from optimizer.scenario_io.files import new_folder
from optimizer.scenario_io.result_cells import (
    asset_rows,
    group_rows,
    iso_text,
    line_rows,
    rounded_total,
    schedule_rows,
    session_rows,
)
from optimizer.scenario_io.result_files import (
    ASSETS_FILE,
    COMPLIANCE_FILE,
    GROUPS_FILE,
    LINES_FILE,
    OPTIMUM_FILE,
    REPORT_FILE,
    RESULT_FILES,
    SCHEDULE_FILE,
    SESSIONS_FILE,
    SUMMARY_FILE,
    WHY_FILE,
)
from optimizer.scenario_io.result_schemas import AssetRow, GroupRow, LineRow, ScheduleRow, SessionResultRow
from optimizer.scenario_io.violation_document import compliance_messages, violation_entries
from optimizer.scenario_io.why_document import why_document

LIMIT_TOLERANCE_KW = 1e-6

DISTRIBUTIONS = ("oscp-capacity-optimizer", "pyomo", "highspy", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExtraTable:
    """A table beside the usual files of a result.

    Args:
        name: Name of the file, one of `RESULT_FILES`.
        columns: Names of the columns.
        rows: Cells in the order of the columns.
    """

    name: str
    columns: Sequence[str]
    rows: Iterable[Sequence[object]]


def summarize(
    schedule: Schedule,
    scenario: Scenario,
    options: OptimizeOptions,
    *,
    notes: Sequence[str] = (),
    seconds: Mapping[str, float] | None = None,
) -> dict[str, object]:
    """One plan in figures: the content of summary.json, as JSON values.

    Args:
        schedule: The plan.
        scenario: What it was made for.
        options: How it was made.
        notes: What else to note, before the schedule's own notes; repeated ones are dropped.
        seconds: Wall time of further phases, s.
    """
    return {
        "schema": SCHEMA_VERSION,
        "status": schedule.status.value,
        "strategy": schedule.strategy,
        "objective": "peak" if Stage.PEAK_POWER in options.objective else "cost",
        "limits": options.limit_mode.value,
        "pilots": options.pilots.value,
        "currents": options.current_mode.value,
        "fairness": options.fairness.value,
        "site_id": scenario.site.site_id,
        "currency": scenario.site.currency,
        "start": iso_text(schedule.grid.start, scenario.site.time_zone),
        "end": iso_text(schedule.grid.end, scenario.site.time_zone),
        "sessions": len(schedule.sessions),
        "sessions_outside_window": len(scenario.sessions) - len(schedule.sessions),
        "steps": schedule.grid.steps,
        "requested_energy_kwh": rounded_total(schedule.requested_energy_kwh),
        "delivered_energy_kwh": rounded_total(schedule.delivered_energy_kwh),
        "unmet_energy_kwh": rounded_total(schedule.unmet_energy_kwh),
        "unreachable_energy_kwh": rounded_total(schedule.unreachable_energy_kwh),
        "energy_cost": rounded_total(schedule.energy_cost),
        "total_cost": rounded_total(schedule.total_cost),
        **{name: rounded_total(value) for name, value in asdict(schedule.costs or Costs()).items()},
        "peak_import_kw": rounded_total(schedule.peak_import_kw),
        "lowest_share": rounded_total(schedule.lowest_share),
        "jain_index": rounded_total(schedule.jain_index),
        "minutes_over_limit": rounded_total(schedule.minutes_over_limit(LIMIT_TOLERANCE_KW)),
        "limit_violations": violation_entries(schedule.violations, scenario.site.time_zone),
        "stages": [
            {
                "name": stage.name,
                "value": rounded_total(stage.value),
                "proved": stage.proved,
                **({} if stage.bound is None else {"bound": rounded_total(stage.bound)}),
            }
            for stage in schedule.stages
        ],
        "notes": list(dict.fromkeys((*notes, *schedule.notes))),
        "seconds": {phase: rounded_total(value) for phase, value in {**schedule.seconds, **(seconds or {})}.items()},
        "versions": versions(),
    }


def write_result(
    folder: Path,
    schedule: Schedule,
    scenario: Scenario,
    options: OptimizeOptions,
    *,
    notes: Sequence[str] = (),
    report_html: str | None = None,
    tables: Sequence[ExtraTable] = (),
) -> dict[str, object]:
    """Write a result folder; it appears complete or not at all.

    Args:
        folder: Where; missing, empty, or an earlier result, which is replaced as a whole.
        schedule: The plan.
        scenario: What it was made for.
        options: How it was made.
        notes: As in `summarize`.
        report_html: Content of report.html; None for no report.
        tables: Further tables.

    Returns:
        The content of summary.json.

    Raises:
        InputError: The folder holds something else than a result.
    """
    zone = scenario.site.time_zone
    summary = summarize(schedule, scenario, options, notes=notes)
    with new_folder(folder, kind="result", objection=_objection) as partial:
        _write_rows(partial / SCHEDULE_FILE, ScheduleRow, schedule_rows(schedule, zone))
        _write_rows(partial / SESSIONS_FILE, SessionResultRow, session_rows(schedule, zone))
        _write_rows(partial / GROUPS_FILE, GroupRow, group_rows(schedule, zone))
        if schedule.lines:
            _write_rows(partial / LINES_FILE, LineRow, line_rows(schedule, zone))
        if schedule.assets:
            _write_rows(partial / ASSETS_FILE, AssetRow, asset_rows(schedule, zone))
        # A window that follows from the sessions leaves nobody out: outside of it the plan is zero, and is answered so.
        chosen = options.start is not None or options.end is not None
        window = (schedule.grid.start, schedule.grid.end) if chosen else None
        messages = to_optimum_messages(schedule, scenario.site, scenario.forecasts, window=window)
        _write_json(partial / OPTIMUM_FILE, [message.model_dump(mode="json") for message in messages])
        errors = compliance_messages(schedule)
        if errors:
            _write_json(partial / COMPLIANCE_FILE, errors)
        _write_json(partial / SUMMARY_FILE, summary)
        for table in tables:
            _write_cells(partial / table.name, table.columns, table.rows)
        if schedule.why is not None:
            site = scenario.site
            _write_json(partial / WHY_FILE, why_document(schedule, site_id=site.site_id, currency=site.currency))
        if report_html is not None:
            (partial / REPORT_FILE).write_text(report_html, encoding="utf-8")
    return summary


def _objection(folder: Path) -> str | None:
    """Why a folder may not be replaced by a result; None for an earlier result and nothing else."""
    try:
        summary = json.loads((folder / SUMMARY_FILE).read_bytes())
    except (OSError, ValueError):
        summary = None
    if not (isinstance(summary, dict) and {"schema", "status", "strategy"} <= summary.keys()):
        return f"it holds no earlier result, which would have a {SUMMARY_FILE}"
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in RESULT_FILES)
    return f"beside an earlier result it holds {foreign[0]!r}" if foreign else None


def _write_rows(path: Path, row_type: type[BaseModel], rows: Iterable[Sequence[object]]) -> None:
    """Write rows whose cells come in the order of the row type's fields."""
    _write_cells(path, list(row_type.model_fields), rows)


def _write_cells(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _write_json(path: Path, value: object) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def versions() -> dict[str, str]:
    """Versions of the software that plans."""
    return {**{name: _version(name) for name in DISTRIBUTIONS}, "python": platform.python_version()}


@cache
def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"
