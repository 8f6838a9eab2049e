"""A stored plan in the compact form that is drawn; pure, and remembered."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.records import StoredPlan
from models.units import seconds_to_hours

REMEMBERED = 400
SAME_KW = 1e-6
SHORT_KWH = 0.01
"""Less than this is nothing that goes short."""

Interval = tuple[float, float, float]
"""Begin and end, s since the epoch, and kW."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSeries:
    """One group in each of T steps.

    Args:
        power_kw: (T,), kW.
        limit_kw: (T,), kW, None where nothing limits the group itself.
        shadow_price_per_kwh: (T,), currency saved per further kWh of the limit, None where no solver said.
    """

    power_kw: Sequence[float]
    limit_kw: Sequence[float | None]
    shadow_price_per_kwh: Sequence[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSession:
    """What a plan gives one session; energy in kWh, instants in s since the epoch.

    Args:
        draws: When it draws how much, neighbours of equal power joined.
    """

    session_id: str
    charger_id: str
    arrival_s: float
    departure_s: float
    requested_kwh: float
    delivered_kwh: float
    unmet_kwh: float
    unreachable_kwh: float
    reason: str
    draws: Sequence[Interval]

    @property
    def is_short(self) -> bool:
        """Whether it gets less than it asked for."""
        return self.unmet_kwh + self.unreachable_kwh > SHORT_KWH

    def energy_kwh(self, start_s: float, end_s: float) -> float:
        """What it is to draw between two instants."""
        return sum(
            power_kw * seconds_to_hours(max(0.0, min(last, end_s) - max(first, start_s)))
            for first, last, power_kw in self.draws
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlanFacts:
    """A plan.

    Args:
        plan_id: Its id.
        version: The site's version it knows of.
        made_at_s: When it was made, s since the epoch.
        edges_s: (T + 1,), edges of its steps.
        price_per_kwh: (T,), None where there is none.
        groups: By id.
        sessions: By id.
        summary: The figures of summary.json.
    """

    plan_id: str
    version: int
    made_at_s: float
    edges_s: Sequence[float]
    price_per_kwh: Sequence[float | None]
    groups: Mapping[str, GroupSeries]
    sessions: Mapping[str, PlannedSession]
    summary: Mapping[str, Any]

    def step_at(self, instant_s: float) -> int | None:
        """The step that holds an instant; None outside of the plan."""
        step = bisect_right(self.edges_s, instant_s) - 1
        return step if 0 <= step < len(self.edges_s) - 1 else None

    def power_kw(self, group_id: str, instant_s: float) -> float | None:
        """What a group is to draw at an instant; None where the plan does not tell."""
        step = self.step_at(instant_s)
        series = self.groups.get(group_id)
        return None if step is None or series is None else series.power_kw[step]

    def intervals(self, group_id: str, start_s: float, end_s: float) -> list[Interval]:
        """What a group is to draw between two instants, step by step."""
        series = self.groups.get(group_id)
        if series is None:
            return []
        return [
            (max(first, start_s), min(last, end_s), power_kw)
            for first, last, power_kw in zip(self.edges_s[:-1], self.edges_s[1:], series.power_kw, strict=True)
            if last > start_s and first < end_s
        ]


class PlanMemory:
    """The plans that were looked at lately, so that none is read twice."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, PlanFacts] = OrderedDict()

    def known(self, plan_id: str) -> PlanFacts | None:
        """A plan that was looked at; None where it was not."""
        return self._known.get(plan_id)

    def facts(self, stored: StoredPlan) -> PlanFacts:
        """A plan in compact form."""
        found = self._known.get(stored.plan_id)
        if found is None:
            found = self._known[stored.plan_id] = plan_facts(
                json.loads(stored.document),
                plan_id=stored.plan_id,
                version=stored.version,
                made_at_s=stored.made_at.timestamp(),
            )
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return found


def plan_facts(document: Mapping[str, Any], *, plan_id: str, version: int, made_at_s: float) -> PlanFacts:
    """The compact form of what `optimizer.scenario_io.plan_document` wrote."""
    seconds = _Seconds()
    by_group: dict[str, list[Mapping[str, Any]]] = {}
    for row in document["group_results"]:
        by_group.setdefault(row["group_id"], []).append(row)
    steps = next(iter(by_group.values()), [])
    draws = _draws(document["schedule"], seconds)
    lists = ("schedule", "session_results", "group_results")
    return PlanFacts(
        plan_id=plan_id,
        version=version,
        made_at_s=made_at_s,
        edges_s=[seconds.of(row["start"]) for row in steps] + [seconds.of(steps[-1]["end"])] if steps else [],
        price_per_kwh=[row["price_per_kwh"] for row in steps],
        groups={group_id: _group(rows) for group_id, rows in by_group.items()},
        sessions={
            row["session_id"]: _session(row, seconds, draws.get(row["session_id"], []))
            for row in document["session_results"]
        },
        summary={name: value for name, value in document.items() if name not in lists},
    )


class _Seconds:
    """Reads instants; most of a plan's share theirs with others."""

    def __init__(self) -> None:
        self._known: dict[str, float] = {}

    def of(self, text: str) -> float:
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = datetime.fromisoformat(text).timestamp()
        return found


def _group(rows: Sequence[Mapping[str, Any]]) -> GroupSeries:
    return GroupSeries(
        power_kw=[row["power_kw"] or 0.0 for row in rows],
        limit_kw=[row["limit_kw"] for row in rows],
        shadow_price_per_kwh=[row["shadow_price_per_kwh"] for row in rows],
    )


def _session(row: Mapping[str, Any], seconds: _Seconds, draws: Sequence[Interval]) -> PlannedSession:
    return PlannedSession(
        session_id=row["session_id"],
        charger_id=row["charger_id"],
        arrival_s=seconds.of(row["arrival"]),
        departure_s=seconds.of(row["departure"]),
        requested_kwh=row["requested_energy_kwh"],
        delivered_kwh=row["delivered_energy_kwh"],
        unmet_kwh=row["unmet_energy_kwh"],
        unreachable_kwh=row["unreachable_energy_kwh"],
        reason=row["reason"] or "",
        draws=draws,
    )


def _draws(rows: Iterable[Mapping[str, Any]], seconds: _Seconds) -> dict[str, list[Interval]]:
    draws: dict[str, list[Interval]] = {}
    for row in rows:
        own = draws.setdefault(row["session_id"], [])
        start_s, end_s, power_kw = seconds.of(row["start"]), seconds.of(row["end"]), row["power_kw"]
        if own and own[-1][1] == start_s and abs(own[-1][2] - power_kw) < SAME_KW:
            own[-1] = (own[-1][0], end_s, power_kw)
        else:
            own.append((start_s, end_s, power_kw))
    return draws
