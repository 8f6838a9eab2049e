"""A server without loops, callers of it, and the scenario they speak of."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from httpx2 import Response
from starlette.testclient import TestClient

from api.advice import Question, answered
from api.context import Context
from api.executor import SolveExecutor
from api.persistence import Transaction
from api.records import OutboxMessage, Peer, PeerState, StoredPlan, TokenKind
from api.settings import Settings
from api.tokens import new_token, token_hash
from models.domain import Scenario, Schedule
from optimizer import OptimizeOptions, optimize
from optimizer.advice import Advice
from optimizer.scenario_io.plan_document import to_plan_document
from tests.builders import MORNING, make_scenario, make_schedule

OPERATOR_KEY = "operator-key-of-the-tests"
BASE_URL = "https://optimizer.example/oscp/co/2.0"
PEER_URL = "https://fp.example/oscp/fp/2.0"
SESSION = {
    "session_id": "S1",
    "charger_id": "C1",
    "arrival": "2026-03-02T09:00:00+01:00",
    "departure": "2026-03-02T11:00:00+01:00",
    "energy_kwh": 10,
}
PRICE = {
    "start": "2026-03-02T09:00:00+01:00",
    "end": "2026-03-02T10:00:00+01:00",
    "import_price_per_kwh": 0.2,
}

T = TypeVar("T")


@dataclass
class FixedClock:
    """A clock that shows what it is set to."""

    instant: datetime = MORNING

    def now(self) -> datetime:
        """What it shows."""
        return self.instant


class InlineSolver(SolveExecutor):
    """Solves at once, in the test's own process; keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(Settings())
        self.asked: list[OptimizeOptions] = []
        self.is_healthy = True
        self.before: Callable[[], Any] = lambda: None

    async def healthy(self) -> bool:
        return self.is_healthy

    def start(self) -> None:
        """Nothing is to be started."""

    def close(self) -> None:
        """Nothing is to be closed."""

    async def solve(self, scenario: Scenario, options: OptimizeOptions) -> Schedule:
        self.asked.append(options)
        self.before()
        return optimize(scenario, options)

    async def advise(self, question: Question) -> Advice:
        return answered(question)


@dataclass
class Caller:
    """Somebody who calls with a key or token."""

    client: TestClient
    authorization: str
    peer_id: str = ""

    def call(self, method: str, path: str, body: object = None, **options: Any) -> Response:
        """Send a request."""
        headers = {"Authorization": self.authorization} | options.pop("headers", {})
        if body is not None:
            options["json"] = body
        return self.client.request(method, path, headers=headers, **options)

    def get(self, path: str, **options: Any) -> Response:
        """Send GET."""
        return self.call("GET", path, **options)

    def put(self, path: str, body: object = None, **options: Any) -> Response:
        """Send PUT."""
        return self.call("PUT", path, body, **options)

    def post(self, path: str, body: object = None, **options: Any) -> Response:
        """Send POST."""
        return self.call("POST", path, body, **options)

    def delete(self, path: str, **options: Any) -> Response:
        """Send DELETE."""
        return self.call("DELETE", path, **options)


@dataclass
class Bench:
    """A server and what tests do with it."""

    context: Context
    client: TestClient
    clock: FixedClock
    solver: InlineSolver

    @property
    def operator(self) -> Caller:
        """The operator."""
        return Caller(self.client, f"Bearer {OPERATOR_KEY}")

    @property
    def stranger(self) -> Caller:
        """Somebody with a token nobody issued."""
        return Caller(self.client, f"Token {new_token()}")

    def write(self, work: Callable[[Transaction], T]) -> T:
        """Change what is stored."""
        return self.context.database.write_now(work)

    def read(self, work: Callable[[Transaction], T]) -> T:
        """Look at what is stored."""
        return self.context.database.read_now(work)

    def add_peer(self, name: str = "depot north", **fields: Any) -> Caller:
        """A registered peer, and a call with its token."""
        values: dict[str, Any] = {
            "peer_id": name.replace(" ", "-"),
            "name": name,
            "profile_name": "standard",
            "state": PeerState.REGISTERED,
            "base_url": PEER_URL,
            "outbound_token": "the-token-we-hold",
            "created_at": self.clock.now(),
            "registered_at": self.clock.now(),
        }
        peer = Peer(**(values | fields))
        token = new_token()
        now = self.clock.now()

        def add(tx: Transaction) -> None:
            tx.peers.add(peer)
            tx.peers.add_token(peer.peer_id, token_hash(token), TokenKind.CURRENT, now=now)

        self.write(add)
        return Caller(self.client, f"Token {token}", peer.peer_id)

    def add_site(self, peer: Caller, site_id: str = "depot", **fields: Any) -> None:
        """A site of a peer, of one charger in one group."""
        answer = self.operator.put(f"/v1/sites/{site_id}", site_input(peer.peer_id, **fields))
        assert answer.status_code == 201, answer.text

    def add_plan(self, site_id: str = "depot") -> None:
        """The plan of `make_schedule` in force."""
        plan = make_plan(site_id)
        self.write(lambda tx: tx.plans.add(plan))

    def peer(self, peer_id: str) -> Peer:
        """A peer as stored."""
        return self.read(lambda tx: tx.peers.get(peer_id))

    def knows(self, token: str) -> TokenKind | None:
        """What a token is for; None where it is not valid."""
        now = self.clock.now()
        found = self.read(lambda tx: tx.peers.by_token(token_hash(token), now=now))
        return found[1] if found else None

    def outbox(self, peer_id: str) -> list[OutboxMessage]:
        """Messages to a peer, the oldest first."""
        return sorted(
            self.read(lambda tx: tx.outbox.of_peer(peer_id, limit=100)), key=lambda message: message.outbox_id
        )


def make_plan(site_id: str) -> StoredPlan:
    """The plan of `make_schedule` for a site."""
    document = to_plan_document(make_schedule(), make_scenario(), OptimizeOptions(), notes=())
    return StoredPlan(
        plan_id=f"plan-of-{site_id}",
        site_id=site_id,
        version=1,
        made_at=MORNING,
        start=MORNING,
        end=MORNING + timedelta(hours=2),
        status="optimal",
        document=json.dumps(document),
    )


def site_input(peer_id: str, **fields: Any) -> dict[str, Any]:
    """site.json of `make_site`, and whose it is."""
    return {
        "peer_id": peer_id,
        "time_zone": "Europe/Amsterdam",
        "currency": "EUR",
        "groups": [{"group_id": "main", "import_limit_kw": 100}],
        "chargers": [{"charger_id": "C1", "group_id": "main", "max_power_kw": 22}],
    } | fields


def session(**fields: Any) -> dict[str, Any]:
    """A row of sessions.csv: 10 kWh at C1 from nine to eleven."""
    return SESSION | fields


def price(**fields: Any) -> dict[str, Any]:
    """A row of prices.csv: 0.20 from nine to ten."""
    return PRICE | fields


def message(answer: Response, status_code: int) -> str:
    """The text of an answer that reports an error of some status."""
    assert answer.status_code == status_code, answer.text
    body = answer.json()
    assert list(body) == ["message"]
    return str(body["message"])
