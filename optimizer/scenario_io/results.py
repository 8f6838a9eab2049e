"""Result folders: a schedule as CSV, JSON and OSCP messages, written as a whole and read back for rechecking."""

from __future__ import annotations

import csv
import json
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, tzinfo
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise, repeat
from pathlib import Path

import numpy as np
from pydantic import BaseModel, TypeAdapter

from models.domain.scenario import Scenario
from models.domain.schedule import AssetResult, Costs, GroupResult, Schedule
from models.domain.session import ChargingSession
from models.domain.time_grid import FloatArray
from models.errors import FileInputError
from models.oscp.v20 import to_optimum_messages
from optimizer.options import OptimizeOptions, Stage
from optimizer.scenario_io.fields import SCHEMA_VERSION
from optimizer.scenario_io.files import locate, new_folder, read_json, require_file, require_folder
from optimizer.scenario_io.result_schemas import (
    AssetRow,
    GroupRow,
    LineRow,
    ScheduleRow,
    SessionResultRow,
    SummaryFile,
)
from optimizer.scenario_io.tables import Table
from optimizer.scenario_io.violation_document import compliance_messages, violation_entries
from optimizer.scenario_io.why_document import why_document

SCHEDULE_FILE = "schedule.csv"
SESSIONS_FILE = "sessions.csv"
GROUPS_FILE = "groups.csv"
LINES_FILE = "lines.csv"
OPTIMUM_FILE = "optimum.json"
SUMMARY_FILE = "summary.json"
REPORT_FILE = "report.html"
REPLANS_FILE = "replans.csv"
HINDSIGHT_FILE = "hindsight.csv"
WHY_FILE = "why.json"
ASSETS_FILE = "assets.csv"
COMPLIANCE_FILE = "compliance.json"
RESULT_FILES = frozenset(
    {
        SCHEDULE_FILE,
        SESSIONS_FILE,
        GROUPS_FILE,
        LINES_FILE,
        ASSETS_FILE,
        COMPLIANCE_FILE,
        OPTIMUM_FILE,
        SUMMARY_FILE,
        REPORT_FILE,
        REPLANS_FILE,
        HINDSIGHT_FILE,
        WHY_FILE,
    }
)

CODE_SEPARATOR = ";"
LIMIT_TOLERANCE_KW = 1e-6
POWER_DECIMALS = 12
"""Sums must recheck within the tolerance: 10,000 equal shares rounded to 9 decimals may be off by 5e-6 kW."""
TOTAL_DECIMALS = 9

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WrittenGroup:
    """What a result says of one group in each of T steps.

    Args:
        group_id: The group.
        power_kw: (T,), kW.
        limit_kw: (T,), kW, infinite where nothing limits the group itself.
        price_per_kwh: (T,), currency per kWh, NaN without prices.
        shadow_price_per_kwh: (T,), currency per kWh, NaN where no solver said.
    """

    group_id: str
    power_kw: FloatArray
    limit_kw: FloatArray
    price_per_kwh: FloatArray
    shadow_price_per_kwh: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WrittenAsset:
    """What a result says of one asset in each of T steps.

    Args:
        asset_id: The asset, or the session of a vehicle.
        power_kw: (T,), kW, below zero where it feeds in.
        stored_kwh: (T,), kWh, NaN where nothing is said.
    """

    asset_id: str
    power_kw: FloatArray
    stored_kwh: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WrittenResult:
    """What the files of a result say; well-formed, of sessions and groups of the scenario, and not yet rechecked.

    Args:
        summary: The figures of summary.json.
        session_ids: (K,), which session a row of schedule.csv is of.
        start_s: (K,), seconds since the epoch.
        end_s: (K,), seconds since the epoch.
        power_kw: (K,), kW while present.
        sessions: The rows of sessions.csv, each session once.
        edges_s: (T + 1,), edges of the steps of groups.csv, seconds since the epoch.
        groups: What groups.csv says of every group of the site, in the site's order.
        assets: What assets.csv says; empty without one.
    """

    summary: SummaryFile
    session_ids: tuple[str, ...]
    start_s: FloatArray
    end_s: FloatArray
    power_kw: FloatArray
    sessions: tuple[SessionResultRow, ...]
    edges_s: FloatArray
    groups: tuple[WrittenGroup, ...]
    assets: tuple[WrittenAsset, ...] = ()


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
        "start": _iso(schedule.grid.start, scenario.site.time_zone),
        "end": _iso(schedule.grid.end, scenario.site.time_zone),
        "sessions": len(schedule.sessions),
        "sessions_outside_window": len(scenario.sessions) - len(schedule.sessions),
        "steps": schedule.grid.steps,
        "requested_energy_kwh": _total(schedule.requested_energy_kwh),
        "delivered_energy_kwh": _total(schedule.delivered_energy_kwh),
        "unmet_energy_kwh": _total(schedule.unmet_energy_kwh),
        "unreachable_energy_kwh": _total(schedule.unreachable_energy_kwh),
        "energy_cost": _total(schedule.energy_cost),
        "total_cost": _total(schedule.total_cost),
        **{name: _total(value) for name, value in asdict(schedule.costs or Costs()).items()},
        "peak_import_kw": _total(schedule.peak_import_kw),
        "lowest_share": _total(schedule.lowest_share),
        "jain_index": _total(schedule.jain_index),
        "minutes_over_limit": _total(schedule.minutes_over_limit(LIMIT_TOLERANCE_KW)),
        "limit_violations": violation_entries(schedule.violations, scenario.site.time_zone),
        "stages": [
            {
                "name": stage.name,
                "value": _total(stage.value),
                "proved": stage.proved,
                **({} if stage.bound is None else {"bound": _total(stage.bound)}),
            }
            for stage in schedule.stages
        ],
        "notes": list(dict.fromkeys((*notes, *schedule.notes))),
        "seconds": {phase: _total(value) for phase, value in {**schedule.seconds, **(seconds or {})}.items()},
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


