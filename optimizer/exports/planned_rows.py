"""The rows of a plan, wherever it comes from: a schedule, a result folder or a stored document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import numpy as np

from models.domain.schedule import Schedule
from models.domain.time_grid import FloatArray
from optimizer.scenario_io import WrittenResult


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlannedRows:
    """K rows of constant power within one window.

    Args:
        begin_s: Begin of the window, seconds since the epoch.
        end_s: End of the window.
        sessions: Every session planned for, with its charger, whether it gets anything or not.
        session_ids: (K,), whose row it is.
        start_s: (K,), seconds since the epoch.
        until_s: (K,), seconds since the epoch.
        power_kw: (K,), kW.
    """

    begin_s: float
    end_s: float
    sessions: Mapping[str, str]
    session_ids: Sequence[str]
    start_s: FloatArray
    until_s: FloatArray
    power_kw: FloatArray

    @classmethod
    def of_schedule(cls, schedule: Schedule) -> Self:
        """The rows of a schedule."""
        asked = [result.session for result in schedule.sessions]
        return cls(
            begin_s=float(schedule.grid.edges_s[0]),
            end_s=float(schedule.grid.edges_s[-1]),
            sessions={session.session_id: session.charger_id for session in asked},
            session_ids=[asked[index].session_id for index in schedule.session_index.tolist()],
            start_s=schedule.start_s,
            until_s=schedule.end_s,
            power_kw=schedule.power_kw,
        )

    @classmethod
    def of_result(cls, written: WrittenResult) -> Self:
        """The rows of a result folder."""
        return cls(
            begin_s=float(written.edges_s[0]),
            end_s=float(written.edges_s[-1]),
            sessions={row.session_id: row.charger_id for row in written.sessions},
            session_ids=written.session_ids,
            start_s=written.start_s,
            until_s=written.end_s,
            power_kw=written.power_kw,
        )

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Self:
        """The rows of a plan document, as `optimizer.scenario_io.plan_document` writes it."""
        rows = document["schedule"]
        return cls(
            begin_s=_seconds(document["start"]),
            end_s=_seconds(document["end"]),
            sessions={row["session_id"]: row["charger_id"] for row in document["session_results"]},
            session_ids=[row["session_id"] for row in rows],
            start_s=np.array([_seconds(row["start"]) for row in rows], dtype=np.float64),
            until_s=np.array([_seconds(row["end"]) for row in rows], dtype=np.float64),
            power_kw=np.array([row["power_kw"] for row in rows], dtype=np.float64),
        )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
