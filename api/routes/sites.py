"""Sites, their sessions, prices and plans, for the operator and the peer whose sites they are."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response, status
from fastapi.responses import JSONResponse, PlainTextResponse

from api.context import Context
from api.dependencies import Caller, context_of, operator, rest_caller
from api.records import StoredSite
from api.rest_schemas import (
    BlockView,
    PlanView,
    SeriesView,
    SessionInput,
    SessionView,
    SiteInput,
    SiteStatus,
    SiteView,
    Stored,
)
from api.routes import examples
from api.routes.bodies import (
    CONFLICT,
    NEEDS_CALLER,
    NEEDS_JSON,
    NO_SITE,
    Responses,
    answer,
    documented_body,
    json_body,
    problem,
)
from api.services import exports, sites
from models.domain import CapacityForecasts, CapacityKind, Phase
from optimizer.exports import MAX_PERIODS, ExportFormat, ProfileOptions, RateUnit
from optimizer.scenario_io import PriceRow, SessionRow
from optimizer.scenario_io.fields import ID_PATTERN

router = APIRouter(prefix="/v1/sites", responses=NEEDS_CALLER)

NO_SESSION = problem(404, "There is no such site or session", "site 'depot' has no session 'S1'")
NO_PLAN = problem(404, "There is no such site, or no plan of it yet; the message says why", "planning waits")
CSV = "text/csv"
PLAN_IN_ANY_FORMAT: Responses = {
    200: {
        "model": PlanView,
        "content": {
            "application/json": {"example": examples.PLAN_VIEW},
            CSV: {"schema": {"type": "string"}, "example": examples.SCHEDULE_CSV},
            exports.PARQUET: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}

SiteId = Annotated[
    str, Path(min_length=1, max_length=128, pattern=ID_PATTERN, description="Name of the site", examples=["depot"])
]
SessionId = Annotated[
    str, Path(min_length=1, max_length=128, pattern=ID_PATTERN, description="Id of the session", examples=["S1"])
]
ContextOf = Annotated[Context, Depends(context_of)]
CallerOf = Annotated[Caller, Depends(rest_caller)]


@router.get(
    "",
    tags=["Sites"],
    operation_id="list_sites",
    summary="List the sites you may see",
    response_model=list[SiteStatus],
    response_description="In order of id",
    responses=answer(200, [examples.SITE_STATUS]),
)
async def list_sites(caller: CallerOf, context: ContextOf) -> list[SiteStatus]:
    """How each site is doing: a peer sees its own, the operator all."""
    return [SiteStatus(**_status(site)) for site in await sites.all_sites(context, _viewer(caller))]


@router.put(
    "/{site_id}",
    tags=["Sites"],
    operation_id="put_site",
    summary="Create or replace a site",
    dependencies=[Depends(operator)],
    response_model=SiteView,
    response_description="Replaced; as stored",
    responses=answer(200, examples.SITE_VIEW)
    | answer(201, examples.SITE_VIEW, model=SiteView, description="Created; as stored")
    | NEEDS_JSON
    | CONFLICT,
    openapi_extra=documented_body(SiteInput, {"A depot with two chargers": examples.SITE_INPUT}),
)
async def put_site(site_id: SiteId, request: Request, response: Response, context: ContextOf) -> SiteView:
    """Take `site.json` of the scenario folder and whose site it is; for the operator. Sessions and prices stay."""
    site, is_new, notes = await sites.put_site(context, site_id, await json_body(request))
    response.status_code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
    return _site_view(site, notes)


@router.get(
    "/{site_id}",
    tags=["Sites"],
    operation_id="get_site",
    summary="Look at a site",
    response_model=SiteView,
    response_description="site.json, and how the site is doing",
    responses=answer(200, examples.SITE_VIEW) | NO_SITE,
)
async def get_site(site_id: SiteId, caller: CallerOf, context: ContextOf) -> SiteView:
    """The site as stored, whose it is, and how far the planner has come with it."""
    return _site_view(await sites.site(context, site_id, _viewer(caller)))


@router.delete(
    "/{site_id}",
    tags=["Sites"],
    operation_id="delete_site",
    summary="Delete a site",
    dependencies=[Depends(operator)],
    status_code=status.HTTP_204_NO_CONTENT,
    response_description="Gone, with all that was said of it",
    responses=NO_SITE,
)
async def delete_site(site_id: SiteId, context: ContextOf) -> Response:
    """Delete a site with its sessions, prices, forecasts and plans; for the operator."""
    await sites.delete_site(context, site_id)
    return Response(status_code=status.HTTP_204_NO_CONTENT)


@router.post(
    "/{site_id}/sessions",
    tags=["Sessions"],
    operation_id="post_sessions",
    summary="Create or replace sessions",
    response_model=Stored,
    response_description="All are stored; of an array with one bad row none is",
    responses=answer(200, examples.STORED) | NO_SITE | NEEDS_JSON | CONFLICT,
    openapi_extra=documented_body(list[SessionRow], {"Two sessions": examples.SESSIONS}),
)
async def post_sessions(site_id: SiteId, request: Request, caller: CallerOf, context: ContextOf) -> Stored:
    """Take rows of `sessions.csv`; a session of an id that is known takes its place, the others stay."""
    await sites.site(context, site_id, _viewer(caller))
    return _stored(await sites.put_sessions(context, site_id, _viewer(caller), await json_body(request)))


@router.get(
    "/{site_id}/sessions",
    tags=["Sessions"],
    operation_id="list_sessions",
    summary="List the sessions of a site",
    response_model=list[SessionView],
    response_description="In order of id",
    responses=answer(200, [examples.SESSION_VIEW]) | NO_SITE,
)
async def list_sessions(site_id: SiteId, caller: CallerOf, context: ContextOf) -> Response:
    """Every stored session; those that departed are deleted after a while."""
    stored = await sites.sessions(context, site_id, _viewer(caller))
    return JSONResponse([sites.session_view(entry) for entry in stored])


# The id of a session may hold a slash.
@router.put(
    "/{site_id}/sessions/{session_id:path}",
    tags=["Sessions"],
    operation_id="put_session",
    summary="Create or replace a session",
    response_model=SessionView,
    response_description="Replaced; as stored",
    responses=answer(200, examples.SESSION_VIEW)
    | answer(201, examples.SESSION_VIEW, model=SessionView, description="Created; as stored")
    | NO_SITE
    | NEEDS_JSON
    | CONFLICT,
    openapi_extra=documented_body(SessionInput, {"A session": examples.SESSION}),
)
async def put_session(
    site_id: SiteId, session_id: SessionId, request: Request, caller: CallerOf, context: ContextOf
) -> Response:
    """Take a row of `sessions.csv`."""
    viewer = _viewer(caller)
    await sites.site(context, site_id, viewer)
    stored, is_new = await sites.put_session(context, site_id, session_id, viewer, await json_body(request))
    return JSONResponse(sites.session_view(stored), status.HTTP_201_CREATED if is_new else status.HTTP_200_OK)


@router.get(
    "/{site_id}/sessions/{session_id:path}",
    tags=["Sessions"],
    operation_id="get_session",
    summary="Look at a session",
    response_model=SessionView,
    response_description="As stored",
    responses=answer(200, examples.SESSION_VIEW) | NO_SESSION,
)
async def get_session(site_id: SiteId, session_id: SessionId, caller: CallerOf, context: ContextOf) -> Response:
    """A session as stored."""
    return JSONResponse(sites.session_view(await sites.session(context, site_id, session_id, _viewer(caller))))


@router.delete(
    "/{site_id}/sessions/{session_id:path}",
    tags=["Sessions"],
    operation_id="delete_session",
    summary="Delete a session",
    status_code=status.HTTP_204_NO_CONTENT,
    response_description="Gone",
    responses=NO_SESSION,
)
async def delete_session(site_id: SiteId, session_id: SessionId, caller: CallerOf, context: ContextOf) -> Response:
    """Take back a session: the vehicle left, or does not come."""
    await sites.delete_session(context, site_id, session_id, _viewer(caller))
    return Response(status_code=status.HTTP_204_NO_CONTENT)


@router.put(
    "/{site_id}/prices",
    tags=["Prices"],
    operation_id="put_prices",
    summary="Replace the prices of a site",
    response_model=Stored,
    response_description="They hold from now on, and no other",
    responses=answer(200, examples.STORED) | NO_SITE | NEEDS_JSON,
    openapi_extra=documented_body(
        Annotated[list[PriceRow], examples.AT_LEAST_ONE], {"Two hours of prices": examples.PRICES}
    ),
)
async def put_prices(site_id: SiteId, request: Request, caller: CallerOf, context: ContextOf) -> Stored:
    """Take rows of `prices.csv`: at least one, none overlapping another."""
    await sites.site(context, site_id, _viewer(caller))
    return _stored(await sites.put_prices(context, site_id, _viewer(caller), await json_body(request)))


@router.get(
    "/{site_id}/prices",
    tags=["Prices"],
    operation_id="get_prices",
    summary="Look at the prices of a site",
    response_model=list[PriceRow],
    response_description="In order of time; none where none were given",
    responses=answer(200, examples.PRICES) | NO_SITE,
)
async def get_prices(site_id: SiteId, caller: CallerOf, context: ContextOf) -> Response:
    """The prices as stored."""
    rows = await sites.prices(context, site_id, _viewer(caller))
    return JSONResponse(rows)


@router.delete(
    "/{site_id}/prices",
    tags=["Prices"],
    operation_id="delete_prices",
    summary="Delete the prices of a site",
    status_code=status.HTTP_204_NO_CONTENT,
    response_description="Gone; it is planned without prices",
    responses=NO_SITE,
)
async def delete_prices(site_id: SiteId, caller: CallerOf, context: ContextOf) -> Response:
    """Take the prices away; where there are none, it does nothing."""
    await sites.delete_prices(context, site_id, _viewer(caller))
    return Response(status_code=status.HTTP_204_NO_CONTENT)


PlanFormat = Literal["json", "csv", "parquet", "ocpp16", "ocpp201", "ocpi"]
"""JSON, or an `ExportFormat`: in one list, so that a refusal names them all."""


@router.get(
    "/{site_id}/plan",
    tags=["Plans"],
    operation_id="get_plan",
    summary="Look at the plan in force",
    response_model=None,
    response_description="The plan; its schedule alone as CSV or Parquet; or charging profiles, a JSON array",
    responses=PLAN_IN_ANY_FORMAT | NO_PLAN,
)
async def get_plan(
    site_id: SiteId,
    request: Request,
    caller: CallerOf,
    context: ContextOf,
    wanted: Annotated[
        PlanFormat | None,
        Query(
            alias="format",
            description="csv or parquet: the schedule; ocpp16, ocpp201: a SetChargingProfile for each charger; ocpi: a "
            "ChargingProfile for each session; absent to go by the header Accept",
        ),
    ] = None,
    unit: Annotated[RateUnit, Query(description="Of charging profiles: W in all, or A on each phase")] = RateUnit.W,
    max_periods: Annotated[
        int, Query(ge=1, le=MAX_PERIODS, description="Of charging profiles: the most periods that a charger holds")
    ] = MAX_PERIODS,
) -> Response:
    """The figures of the plan and the power of each session, kW; with `?format=` in the words of others.

    A charging profile of OCPP is the default for transactions at a charger, absolute and without end, with a stop where
    nothing is planned; send it whenever there is a new plan.
    """
    if wanted not in (None, "json", "csv"):
        options = ProfileOptions(unit=unit, max_periods=max_periods)
        plan, site = await exports.plan_and_site(context, site_id, _viewer(caller))
        export = await asyncio.to_thread(exports.exported, plan, site, ExportFormat(wanted), options)
        return Response(export.content, media_type=export.media_type)
    view = sites.plan_view(await sites.plan(context, site_id, _viewer(caller)))
    if wanted == "csv" or (wanted is None and _prefers_csv(request.headers.get("accept", ""))):
        return PlainTextResponse(sites.schedule_csv(view), media_type=CSV)
    return JSONResponse(view)


@router.get(
    "/{site_id}/forecasts",
    tags=["Plans"],
    operation_id="get_forecasts",
    summary="Look at the capacities in force",
    response_model=list[SeriesView],
    response_description="By group, type and phase",
    responses=answer(200, [examples.SERIES]) | NO_SITE,
)
async def get_forecasts(site_id: SiteId, caller: CallerOf, context: ContextOf) -> list[SeriesView]:
    """What was stated of the capacities of the site's groups, the newest for each instant, kW."""
    return _series(await sites.forecasts(context, site_id, _viewer(caller)))