def read_result(folder: Path, scenario: Scenario) -> WrittenResult:
    """Read a result folder of a scenario.

    Args:
        folder: What `write_result` wrote.
        scenario: What it was made for.

    Returns:
        What the files say.

    Raises:
        InputError: There is no such folder.
        FileInputError: A file is missing, malformed, or names a session, charger, group or site the scenario does not
            have.
    """
    require_folder(folder, "result")
    summary = _read_summary(folder, scenario)
    by_id = {session.session_id: session for session in scenario.sessions}
    sessions = _read_sessions(folder, by_id)
    listed = {row.session_id for row in sessions}
    session_ids: list[str] = []
    start_s: list[float] = []
    end_s: list[float] = []
    power_kw: list[float] = []
    table = Table.open(require_file(folder, SCHEDULE_FILE), ScheduleRow)
    for index, row in table.rows():
        _check_session(table, index, row, by_id)
        if row.session_id not in listed:
            raise table.error(index, f"{SESSIONS_FILE} has no such session", field="session_id", value=row.session_id)
        session_ids.append(row.session_id)
        start_s.append(row.start.timestamp())
        end_s.append(row.end.timestamp())
        power_kw.append(row.power_kw)
    edges_s, groups = _read_groups(folder, [group.group_id for group in scenario.site.groups])
    return WrittenResult(
        summary=summary,
        session_ids=tuple(session_ids),
        start_s=np.array(start_s),
        end_s=np.array(end_s),
        power_kw=np.array(power_kw),
        sessions=sessions,
        edges_s=edges_s,
        groups=groups,
        assets=_read_assets(folder, scenario, edges_s),
    )


def _read_summary(folder: Path, scenario: Scenario) -> SummaryFile:
    summary = read_json(require_file(folder, SUMMARY_FILE), TypeAdapter(SummaryFile))
    if summary.site_id != scenario.site.site_id:
        raise FileInputError(
            SUMMARY_FILE,
            f"the result is of another site than the scenario, whose site is {scenario.site.site_id!r}",
            field="site_id",
            value=summary.site_id,
        )
    return summary


def _read_sessions(folder: Path, by_id: Mapping[str, ChargingSession]) -> tuple[SessionResultRow, ...]:
    table = Table.open(require_file(folder, SESSIONS_FILE), SessionResultRow)
    first_with_id: dict[str, int] = {}
    rows: list[SessionResultRow] = []
    for index, row in table.rows():
        _check_session(table, index, row, by_id)
        first = first_with_id.setdefault(row.session_id, index)
        if first != index:
            reason = f"row {table.row_number(first)} has the same id"
            raise table.error(index, reason, field="session_id", value=row.session_id)
        rows.append(row)
    return tuple(rows)


