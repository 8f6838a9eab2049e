"""A server without loops on an empty database, peers that call it, and a clock that stands still."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from httpx2 import Response
from pydantic import SecretStr
from starlette.testclient import TestClient

from api.app import create_app
from api.context import Context
from api.metrics import Metrics
from api.persistence import Database
from api.records import Event, OutboxKind, OutboxMessage, Peer, PeerState, TokenKind
from api.settings import Settings
from api.tokens import token_hash
from models.domain.group import CapacityGroup
from models.oscp.v20.fields import to_wire_text
from optimizer.scenario_io.site_schemas import SiteFile
from tests.builders import make_charger, make_site

NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
"""What the clock shows at first."""
OPERATOR_KEY = "the-key-of-the-operator"
PUBLIC_URL = "https://co.example.net/oscp/co/2.0"
PEER_URL = "https://fp.example.org/oscp/fp/2.0"
PREFIX = "/oscp/co/2.0"
STORED_URL = "sqlite:///{}"


@dataclass
class FixedClock:
    """A clock that shows what it is set to."""

    instant: datetime = NOW

    def now(self) -> datetime:
        """What it shows."""
        return self.instant

    def advance(self, seconds: float) -> None:
        """Set it forward, or back."""
        self.instant += timedelta(seconds=seconds)


@dataclass
class Bench:
    """A server and what tests do with it."""

    context: Context
    client: TestClient
    clock: FixedClock
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def add_peer(
        self,
        profile: str = "standard",
        *,
        token: str | None = None,
        kind: TokenKind = TokenKind.CURRENT,
        **fields: Any,
    ) -> Caller:
        """A peer that is registered, unless told, and holds a token."""
        number = next(self._numbers)
        values: dict[str, Any] = {
            "peer_id": f"peer-{number}",
            "name": f"provider {number}",
            "profile_name": profile,
            "state": PeerState.REGISTERED,
            "base_url": PEER_URL,
            "outbound_token": f"outbound-{number}",
            "created_at": self.clock.now(),
        }
        peer = Peer(**(values | fields))
        caller = Caller(self, peer.peer_id, token or f"token-{number}")
        now = self.clock.now()

        def add(tx: Any) -> None:
            tx.peers.add(peer)
            tx.peers.add_token(peer.peer_id, token_hash(caller.token), kind, now=now)

        self.context.database.write_now(add)
        return caller

    def add_site(self, caller: Caller, *group_ids: str, site_id: str | None = None) -> str:
        """A site of a peer with some groups, ``g1`` unless told; its id."""
        name = site_id or f"site-{next(self._numbers)}"
        groups = tuple(CapacityGroup(group_id=group_id, import_limit_kw=100.0) for group_id in group_ids or ("g1",))
        site = make_site(site_id=name, groups=groups, chargers=[make_charger(group_id=groups[0].group_id)])
        document = SiteFile.from_domain(site).model_dump_json()
        now = self.clock.now()
        self.context.database.write_now(
            lambda tx: tx.sites.put(name, caller.peer_id, document, [group.group_id for group in groups], now=now)
        )
        return name

    def events(self, site_id: str) -> Sequence[Event]:
        """What was said of a site."""
        now = self.clock.now()
        return self.context.database.read_now(lambda tx: tx.sites.load(site_id, now=now)).events

    def bodies(self, site_id: str) -> list[Any]:
        """What was said of a site, as JSON objects, with instants as messages have them."""
        return [json.loads(event.body, object_hook=_with_wire_instants) for event in self.events(site_id)]


def _with_wire_instants(value: dict[str, Any]) -> dict[str, Any]:
    return {
        name: to_wire_text(datetime.fromisoformat(part)) if name.endswith("_time") else part
        for name, part in value.items()
    }


@dataclass
class Caller:
    """A peer as the test plays it."""

    bench: Bench
    peer_id: str
    token: str

    def send(
        self,
        path: str,
        body: object = None,
        *,
        method: str = "POST",
        request_id: str | None = "made up",
        token: str | None = None,
        authorization: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a message: bytes as they are, anything else as JSON; None for no body."""
        head = {"Authorization": authorization or f"Token {token or self.token}"}
        if request_id is not None:
            head["X-Request-ID"] = f"request-{next(self.bench._numbers)}" if request_id == "made up" else request_id
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        if body is not None:
            head["Content-Type"] = "application/json"
        return self.bench.client.request(
            method, PREFIX + path, content=content if body is not None else None, headers=head | dict(headers or {})
        )

    def as_stored(self) -> Peer:
        """The peer as it is stored."""
        return self.bench.context.database.read_now(lambda tx: tx.peers.get(self.peer_id))

    def outbox(self, *kinds: OutboxKind) -> list[OutboxMessage]:
        """Pending messages to the peer, the oldest first; of some kinds, or all."""
        found = self.bench.context.database.read_now(lambda tx: tx.outbox.of_peer(self.peer_id, limit=100))
        pending = [entry for entry in found if entry.finished_at is None]
        return sorted(
            (entry for entry in pending if not kinds or entry.message.kind in kinds), key=lambda entry: entry.outbox_id
        )

    def present(self, token: str, kind: TokenKind) -> None:
        """Let the peer present one more token."""
        now = self.bench.clock.now()
        self.bench.context.database.write_now(
            lambda tx: tx.peers.add_token(self.peer_id, token_hash(token), kind, now=now)
        )

    def is_known(self, token: str) -> bool:
        """Whether the peer may present a token."""
        now = self.bench.clock.now()
        return (
            self.bench.context.database.read_now(lambda tx: tx.peers.by_token(token_hash(token), now=now)) is not None
        )


