"""The application: routes, middleware, and the loops that run behind them. Nothing runs at import."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import version

from fastapi import FastAPI
from opentelemetry.trace import NoOpTracer
from starlette.types import Lifespan

from api.context import Context
from api.delivery import Delivery
from api.dependencies import TokenMemory
from api.errors import install_error_handlers
from api.executor import SolveExecutor
from api.heartbeat import Heartbeats
from api.middleware import RequestIds, RequestLimits, RequestMetrics, RequestTraces
from api.oscp_client import OscpClient
from api.persistence import DatabaseUnavailableError, UnknownRevisionError
from api.persistence.maintenance import prune
from api.planner import Planner
from api.routes import advice, health, optimize, oscp, page, peers, reports, sites
from api.supervision import Loops

logger = logging.getLogger(__name__)

ROUTERS = tuple(routes.router for routes in (oscp, peers, sites, advice, reports, optimize, health, page))

DATABASE_PAUSE_S = 1.0
PRUNE_INTERVAL_S = 600.0

DESCRIPTION = """
A Capacity Optimizer of OSCP 2.0. A flexibility provider registers, sends capacity forecasts and measurements, and gets
verified OPTIMUM forecasts back; what OSCP has no message for (sites, sessions, prices) goes through `/v1`.
Power is in kW, energy in kWh, instants are ISO 8601 with an offset.
"""


def create_app(context: Context, *, loops: bool = True, executor: SolveExecutor | None = None) -> FastAPI:
    """The application.

    Args:
        context: What its parts share.
        loops: Whether it plans, delivers and beats; without, it only answers.
        executor: Solves; one of its own, by the settings, when None.
    """
    settings = context.settings
    solver = executor or SolveExecutor(settings)
    app = FastAPI(
        title="OSCP Capacity Optimizer",
        version=version("oscp-capacity-optimizer"),
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # A redirect would name the host that the caller named, whoever that is.
        redirect_slashes=False,
        lifespan=_lifespan_of(context, solver, loops=loops),
    )
    app.state.context = context
    app.state.executor = solver
    app.state.loops = Loops()
    app.state.tokens = TokenMemory()
    app.state.page = page.PageState(context)
    install_error_handlers(app)
    app.add_middleware(RequestLimits, max_body_bytes=settings.max_body_bytes, body_timeout_s=settings.body_timeout_s)
    app.add_middleware(RequestMetrics, metrics=context.metrics)
    app.add_middleware(RequestIds)
    if not isinstance(context.tracer, NoOpTracer):
        app.add_middleware(RequestTraces, tracer=context.tracer)
    for router in ROUTERS:
        app.include_router(router)
    return app


def _lifespan_of(context: Context, executor: SolveExecutor, *, loops: bool) -> Lifespan[FastAPI]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if not loops:
            yield
            return
        running: Loops = app.state.loops
        async with _behind(context, executor, running):
            yield

    return lifespan


@asynccontextmanager
async def _behind(context: Context, executor: SolveExecutor, running: Loops) -> AsyncIterator[None]:
    """What runs behind the routes: planning, delivery, heartbeats, pruning."""
    client = OscpClient(context.settings)
    planner = Planner(context, executor)
    delivery = Delivery(context, client)
    heartbeats = Heartbeats(context, client)
    await asyncio.to_thread(executor.start)
    migrated = asyncio.create_task(_migrate(context))

    def after_migration(run: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        async def wait_and_run() -> None:
            await asyncio.shield(migrated)
            await run()

        return wait_and_run

    running.start("planner", after_migration(planner.run))
    running.start("delivery", after_migration(delivery.run))
    running.start("heartbeats", after_migration(heartbeats.run))
    running.start("pruning", after_migration(lambda: _prune(context)))
    try:
        yield
    finally:
        migrated.cancel()
        await running.stop()
        for part in (planner, delivery, heartbeats):
            await part.stop()
        await client.close()
        await asyncio.to_thread(executor.close)
        await asyncio.to_thread(context.database.close)


async def _migrate(context: Context) -> None:
    """Bring the database up to date; while it cannot be reached, try again and again."""
    while True:
        try:
            await asyncio.to_thread(context.database.migrate)
        except (DatabaseUnavailableError, UnknownRevisionError) as error:
            logger.warning("database: %s; tried again in %s s", error, DATABASE_PAUSE_S)
            await asyncio.sleep(DATABASE_PAUSE_S)
        else:
            return


async def _prune(context: Context) -> None:
    settings = context.settings
    while True:
        now = context.clock.now()
        deleted = await asyncio.to_thread(
            prune,
            context.database,
            before=now - timedelta(days=settings.retention_days),
            requests_before=now - timedelta(seconds=max(settings.request_memory_s, settings.segment_age_s)),
        )
        if deleted:
            logger.info("pruned rows=%d", deleted)
        await asyncio.sleep(PRUNE_INTERVAL_S)
