"""The messages of OSCP 2.0 that a Capacity Optimizer serves, below its base URL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from http import HTTPMethod
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response, Security, status
from fastapi.routing import APIRoute
from pydantic import BaseModel

from api.context import Context
from api.dependencies import OSCP_TOKEN, OscpCaller, get_context, oscp_caller
from api.persistence import DatabaseUnavailableError
from api.routes.bodies import require_json
from api.services import handshake, messages, registration
from api.services.reading import Incoming
from models.oscp.v20 import (
    ErrorBody,
    Handshake,
    HandshakeAcknowledge,
    Heartbeat,
    Register,
    UpdateAssetMeasurements,
    UpdateGroupCapacityForecast,
    UpdateGroupMeasurements,
)

OSCP_PATH = "/oscp/co/2.0"
SEGMENT_HEADERS = ("X-Segment-Index", "X-Segment-Count")
MAX_SEGMENT_DIGITS = 9

Service = Callable[[Context, Incoming], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRoute:
    """How one message is served.

    Args:
        method: Of the request.
        path: Below the base URL.
        summary: What it says.
        serve: Takes it.
        body: What it holds; None where whatever it holds is not looked at.
        aliases: Other spellings of the path that are in use.
        segmented: Whether it may come in parts.
    """

    method: HTTPMethod
    path: str
    summary: str
    serve: Service
    body: type[BaseModel] | None
    aliases: tuple[str, ...] = ()
    segmented: bool = False


# The frequent ones first: they are looked through in this order.
ROUTES = (
    MessageRoute(
        method=HTTPMethod.POST,
        path="/update_group_capacity_forecast",
        summary="State what a group may draw or feed in",
        serve=messages.take_forecast,
        body=UpdateGroupCapacityForecast,
        segmented=True,
    ),
    MessageRoute(
        method=HTTPMethod.POST,
        path="/update_asset_measurements",
        summary="State what was measured at assets of a group",
        serve=messages.take_asset_measurements,
        body=UpdateAssetMeasurements,
        segmented=True,
    ),
    MessageRoute(
        method=HTTPMethod.POST,
        path="/update_group_measurements",
        summary="State what was measured for a group as a whole",
        serve=messages.take_group_measurements,
        body=UpdateGroupMeasurements,
        segmented=True,
    ),
    MessageRoute(
        method=HTTPMethod.POST,
        path="/heartbeat",
        summary="Say until when you count as alive",
        serve=handshake.take_heartbeat,
        body=Heartbeat,
    ),
    MessageRoute(
        method=HTTPMethod.POST,
        path="/register",
        summary="Register, answer our registration, or register anew",
        serve=registration.register,
        body=Register,
    ),
    MessageRoute(
        method=HTTPMethod.PUT,
        path="/register",
        summary="Replace the token and the address with which you are called",
        serve=registration.replace_registration,
        body=Register,
    ),
    MessageRoute(
        method=HTTPMethod.DELETE,
        path="/register",
        summary="Unregister; no token of the pair is valid any more",
        serve=registration.unregister,
        body=None,
    ),
    MessageRoute(
        method=HTTPMethod.POST,
        path="/handshake",
        summary="Say which heartbeats and measurements you want",
        serve=handshake.shake_hands,
        body=Handshake,
    ),
    MessageRoute(
        method=HTTPMethod.POST,
        path="/handshake_acknowledge",
        summary="Answer our handshake",
        serve=handshake.take_acknowledge,
        body=HandshakeAcknowledge,
        aliases=("/handshake_acknowledgment", "/handshake_acknowledgement"),
    ),
)

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorBody, "description": "The body or a header cannot be taken; the message says why"},
    401: {"model": ErrorBody, "description": "No token"},
    403: {"model": ErrorBody, "description": "The token is unknown, revoked or expired"},
    408: {"model": ErrorBody, "description": "The body took too long to arrive"},
    413: {"model": ErrorBody, "description": "The body is too large"},
    415: {"model": ErrorBody, "description": "The body is not JSON, or compressed"},
    503: {"model": ErrorBody, "description": "Nothing was done; ask again after Retry-After"},
}
NO_GROUP: dict[int | str, dict[str, Any]] = {404: {"model": ErrorBody, "description": "You have no such group"}}
NO_VERSION: dict[int | str, dict[str, Any]] = {
    501: {"model": ErrorBody, "description": "No version of the protocol in common"}
}


class _PlainRoute(APIRoute):
    """A route whose endpoint gets the request as it is: to resolve what else it might ask for takes long."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint."""
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint


def _endpoint(message: MessageRoute, name: str) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def endpoint(request: Request) -> Response:
        context = get_context(request)
        outcome = "refused"
        try:
            caller = await oscp_caller(request)
            await message.serve(context, await _incoming(message, request, caller))
            outcome = "taken"
        except DatabaseUnavailableError:
            outcome = "unavailable"
            raise
        finally:
            context.metrics.messages.labels(name, outcome).inc()
        return Response(status_code=status.HTTP_204_NO_CONTENT)

    return endpoint