def _check_session(
    table: Table[ScheduleRow] | Table[SessionResultRow],
    index: int,
    row: ScheduleRow | SessionResultRow,
    by_id: Mapping[str, ChargingSession],
) -> None:
    session = by_id.get(row.session_id)
    if session is None:
        raise table.error(index, "the scenario has no such session", field="session_id", value=row.session_id)
    if row.charger_id != session.charger_id:
        reason = f"session {row.session_id!r} is at charger {session.charger_id!r} in the scenario"
        raise table.error(index, reason, field="charger_id", value=row.charger_id)


def _read_groups(folder: Path, group_ids: Sequence[str]) -> tuple[FloatArray, tuple[WrittenGroup, ...]]:
    table = Table.open(require_file(folder, GROUPS_FILE), GroupRow)
    rows: dict[str, list[GroupRow]] = {group_id: [] for group_id in group_ids}
    for index, row in table.rows():
        if row.group_id not in rows:
            raise table.error(index, "the scenario has no such group", field="group_id", value=row.group_id)
        before = rows[row.group_id]
        if before and before[-1].end != row.start:
            reason = f"the step before it, of the same group, ends at {before[-1].end.isoformat()}"
            raise table.error(index, reason, field="start", value=row.start.isoformat())
        before.append(row)
    for group_id, steps in rows.items():
        if not steps:
            raise FileInputError(GROUPS_FILE, f"group {group_id!r} of the scenario is missing", field="group_id")
        if _edges_s(steps) != _edges_s(rows[group_ids[0]]):
            raise FileInputError(GROUPS_FILE, f"group {group_id!r} has other steps than {group_ids[0]!r}")
    groups = tuple(_written_group(group_id, steps) for group_id, steps in rows.items())
    return np.array(_edges_s(rows[group_ids[0]])), groups


def _read_assets(folder: Path, scenario: Scenario, edges_s: FloatArray) -> tuple[WrittenAsset, ...]:
    path = locate(folder, ASSETS_FILE)
    if path is None:
        return ()
    known = {asset.asset_id for asset in scenario.site.assets}
    known |= {session.session_id for session in scenario.sessions if session.has_known_state}
    table = Table.open(path, AssetRow)
    rows: dict[str, list[AssetRow]] = {}
    for index, row in table.rows():
        if row.asset_id not in known:
            raise table.error(index, "the scenario has no such asset", field="asset_id", value=row.asset_id)
        rows.setdefault(row.asset_id, []).append(row)
    for asset_id, steps in rows.items():
        if _edges_s(steps) != edges_s.tolist() or any(a.end != b.start for a, b in pairwise(steps)):
            raise FileInputError(ASSETS_FILE, f"asset {asset_id!r} has other steps than {GROUPS_FILE}")
    return tuple(
        WrittenAsset(
            asset_id=asset_id,
            power_kw=np.array([step.power_kw for step in steps]),
            stored_kwh=np.array([math.nan if step.stored_kwh is None else step.stored_kwh for step in steps]),
        )
        for asset_id, steps in rows.items()
    )


def _edges_s(steps: Sequence[GroupRow] | Sequence[AssetRow]) -> list[float]:
    return [steps[0].start.timestamp(), *(step.end.timestamp() for step in steps)]


def _written_group(group_id: str, steps: Sequence[GroupRow]) -> WrittenGroup:
    def values(found: Iterable[float | None], absent: float) -> FloatArray:
        return np.array([absent if value is None else value for value in found])

    return WrittenGroup(
        group_id=group_id,
        power_kw=np.array([step.power_kw for step in steps]),
        limit_kw=values((step.limit_kw for step in steps), math.inf),
        price_per_kwh=values((step.price_per_kwh for step in steps), math.nan),
        shadow_price_per_kwh=values((step.shadow_price_per_kwh for step in steps), math.nan),
    )


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


def schedule_rows(schedule: Schedule, zone: tzinfo) -> Iterable[Sequence[object]]:
    """The cells of schedule.csv, in the order of the fields of `ScheduleRow`."""
    sessions = [result.session for result in schedule.sessions]
    index = schedule.session_index.tolist()
    return zip(
        [sessions[at].session_id for at in index],
        [sessions[at].charger_id for at in index],
        _iso_texts(schedule.start_s, zone),
        _iso_texts(schedule.end_s, zone),
        _rounded(schedule.power_kw),
        strict=True,
    )


