"""Heartbeats that go out, and those that do not come."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta

import pytest

from api.records import OutboxKind, PeerState
from tests.api.outbound.bench import FakePeer, OutboundBench

MINUTE = timedelta(minutes=1)


def beats(fake: FakePeer) -> list[str]:
    """What the heartbeats that went out promise."""
    return [json.loads(request.body)["offline_mode_at"] for request in fake.requests]


class TestSending:
    """Who asked for heartbeats gets them."""

    def test_at_the_interval_asked_for(self, outbound: OutboundBench, fake: FakePeer) -> None:
        """Every 60 s, promising three intervals: at 08:00 until 08:03, at 08:01 until 08:04."""
        outbound.add_peer(heartbeat_interval_s=60, next_heartbeat_at=outbound.bench.clock.now())

        for _ in range(3):
            outbound.beat()
            outbound.bench.clock.advance(30)

        assert fake.paths() == ["/fp/heartbeat"] * 2
        assert beats(fake) == ["2026-12-01T08:03:00.000Z", "2026-12-01T08:04:00.000Z"]

    def test_nobody_who_did_not_ask(self, outbound: OutboundBench, fake: FakePeer) -> None:
        """A handshake without an interval asks for none."""
        outbound.add_peer()

        outbound.beat()

        assert fake.requests == []

    @pytest.mark.parametrize("state", [state for state in PeerState if state is not PeerState.REGISTERED])
    def test_nobody_who_is_not_registered(self, outbound: OutboundBench, fake: FakePeer, state: PeerState) -> None:
        """Its token may not be valid."""
        outbound.add_peer(state=state, heartbeat_interval_s=60, next_heartbeat_at=outbound.bench.clock.now())

        outbound.beat()

        assert fake.requests == []

    def test_what_was_missed_is_not_made_up_for(self, outbound: OutboundBench, fake: FakePeer) -> None:
        """The server was down for an hour: one heartbeat, not sixty."""
        outbound.add_peer(heartbeat_interval_s=60, next_heartbeat_at=outbound.bench.clock.now())
        outbound.bench.clock.advance(3600)

        outbound.beat()
        outbound.beat()

        assert len(fake.requests) == 1

    def test_a_clock_that_steps_back(self, outbound: OutboundBench, fake: FakePeer) -> None:
        """The next heartbeat would be due in an hour: it goes out at once."""
        outbound.add_peer(heartbeat_interval_s=60, next_heartbeat_at=outbound.bench.clock.now())
        outbound.beat()
        outbound.bench.clock.advance(-3600)

        outbound.beat()

        assert len(fake.requests) == 2

    @pytest.mark.parametrize(
        ("instant", "written"),
        [
            (datetime(2026, 7, 1, 8, tzinfo=UTC), "2026-07-01 10:03:00"),
            (datetime(2026, 12, 1, 8, tzinfo=UTC), "2026-12-01 09:03:00"),
        ],
        ids=["summer", "winter"],
    )
    def test_a_naive_peer(self, outbound: OutboundBench, fake: FakePeer, instant: datetime, written: str) -> None:
        """Pyoscp answers 500 to an instant with a zone: it gets the time on its wall."""
        outbound.bench.clock.instant = instant
        outbound.add_peer("pyoscp", time_zone="Europe/Berlin", heartbeat_interval_s=60, next_heartbeat_at=instant)

        outbound.beat()

        assert beats(fake) == [written]

    def test_a_failure_is_seen_and_the_next_one_comes(self, outbound: OutboundBench, fake: FakePeer) -> None:
        """No retries: a heartbeat that is late says no more than the next."""
        peer = outbound.add_peer(heartbeat_interval_s=60, next_heartbeat_at=outbound.bench.clock.now())
        fake.script = [(500, {}, b'{"message": "no"}')]

        outbound.beat()

        assert peer.as_stored().last_error == "heartbeat: 500 no"
        outbound.bench.clock.advance(60)
        outbound.beat()
        assert len(fake.requests) == 2


class TestWatching:
    """Who falls silent is noticed."""

    def test_silence_past_the_promise_and_a_grace(
        self, outbound: OutboundBench, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Promised until 08:03, and a grace of 30 s: online at 08:03:29, offline at 08:03:30, noticed once."""
        peer = outbound.add_peer(offline_at=outbound.bench.clock.now() + 3 * MINUTE)

        outbound.bench.clock.advance(180 + 29)
        outbound.beat()
        assert not peer.as_stored().offline
        outbound.bench.clock.advance(1)
        outbound.beat()
        outbound.beat()

        assert peer.as_stored().offline
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert [peer.peer_id in record.message for record in warnings] == [True]

    def test_who_never_beat_is_not_offline(self, outbound: OutboundBench) -> None:
        """Some implementations send no heartbeats at all."""
        peer = outbound.add_peer()
        outbound.bench.clock.advance(86_400)

        outbound.beat()

        assert not peer.as_stored().offline

    def test_a_handshake_is_started_when_none_came(self, outbound: OutboundBench) -> None:
        """Once, with our wishes in full."""
        peer = outbound.add_peer(handshake_due_at=outbound.bench.clock.now() + MINUTE)
        outbound.beat()
        assert peer.outbox(OutboxKind.HANDSHAKE) == []

        outbound.bench.clock.advance(60)
        outbound.beat()
        outbound.beat()

        (message,) = peer.outbox(OutboxKind.HANDSHAKE)
        assert json.loads(message.message.body or "") == {
            "required_behaviour": {
                "heartbeat_interval": 60,
                "measurement_configuration": ["CONTINUOUS", "INTERMITTENT"],
            }
        }

    def test_a_registration_that_is_not_replied_to_fails(self, outbound: OutboundBench) -> None:
        """The peer took our Register and never sent its own: after two minutes the operator sees it."""
        peer = outbound.add_peer(state=PeerState.STARTING)
        outbound.put(peer, OutboxKind.REGISTER, body=None)
        outbound.deliver()

        outbound.bench.clock.advance(119)
        outbound.beat()
        assert peer.as_stored().state is PeerState.STARTING
        outbound.bench.clock.advance(1)
        outbound.beat()

        stored = peer.as_stored()
        assert stored.state is PeerState.FAILED
        assert "has not replied" in stored.last_error
