"""Reports on what became of the sessions of a site."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from api.monthly import SiteReport
from api.monthly_page import report_page
from api.routes.bodies import NEEDS_CALLER, NO_SITE, answer
from api.routes.sites import CallerOf, ContextOf, SiteId
from api.services import reports
from api.services.sites import utc_text

router = APIRouter(prefix="/v1/sites", tags=["Plans"], responses=NEEDS_CALLER)

HTML = "text/html"
EXAMPLE = {
    "site_id": "depot",
    "currency": "EUR",
    "start": "2026-02-28T23:00:00Z",
    "end": "2026-03-31T22:00:00Z",
    "sessions": 412,
    "sessions_short": 1,
    "plans": 2975,
    "requested_kwh": 5120.0,
    "planned_kwh": 5116.5,
    "measured_kwh": 5098.2,
    "unmet_kwh": 3.5,
    "cost": 870.2,
    "peak_kw": 98.4,
    "measured_peak_kw": 97.1,
    "capacity": [
        {
            "group_id": "main",
            "limited_hours": 720.0,
            "full_hours": 36.5,
            "worth_per_kw": 14.2,
            "highest_kw": 98.4,
            "never_used_kw": 0.0,
            "unused_kwh": 61200.0,
        }
    ],
    "alternatives": [
        {
            "strategy": "uncontrolled",
            "energy_kwh": 5120.0,
            "unmet_kwh": 0.0,
            "cost": 1010.4,
            "peak_kw": 161.0,
            "minutes_over_limit": 840.0,
            "saving": 139.5,
        }
    ],
    "days": [{"day": "2026-03-02", "sessions": 18, "planned_kwh": 231.0, "unmet_kwh": 0.0, "cost": 41.2}],
    "short": [
        {
            "session_id": "S7",
            "charger_id": "C3",
            "departure": "2026-03-12T16:00:00Z",
            "requested_kwh": 20.0,
            "planned_kwh": 16.5,
            "measured_kwh": None,
            "unmet_kwh": 3.5,
        }
    ],
    "notes": [],
}


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class AlternativeView(_View):
    """What the same sessions would have got and cost by another strategy."""

    strategy: str = Field(description="Name of the strategy")
    energy_kwh: float = Field(description="Energy it would have delivered, kWh")
    unmet_kwh: float = Field(description="Energy it would have left undelivered, kWh")
    cost: float | None = Field(
        description="What that energy would have cost, in the site's currency; null without prices"
    )
    peak_kw: float = Field(description="Highest mean power of a step, kW")
    minutes_over_limit: float = Field(description="Time above a limit of a group, min")
    saving: float | None = Field(
        description="What the plans saved against it, in the site's currency; null without prices"
    )


class CapacityView(_View):
    """What the limit of a group was worth, by the plans in force; the power is that of chargers."""

    group_id: str = Field(description="The group")
    limited_hours: float = Field(description="How long a plan in force had a limit for it, h")
    full_hours: float = Field(description="How long the limit was used in full, h")
    worth_per_kw: float | None = Field(
        description="What a first further kW all that time would have been worth, in the site's currency, unserved "
        "energy counting 10 per kWh; null where no solver said"
    )
    highest_kw: float = Field(description="Highest power planned, kW")
    never_used_kw: float = Field(description="What was left of the limit at any time, kW")
    unused_kwh: float = Field(description="What was left of it altogether, kWh")


class DayView(_View):
    """The sessions that departed on one day."""

    day: date = Field(description="The day in the site's time zone")
    sessions: int = Field(description="How many sessions departed")
    planned_kwh: float = Field(description="Energy planned for them, kWh")
    unmet_kwh: float = Field(description="Energy that was asked for and not planned, kWh")
    cost: float | None = Field(description="Cost of the energy planned, in the site's currency; null without prices")


class ShortView(_View):
    """A session that went short."""

    session_id: str = Field(description="Which session")
    charger_id: str = Field(description="At which charger")
    departure: str = Field(description="When it departed")
    requested_kwh: float = Field(description="Energy asked for, kWh")
    planned_kwh: float = Field(description="Energy planned, kWh")
    measured_kwh: float | None = Field(description="Energy measured, kWh; null without measurements")
    unmet_kwh: float = Field(description="Energy asked for and not planned, kWh")


class ReportView(_View):
    """The sessions of a site that departed within a month; energy in kWh, power in kW, costs in the site's currency."""

    site_id: str = Field(description="Which site")
    currency: str = Field(description="ISO 4217 code of all costs")
    start: str = Field(description="Begin of the month")
    end: str = Field(description="End of the month")
    sessions: int = Field(description="How many sessions departed")
    sessions_short: int = Field(description="How many of them went short")
    plans: int = Field(description="How many plans were published")
    requested_kwh: float = Field(description="Energy asked for, kWh")
    planned_kwh: float = Field(description="Energy planned, kWh")
    measured_kwh: float | None = Field(description="Energy measured, kWh; null without measurements")
    unmet_kwh: float = Field(description="Energy asked for and not planned, kWh")
    cost: float | None = Field(description="Cost of the energy planned, in the site's currency; null without prices")
    peak_kw: float = Field(description="Highest mean power of a step as planned, kW")
    measured_peak_kw: float | None = Field(
        description="Highest mean power of a quarter of an hour as chargers were measured, kW, readings further apart "
        "spread evenly; null without measurements"
    )
    capacity: list[CapacityView] = Field(description="What the limit of each group that had one was worth")
    alternatives: list[AlternativeView] = Field(
        description="What other strategies would have done with the same sessions"
    )
    days: list[DayView] = Field(description="Day by day")
    short: list[ShortView] = Field(description="The sessions that went short")
    notes: list[str] = Field(description="What the figures leave out")


