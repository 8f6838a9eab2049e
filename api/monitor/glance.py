"""A site and its groups at a glance: what is allowed, planned and measured now, and who goes short; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from api.monitor.measured import newest, total_kw
from api.monitor.plans import PlanFacts
from api.monitor.snapshots import Snapshot
from api.records import Peer
from models.domain import CapacityBlock, CapacityGroup, CapacityKind, Phase
from models.domain.capacity import SINGLE_PHASES

Json = dict[str, object]

AHEAD = timedelta(hours=24)
BINS = 48
FULL = 0.999
"""From this share on a limit counts as used up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a group may draw.

    Args:
        power_kw: kW.
        source: ``forecast``, ``fallback`` or ``connection``.
    """

    power_kw: float
    source: str


def capacity_at(snapshot: Snapshot, group: CapacityGroup, instant: datetime) -> Capacity | None:
    """What a group may draw at an instant: its forecast, else its fallback, never more than its connection.

    None where nothing limits it. A limit that was stated once and has a gap now is zero.
    """
    forecasts = snapshot.state.forecasts
    stated = None
    for kind, source in ((CapacityKind.CONSUMPTION, "forecast"), (CapacityKind.FALLBACK_CONSUMPTION, "fallback")):
        found = _stated_kw(snapshot, group.group_id, kind, instant)
        if found is not None:
            stated = Capacity(power_kw=found, source=source)
            break
    connection_kw = group.import_limit_kw
    if stated is None:
        if connection_kw is not None:
            return Capacity(power_kw=connection_kw, source="connection")
        return Capacity(power_kw=0.0, source="forecast") if forecasts.has_limits(group.group_id) else None
    if connection_kw is not None and connection_kw < stated.power_kw:
        return Capacity(power_kw=connection_kw, source="connection")
    return stated


def group_glance(snapshot: Snapshot, group: CapacityGroup, now: datetime) -> Json:
    """One group in figures."""
    now_s = now.timestamp()
    plan = snapshot.plan
    capacity = capacity_at(snapshot, group, now)
    below = [one for one in snapshot.charged if snapshot.is_below(one.charger_id, group.group_id)]
    measured = newest(total_kw(below), now_s)
    sessions = (
        [
            one
            for one in plan.sessions.values()
            if one.departure_s > now_s and snapshot.is_below(one.charger_id, group.group_id)
        ]
        if plan
        else []
    )
    short = [one for one in sessions if one.is_short]
    counts_total = str(group.limit_counts) == "TOTAL"
    return {
        "group_id": group.group_id,
        "parent_id": group.parent_id,
        "depth": len(snapshot.site.path(group.group_id)) - 1,
        "connection_kw": group.import_limit_kw,
        "counts_total": counts_total,
        "capacity_kw": None if capacity is None else capacity.power_kw,
        "capacity_source": None if capacity is None else capacity.source,
        "planned_kw": plan.power_kw(group.group_id, now_s) if plan else None,
        "measured_kw": None if measured is None else measured.power_kw,
        "measured_at": None if measured is None else measured.until_s,
        "load_kw": snapshot.load_kw.get(group.group_id, 0.0) if counts_total else 0.0,
        "chargers": sum(snapshot.is_below(one.charger_id, group.group_id) for one in snapshot.site.chargers),
        "sessions": len(sessions),
        "present": sum(one.arrival_s <= now_s for one in sessions),
        "short": len(short),
        "short_kwh": round(sum(one.unmet_kwh + one.unreachable_kwh for one in short), 3),
        "binds": _binds(plan, group.group_id, now_s),
    }


def site_glance(snapshot: Snapshot, now: datetime) -> Json:
    """A site with its roots in figures, and what lies ahead of them."""
    stored, plan = snapshot.work.site, snapshot.plan
    roots = [group for group in snapshot.site.groups if group.parent_id is None]
    return {
        "site_id": stored.site_id,
        "peer": peer_glance(snapshot.work.peer),
        "time_zone": str(snapshot.site.time_zone),
        "currency": snapshot.site.currency,
        "groups": len(snapshot.site.groups),
        "waits": stored.attended_version < stored.version,
        "last_error": stored.last_error,
        "updated_at": stored.updated_at.timestamp(),
        "plan": None if plan is None else plan_glance(plan),
        "roots": [{**group_glance(snapshot, group, now), "ahead": _ahead(snapshot, group, now)} for group in roots],
    }


def plan_glance(plan: PlanFacts) -> Json:
    """A plan in figures."""
    kept = (
        "status",
        "strategy",
        "currency",
        "requested_energy_kwh",
        "delivered_energy_kwh",
        "unmet_energy_kwh",
        "unreachable_energy_kwh",
        "energy_cost",
        "peak_import_kw",
        "notes",
    )
    return {
        "plan_id": plan.plan_id,
        "version": plan.version,
        "made_at": plan.made_at_s,
        "start": plan.edges_s[0] if plan.edges_s else None,
        "end": plan.edges_s[-1] if plan.edges_s else None,
        "has_prices": any(price is not None for price in plan.price_per_kwh),
        **{name: plan.summary.get(name) for name in kept},
    }


def peer_glance(peer: Peer) -> Json:
    """A peer in brief; no tokens."""
    return {"peer_id": peer.peer_id, "name": peer.name, "state": peer.state, "offline": peer.offline}


def _stated_kw(snapshot: Snapshot, group_id: str, kind: CapacityKind, instant: datetime) -> float | None:
    forecasts = snapshot.state.forecasts
    whole = _block_at(forecasts.blocks(group_id, kind, Phase.ALL), instant)
    parts = [_block_at(forecasts.blocks(group_id, kind, phase), instant) for phase in SINGLE_PHASES]
    stated = [block.capacity_kw for block in parts if block is not None]
    of_parts = sum(stated) if len(stated) == len(SINGLE_PHASES) else None
    known = [kw for kw in (whole.capacity_kw if whole else None, of_parts) if kw is not None]
    return min(known, default=None)


def _block_at(blocks: Sequence[CapacityBlock], instant: datetime) -> CapacityBlock | None:
    return next((block for block in blocks if block.start <= instant < block.end), None)


def _binds(plan: PlanFacts | None, group_id: str, now_s: float) -> bool:
    step = None if plan is None else plan.step_at(now_s)
    if plan is None or step is None or group_id not in plan.groups:
        return False
    series = plan.groups[group_id]
    limit_kw = series.limit_kw[step]
    return limit_kw is not None and series.power_kw[step] >= FULL * limit_kw and series.power_kw[step] > 0


def _ahead(snapshot: Snapshot, group: CapacityGroup, now: datetime) -> Json:
    """Planned power and capacity over the next day, the highest power and lowest capacity of each half hour."""
    plan = snapshot.plan
    width = AHEAD / BINS
    planned: list[float | None] = []
    capacity: list[float | None] = []
    for index in range(BINS):
        start = now + index * width
        intervals = plan.intervals(group.group_id, start.timestamp(), (start + width).timestamp()) if plan else []
        planned.append(max((power_kw for _, _, power_kw in intervals), default=None))
        allowed = [capacity_at(snapshot, group, instant) for instant in (start, start + width / 2)]
        capacity.append(min((one.power_kw for one in allowed if one is not None), default=None))
    return {"start": now.timestamp(), "bin_s": width.total_seconds(), "planned_kw": planned, "capacity_kw": capacity}
