"""Bodies of requests: read as JSON, and described in the OpenAPI document of the REST API."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import HTTPException, Request, status
from pydantic import BaseModel, TypeAdapter

from models.oscp.v20 import ErrorBody
from optimizer.scenario_io.documents import read_value

THREAD_BYTES = 64_000
"""From this size on a body is read in a thread."""
JSON_CHARSETS = ("", "utf-8", "utf8", "us-ascii")
COMPONENTS = "#/components/schemas/"
INPUT = "-Input"
"""Ends the name of a schema of what is sent: an answer of the same kind has every field."""

Responses = dict[int | str, dict[str, Any]]


def problem(status_code: int, description: str, example: str) -> Responses:
    """An answer of a route that reports an error."""
    content = {"application/json": {"example": {"message": example}}}
    return {status_code: {"model": ErrorBody, "description": description, "content": content}}


NEEDS_CALLER: Responses = (
    problem(400, "The request cannot be taken; the message names field, value and limit", "limit: must be at least 1")
    | problem(401, "No key or token, or not in the right form", "the header Authorization is missing")
    | problem(403, "The key or token is none of ours, or may not do this", "the token is unknown, revoked or expired")
    | problem(408, "The body took too long to arrive", "the body did not arrive within 20 s; send it again")
    | problem(413, "The body is too large", "the body has more than 8000000 bytes; send it in several messages")
    | problem(503, "Nothing was done; ask again after Retry-After", "the database is not available; ask again in 5 s")
)
NEEDS_JSON = problem(415, "The body is not JSON, or compressed", "the header Content-Type is 'text/plain'; send ...")
CONFLICT = problem(409, "It contradicts what is stored; the message says how to go on", "another site has the group")
NO_SITE = problem(404, "There is no such site, or it is another peer's", "there is no site 'depot'")


async def json_body(request: Request) -> object:
    """The body as JSON values.

    Raises:
        HTTPException: 415 where it is said to be something else.
        InputError: It is not JSON.
    """
    text = await raw_body(request)
    return await asyncio.to_thread(read_value, text) if len(text) > THREAD_BYTES else read_value(text)


def require_json(request: Request) -> None:
    """Let pass a request that says its body is JSON in UTF-8.

    Raises:
        HTTPException: 415 where it is said to be something else.
    """
    content_type = request.headers.get("content-type", "")
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charset = next((part.removeprefix("charset=").strip('"') for part in parameters if part.startswith("charset=")), "")
    if kind != "application/json" or charset not in JSON_CHARSETS:
        raise HTTPException(
            status.HTTP_415_UNSUPPORTED_MEDIA_TYPE,
            f"the header Content-Type is {content_type!r}; send application/json in UTF-8",
        )


async def raw_body(request: Request) -> bytes:
    """The body of a request that says it is JSON.

    Raises:
        HTTPException: 415 where it is said to be something else.
    """
    require_json(request)
    if encoding := request.headers.get("content-encoding"):
        raise HTTPException(
            status.HTTP_415_UNSUPPORTED_MEDIA_TYPE,
            f"the header Content-Encoding is {encoding!r}; send the body as it is",
        )
    return await request.body()


def documented_body(kind: Any, examples: Mapping[str, object]) -> dict[str, Any]:  # noqa: ANN401 - a type expression
    """What FastAPI cannot know, as it does not read the body: its schema, and examples by title."""
    schema = TypeAdapter(kind).json_schema(ref_template=f"{COMPONENTS}{{model}}{INPUT}")
    shown = {title.lower().replace(" ", "-"): {"summary": title, "value": value} for title, value in examples.items()}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, "examples": shown}}}}


def answer(
    status_code: int,
    example: object,
    *,
    model: type[BaseModel] | None = None,
    description: str | None = None,
    media_type: str = "application/json",
) -> Responses:
    """An answer of a route, with an example; model and description where the route itself does not give them."""
    texts = {"model": model, "description": description}
    return {
        status_code: {key: text for key, text in texts.items() if text is not None}
        | {"content": {media_type: {"example": example}}}
    }
