"""A plan as tables of typed columns: power of each session, and of each charger at every change."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import numpy as np

from models.domain.group import Site
from optimizer.export_options import MAX_PERIODS
from optimizer.exports.periods import periods_of
from optimizer.exports.planned_rows import PlannedRows

if TYPE_CHECKING:
    import pandas as pd

SCHEDULE = "schedule"
CHARGERS = "chargers"


def csv_tables(rows: PlannedRows, site: Site) -> dict[str, bytes]:
    """The tables as CSV, times in ISO 8601 with the offset of the site's zone.

    Args:
        rows: The plan.
        site: Chargers and time zone.

    Returns:
        ``schedule``: ``session_id, charger_id, start, end, power_kw``, as in schedule.csv of a result; ``chargers``:
        ``charger_id, start, end, power_kw`` over the whole window, zero where nothing is planned.
    """
    written = {}
    for name, frame in _frames(rows, site).items():
        for column in ("start", "end"):
            frame[column] = [instant.isoformat() for instant in frame[column]]
        written[name] = frame.to_csv(index=False, lineterminator="\n").encode()
    return written


def parquet_tables(rows: PlannedRows, site: Site) -> dict[str, bytes]:
    """The same as Parquet, times in UTC to the microsecond."""
    written = {}
    for name, frame in _frames(rows, site).items():
        for column in ("start", "end"):
            frame[column] = frame[column].dt.tz_convert("UTC").dt.as_unit("us")
        stream = io.BytesIO()
        frame.to_parquet(stream, index=False)
        written[name] = stream.getvalue()
    return written


def _frames(rows: PlannedRows, site: Site) -> dict[str, pd.DataFrame]:
    import pandas as pd  # noqa: PLC0415 - it takes 0.5 s that charging profiles need not wait for

    def instants(seconds: object) -> pd.Series:
        # Whole microseconds: a float of seconds has no more.
        micros = np.round(np.asarray(seconds, dtype=np.float64) * 1e6).astype(np.int64)
        return pd.Series(pd.to_datetime(micros, unit="us", utc=True)).dt.tz_convert(site.time_zone.key)

    schedule = pd.DataFrame(
        {
            "session_id": list(rows.session_ids),
            "charger_id": [rows.sessions[session_id] for session_id in rows.session_ids],
            "start": instants(rows.start_s),
            "end": instants(rows.until_s),
            "power_kw": rows.power_kw,
        }
    )
    names, starts, ends, powers = _charger_columns(rows, site)
    chargers = pd.DataFrame({"charger_id": names, "start": instants(starts), "end": instants(ends), "power_kw": powers})
    return {SCHEDULE: schedule, CHARGERS: chargers}


def _charger_columns(rows: PlannedRows, site: Site) -> tuple[list[str], list[float], list[float], list[float]]:
    begin_s, end_s = math.floor(rows.begin_s), math.ceil(rows.end_s)
    mine: dict[str, list[int]] = {}
    for row, session_id in enumerate(rows.session_ids):
        mine.setdefault(rows.sessions[session_id], []).append(row)
    names: list[str] = []
    starts: list[float] = []
    ends: list[float] = []
    powers: list[float] = []
    for charger in site.chargers:
        index = np.array(mine.get(charger.charger_id, []), dtype=np.int64)
        periods = periods_of(
            rows.start_s[index], rows.until_s[index], rows.power_kw[index], begin_s=begin_s, max_periods=MAX_PERIODS**2
        )
        offsets_s = [period.offset_s for period in periods]
        for period, until_s in zip(periods, [*offsets_s[1:], end_s - begin_s], strict=True):
            if until_s > period.offset_s:
                names.append(charger.charger_id)
                starts.append(float(begin_s + period.offset_s))
                ends.append(float(begin_s + until_s))
                powers.append(period.power_kw)
    return names, starts, ends, powers
