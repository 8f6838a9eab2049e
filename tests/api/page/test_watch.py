"""Whoever watches is told what has changed, whichever server changed it, and nothing of others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from api.monitor import watch
from api.monitor.sign_in import sign_in, sign_out
from api.monitor.watch import Watcher
from tests.api.page.bench import PageBench
from tests.api.rest.bench import OPERATOR_KEY

PATIENCE_S = 60


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look every hundredth of a second."""
    monkeypatch.setattr(watch, "POLL_S", 0.01)


async def told(stream: AsyncIterator[dict[str, Any]]) -> dict[str, Any]:
    """What comes next."""
    return await asyncio.wait_for(anext(stream), PATIENCE_S)


def test_first_everything_then_what_changes(page: PageBench) -> None:
    """A message of a peer, told by another server through the database alone, names its site and nothing else."""

    async def look() -> list[dict[str, Any]]:
        cookie, viewer = await sign_in(page.bench.context, OPERATOR_KEY)
        stream = Watcher(page.bench.context).changes(viewer, cookie)
        first = await told(stream)
        await asyncio.to_thread(page.forecast, 15.0)
        return [first, await told(stream)]

    first, then = asyncio.run(look())

    assert set(first["changed"]) == {"site:depot", f"peer:{page.peer.peer_id}"}
    assert set(then["changed"]) == {"site:depot"}
    assert then["database"]
    assert then["now"] == page.now.timestamp()


def test_a_peer_is_told_of_its_own(page: PageBench) -> None:
    """Nothing of another peer's site."""
    stranger = page.bench.add_peer("stranger")

    async def look() -> dict[str, Any]:
        token = stranger.authorization.removeprefix("Token ")
        cookie, viewer = await sign_in(page.bench.context, token)
        return await told(Watcher(page.bench.context).changes(viewer, cookie))

    assert set(asyncio.run(look())["changed"]) == {f"peer:{stranger.peer_id}"}


def test_what_is_gone(page: PageBench) -> None:
    """A deleted site is named."""

    async def look() -> dict[str, Any]:
        cookie, viewer = await sign_in(page.bench.context, OPERATOR_KEY)
        stream = Watcher(page.bench.context).changes(viewer, cookie)
        await told(stream)
        await asyncio.to_thread(page.bench.operator.delete, "/v1/sites/depot")
        return await told(stream)

    assert asyncio.run(look())["gone"] == ["site:depot"]


def test_it_ends_with_the_sign_in(page: PageBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has signed out elsewhere is told so, and no more."""
    monkeypatch.setattr(watch, "SIGN_OF_LIFE_S", 0.05)

    async def look() -> dict[str, Any]:
        cookie, viewer = await sign_in(page.bench.context, OPERATOR_KEY)
        stream = Watcher(page.bench.context).changes(viewer, cookie)
        await told(stream)
        await sign_out(page.bench.context, cookie)
        *_, last = [change async for change in stream]
        return last

    assert asyncio.run(look()) == {"ended": True}


def test_many_who_watch_ask_once(page: PageBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many watch, the database is asked once within a poll."""
    monkeypatch.setattr(watch, "POLL_S", 3600.0)
    asked = []
    read = page.bench.context.database.read

    async def counted(work: Any) -> Any:
        asked.append(work)
        return await read(work)

    async def look() -> None:
        watcher = Watcher(page.bench.context)
        await asyncio.gather(*(watcher.stamps() for _ in range(50)))

    monkeypatch.setattr(page.bench.context.database, "read", counted)
    asyncio.run(look())

    assert len(asked) == 1
