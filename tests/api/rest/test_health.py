"""Whether the server is well, for those who watch over it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from api.persistence import DatabaseUnavailableError, Transaction
from api.records import NewMessage, OutboxKind, StoredPlan
from tests.api.rest.bench import Bench, make_plan, message
from tests.builders import MORNING


class Away:
    """A database that cannot be reached."""

    def revision(self) -> tuple[str | None, str]:
        raise DatabaseUnavailableError("connection refused by secret-host")

    async def read(self, work: object) -> object:
        raise DatabaseUnavailableError("connection refused by secret-host")


class Outdated(Away):
    """A database that was not migrated."""

    def revision(self) -> tuple[str | None, str]:
        return "0001", "0002"


def add_plan(tx: Transaction, *, plan: StoredPlan) -> None:
    """Publish a plan."""
    tx.plans.add(plan)


def put_in_place(bench: Bench, database: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the server use another database."""
    context = bench.context
    values = {name: getattr(context, name) for name in type(context).__dataclass_fields__} | {"database": database}
    monkeypatch.setattr(bench.client.app.state, "context", type(context)(**values))  # type: ignore[attr-defined]


def test_it_is_alive_whatever_is_wrong(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 without key and database."""
    put_in_place(bench, Away(), monkeypatch)

    answer = bench.client.get("/healthz")

    assert (answer.status_code, answer.text) == (200, "ok\n")


def test_it_is_ready(bench: Bench) -> None:
    """Nobody needs a key to ask."""
    answer = bench.client.get("/readyz")

    assert answer.status_code == 200
    checks = {"database": True, "migrations": True, "executor": True, "loops": True}
    assert answer.json() == {"ready": True, "checks": checks}


@pytest.mark.parametrize(
    ("wrong", "checks"),
    [
        ("database", {"database": False, "migrations": False, "executor": True, "loops": True}),
        ("migrations", {"database": True, "migrations": False, "executor": True, "loops": True}),
        ("executor", {"database": True, "migrations": True, "executor": False, "loops": True}),
        ("loops", {"database": True, "migrations": True, "executor": True, "loops": False}),
    ],
)
def test_it_is_not_ready(bench: Bench, monkeypatch: pytest.MonkeyPatch, wrong: str, checks: dict[str, bool]) -> None:
    """503 that says what is wrong, and nothing of how the database is reached."""
    if wrong == "loops":
        bench.client.app.state.loops.failures["planner"] = "it failed"  # type: ignore[attr-defined]
    elif wrong == "executor":
        bench.solver.is_healthy = False
    else:
        put_in_place(bench, Away() if wrong == "database" else Outdated(), monkeypatch)

    answer = bench.client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "checks": checks}
    assert "secret" not in answer.text


class TestMetrics:
    """GET /metrics."""

    def test_what_waits_is_measured_when_asked(self, bench: Bench) -> None:
        """A message that has waited two minutes, a site nobody looked at for one, and one of two peers offline."""
        peer = bench.add_peer(offline=True)
        bench.add_peer("depot south")
        note = NewMessage(peer_id=peer.peer_id, kind=OutboxKind.HANDSHAKE, lane="control", body="{}", request_id="1")
        bench.write(lambda tx: tx.outbox.add([note], now=MORNING))
        bench.clock.instant = MORNING + timedelta(minutes=1)
        bench.add_site(peer)
        bench.clock.instant = MORNING + timedelta(minutes=2)

        lines = bench.operator.get("/metrics").text.splitlines()

        assert "oscp_outbox_age_seconds 120.0" in lines
        assert "oscp_unattended_age_seconds 60.0" in lines
        assert "oscp_outbox_pending 1.0" in lines
        assert "oscp_peers_offline 1.0" in lines
        assert 'oscp_peers{state="online"} 1.0' in lines

    def test_the_plan_in_force_of_every_site(self, bench: Bench) -> None:
        """The newest of each site is told, the figures that were noted with it, and nothing of a site that is gone."""
        peer = bench.add_peer()
        for site_id in ("east", "west", "gone"):
            bench.add_site(peer, site_id, groups=[{"group_id": site_id}], chargers=[])
            for number, unmet_kwh in enumerate((7.0, 2.5)):
                plan = replace(make_plan(site_id), plan_id=f"{site_id} {number}", unmet_kwh=unmet_kwh)
                bench.write(partial(add_plan, plan=plan))
        bench.operator.delete("/v1/sites/gone")

        lines = bench.operator.get("/metrics").text.splitlines()

        assert [line for line in lines if line.startswith("oscp_unmet_kwh")] == [
            'oscp_unmet_kwh{site="east"} 2.5',
            'oscp_unmet_kwh{site="west"} 2.5',
        ]
        assert 'oscp_plan_status{site="east",status="optimal"} 1.0' in lines
        assert f'oscp_plan_made_timestamp_seconds{{site="west"}} {MORNING.timestamp()}'.split()[0] in "".join(lines)
        assert not any(line.startswith("oscp_limit_margin_kw") for line in lines)

    def test_messages_by_what_became_of_them(self, bench: Bench) -> None:
        """One taken, one refused for its token."""
        path, beat = "/oscp/co/2.0/heartbeat", {"offline_mode_at": "2026-03-02T09:00:00Z"}
        assert bench.add_peer().post(path, beat, headers={"X-Request-ID": "1"}).status_code == 204
        message(bench.stranger.post(path, beat), 403)

        lines = bench.operator.get("/metrics").text.splitlines()

        for outcome in ("taken", "refused"):
            assert f'oscp_messages_total{{kind="post_heartbeat",outcome="{outcome}"}} 1.0' in lines

    def test_they_are_read_without_the_database(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """What this process counted is of use just then."""
        put_in_place(bench, Away(), monkeypatch)

        answer = bench.operator.get("/metrics")

        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain")
        assert "oscp_requests_total" in answer.text

    def test_they_are_for_the_operator(self, bench: Bench) -> None:
        """There is no open endpoint but health."""
        message(bench.client.get("/metrics"), 401)
        message(bench.add_peer().get("/metrics"), 403)


def test_a_database_that_is_away_is_said_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with Retry-After; the message does not tell where the database is."""
    put_in_place(bench, Away(), monkeypatch)

    answer = bench.operator.get("/v1/sites")

    assert "secret" not in message(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0
