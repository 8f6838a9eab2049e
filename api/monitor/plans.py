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

VEHICLE = "CHARGING"
"""The category of rows that tell of a vehicle."""
NO_FIGURES = ("schedule", "session_results", "group_results", "line_results", "asset_results", "why")
NO_HOLDINGS = ("served_at_other_times",)
"""Times at which nothing holds a session back."""

Json = dict[str, Any]
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
class LineSeries:
    """One conductor of a group in each of T steps.

    Args:
        line_id: Its name.
        group_id: Whose chargers it carries.
        current_a: (T,), A, the most that can flow.
        limit_a: (T,), A, None where nothing limits it.
    """

    line_id: str
    group_id: str
    current_a: Sequence[float]
    limit_a: Sequence[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetSeries:
    """One asset beside the chargers in each of T steps.

    Args:
        asset_id: Its name.
        category: STORAGE, GENERATION or CONSUMPTION.
        power_kw: (T,), kW, below zero where it feeds in.
        stored_kwh: (T,), kWh at the end of the step, None where nothing can be stored.
    """

    asset_id: str
    category: str
    power_kw: Sequence[float]
    stored_kwh: Sequence[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSession:
    """What a plan gives one session; energy in kWh, instants in s since the epoch.

    Args:
        draws: When it draws how much, neighbours of equal power joined.
        why: What holds it back and what would have served it, see `why_facts`; None where the plan does not say.
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
    why: Json | None = None

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
        lines: Conductors with a limit in ampere.
        assets: Assets beside the chargers.
        sessions: By id.
        summary: The figures of summary.json.
    """

    plan_id: str
    version: int
    made_at_s: float
    edges_s: Sequence[float]
    price_per_kwh: Sequence[float | None]
    groups: Mapping[str, GroupSeries]
    lines: Sequence[LineSeries]
    assets: Sequence[AssetSeries]
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
    seconds = Seconds()
    by_group = _by(document["group_results"], "group_id")
    why = {entry["session_id"]: entry for entry in (document.get("why") or {}).get("sessions", [])}
    steps = next(iter(by_group.values()), [])
    draws = _draws(document["schedule"], seconds)
    return PlanFacts(
        plan_id=plan_id,
        version=version,
        made_at_s=made_at_s,
        edges_s=[seconds.of(row["start"]) for row in steps] + [seconds.of(steps[-1]["end"])] if steps else [],
        price_per_kwh=[row["price_per_kwh"] for row in steps],
        groups={group_id: _group(rows) for group_id, rows in by_group.items()},
        lines=[_line(rows) for rows in _by(document.get("line_results", ()), "line_id").values()],
        assets=[
            _asset(rows)
            for rows in _by(document.get("asset_results", ()), "asset_id").values()
            if rows[0]["category"] != VEHICLE
        ],
        sessions={
            row["session_id"]: _session(
                row, seconds, draws.get(row["session_id"], []), why_facts(why.get(row["session_id"]), seconds)
            )
            for row in document["session_results"]
        },
        summary={name: value for name, value in document.items() if name not in NO_FIGURES},
    )


def why_facts(entry: Mapping[str, Any] | None, seconds: Seconds) -> Json | None:
    """An entry of why.json as it is drawn: what holds a session back, neighbours joined, and what would serve it.

    Returns:
        `holdings`: code, holder, dearest shadow price or None, and stretches of begin and end; `changes`: kind, minutes
        later, departure, limits, kW more and stretches, or None where nobody looked. Instants in s since the epoch.
    """
    if entry is None:
        return None
    held: dict[tuple[str, str], Json] = {}
    for row in entry["holdings"]:
        if row["code"] in NO_HOLDINGS:
            continue
        key = row["code"], row["holder"]
        found = held.setdefault(key, {"code": key[0], "holder": key[1], "price": None, "stretches": []})
        prices = [price for price in (found["price"], row["shadow_price_per_kwh"]) if price is not None]
        found["price"] = max(prices, default=None)
        start_s, end_s = seconds.of(row["start"]), seconds.of(row["end"])
        if found["stretches"] and found["stretches"][-1][1] == start_s:
            found["stretches"][-1][1] = end_s
        else:
            found["stretches"].append([start_s, end_s])
    changes = entry["changes"]
    return {
        "holdings": list(held.values()),
        "changes": None if changes is None else [_change(change, seconds) for change in changes],
    }


def _change(change: Mapping[str, Any], seconds: Seconds) -> Json:
    return {
        "kind": change["kind"],
        "minutes_later": change["minutes_later"],
        "departure": None if change["departure"] is None else seconds.of(change["departure"]),
        "limits": change["limits"],
        "more_kw": change["more_kw"],
        "stretches": [[seconds.of(one["start"]), seconds.of(one["end"])] for one in change["stretches"]],
    }


def _by(rows: Iterable[Mapping[str, Any]], name: str) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row[name], []).append(row)
    return found


class Seconds:
    """Reads instants; most of a plan's share theirs with others."""

    def __init__(self) -> None:
        self._known: dict[str, float] = {}

    def of(self, text: str) -> float:
        """An instant, s since the epoch."""
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


def _line(rows: Sequence[Mapping[str, Any]]) -> LineSeries:
    return LineSeries(
        line_id=rows[0]["line_id"],
        group_id=rows[0]["group_id"],
        current_a=[row["current_a"] for row in rows],
        limit_a=[row["limit_a"] for row in rows],
    )


def _asset(rows: Sequence[Mapping[str, Any]]) -> AssetSeries:
    return AssetSeries(
        asset_id=rows[0]["asset_id"],
        category=rows[0]["category"],
        power_kw=[row["power_kw"] for row in rows],
        stored_kwh=[row["stored_kwh"] for row in rows],
    )


def _session(row: Mapping[str, Any], seconds: Seconds, draws: Sequence[Interval], why: Json | None) -> PlannedSession:
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
        why=why,
    )


def _draws(rows: Iterable[Mapping[str, Any]], seconds: Seconds) -> dict[str, list[Interval]]:
    draws: dict[str, list[Interval]] = {}
    for row in rows:
        own = draws.setdefault(row["session_id"], [])
        start_s, end_s, power_kw = seconds.of(row["start"]), seconds.of(row["end"]), row["power_kw"]
        if own and own[-1][1] == start_s and abs(own[-1][2] - power_kw) < SAME_KW:
            own[-1] = (own[-1][0], end_s, power_kw)
        else:
            own.append((start_s, end_s, power_kw))
    return draws
