"""What happens to every request before a route sees it: its id, its size and time, and how it is counted."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid

from opentelemetry.propagate import extract
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import CORRELATION_HEADER, error_response
from api.logs import log_fields
from api.metrics import Metrics

logger = logging.getLogger(__name__)

MAX_ID_LENGTH = 256
"""The longest id seen has 36 characters."""
ID_HEADERS = ("X-Request-ID", CORRELATION_HEADER)
SMALL_BODY_BYTES = 64_000
"""A rest of a body up to this size is let in after an early answer, so that the connection can be used again."""
REFUSED = "400"
"""From this status on an answer is a refusal or failure, and leaves a line in the log."""
KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SERVER_ERROR = 500
CLOSE = {"Connection": "close"}
STREAMS = frozenset({"/page/events"})
"""Answers that last as long as somebody watches: how long says nothing."""

_VISIBLE = re.compile(r"[\x21-\x7e]+")


class RequestIds:
    """Reads the ids of a request, refuses those that no header should carry, and names one in every answer.

    Later on `request.state` has ``request_id`` (empty for none), ``message_correlation_id`` (the same) and
    ``correlation_id``, which the answer carries: the request's X-Request-ID, or one made up where it has none.

    Args:
        app: What is behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        problem = next((found for name in ID_HEADERS if (found := _id_problem(headers, name))), None)
        request_id = "" if problem else headers.get("X-Request-ID", "")
        answer_id = request_id or str(uuid.uuid4())
        scope.setdefault("state", {}).update(
            request_id=request_id,
            message_correlation_id="" if problem else headers.get(CORRELATION_HEADER, ""),
            correlation_id=answer_id,
        )

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[CORRELATION_HEADER] = answer_id
            await send(message)

        with log_fields(request=answer_id, correlation=scope["state"]["message_correlation_id"]):
            if problem:
                await error_response(400, problem)(scope, receive, send_with_id)
            else:
                await self._app(scope, receive, send_with_id)


def _id_problem(headers: Headers, name: str) -> str | None:
    values = headers.getlist(name)
    if len(values) > 1:
        return f"the header {name} must be there once, not {len(values)} times"
    # An empty one counts as none.
    if values and values[0] and (len(values[0]) > MAX_ID_LENGTH or not _VISIBLE.fullmatch(values[0])):
        return f"the header {name} must be 1 to {MAX_ID_LENGTH} visible ASCII characters without blanks"
    return None


class RequestLimits:
    """Refuses a body that is too large as soon as that shows, and one that takes too long; keeps none of it.

    What counts is what comes: the header Content-Length may say anything.

    Args:
        app: What is behind.
        max_body_bytes: Largest body.
        body_timeout_s: Longest time from the first byte that is asked for to the last, s.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int, body_timeout_s: float) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._body_timeout_s = body_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared_bytes = _declared_bytes(scope)
        if declared_bytes is not None and declared_bytes > self._max_body_bytes:
            await error_response(413, _too_large(self._max_body_bytes), CLOSE)(scope, receive, send)
            return
        body = _Body(receive, self._max_body_bytes, self._body_timeout_s)

        async def send_and_close(message: Message) -> None:
            # Whoever is refused early need not send the rest of something large, or of unknown size.
            is_early = message["type"] == "http.response.start" and not body.is_complete
            if is_early and (declared_bytes is None or declared_bytes > SMALL_BODY_BYTES) and _has_body(scope):
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self._app(scope, body.receive, send_and_close)


class _Body:
    """The body of one request as it comes in."""

    def __init__(self, receive: Receive, max_bytes: int, timeout_s: float) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._received_bytes = 0
        self._deadline_s: float | None = None
        self.is_complete = False

    async def receive(self) -> Message:
        """The next message of the server: a piece of the body, or that the caller is gone."""
        if self.is_complete:
            return await self._receive()
        if self._deadline_s is None:
            self._deadline_s = asyncio.get_running_loop().time() + self._timeout_s
        try:
            async with asyncio.timeout_at(self._deadline_s):
                message = await self._receive()
        except TimeoutError:
            reason = f"the body did not arrive within {self._timeout_s:g} s; send it again"
            raise HTTPException(408, reason, CLOSE) from None
        self._received_bytes += len(message.get("body", b""))
        if self._received_bytes > self._max_bytes:
            raise HTTPException(413, _too_large(self._max_bytes), CLOSE)
        self.is_complete = not message.get("more_body", False)
        return message


def _too_large(max_bytes: int) -> str:
    return f"the body has more than {max_bytes} bytes; send it in several messages"


def _declared_bytes(scope: Scope) -> int | None:
    declared = Headers(scope=scope).get("content-length", "")
    return int(declared) if declared.isascii() and declared.isdigit() else None


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return "content-length" in headers or "transfer-encoding" in headers


class RequestMetrics:
    """Counts requests by route, method and status, and how long answers take.

    Args:
        app: What is behind.
        metrics: Where it is counted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_s = time.perf_counter()
        status = "500"

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            # Paths and methods that are not ours share one label each: a caller cannot make up new ones.
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in KNOWN_METHODS else "other"
            self._metrics.requests.labels(route, method, status).inc()
            seconds = time.perf_counter() - started_s
            if route not in STREAMS:
                self._metrics.request_seconds.labels(route).observe(seconds)
            if status >= REFUSED:
                _note_refusal(scope, method, route, status, seconds)


def _note_refusal(scope: Scope, method: str, route: str, status: str, seconds: float) -> None:
    logger.info(
        "request=%s client=%s %s %s answered %s in %.3f s",
        scope.get("state", {}).get("correlation_id", ""),
        (scope.get("client") or ("unknown",))[0],
        method,
        route,
        status,
        seconds,
    )


class RequestTraces:
    """A span for every request, within the trace of the caller where its headers name one.

    Args:
        app: What is behind.
        tracer: Begins the spans.
    """

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        with self._tracer.start_as_current_span(
            method, context=extract(Headers(scope=scope)), kind=SpanKind.SERVER
        ) as span:

            async def send_and_note(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= SERVER_ERROR:
                        span.set_status(Status(StatusCode.ERROR))
                await send(message)

            try:
                await self._app(scope, receive, send_and_note)
            finally:
                route = getattr(scope.get("route"), "path", "other")
                state = scope.get("state", {})
                span.update_name(f"{method} {route}")
                span.set_attributes(
                    {
                        "http.request.method": method,
                        "http.route": route,
                        "oscp.request_id": state.get("request_id", ""),
                        "oscp.correlation_id": state.get("message_correlation_id", ""),
                    }
                )
