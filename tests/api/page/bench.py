"""A depot that is planned when a test says so, and people who look at it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from fastapi import FastAPI
from httpx2 import Response
from starlette.testclient import TestClient

from api.planner import Planner
from tests.api.planning.bench import InlineExecutor
from tests.api.rest.bench import OPERATOR_KEY, Bench, Caller, session, site_input

HOUR = timedelta(hours=1)
FROM_PAGE = {"X-Page": "1"}
OSCP = "/oscp/co/2.0"


@dataclass
class Person:
    """Somebody with a browser."""

    client: TestClient

    def sign_in(self, key: str) -> Response:
        """Give a key."""
        return self.client.post("/page/sign-in", json={"key": key}, headers=FROM_PAGE)

    def get(self, path: str, **values: Any) -> Response:
        """What is at a path below /page."""
        return self.client.get(f"/page/{path}", params=values)

    def see(self, path: str, **values: Any) -> Any:
        """The same, which is there."""
        answer = self.get(path, **values)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ask(self, what: Mapping[str, Any], site: str = "depot") -> Response:
        """Ask what would be if."""
        return self.client.post("/page/what-if", params={"site": site}, json=what, headers=FROM_PAGE)


@dataclass
class PageBench:
    """The depot and who looks at it."""

    bench: Bench
    peer: Caller

    @classmethod
    def make(cls, bench: Bench) -> PageBench:
        """The depot, and nobody charging."""
        made = cls(bench=bench, peer=bench.add_peer())
        bench.add_site(made.peer)
        return made

    @property
    def now(self) -> datetime:
        """What the clock shows."""
        return self.bench.clock.now()

    def somebody(self) -> Person:
        """Who has just opened the page."""
        return Person(TestClient(cast(FastAPI, self.bench.client.app), raise_server_exceptions=False))

    def operator(self) -> Person:
        """The operator, signed in."""
        return self._signed_in(OPERATOR_KEY)

    def person_of(self, peer: Caller) -> Person:
        """Somebody of a peer, signed in with its token."""
        return self._signed_in(peer.authorization.removeprefix("Token "))

    def put_session(self, session_id: str = "S1", *, hours: float = 4.0, energy_kwh: float = 20.0) -> None:
        """A session at C1 that arrives now."""
        row = session(
            session_id=session_id,
            arrival=self.now.isoformat(),
            departure=(self.now + hours * HOUR).isoformat(),
            energy_kwh=energy_kwh,
        )
        assert self.peer.post("/v1/sites/depot/sessions", [row]).status_code == 200

    def put_prices(self, *prices: float) -> None:
        """A price for each hour from now on."""
        rows = [
            {
                "start": (self.now + at * HOUR).isoformat(),
                "end": (self.now + (at + 1) * HOUR).isoformat(),
                "import_price_per_kwh": price,
            }
            for at, price in enumerate(prices)
        ]
        assert self.peer.put("/v1/sites/depot/prices", rows).status_code == 200

    def forecast(self, *capacities_kw: float, kind: str = "CONSUMPTION") -> None:
        """What the peer says of the capacity of each hour from now on."""
        blocks = [
            {
                "capacity": capacity_kw,
                "phase": "ALL",
                "unit": "KW",
                "start_time": (self.now + at * HOUR).isoformat(),
                "end_time": (self.now + (at + 1) * HOUR).isoformat(),
            }
            for at, capacity_kw in enumerate(capacities_kw)
        ]
        self.send("/update_group_capacity_forecast", {"group_id": "main", "type": kind, "forecasted_blocks": blocks})

    def send_block(self, start: datetime, end: datetime, capacity_kw: float) -> None:
        """What the peer says of the capacity of some time."""
        block = {
            "capacity": capacity_kw,
            "phase": "ALL",
            "unit": "KW",
            "start_time": start.isoformat(),
            "end_time": end.isoformat(),
        }
        self.send(
            "/update_group_capacity_forecast",
            {"group_id": "main", "type": "CONSUMPTION", "forecasted_blocks": [block]},
        )

    def site_without_limit(self) -> dict[str, Any]:
        """site.json of the depot with a connection that nothing limits."""
        return site_input(self.peer.peer_id, groups=[{"group_id": "main"}])

    def measure(self, energy_kwh: float, *, hours: float = 1.0) -> None:
        """What C1 delivered in the time up to now."""
        energy = {
            "value": energy_kwh,
            "phase": "ALL",
            "unit": "KWH",
            "direction": "IMPORT",
            "energy_type": "TOTAL",
            "initial_measure_time": (self.now - hours * HOUR).isoformat(),
            "measure_time": self.now.isoformat(),
        }
        asset = {"asset_id": "C1", "asset_category": "CHARGING", "energy_measurement": energy}
        self.send("/update_asset_measurements", {"group_id": "main", "measurements": [asset]})

    def send(self, path: str, body: object) -> None:
        """A message of the peer."""
        answer = self.peer.post(OSCP + path, body, headers={"X-Request-ID": str(uuid.uuid4())})
        assert answer.status_code == 204, answer.text

    def plan(self) -> None:
        """Let the planner look at everything that is due."""

        async def run() -> None:
            planner = Planner(self.bench.context, InlineExecutor())
            await planner.take_due()
            await planner.settle()

        asyncio.run(run())

    def pass_time(self, hours: float) -> None:
        """Let time pass."""
        self.bench.clock.instant = self.now + hours * HOUR

    def _signed_in(self, key: str) -> Person:
        person = self.somebody()
        answer = person.sign_in(key)
        assert answer.status_code == 200, answer.text
        return person
