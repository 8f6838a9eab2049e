"""What the plan would be with another limit, price or departure, beside what it is; nothing is stored or sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.context import Context
from api.monitor.changes import power_changes
from api.monitor.plans import PlanFacts, plan_facts
from api.monitor.sign_in import Viewer
from api.monitor.snapshots import Snapshot
from api.monitor.views import Views
from api.records import SiteWork
from api.services.optimization import Optimizations
from api.site_state import SiteState
from api.situation import PlanningRules, Situation, situation_of
from models.domain import CapacityBlock, CapacityForecast, CapacityKind, Schedule
from models.domain.bounds import MAX_POWER_KW
from models.errors import InputError
from optimizer.scenario_io import PriceRow, SessionRow
from optimizer.scenario_io.fields import Id, Instant, PricePerKwh
from optimizer.scenario_io.plan_document import schedule_from_document, to_plan_document

Json = dict[str, object]

MAX_CHANGES = 50
LISTED = 30
SAME_KWH = 0.05


class _Change(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Interval(_Change):
    start: Instant = Field(description="First instant at which it would hold")
    end: Instant = Field(description="First instant at which it would not any more")

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"end {self.end.isoformat()} must be after start {self.start.isoformat()}")
        return self


class LimitChange(_Interval):
    """Another import capacity of a group."""

    group_id: Id = Field(description="The group")
    limit_kw: float = Field(ge=0, le=MAX_POWER_KW, allow_inf_nan=False, description="What it could draw, kW")


class PriceChange(_Interval):
    """Another price."""

    import_price_per_kwh: PricePerKwh = Field(description="Currency per kWh")


class DepartureChange(_Change):
    """Another departure of a session."""

    session_id: Id = Field(description="The session")
    departure: Instant = Field(description="When it would leave")


class WhatIf(_Change):
    """What would be otherwise; at least one thing."""

    limits: Annotated[tuple[LimitChange, ...], Field(max_length=MAX_CHANGES)] = ()
    prices: Annotated[tuple[PriceChange, ...], Field(max_length=MAX_CHANGES)] = ()
    departures: Annotated[tuple[DepartureChange, ...], Field(max_length=MAX_CHANGES)] = ()

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.limits or self.prices or self.departures):
            raise ValueError("name a limit, a price or a departure to change")
        return self


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Question:
    """Two situations of one site at one instant: as it is, and as it would be."""

    now: datetime
    snapshot: Snapshot
    present: Situation
    changed: Situation


async def what_if_view(
    context: Context, views: Views, optimizations: Optimizations, viewer: Viewer, site_id: str, what: WhatIf
) -> Json:
    """Both plans, made now by the same solver, side by side.

    Raises:
        NotFoundError: There is no such site that the viewer may see.
        InputError: What is asked names something the site does not have, or nothing is to be planned.
        BusyError: Too many plans are being made.
    """
    rules = PlanningRules.of(context.settings)
    question = await views.with_snapshot(
        viewer, site_id, lambda snapshot, now: _question(snapshot, what, rules=rules, now=now)
    )
    before, after = await optimizations.plans(
        (question.present.scenario, question.present.options),
        (question.changed.scenario, question.changed.options),
    )
    return _answer(question, before, after)


def _question(snapshot: Snapshot, what: WhatIf, *, rules: PlanningRules, now: datetime) -> _Question:
    work, site = snapshot.work, snapshot.site
    state = snapshot.state.pruned(now, [session.session_id for session in work.sessions])
    previous = None if work.plan is None else schedule_from_document(json.loads(work.plan.document), site)

    def situation(of: SiteWork, known: SiteState) -> Situation:
        found = situation_of(of, site, known, now=now, rules=rules, previous=previous)
        if found is None:
            raise InputError(f"site {site.site_id!r} has nothing to plan: no session and no capacity lies ahead")
        return found

    changed_work = _with_departures(_with_prices(work, what.prices), what.departures, now)
    changed_state = _with_limits(snapshot, state, what.limits, now + timedelta(hours=rules.horizon_hours))
    return _Question(
        now=now, snapshot=snapshot, present=situation(work, state), changed=situation(changed_work, changed_state)
    )


def _with_limits(snapshot: Snapshot, state: SiteState, limits: Sequence[LimitChange], until: datetime) -> SiteState:
    forecasts = state.forecasts
    for limit in limits:
        if not snapshot.site.has_group(limit.group_id):
            raise InputError(f"site {snapshot.site.site_id!r} has no group {limit.group_id!r}")
        group = next(one for one in snapshot.site.groups if one.group_id == limit.group_id)
        blocks = [CapacityBlock(start=limit.start, end=limit.end, capacity_kw=limit.limit_kw)]
        if group.import_limit_kw is None and not forecasts.has_limits(limit.group_id):
            # A group that nothing limits would have a gap around the block, which means zero.
            free = CapacityBlock(
                start=min(limit.start, until) - timedelta(days=1), end=max(limit.end, until), capacity_kw=MAX_POWER_KW
            )
            forecasts = forecasts.updated(_forecast(limit.group_id, [free]))
        forecasts = forecasts.updated(_forecast(limit.group_id, blocks))
    return replace(state, forecasts=forecasts)


def _forecast(group_id: str, blocks: Sequence[CapacityBlock]) -> CapacityForecast:
    return CapacityForecast(group_id=group_id, kind=CapacityKind.CONSUMPTION, blocks=tuple(blocks))


def _with_prices(work: SiteWork, changes: Sequence[PriceChange]) -> SiteWork:
    if not changes:
        return work
    rows = [PriceRow.model_validate(row) for row in json.loads(work.prices or "[]")]
    if not rows:
        raise InputError(f"site {work.site.site_id!r} has no prices to change; put them first")
    for change in changes:
        rows = [part for row in rows for part in _changed(row, change)]
    document = json.dumps([row.model_dump(mode="json", exclude_none=True) for row in rows])
    return replace(work, prices=document)


def _changed(row: PriceRow, change: PriceChange) -> list[PriceRow]:
    """The parts of a price before, within and after a change."""
    start, end = max(row.start, change.start), min(row.end, change.end)
    if start >= end:
        return [row]
    new = {"import_price_per_kwh": change.import_price_per_kwh}
    parts = [(row.start, start, {}), (start, end, new), (end, row.end, {})]
    return [
        row.model_copy(update={"start": first, "end": last, **values}) for first, last, values in parts if first < last
    ]


def _with_departures(work: SiteWork, changes: Sequence[DepartureChange], now: datetime) -> SiteWork:
    wanted = {change.session_id: change.departure for change in changes}
    sessions = []
    for stored in work.sessions:
        departure = wanted.pop(stored.session_id, None)
        if departure is None:
            sessions.append(stored)
            continue
        row = SessionRow.model_validate_json(stored.document)
        if departure <= max(row.arrival, now):
            raise InputError(
                f"session {stored.session_id!r} cannot leave at {departure.isoformat()}: that is not after "
                f"{max(row.arrival, now).isoformat()}"
            )
        document = row.model_copy(update={"departure": departure}).model_dump_json()
        sessions.append(replace(stored, document=document))
    if wanted:
        raise InputError(f"site {work.site.site_id!r} has no session {next(iter(wanted))!r} that is still there")
    return replace(work, sessions=tuple(sessions))


def _answer(question: _Question, before: Schedule, after: Schedule) -> Json:
    present, changed = (
        plan_facts(
            to_plan_document(schedule, situation.scenario, situation.options, notes=situation.notes),
            plan_id="",
            version=question.snapshot.work.site.version,
            made_at_s=question.now.timestamp(),
        )
        for schedule, situation in ((before, question.present), (after, question.changed))
    )
    return {
        "now": question.now.timestamp(),
        "currency": question.snapshot.site.currency,
        "present": _side(present),
        "changed": _side(changed),
        "sessions": _sessions(present, changed),
        "groups": {
            group_id: [one[:3] for one in power_changes(changed, present, group_id)] for group_id in changed.groups
        },
    }


def _side(plan: PlanFacts) -> Json:
    short = [session for session in plan.sessions.values() if session.is_short]
    return {
        "energy_cost": plan.summary["energy_cost"],
        "has_prices": any(price is not None for price in plan.price_per_kwh),
        "delivered_kwh": plan.summary["delivered_energy_kwh"],
        "unmet_kwh": plan.summary["unmet_energy_kwh"] + plan.summary["unreachable_energy_kwh"],
        "peak_kw": plan.summary["peak_import_kw"],
        "short": len(short),
        "status": plan.summary["status"],
        "edges": list(plan.edges_s),
        "groups": {
            group_id: {"power_kw": list(series.power_kw), "limit_kw": list(series.limit_kw)}
            for group_id, series in plan.groups.items()
        },
    }


def _sessions(present: PlanFacts, changed: PlanFacts) -> list[Json]:
    """Sessions that would get another energy, the largest difference first."""
    found: list[tuple[float, Json]] = []
    for session_id, after in changed.sessions.items():
        before = present.sessions.get(session_id)
        if before is None or abs(after.delivered_kwh - before.delivered_kwh) < SAME_KWH:
            continue
        change_kwh = after.delivered_kwh - before.delivered_kwh
        entry: Json = {
            "session_id": session_id,
            "charger_id": after.charger_id,
            "change_kwh": round(change_kwh, 3),
            "short_kwh": round(after.unmet_kwh + after.unreachable_kwh, 3),
            "reason": after.reason,
        }
        found.append((abs(change_kwh), entry))
    found.sort(key=lambda item: -item[0])
    return [entry for _, entry in found[:LISTED]]
