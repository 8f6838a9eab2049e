"""A site with one of its groups in full: what its charts and lists are drawn from; pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from api.monitor.changes import power_changes, session_changes
from api.monitor.glance import Json, group_glance, peer_glance, plan_glance
from api.monitor.measured import total_kw
from api.monitor.plans import Interval, LineSeries, PlannedSession
from api.monitor.snapshots import BACK, Snapshot
from api.records import StoredSession
from models.domain import CapacityGroup, CapacityKind
from models.errors import InputError
from optimizer.scenario_io import SessionRow

SESSIONS = 200
"""Listed; of more, those that go short and then those that get most."""
AHEAD = timedelta(hours=48)
LINES = 6
"""Conductors that are drawn; of more, the fullest."""
LISTED = 12
"""Sessions that a plan changed."""
MARGIN_S = 1_800.0
LEAST_S = 4 * 3_600.0
SHOWN_KINDS = tuple(kind for kind in CapacityKind if kind is not CapacityKind.OPTIMUM)


def site_view(snapshot: Snapshot, group_id: str | None, now: datetime) -> Json:
    """A site, and one of its groups in full; the first root where none is named.

    Raises:
        InputError: The site has no such group.
    """
    site = snapshot.site
    chosen = group_id if group_id is not None else _first_root(snapshot)
    if not site.has_group(chosen):
        raise InputError(f"site {site.site_id!r} has no group {chosen!r}; it has {site.groups[0].group_id!r}")
    stored, plan = snapshot.work.site, snapshot.plan
    return {
        "site_id": site.site_id,
        "now": now.timestamp(),
        "time_zone": str(site.time_zone),
        "currency": site.currency,
        "peer": peer_glance(snapshot.work.peer),
        "waits": stored.attended_version < stored.version,
        "last_error": stored.last_error,
        "plan": None if plan is None else plan_glance(plan),
        "groups": [group_glance(snapshot, group, now) for group in _in_tree_order(snapshot)],
        "group": _group(snapshot, chosen, now),
        "changes": _changes(snapshot, chosen),
    }


def _first_root(snapshot: Snapshot) -> str:
    return next(group.group_id for group in snapshot.site.groups if group.parent_id is None)


def _in_tree_order(snapshot: Snapshot) -> list[CapacityGroup]:
    return sorted(snapshot.site.groups, key=lambda group: tuple(reversed(snapshot.site.path(group.group_id))))


def _group(snapshot: Snapshot, group_id: str, now: datetime) -> Json:
    plan = snapshot.plan
    series = None if plan is None else plan.groups.get(group_id)
    sessions, left_out = _sessions(snapshot, group_id, now)
    window = _window(snapshot, group_id, now)
    below = [one for one in snapshot.charged if snapshot.is_below(one.charger_id, group_id)]
    return {
        "group_id": group_id,
        "window": window,
        "home": [window[0], _last_departure_s(sessions, window, now)],
        "edges": [] if plan is None else list(plan.edges_s),
        "price": [] if plan is None else list(plan.price_per_kwh),
        "power_kw": [] if series is None else list(series.power_kw),
        "limit_kw": [] if series is None else list(series.limit_kw),
        "shadow": [] if series is None else list(series.shadow_price_per_kwh),
        "lines": _lines(snapshot, group_id),
        "assets": _assets(snapshot, group_id),
        "prices": _prices(snapshot, now),
        "forecasts": _forecasts(snapshot, group_id, now),
        "measured": total_kw(below),
        "past": _past(snapshot, group_id, now),
        "sessions": sessions,
        "left_out": left_out,
    }


def _lines(snapshot: Snapshot, group_id: str) -> list[Json]:
    """The conductors of a group that a limit holds down, the fullest first."""
    found = [] if snapshot.plan is None else [one for one in snapshot.plan.lines if one.group_id == group_id]
    limited = [(one, fullness) for one in found if (fullness := _fullness(one)) is not None]
    limited.sort(key=lambda entry: -entry[1])
    return [
        {"name": line.line_id, "current_a": list(line.current_a), "limit_a": list(line.limit_a)}
        for line, _ in limited[:LINES]
    ]


def _fullness(line: LineSeries) -> float | None:
    """The largest share of its limit that a line carries; None where nothing limits it."""
    pairs = zip(line.current_a, line.limit_a, strict=True)
    return max((current_a / limit_a for current_a, limit_a in pairs if limit_a), default=None)


def _assets(snapshot: Snapshot, group_id: str) -> list[Json]:
    """The assets beside the chargers on a group and anything below it."""
    if snapshot.plan is None:
        return []
    below = {asset.asset_id for asset in snapshot.site.assets if group_id in snapshot.site.path(asset.group_id)}
    return [
        {
            "name": asset.asset_id,
            "category": asset.category,
            "power_kw": list(asset.power_kw),
            "stored_kwh": list(asset.stored_kwh) if any(one is not None for one in asset.stored_kwh) else None,
        }
        for asset in snapshot.plan.assets
        if asset.asset_id in below
    ]


def _window(snapshot: Snapshot, group_id: str, now: datetime) -> list[float]:
    """From when to when there is something to see."""
    plan = snapshot.plan
    ends = [now.timestamp() + 3600.0] + ([plan.edges_s[-1]] if plan and plan.edges_s else [])
    told = [one.start.timestamp() for one in snapshot.charged if snapshot.is_below(one.charger_id, group_id)]
    begins = [plan.made_at_s for plan in snapshot.plans] + told + [now.timestamp()]
    return [max(min(begins), (now - BACK).timestamp()), max(ends)]


def _last_departure_s(sessions: Iterable[Json], window: Sequence[float], now: datetime) -> float:
    """Up to when somebody is there: what comes after is empty but for the capacity."""
    last_s = max((float(str(session["departure"])) for session in sessions), default=window[1])
    return min(max(last_s + MARGIN_S, now.timestamp() + LEAST_S), window[1])


def _prices(snapshot: Snapshot, now: datetime) -> list[tuple[float, float, float]]:
    rows = json.loads(snapshot.work.prices or "[]")
    first_s, last_s = (now - BACK).timestamp(), (now + AHEAD).timestamp()
    found = [
        (
            datetime.fromisoformat(row["start"]).timestamp(),
            datetime.fromisoformat(row["end"]).timestamp(),
            row["import_price_per_kwh"],
        )
        for row in rows
    ]
    return [one for one in found if one[1] > first_s and one[0] < last_s]


def _forecasts(snapshot: Snapshot, group_id: str, now: datetime) -> list[Json]:
    first, last = now - BACK, now + AHEAD
    found: list[Json] = []
    for (group, kind, phase), blocks in snapshot.state.forecasts.series.items():
        if group != group_id or kind not in SHOWN_KINDS:
            continue
        shown = [
            (block.start.timestamp(), block.end.timestamp(), block.capacity_kw)
            for block in blocks
            if block.end > first and block.start < last
        ]
        found.append({"type": kind, "phase": phase, "blocks": shown})
    return found


def _past(snapshot: Snapshot, group_id: str, now: datetime) -> list[Interval]:
    """What was planned for the time that is over by the plan that was in force then."""
    intervals: list[Interval] = []
    plans = list(reversed(snapshot.plans))
    for plan, following in pairwise(plans):
        end_s = min(following.made_at_s, now.timestamp())
        intervals += plan.intervals(group_id, plan.made_at_s, end_s)
    return intervals


def _sessions(snapshot: Snapshot, group_id: str, now: datetime) -> tuple[list[Json], int]:
    plan = snapshot.plan
    entries: list[tuple[StoredSession, SessionRow, PlannedSession | None]] = []
    for stored in snapshot.work.sessions:
        row = SessionRow.model_validate_json(stored.document)
        if row.departure > now and snapshot.is_below(row.charger_id, group_id):
            entries.append((stored, row, plan.sessions.get(row.session_id) if plan else None))
    chosen = sorted(entries, key=_importance)[:SESSIONS]
    chosen.sort(key=lambda entry: (entry[1].arrival, entry[1].session_id))
    return [_session(snapshot, *entry) for entry in chosen], len(entries) - len(chosen)


def _importance(entry: tuple[StoredSession, SessionRow, PlannedSession | None]) -> tuple[float, float, str]:
    planned = entry[2]
    if planned is None:
        return 0.0, 0.0, entry[1].session_id
    return -(planned.unmet_kwh + planned.unreachable_kwh), -planned.delivered_kwh, entry[1].session_id


def _session(snapshot: Snapshot, stored: StoredSession, row: SessionRow, planned: PlannedSession | None) -> Json:
    charged = [one for one in snapshot.charged if one.charger_id == row.charger_id and one.end > row.arrival]
    delivered = snapshot.state.delivered_to(stored)
    got_kwh = 0.0 if delivered is None else delivered.energy_kwh
    # The plan knows what is left of the request when it was made.
    before_kwh = max(0.0, row.energy_kwh - planned.requested_kwh) if planned else got_kwh
    return {
        "session_id": row.session_id,
        "charger_id": row.charger_id,
        "group_id": snapshot.site.charger(row.charger_id).group_id,
        "arrival": row.arrival.timestamp(),
        "departure": row.departure.timestamp(),
        "requested_kwh": row.energy_kwh,
        "got_kwh": round(max(got_kwh, before_kwh), 3),
        "will_have_kwh": round(max(got_kwh, before_kwh + (planned.delivered_kwh if planned else 0.0)), 3),
        "unmet_kwh": planned.unmet_kwh if planned else 0.0,
        "unreachable_kwh": planned.unreachable_kwh if planned else 0.0,
        "reason": planned.reason if planned else "",
        "is_planned": planned is not None,
        "is_short": planned.is_short if planned else False,
        "why": planned.why if planned and planned.is_short else None,
        "priority": row.priority,
        "draws": _rounded(planned.draws) if planned else [],
        "took": total_kw(charged),
    }


def _changes(snapshot: Snapshot, group_id: str) -> Json | None:
    """What the newest plan changed that changed anything; None where none did."""
    if snapshot.changed is None:
        return None
    new, old = snapshot.plans[snapshot.changed], snapshot.plans[snapshot.changed + 1]
    shifts = power_changes(new, old, group_id)
    sessions = session_changes(new, old, lambda charger_id: snapshot.is_below(charger_id, group_id))
    counted = Counter((event.kind, event.group_id) for event in snapshot.news)
    return {
        "made_at": new.made_at_s,
        "before_at": old.made_at_s,
        "kept": snapshot.changed,
        "start": new.edges_s[0],
        "news": [{"kind": kind, "group_id": group, "count": count} for (kind, group), count in counted.items()],
        "more_kwh": round(sum(kwh for _, _, change_kw, kwh in shifts if change_kw > 0), 3),
        "less_kwh": round(sum(kwh for _, _, change_kw, kwh in shifts if change_kw < 0), 3),
        "shifts": [(start_s, end_s, round(change_kw, 3)) for start_s, end_s, change_kw, _ in shifts],
        "sessions": sessions[:LISTED],
        "sessions_more": max(0, len(sessions) - LISTED),
    }


def _rounded(intervals: Iterable[Interval]) -> list[Interval]:
    return [(start_s, end_s, round(power_kw, 3)) for start_s, end_s, power_kw in intervals]