def session_rows(schedule: Schedule, zone: tzinfo) -> Iterable[Sequence[object]]:
    """The cells of sessions.csv, in the order of the fields of `SessionResultRow`."""
    for result in schedule.sessions:
        session = result.session
        yield (
            session.session_id,
            session.charger_id,
            _iso(session.arrival, zone),
            _iso(session.departure, zone),
            session.priority,
            session.priority_class,
            _total(session.energy_kwh),
            _total(result.delivered_energy_kwh),
            _total(result.unmet_energy_kwh),
            _total(result.unreachable_energy_kwh),
            _total(result.share),
            result.reason,
            CODE_SEPARATOR.join(result.reason_codes),
        )


def group_rows(schedule: Schedule, zone: tzinfo) -> Iterable[Sequence[object]]:
    """The cells of groups.csv, in the order of the fields of `GroupRow`."""
    edges = _iso_texts(schedule.grid.edges_s, zone)
    no_price = np.full(schedule.grid.steps, np.nan)
    prices = _cells(no_price if schedule.price_per_kwh is None else schedule.price_per_kwh)
    for group in schedule.groups:
        yield from zip(*_group_columns(group, edges, prices), strict=True)


def _group_columns(group: GroupResult, edges: Sequence[str], prices: Sequence[object]) -> Iterable[Iterable[object]]:
    steps = len(edges) - 1
    return (
        list(repeat(group.group_id, steps)),
        edges[:-1],
        edges[1:],
        _rounded(group.power_kw),
        _cells(group.limit_kw),
        prices,
        _cells(group.shadow_price_per_kwh),
        _cells_or_none(group.export_limit_kw, steps),
        _cells_or_none(group.export_shadow_price_per_kwh, steps),
    )


def asset_rows(schedule: Schedule, zone: tzinfo) -> Iterable[Sequence[object]]:
    """The cells of assets.csv, in the order of the fields of `AssetRow`."""
    edges = _iso_texts(schedule.grid.edges_s, zone)
    for asset in schedule.assets:
        yield from zip(*_asset_columns(asset, edges), strict=True)


def _asset_columns(asset: AssetResult, edges: Sequence[str]) -> Iterable[Iterable[object]]:
    steps = len(edges) - 1
    return (
        list(repeat(asset.asset_id, steps)),
        list(repeat(asset.category.value, steps)),
        edges[:-1],
        edges[1:],
        _rounded(asset.power_kw),
        _cells_or_none(asset.stored_kwh, steps),
        _cells_or_none(asset.available_kw, steps),
    )


def line_rows(schedule: Schedule, zone: tzinfo) -> Iterable[Sequence[object]]:
    """The cells of lines.csv, in the order of the fields of `LineRow`."""
    edges = _iso_texts(schedule.grid.edges_s, zone)
    for line in schedule.lines:
        yield from zip(
            repeat(line.line_id),
            repeat(line.group_id),
            edges[:-1],
            edges[1:],
            _rounded(line.current_a),
            _cells(line.limit_a),
            _cells(line.shadow_price_per_kwh),
            strict=False,
        )


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


def _iso(instant: datetime, zone: tzinfo) -> str:
    return instant.astimezone(zone).isoformat()


def _iso_texts(epoch_s: FloatArray, zone: tzinfo) -> list[str]:
    """The instants as text; most rows share theirs with others."""
    distinct, index = np.unique(epoch_s, return_inverse=True)
    texts = [datetime.fromtimestamp(second, tz=zone).isoformat() for second in distinct.tolist()]
    return [texts[at] for at in index.tolist()]


def _rounded(values: FloatArray) -> list[float]:
    rounded: list[float] = (np.round(values, POWER_DECIMALS) + 0.0).tolist()  # adding zero turns -0.0 into 0.0
    return rounded


def _cells(values: FloatArray) -> list[object]:
    """Values as cells: empty where there is none."""
    return [value if math.isfinite(value) else "" for value in _rounded(values)]


def _cells_or_none(values: FloatArray | None, count: int) -> list[object]:
    return list(repeat("", count)) if values is None else _cells(values)


def _total(value: float) -> float | None:
    return round(value, TOTAL_DECIMALS) + 0.0 if math.isfinite(value) else None


def versions() -> dict[str, str]:
    """Versions of the software that plans."""
    return {**{name: _version(name) for name in DISTRIBUTIONS}, "python": platform.python_version()}


@cache
def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"
