"""why.json: what holds whom back, what that costs, and what would have served who goes short."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from models.domain.schedule import GroupResult, Schedule, SessionResult
from models.domain.time_grid import TimeGrid
from models.domain.why import ChangeKind, Holding, ReasonCode, ServingChange, Why

PRICE_DECIMALS = 6
KW_DECIMALS = 6
BINDING_KW = 1e-6
SHORT_KWH = 1e-3


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True)


class HoldingEntry(_Entry):
    """What keeps a session from drawing more over some time."""

    start: datetime = Field(description="Begin")
    end: datetime = Field(description="End")
    code: ReasonCode = Field(description="What it is")
    holder: str = Field(description="Name of the limit; empty where nothing holds")
    shadow_price_per_kwh: float | None = Field(
        description="Currency saved per further kWh that it would let pass; null where no solver said"
    )


class StretchEntry(_Entry):
    """Some time."""

    start: datetime = Field(description="Begin")
    end: datetime = Field(description="End")


class ChangeEntry(_Entry):
    """The smallest change of its kind after which the session is served and nobody gets less than in this plan."""

    kind: ChangeKind = Field(description="departure: leave later; capacity: raise limits")
    minutes_later: int = Field(description="How much later it would leave, whole minutes; 0 for capacity")
    departure: datetime | None = Field(description="When it would leave; null for capacity")
    limits: list[str] = Field(description="Limits to raise together; none for departure")
    more_kw: float = Field(description="By how much each of them, kW; 0 for departure")
    stretches: list[StretchEntry] = Field(description="When they would be raised; none for departure")


class WhySession(_Entry):
    """Why one session gets what it gets, and when."""

    session_id: str = Field(description="The session")
    unmet_energy_kwh: float = Field(description="What the stay would allow and the plan does not deliver, kWh")
    unreachable_energy_kwh: float = Field(description="What the stay does not allow whatever the plan, kWh")
    reason: str = Field(description="Why it goes short; empty when it does not")
    codes: list[ReasonCode] = Field(description="The same for machines")
    holdings: list[HoldingEntry] = Field(description="What holds it back, in order of time")
    changes: list[ChangeEntry] | None = Field(
        description="What would have served it; none where it is served, or where neither a departure up to a day "
        "later nor higher limits would; null where it was not looked for"
    )


class BindingEntry(_Entry):
    """Some time over which a group's limit binds."""

    start: datetime = Field(description="Begin")
    end: datetime = Field(description="End")
    limit_kw: float = Field(description="The limit, kW")
    shadow_price_per_kwh: float | None = Field(
        description="Currency saved per further kWh of the limit, the mean over the time; null where no solver said"
    )


class WhyGroup(_Entry):
    """When the limit of one group binds."""

    group_id: str = Field(description="The group")
    binding: list[BindingEntry] = Field(description="In order of time; none where it never does")


class WhyFile(BaseModel):
    """why.json."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, validate_by_alias=True)

    schema_version: Literal[1] = Field(alias="schema", description="Version of this format")
    site_id: str = Field(description="The site")
    currency: str = Field(description="ISO 4217 code of shadow prices")
    sessions: list[WhySession] = Field(description="Every session planned, in canonical order")
    groups: list[WhyGroup] = Field(description="Every group of the site")


def why_document(schedule: Schedule, *, site_id: str, currency: str, short_only: bool = False) -> dict[str, object]:
    """The content of why.json, as JSON values.

    Args:
        schedule: A plan that says why.
        site_id: The site.
        currency: Of its prices.
        short_only: Whether to leave out the sessions that miss nothing.

    Raises:
        ValueError: The plan does not say why.
    """
    if schedule.why is None:
        raise ValueError("the plan does not say why; plan it with OptimizeOptions(why=True)")
    held: dict[str, list[Holding]] = {}
    for holding in schedule.why.holdings:
        held.setdefault(holding.session_id, []).append(holding)
    sessions = [
        _session(result, held.get(result.session.session_id, []), schedule.why, schedule.grid)
        for result in schedule.sessions
        if not short_only or result.unmet_energy_kwh + result.unreachable_energy_kwh > SHORT_KWH
    ]
    groups = [
        WhyGroup(group_id=group.group_id, binding=list(_binding(group, schedule.grid))) for group in schedule.groups
    ]
    document = WhyFile(schema_version=1, site_id=site_id, currency=currency, sessions=sessions, groups=groups)
    return document.model_dump(mode="json", by_alias=True)


def _session(result: SessionResult, holdings: list[Holding], why: Why, grid: TimeGrid) -> WhySession:
    session_id = result.session.session_id
    return WhySession(
        session_id=session_id,
        unmet_energy_kwh=result.unmet_energy_kwh,
        unreachable_energy_kwh=result.unreachable_energy_kwh,
        reason=result.reason,
        codes=list(result.reason_codes),
        holdings=[
            HoldingEntry(
                start=grid.instant(holding.start_s),
                end=grid.instant(holding.end_s),
                code=holding.code,
                holder=holding.holder,
                shadow_price_per_kwh=_price(holding.price_per_kwh),
            )
            for holding in holdings
        ],
        changes=None
        if session_id in why.not_searched
        else [_change(one, grid) for one in why.changes.get(session_id, ())],
    )


def _change(change: ServingChange, grid: TimeGrid) -> ChangeEntry:
    return ChangeEntry(
        kind=change.kind,
        minutes_later=change.minutes_later,
        departure=None if change.departure is None else change.departure.astimezone(grid.time_zone),
        limits=list(change.limits),
        more_kw=change.more_kw,
        stretches=[StretchEntry(start=grid.instant(start), end=grid.instant(end)) for start, end in change.stretches_s],
    )


def _binding(group: GroupResult, grid: TimeGrid) -> Iterator[BindingEntry]:
    """Stretches of steps in which one and the same limit binds."""
    binds = np.isfinite(group.limit_kw) & (group.power_kw >= group.limit_kw - BINDING_KW)
    steps = np.flatnonzero(binds)
    if not steps.size:
        return
    limit_kw = group.limit_kw[steps]
    breaks = np.flatnonzero((np.diff(steps) > 1) | (np.abs(np.diff(limit_kw)) > BINDING_KW)) + 1
    for run in np.split(steps, breaks):
        hours = grid.step_hours[run]
        yield BindingEntry(
            start=grid.instant(float(grid.edges_s[run[0]])),
            end=grid.instant(float(grid.edges_s[run[-1] + 1])),
            limit_kw=round(float(group.limit_kw[run[0]]), KW_DECIMALS),
            shadow_price_per_kwh=_price(float(np.average(group.shadow_price_per_kwh[run], weights=hours))),
        )


def _price(price_per_kwh: float) -> float | None:
    return round(price_per_kwh, PRICE_DECIMALS) + 0.0 if math.isfinite(price_per_kwh) else None
