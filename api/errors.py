"""What every answer that reports an error looks like: ``{"message": ...}``, whatever went wrong and wherever."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import cast

from fastapi import FastAPI, Request, status
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match

from api.persistence import ConflictError, DatabaseUnavailableError, NotFoundError
from api.services.reading import TokenRefusedError, UnservedVersionError, described
from models.errors import CapacityOptimizerError, InputError
from models.oscp.v20 import ErrorBody

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 5
"""When to ask again while the database is away."""
CORRELATION_HEADER = "X-Correlation-ID"

STATUS_CODES: Mapping[type[CapacityOptimizerError], int] = {
    InputError: 400,
    TokenRefusedError: 403,
    NotFoundError: 404,
    ConflictError: 409,
    UnservedVersionError: 501,
}


def install_error_handlers(app: FastAPI) -> None:
    """Let an application answer every error with ``{"message": ...}``."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(ClientDisconnect, _caller_gone)
    app.add_exception_handler(DatabaseUnavailableError, _database_away)
    for kind in STATUS_CODES:
        app.add_exception_handler(kind, _known_error)
    app.add_exception_handler(Exception, _server_fault)


def error_response(status_code: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that reports an error; a long message is cut."""
    return Response(ErrorBody(message=message).model_dump_json(), status_code, headers, media_type="application/json")


async def _http_error(request: Request, error: Exception) -> Response:
    known = cast(HTTPException, error)
    headers = dict(known.headers or {})
    if known.status_code == status.HTTP_404_NOT_FOUND and known.detail == "Not Found":
        return error_response(404, f"there is nothing at {request.url.path}", headers)
    if known.status_code == status.HTTP_405_METHOD_NOT_ALLOWED:
        allowed = ", ".join(_allowed_methods(request))
        return error_response(
            405, f"{request.method} is not served at {request.url.path}; send {allowed}", headers | {"Allow": allowed}
        )
    return error_response(known.status_code, str(known.detail), headers)


def _allowed_methods(request: Request) -> list[str]:
    # Starlette names those of the first route with that path only.
    allowed: set[str] = set()
    for context in iter_route_contexts(request.app.routes):
        match, _ = context.matches(request.scope)
        if match is Match.PARTIAL:
            allowed |= context.methods or set()
    return sorted(allowed)


async def _invalid_request(_request: Request, error: Exception) -> Response:
    problems = cast("list[ErrorDetails]", cast(RequestValidationError, error).errors())
    return error_response(400, described(problems))


async def _known_error(_request: Request, error: Exception) -> Response:
    status_code = next(code for kind, code in STATUS_CODES.items() if isinstance(error, kind))
    return error_response(status_code, str(error))


async def _caller_gone(_request: Request, _error: Exception) -> Response:
    return error_response(400, "the body ended before it was complete")


async def _database_away(request: Request, error: Exception) -> Response:
    logger.error("request=%s not done, the database is away: %s", _correlation_id(request), error)
    return error_response(
        503,
        f"the database is not available; nothing was done, ask again in {RETRY_AFTER_S} s",
        {"Retry-After": str(RETRY_AFTER_S)},
    )


async def _server_fault(request: Request, error: Exception) -> Response:
    # Outside of every middleware of ours, so the header that they add is added here.
    correlation_id = _correlation_id(request)
    logger.error("request=%s %s failed: %s", correlation_id, request.url.path, type(error).__name__)
    return error_response(
        500,
        f"the server failed; its log says why at request {correlation_id}",
        {CORRELATION_HEADER: correlation_id} if correlation_id else None,
    )


def _correlation_id(request: Request) -> str:
    return str(getattr(request.state, "correlation_id", ""))