def _viewer(caller: Caller) -> str | None:
    return None if caller.peer is None else caller.peer.peer_id


def _status(site: StoredSite) -> dict[str, Any]:
    return {name: getattr(site, name) for name in SiteStatus.model_fields}


def _site_view(site: StoredSite, notes: tuple[str, ...] = ()) -> SiteView:
    return SiteView.model_validate({**json.loads(site.document), **_status(site), "notes": list(notes)})


def _stored(written: sites.Written) -> Stored:
    return Stored(version=written.version, stored=written.stored, notes=list(written.notes))


def _prefers_csv(accept: str) -> bool:
    """Whether a header Accept wants CSV more than JSON."""
    weights = {"application/json": 0.0, CSV: 0.0}
    for part in accept.split(","):
        kind, *parameters = (text.strip().lower() for text in part.split(";"))
        weight = next((text.removeprefix("q=") for text in parameters if text.startswith("q=")), "1")
        if kind in weights and weight.replace(".", "", 1).isdecimal():
            weights[kind] = float(weight)
    return weights[CSV] > weights["application/json"]


def _series(forecasts: CapacityForecasts) -> list[SeriesView]:
    def order(item: tuple[tuple[str, CapacityKind, Phase], object]) -> tuple[str, str, str]:
        group_id, kind, phase = item[0]
        return group_id, kind.value, phase.value

    return [
        SeriesView(
            group_id=group_id,
            type=kind,
            phase=phase,
            blocks=[BlockView(start=block.start, end=block.end, capacity_kw=block.capacity_kw) for block in blocks],
        )
        for (group_id, kind, phase), blocks in sorted(forecasts.series.items(), key=order)
    ]
