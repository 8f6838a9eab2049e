"""Whether the server is well, what it counted, and what it serves."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response, status
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from api.context import Context
from api.dependencies import context_of, operator, rest_caller
from api.metrics import StoredFigures
from api.persistence import DatabaseUnavailableError, Transaction
from api.records import Peer, PeerState
from api.rest_schemas import Readiness
from api.routes.bodies import NEEDS_CALLER, answer
from api.routes.openapi import openapi_document

logger = logging.getLogger(__name__)

router = APIRouter(tags=["Health"])

DATABASE_TIMEOUT_S = 5.0
READY = {"ready": True, "checks": {"database": True, "migrations": True, "executor": True, "loops": True}}
NOT_READY = {"ready": False, "checks": {"database": False, "migrations": False, "executor": True, "loops": True}}
METRICS_EXAMPLE = 'oscp_requests_total{method="GET",route="/healthz",status="200"} 1.0\n'

ContextOf = Annotated[Context, Depends(context_of)]


@router.get(
    "/healthz",
    operation_id="healthz",
    summary="Whether requests are served",
    response_class=PlainTextResponse,
    response_description="They are",
    responses=answer(200, "ok\n", media_type="text/plain"),
)
async def healthz() -> PlainTextResponse:
    """Answers as soon as requests are served, whatever else is wrong."""
    return PlainTextResponse("ok\n")


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Whether everything is at work",
    response_model=Readiness,
    response_description="Everything is",
    responses=answer(200, READY)
    | answer(503, NOT_READY, model=Readiness, description="Something is not; the checks say what"),
)
async def readyz(request: Request, context: ContextOf) -> JSONResponse:
    """Whether the database is reached and up to date, plans can be made, and the loops run."""
    reached, migrated = await _database(request, context)
    checks = {
        "database": reached,
        "migrations": migrated,
        "executor": await request.app.state.executor.healthy(),
        "loops": bool(request.app.state.loops.running),
    }
    readiness = Readiness(ready=all(checks.values()), checks=checks)
    status_code = status.HTTP_200_OK if readiness.ready else status.HTTP_503_SERVICE_UNAVAILABLE
    headers = None if readiness.ready else {"Retry-After": str(round(DATABASE_TIMEOUT_S))}
    return JSONResponse(readiness.model_dump(), status_code, headers)


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="What Prometheus reads",
    dependencies=[Depends(operator)],
    response_class=PlainTextResponse,
    response_description="What this server counted and what the database says, in the text format of Prometheus",
    responses=answer(200, METRICS_EXAMPLE, media_type="text/plain") | NEEDS_CALLER,
)
async def metrics(context: ContextOf) -> Response:
    """What the processes of this server counted, and the state of all servers together; for the operator."""
    try:
        stored = await _stored(context)
    except DatabaseUnavailableError as error:
        logger.warning("metrics without the figures of the database: %s", error)
        stored = None
    return Response(await asyncio.to_thread(context.metrics.exposition, stored), media_type=CONTENT_TYPE_LATEST)


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request, context: ContextOf) -> JSONResponse:
    """What is served, for whoever has a key or token, and in a demonstration for everybody."""
    if not context.settings.demo:
        await rest_caller(request)
    state = request.app.state
    if not hasattr(state, "openapi_document"):
        state.openapi_document = openapi_document(request.app)
    return JSONResponse(state.openapi_document)


async def _database(request: Request, context: Context) -> tuple[bool, bool]:
    """Whether the database is reached and at the newest revision; however many ask, it is looked at once at a time."""
    state = request.app.state
    running: asyncio.Task[tuple[bool, bool]] | None = getattr(state, "database_check", None)
    if running is None or running.done():
        running = asyncio.create_task(asyncio.to_thread(_look_at_database, context))
        state.database_check = running
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT_S):
            return await asyncio.shield(running)
    except TimeoutError:
        return False, False


def _look_at_database(context: Context) -> tuple[bool, bool]:
    try:
        present, needed = context.database.revision()
    except DatabaseUnavailableError as error:
        logger.warning("not ready: %s", error)
        return False, False
    return True, present == needed


async def _stored(context: Context) -> StoredFigures:
    now = context.clock.now()

    def read(tx: Transaction) -> StoredFigures:
        pending, oldest = tx.outbox.pending()
        return StoredFigures(
            outbox_age_s=_age_s(oldest, now),
            outbox_pending=pending,
            unattended_age_s=_age_s(tx.leases.oldest_unattended(), now),
            peers=Counter(map(_kind_of, tx.peers.all())),
            plans=tuple(tx.plans.figures()),
        )

    return await context.database.read(read)


def _age_s(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())


def _kind_of(peer: Peer) -> str:
    """Its state; of those that are registered, whether it is online."""
    if peer.state is not PeerState.REGISTERED:
        return peer.state
    return "offline" if peer.offline else "online"
