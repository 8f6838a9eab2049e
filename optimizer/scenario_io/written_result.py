"""Result folders read back for rechecking: well-formed, and of the scenario they are said to be of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from models.domain.scenario import Scenario
from models.domain.session import ChargingSession
from models.domain.time_grid import FloatArray
from models.errors import FileInputError
from optimizer.scenario_io.files import locate, read_json, require_file, require_folder
from optimizer.scenario_io.result_files import ASSETS_FILE, GROUPS_FILE, SCHEDULE_FILE, SESSIONS_FILE, SUMMARY_FILE
from optimizer.scenario_io.result_schemas import AssetRow, GroupRow, ScheduleRow, SessionResultRow, SummaryFile
from optimizer.scenario_io.tables import Table


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
