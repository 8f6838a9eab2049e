"""What another capacity of a site's groups is worth, for the operator and the peer whose site it is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request, Response, status
from fastapi.responses import JSONResponse

from api.rest_schemas import AdviceView
from api.routes import examples
from api.routes.bodies import NEEDS_CALLER, answer, problem
from api.routes.optimize import optimizations_of
from api.routes.sites import CallerOf, ContextOf, SiteId
from api.services.advice import AdviceRequest, site_advice
from api.services.optimization import BusyError
from models.errors import SolverError
from optimizer.advice import LEAST_VALUE_PER_KWH
from optimizer.advice_options import AskedBlocks

MOST_VALUE_PER_KWH = 1e6
NO_ADVICE = problem(
    404,
    "There is no such site, it is another peer's, or nothing is to be planned",
    "site 'depot' has no plan to advise on: no session and no capacity lies ahead",
)

router = APIRouter(prefix="/v1/sites", tags=["Plans"], responses=NEEDS_CALLER)


@router.get(
    "/{site_id}/advice",
    operation_id="get_advice",
    summary="Ask what another capacity is worth",
    response_model=AdviceView,
    response_description="For each block of a capacity forecast, and the messages that ask for it",
    responses=answer(200, examples.ADVICE) | NO_ADVICE,
)
async def get_advice(
    *,
    site_id: SiteId,
    request: Request,
    caller: CallerOf,
    context: ContextOf,
    blocks: Annotated[
        AskedBlocks | None,
        Query(description="Blocks of the messages: those stated, or whole local days; absent for what the peer takes"),
    ] = None,
    hand_back: Annotated[bool, Query(description="Whether messages ask for less where capacity is left")] = False,
    least_value: Annotated[
        float,
        Query(
            gt=0,
            le=MOST_VALUE_PER_KWH,
            allow_inf_nan=False,
            description="Capacity that is worth less is not asked for, currency per kWh of block",
        ),
    ] = LEAST_VALUE_PER_KWH,
) -> Response:
    """What more capacity of each block is worth by what is known now, and what can be handed back without loss.

    Blocks are those of CONSUMPTION forecasts. Nothing is stored or sent.
    """
    viewer = None if caller.peer is None else caller.peer.peer_id
    wanted = AdviceRequest(blocks=blocks, hand_back=hand_back, least_value_per_kwh=least_value)
    try:
        advice = await site_advice(context, optimizations_of(request, context), site_id, viewer, wanted)
    except (BusyError, SolverError) as error:
        wait_s = str(round(context.settings.solve_deadline_s))
        raise HTTPException(
            status.HTTP_503_SERVICE_UNAVAILABLE, f"{error}; ask again in {wait_s} s", {"Retry-After": wait_s}
        ) from error
    return JSONResponse(advice.model_dump(mode="json"))