@contextmanager
def running(folder: Path, **settings: Any) -> Iterator[Bench]:
    """A server without loops whose database is the empty one of a folder."""
    values: dict[str, Any] = {
        "operator_key": SecretStr(OPERATOR_KEY),
        "database_url": STORED_URL.format(folder / "state.db"),
    }
    configured = Settings(**(values | settings))
    clock = FixedClock()
    database = Database(configured.database_url)
    context = Context(
        settings=configured, clock=clock, database=database, metrics=Metrics(), owner="test", base_url=PUBLIC_URL
    )
    try:
        with TestClient(create_app(context, loops=False), raise_server_exceptions=False) as client:
            yield Bench(context=context, client=client, clock=clock)
    finally:
        database.close()


def register_body(token: str = "told-to-us", base_url: str = PEER_URL, version: str = "2.0") -> dict[str, Any]:
    """A Register."""
    return {"token": token, "version_url": [{"version": version, "base_url": base_url}]}


def block(
    capacity: object = 25.5,
    start: str = "2026-12-01T09:00:00.000Z",
    end: str = "2026-12-01T10:00:00.000Z",
    *,
    phase: str = "ALL",
    unit: str = "KW",
) -> dict[str, Any]:
    """A block of a forecast."""
    return {"capacity": capacity, "phase": phase, "unit": unit, "start_time": start, "end_time": end}


def forecast_body(*blocks: dict[str, Any], group_id: str = "g1", kind: str = "CONSUMPTION") -> dict[str, Any]:
    """An UpdateGroupCapacityForecast, of one block unless told."""
    return {"group_id": group_id, "type": kind, "forecasted_blocks": list(blocks) or [block()]}


def asset_body(group_id: str = "g1", **values: Any) -> dict[str, Any]:
    """An UpdateAssetMeasurements of one asset."""
    asset = {
        "asset_id": "evse-1",
        "asset_category": "CHARGING",
        "instantaneous_measurement": {
            "value": 7.4,
            "phase": "ALL",
            "unit": "KW",
            "measure_time": "2026-12-01T08:00:00.000Z",
        },
    }
    return {"group_id": group_id, "measurements": [asset | values]}


def group_body(group_id: str = "g1", **values: Any) -> dict[str, Any]:
    """An UpdateGroupMeasurements of one register."""
    register = {
        "value": 20412.25,
        "phase": "ALL",
        "unit": "KWH",
        "direction": "IMPORT",
        "energy_type": "TOTAL",
        "measure_time": "2026-12-01T08:00:00.000Z",
    }
    return {"group_id": group_id, "measurements": [register | values]}


BODIES: Mapping[str, dict[str, Any]] = {
    "/handshake": {"required_behaviour": {"heartbeat_interval": 60, "measurement_configuration": ["CONTINUOUS"]}},
    "/handshake_acknowledge": {"required_behaviour": {"heartbeat_interval": 60, "measurement_configuration": []}},
    "/heartbeat": {"offline_mode_at": "2026-12-01T08:03:00.000Z"},
    "/update_group_capacity_forecast": forecast_body(),
    "/update_asset_measurements": asset_body(),
    "/update_group_measurements": group_body(),
}
"""A valid message for each path that a registered peer may send to."""
GROUP_PATHS = ("/update_group_capacity_forecast", "/update_asset_measurements", "/update_group_measurements")


def message_of(response: Response) -> str:
    """What an answer says that reports an error, in the form every error has."""
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert list(body) == ["message"]
    assert body["message"]
    return str(body["message"])
