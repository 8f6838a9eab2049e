"""docs/rest-api.md: every route is in it, and what it shows is what happens."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from httpx2 import Response

from api.planner import Planner
from tests.api.planning.bench import InlineExecutor
from tests.api.rest.bench import Bench, Caller
from tests.api.rest.test_openapi import openapi_of_routes

PAGE = Path(__file__).parents[3] / "docs" / "rest-api.md"
PLACEHOLDER = "..."


def examples() -> Iterator[tuple[str, str]]:
    """Every command of the page and the answer below it, in order."""
    for listing in re.findall(r"^```console\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for entry in re.split(r"^\$ ", listing, flags=re.MULTILINE)[1:]:
            # An argument in quotes may go on over several lines; the answer begins where the last one ends.
            end = next(
                index
                for index, character in enumerate(entry)
                if character == "\n" and entry[:index].count("'") % 2 == 0
            )
            yield entry[:end], entry[end + 1 :]


def run(command: str, caller: Caller, peer_id: str) -> Response:
    """Do what curl would."""
    name, *arguments = shlex.split(command)
    assert name == "co"
    method, url, body = "GET", "", None
    while arguments:
        argument = arguments.pop(0)
        if argument == "-X":
            method = arguments.pop(0)
        elif argument == "--json":
            body = json.loads(arguments.pop(0))
            method = "POST" if method == "GET" else method
        else:
            url = argument
    parts = urlsplit(f"//{url}")
    if isinstance(body, dict) and body.get("peer_id") == PLACEHOLDER:
        body["peer_id"] = peer_id
    return caller.call(method, f"{parts.path}?{parts.query}", body)


def agrees(shown: Any, answered: Any) -> bool:
    """Whether an answer is the one shown: the fields shown, with the values shown but for what is left out."""
    if isinstance(shown, dict):
        return all(name in answered and agrees(value, answered[name]) for name, value in shown.items())
    return bool(answered) if shown == PLACEHOLDER else bool(shown == answered)


def test_every_example_does_what_it_shows(bench: Bench) -> None:
    """From top to bottom, on a server whose planner has looked before each of them."""
    planner = Planner(bench.context, InlineExecutor())

    async def plan() -> None:
        await planner.take_due()
        await planner.settle()

    peer_id, commands = "", 0
    for command, shown in examples():
        asyncio.run(plan())
        answer = run(command, bench.operator, peer_id)
        commands += 1

        if shown.startswith("{"):
            assert agrees(json.loads(shown), answer.json()), (command, answer.text)
            peer_id = answer.json().get("peer_id", peer_id)
        else:
            assert answer.text.strip() == shown.strip(), command
    assert commands == 8


def test_every_route_is_named() -> None:
    """No more and no less than what the OpenAPI document has beside OSCP."""
    rows = re.findall(r"^\| `([A-Z]+)` \| (`/.*?`) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    named = {(method, path.strip("`")) for method, paths in rows for path in paths.split(", ")}
    served = {
        (method.upper(), path)
        for path, operations in openapi_of_routes()["paths"].items()
        for method in operations
        if not path.startswith("/oscp/")
    }

    assert named == served