REPORT = answer(200, EXAMPLE)
REPORT[200]["content"][HTML] = {"schema": {"type": "string"}, "example": "<!doctype html>"}


@router.get(
    "/{site_id}/report",
    operation_id="get_report",
    summary="Look back at a month",
    response_model=ReportView,
    response_description="What became of the sessions that departed in it, as JSON or a page",
    responses=REPORT | NO_SITE,
)
async def get_report(
    site_id: SiteId,
    request: Request,
    caller: CallerOf,
    context: ContextOf,
    month: Annotated[
        str | None,
        Query(pattern=r"^\d{4}-(0[1-9]|1[0-2])$", description="Year and month, 2026-11; the present one when absent"),
    ] = None,
    wanted: Annotated[
        Literal["json", "html"] | None,
        Query(alias="format", description="html for a page; absent to go by the header Accept"),
    ] = None,
) -> Response:
    """Energy, cost and peak by the plans in force, what was measured, and what other strategies would have cost."""
    viewer = None if caller.peer is None else caller.peer.peer_id
    report = await reports.monthly_report(context, site_id, viewer, month)
    if wanted == "html" or (wanted is None and HTML in request.headers.get("accept", "")):
        return HTMLResponse(report_page(report))
    return JSONResponse(_view(report).model_dump(mode="json"))


def _view(report: SiteReport) -> ReportView:
    return ReportView(
        site_id=report.site.site_id,
        currency=report.site.currency,
        start=utc_text(report.start),
        end=utc_text(report.end),
        sessions=len(report.sessions),
        sessions_short=len(report.short),
        plans=report.plans,
        requested_kwh=report.requested_kwh,
        planned_kwh=report.planned_kwh,
        measured_kwh=report.measured_kwh,
        unmet_kwh=report.unmet_kwh,
        cost=report.cost,
        peak_kw=report.peak_kw,
        measured_peak_kw=report.measured_peak_kw,
        capacity=[
            CapacityView(**{name: getattr(use, name) for name in CapacityView.model_fields}) for use in report.capacity
        ],
        alternatives=[
            AlternativeView(
                **{name: getattr(one, name) for name in AlternativeView.model_fields if name != "saving"},
                saving=report.saving(one),
            )
            for one in report.alternatives
        ],
        days=[DayView(**{name: getattr(day, name) for name in DayView.model_fields}) for day in report.days],
        short=[
            ShortView(
                session_id=outcome.session.session_id,
                charger_id=outcome.session.charger_id,
                departure=utc_text(outcome.session.departure),
                requested_kwh=outcome.session.energy_kwh,
                planned_kwh=outcome.planned_kwh,
                measured_kwh=outcome.measured_kwh,
                unmet_kwh=outcome.unmet_kwh,
            )
            for outcome in report.short
        ],
        notes=list(report.notes),
    )
