"""One page, several servers on one PostgreSQL: whoever watches at one is told of what another did."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.context import Context
from api.metrics import Metrics
from api.monitor.sign_in import sign_in, viewer_of
from api.monitor.views import Views
from api.monitor.watch import Watcher
from api.persistence import Database
from benchmarks.live_server import Operator, free_port, server_process
from tests.api.databases import Postgresql, postgresql_fixture
from tests.api.page.bench import PageBench
from tests.api.rest.bench import OPERATOR_KEY, session, site_input
from tests.api.rest.conftest import serving

__all__ = ["postgresql_fixture"]

PATIENCE_S = 60


@pytest.fixture(name="servers")
def servers_fixture(postgresql: Postgresql) -> Iterator[tuple[PageBench, Context]]:
    """The server that is told everything and plans, and what the parts of the other share."""
    url = postgresql.empty()
    with ExitStack() as running:
        planning = running.enter_context(serving(url))
        planning.context.database.migrate()
        watching = running.enter_context(closing(Database(url)))
        other = replace(planning.context, database=watching, metrics=Metrics(), owner="another")
        yield PageBench.make(planning), other


def test_a_plan_of_another_server_is_told_and_seen(servers: tuple[PageBench, Context]) -> None:
    """Signed in at the one, whoever watches at the other hears of the session and then of the plan, and sees it."""
    page, other = servers

    async def look() -> tuple[dict[str, Any], dict[str, Any], Any]:
        cookie, _ = await sign_in(page.bench.context, OPERATOR_KEY)
        viewer = await viewer_of(other, cookie)
        assert viewer is not None
        stream = Watcher(other).changes(viewer, cookie)
        views = Views(other)
        await asyncio.wait_for(anext(stream), PATIENCE_S)
        await asyncio.to_thread(page.put_session)
        told = await asyncio.wait_for(anext(stream), PATIENCE_S)
        before = await views.site(viewer, "depot", None)
        assert before["plan"] is None
        await asyncio.to_thread(page.plan)
        planned = await asyncio.wait_for(anext(stream), PATIENCE_S)
        return told, planned, await views.site(viewer, "depot", None)

    told, planned, seen = asyncio.run(look())

    assert set(told["changed"]) == {"site:depot"} == set(planned["changed"])
    assert told["changed"] != planned["changed"]
    assert seen["plan"]["delivered_energy_kwh"] == pytest.approx(20.0)


def test_server_sent_events_between_two_processes(postgresql: Postgresql, tmp_path: Path) -> None:
    """Two real servers: what is told to the second goes through the stream of the first, with the plan behind it."""
    url = postgresql.empty()
    first, second = free_port(), free_port()
    with ExitStack() as running:
        for port in (first, second):
            log = tmp_path / f"{port}.log"
            running.enter_context(server_process(url, log, operator_key=OPERATOR_KEY, port=port))
        operator = running.enter_context(closing(Operator(f"http://127.0.0.1:{second}", OPERATOR_KEY)))
        peer = operator.do("POST", "/v1/peers", {"name": "grid operator"})
        person = running.enter_context(httpx2.Client(base_url=f"http://127.0.0.1:{first}", timeout=PATIENCE_S))
        person.post("/page/sign-in", json={"key": OPERATOR_KEY}, headers={"X-Page": "1"}).raise_for_status()
        stream = running.enter_context(person.stream("GET", "/page/events"))
        events = (json.loads(line.removeprefix("data:")) for line in stream.iter_lines() if line.startswith("data:"))
        next(events)

        operator.do("PUT", "/v1/sites/depot", site_input(peer["peer_id"]))
        operator.do("POST", "/v1/sites/depot/sessions", [stay()])

        stamps: list[str] = []
        seen: dict[str, Any] = {"plan": None}
        while seen["plan"] is None:
            stamps += [change["changed"]["site:depot"]] if "site:depot" in (change := next(events))["changed"] else []
            if stamps:
                seen = person.get("/page/site", params={"site": "depot"}).json()
        assert seen["plan"]["delivered_energy_kwh"] == pytest.approx(5.0)


def stay() -> dict[str, Any]:
    """5 kWh for who comes now and stays for two hours."""
    now = datetime.now(UTC).replace(microsecond=0)
    return session(arrival=now.isoformat(), departure=(now + timedelta(hours=2)).isoformat(), energy_kwh=5.0)
