"""A plan for whoever asks; nothing is stored."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response, status
from fastapi.responses import JSONResponse

from api.context import Context
from api.dependencies import Caller, context_of, rest_caller
from api.records import PeerState
from api.rest_schemas import OptimizeRequest, PlanDocument
from api.routes import examples
from api.routes.bodies import NEEDS_CALLER, NEEDS_JSON, answer, documented_body, json_body
from api.services.optimization import BusyError, Optimizations

router = APIRouter(prefix="/v1", responses=NEEDS_CALLER)


@router.post(
    "/optimize",
    tags=["Optimization"],
    operation_id="optimize",
    summary="Plan a scenario",
    response_model=PlanDocument,
    response_description="A plan that passed verification",
    responses=answer(200, examples.PLAN) | NEEDS_JSON,
    openapi_extra=documented_body(OptimizeRequest, {"One session under a forecast": examples.OPTIMIZE}),
)
async def optimize(
    request: Request, caller: Annotated[Caller, Depends(rest_caller)], context: Annotated[Context, Depends(context_of)]
) -> Response:
    """Plan what a scenario folder holds, sent in one document; for the operator and registered peers."""
    if caller.peer is not None and caller.peer.state is not PeerState.REGISTERED:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "only a registered peer may do this; register first")
    optimizations = optimizations_of(request, context)
    try:
        return JSONResponse(await optimizations.optimize(await json_body(request)))
    except BusyError as error:
        wait_s = str(round(context.settings.solve_deadline_s))
        raise HTTPException(
            status.HTTP_503_SERVICE_UNAVAILABLE, f"{error}; ask again in {wait_s} s", {"Retry-After": wait_s}
        ) from error


def optimizations_of(request: Request, context: Context) -> Optimizations:
    """Those of this application, whose number is limited."""
    state = request.app.state
    if not hasattr(state, "optimizations"):
        state.optimizations = Optimizations(context.settings, state.executor)
    optimizations: Optimizations = state.optimizations
    return optimizations
