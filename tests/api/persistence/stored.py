"""What the tests of the persistence store: a peer, its site, forecasts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from api.persistence import Database, Transaction
from api.records import EventKind, NewMessage, OutboxKind, Peer, PeerState, SiteLease, StoredPlan
from optimizer.scenario_io.site_schemas import SiteFile
from tests.builders import make_site

NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LEASE_S = 60.0


def make_peer(peer_id: str = "north", **fields: Any) -> Peer:
    """A registered peer."""
    values: dict[str, Any] = {
        "peer_id": peer_id,
        "name": f"depot {peer_id}",
        "profile_name": "standard",
        "state": PeerState.REGISTERED,
        "base_url": "https://fp.example.org/oscp/fp/2.0",
        "outbound_token": f"held-for-{peer_id}",
        "created_at": NOW,
    }
    return Peer(**(values | fields))


def add_sites(database: Database, *site_ids: str, peer_id: str = "north") -> None:
    """A peer with some sites, each of a group of the same name."""
    document = SiteFile.from_domain(make_site()).model_dump_json(by_alias=True)

    def add(tx: Transaction) -> None:
        tx.peers.add(make_peer(peer_id))
        for site_id in site_ids:
            tx.sites.put(site_id, peer_id, document, [site_id], now=NOW)

    database.write_now(add)


def append(database: Database, site_id: str, *, now: datetime = NOW) -> int:
    """Store a forecast about a site; its version."""
    return database.write_now(
        lambda tx: tx.sites.append_event(site_id, EventKind.FORECAST, site_id, request_id="r", body="{}", now=now)
    )


def lease(database: Database, *, owner: str = "one", now: datetime = NOW, limit: int = 100) -> list[SiteLease]:
    """Take what is due."""
    return list(database.write_now(lambda tx: tx.leases.take_due(owner=owner, now=now, lease_s=LEASE_S, limit=limit)))


def attend(database: Database, held: SiteLease, version: int, *, due_at: datetime | None = None) -> None:
    """Note that a site was looked at up to a version."""
    database.write_now(lambda tx: tx.leases.attended(held, version=version, snapshot="{}", due_at=due_at, planned=True))


def make_stored_plan(site_id: str, number: int, *, made_at: datetime = NOW) -> StoredPlan:
    """A plan."""
    return StoredPlan(
        plan_id=f"plan-{number}",
        site_id=site_id,
        version=number,
        made_at=made_at,
        start=made_at,
        end=made_at + timedelta(hours=1),
        status="optimal",
        document="{}",
    )


def make_optimum(number: int, *, group_id: str = "a", peer_id: str = "north") -> NewMessage:
    """An OPTIMUM that waits to go out."""
    return NewMessage(
        peer_id=peer_id,
        kind=OutboxKind.OPTIMUM,
        lane=f"optimum:{group_id}",
        body=f'{{"number": {number}}}',
        request_id=f"optimum-{number}",
        group_id=group_id,
        plan_id=f"plan-{number}",
    )
