"""The OpenAPI document: what FastAPI knows of the routes, put right where it knows it wrong."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts

from api.routes.bodies import INPUT
from optimizer.scenario_io.fields import ID_PATTERN

PORTABLE_ID_PATTERN = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
r"""ID_PATTERN without \p{Cc}, which few readers of OpenAPI know."""
VALIDATION = "422"
FIRST_ERROR = "400"
JSON = "application/json"
VALIDATION_SCHEMAS = ("HTTPValidationError", "ValidationError")
TAGS = (
    ("OSCP 2.0", "The messages of the standard that a Capacity Optimizer takes"),
    ("Peers", "Flexibility providers: invited, registered with, revoked; for the operator"),
    ("Sites", "Groups and chargers of a peer; `site.json` of the scenario folder"),
    ("Sessions", "Who charges when and how much; `sessions.csv` of the scenario folder"),
    ("Prices", "What energy costs; `prices.csv` of the scenario folder"),
    ("Plans", "What the planner made of it"),
    ("Optimization", "A plan for whoever asks, without anything being stored"),
    ("Health", "Whether the server is well"),
)
CORRELATION = {
    "description": "X-Request-ID of the request, or an id made up where it has none; the server's log names it",
    "schema": {"type": "string"},
}
RETRY_AFTER = {"description": "When to ask again, s", "schema": {"type": "integer", "minimum": 0}}

Json = dict[str, Any]


def openapi_document(app: FastAPI) -> Json:
    """The OpenAPI document of an application."""
    document: Json = copy.deepcopy(app.openapi())
    schemas: Json = document.setdefault("components", {}).setdefault("schemas", {})
    told = {context.operation_id: context for context in iter_route_contexts(app.routes) if _is_told(context)}
    for operation in _operations(document):
        _restore_nulls(operation, told[operation["operationId"]])
        _put_right(operation)
        _hoist_definitions(operation, schemas)
    for name in VALIDATION_SCHEMAS:
        schemas.pop(name, None)
    _replace_patterns(document)
    document["tags"] = [{"name": name, "description": text} for name, text in TAGS]
    return document


def _operations(document: Json) -> Iterator[Json]:
    for path in document["paths"].values():
        yield from path.values()


def _is_told(context: RouteContext) -> bool:
    return bool(getattr(context, "include_in_schema", False) and getattr(context, "operation_id", None))


def _restore_nulls(operation: Json, route: RouteContext) -> None:
    """Put back what FastAPI leaves out of examples and defaults: every null."""
    extra: Json = route.openapi_extra or {}
    if "requestBody" in extra:
        operation["requestBody"] = copy.deepcopy(extra["requestBody"])
    for code, response in route.responses.items():
        for media_type, media in response.get("content", {}).items():
            operation["responses"][str(code)]["content"][media_type] |= copy.deepcopy(media)


def _put_right(operation: Json) -> None:
    """A request that cannot be taken is answered with 400; every answer names the request."""
    responses: Json = operation["responses"]
    responses.pop(VALIDATION, None)
    for code, response in responses.items():
        content = response.get("content", {})
        if code >= FIRST_ERROR and JSON in content:
            # FastAPI gives an error the media type of the route's success.
            response["content"] = {JSON: {name: part for media in content.values() for name, part in media.items()}}
        headers = response.setdefault("headers", {})
        headers["X-Correlation-ID"] = CORRELATION
        if code == "503":
            headers["Retry-After"] = RETRY_AFTER


def _hoist_definitions(operation: Json, schemas: Json) -> None:
    for media in operation.get("requestBody", {}).get("content", {}).values():
        for name, schema in media["schema"].pop("$defs", {}).items():
            schemas.setdefault(name + INPUT, schema)


def _replace_patterns(node: object) -> None:
    if isinstance(node, dict):
        if node.get("pattern") == ID_PATTERN:
            node["pattern"] = PORTABLE_ID_PATTERN
        for part in node.values():
            _replace_patterns(part)
    elif isinstance(node, list):
        for part in node:
            _replace_patterns(part)