async def _incoming(message: MessageRoute, request: Request, caller: OscpCaller) -> Incoming:
    """The request as the services see it; what its headers tell is checked before its body is read."""
    if message.body is not None:
        _check_media_type(request)
    request_id: str = request.state.request_id
    segment = _segment(request, message, get_context(request).settings.max_segments)
    # The parts of a message are told apart by it, whoever sends them.
    if not request_id and (segment is not None or caller.peer.profile.require_request_id):
        raise HTTPException(status.HTTP_400_BAD_REQUEST, "the header X-Request-ID is missing; give every request an id")
    return Incoming(
        peer=caller.peer,
        token_kind=caller.token_kind,
        token_hash=caller.token_hash,
        # A PUT that repeats the words of a POST is no repetition of it.
        path=message.path if message.method is HTTPMethod.POST else f"{message.method} {message.path}",
        request_id=request_id,
        answer_id=request.state.correlation_id,
        correlation_id=request.state.message_correlation_id,
        segment=segment,
        body=await request.body(),
    )


def _check_media_type(request: Request) -> None:
    require_json(request)
    if "content-encoding" in request.headers:
        raise HTTPException(
            status.HTTP_415_UNSUPPORTED_MEDIA_TYPE,
            f"the header Content-Encoding is {request.headers['content-encoding']!r}; send the body as it is",
        )


def _segment(request: Request, message: MessageRoute, max_segments: int) -> tuple[int, int] | None:
    """Index and count of a part; None for a message in one piece."""
    given = [request.headers.getlist(name) for name in SEGMENT_HEADERS]
    if not any(given):
        return None
    texts = [values[0] if len(values) == 1 else "" for values in given]
    if not all(text.isascii() and text.isdigit() and len(text) <= MAX_SEGMENT_DIGITS for text in texts):
        raise HTTPException(
            status.HTTP_400_BAD_REQUEST, "X-Segment-Index and X-Segment-Count must both be there, each one whole number"
        )
    index, count = map(int, texts)
    if not 1 <= index <= count <= max_segments:
        raise HTTPException(
            status.HTTP_400_BAD_REQUEST,
            f"X-Segment-Index {index} of X-Segment-Count {count} must lie between 1 and the count, "
            f"and the count be at most {max_segments}",
        )
    if count == 1:
        return None
    if not message.segmented:
        raise HTTPException(status.HTTP_400_BAD_REQUEST, f"{message.path} is taken in one piece only")
    return index, count


def _add_routes(message: MessageRoute) -> None:
    documented = _documentation(message)
    name = f"{message.method.lower()}_{message.path.removeprefix('/')}"
    endpoint = _endpoint(message, name)
    responses = ERRORS | (NO_GROUP if message.segmented else {}) | (NO_VERSION if message.body is Register else {})
    for path in (message.path, *message.aliases):
        for spelling in (path, f"{path}/"):
            router.add_api_route(
                spelling,
                endpoint,
                methods=[message.method],
                name=name,
                operation_id=name if spelling == message.path else None,
                summary=message.summary,
                status_code=status.HTTP_204_NO_CONTENT,
                response_description="Taken; it is stored",
                responses=responses,
                openapi_extra=documented,
                include_in_schema=spelling == message.path,
            )


def _documentation(message: MessageRoute) -> dict[str, Any]:
    """What FastAPI cannot know, as it does not read the body."""
    texts = {
        "X-Request-ID": "Names the request; one that comes again under its id does nothing",
        "X-Correlation-ID": "X-Request-ID of the message that this one answers",
    }
    if message.segmented:
        texts["X-Segment-Index"] = "Of a message in parts, which part this is, from 1 on"
        texts["X-Segment-Count"] = "Of a message in parts, how many there are"
    parameters = [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": text,
            "schema": {"type": "integer", "minimum": 1} if "Segment" in name else {"type": "string", "maxLength": 256},
        }
        for name, text in texts.items()
    ]
    if message.body is None:
        return {"parameters": parameters}
    schema = _inlined(message.body.model_json_schema())
    return {
        "parameters": parameters,
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
    }


def _inlined(schema: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """A JSON schema with its definitions in the places that name them, as a part of another document needs it."""
    definitions = schema.pop("$defs", {})

    def inlined(node: Any) -> Any:  # noqa: ANN401 - JSON
        if isinstance(node, Sequence) and not isinstance(node, str):
            return [inlined(part) for part in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            rest = {key: value for key, value in node.items() if key != "$ref"}
            return inlined(definitions[node["$ref"].rpartition("/")[2]]) | inlined(rest)
        return {key: inlined(value) for key, value in node.items()}

    return inlined(schema)


# The dependency is there for the documentation; the endpoint sees to it.
router = APIRouter(prefix=OSCP_PATH, tags=["OSCP 2.0"], route_class=_PlainRoute, dependencies=[Security(OSCP_TOKEN)])
for _message in ROUTES:
    _add_routes(_message)
