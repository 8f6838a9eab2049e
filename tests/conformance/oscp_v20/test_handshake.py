"""Handshake, acknowledge and heartbeat of OSCP 2.0, as a peer sends them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from api.records import OutboxKind
from tests.api.oscp.bench import BODIES, NOW, Bench, Caller


class TestHandshake:
    """A peer states its wishes."""

    def test_wishes_are_kept_and_acknowledged_with_ours(self, peer: Caller) -> None:
        """204 first; then an acknowledge that names the handshake, always with interval and configuration."""
        body = {"required_behaviour": {"heartbeat_interval": 90, "measurement_configuration": ["INTERMITTENT"]}}

        assert peer.send("/handshake", body, request_id="hs-1").status_code == 204
        stored = peer.as_stored()
        (sent,) = peer.outbox()
        assert (stored.heartbeat_interval_s, stored.measurement_configuration) == (90, ("INTERMITTENT",))
        assert (stored.handshake_at, stored.handshake_due_at) == (NOW, None)
        assert (sent.message.kind, sent.message.correlation_id) == (OutboxKind.HANDSHAKE_ACKNOWLEDGE, "hs-1")
        assert json.loads(sent.message.body or "") == {
            "required_behaviour": {
                "heartbeat_interval": 60,
                "measurement_configuration": ["CONTINUOUS", "INTERMITTENT"],
            }
        }

    @pytest.mark.parametrize(
        ("body", "interval_s"),
        [
            ({"required_behaviour": {"heartbeat_interval": 60, "measurement_configuration": ["CONTINUOUS"]}}, 60),
            ({"required_behaviour": {"heartbeat_interval": 60.0, "measurement_configuration": []}}, 60),
            ({"heartbeat_interval": 60, "measurement_configuration": ["CONTINUOUS"]}, 60),
            ({"required_behaviour": {"measurement_configuration": ["CONTINUOUS"]}}, None),
            ({"required_behaviour": {}}, None),
            ({}, None),
        ],
        ids=["nested", "fraction", "flat", "no interval", "empty behaviour", "empty"],
    )
    def test_variants_of_peers_are_read(self, peer: Caller, body: object, interval_s: int | None) -> None:
        """The flat body passes the schema and means the same; a wish may be left out. The first heartbeat is due at
        once, or never.
        """
        assert peer.send("/handshake", body).status_code == 204

        stored = peer.as_stored()
        assert stored.heartbeat_interval_s == interval_s
        assert stored.next_heartbeat_at == (None if interval_s is None else NOW)

    @pytest.mark.parametrize("interval", [0, 0.5, -1, "60", True, 1e9])
    def test_interval_is_at_least_a_second(self, peer: Caller, interval: object) -> None:
        """Seconds, as a number."""
        assert peer.send("/handshake", {"required_behaviour": {"heartbeat_interval": interval}}).status_code == 400
        assert peer.as_stored().handshake_at is None

    def test_later_one_replaces_the_earlier(self, peer: Caller) -> None:
        """Also where it wishes less; one acknowledge goes out, which names the last."""
        peer.send("/handshake", BODIES["/handshake"], request_id="hs-1")
        peer.send("/handshake", {}, request_id="hs-2")

        stored = peer.as_stored()
        assert (stored.heartbeat_interval_s, stored.measurement_configuration) == (None, ())
        assert stored.next_heartbeat_at is None
        assert [sent.message.correlation_id for sent in peer.outbox()] == ["hs-2"]

    def test_same_request_again_makes_no_second_acknowledge(self, peer: Caller) -> None:
        """It is a repetition, not another handshake."""
        for _ in range(2):
            assert peer.send("/handshake", BODIES["/handshake"], request_id="hs-1").status_code == 204

        assert len(peer.outbox()) == 1

    def test_messages_before_it_are_taken(self, bench: Bench, peer: Caller) -> None:
        """One implementation never starts a handshake and sends its forecasts all the same."""
        site_id = bench.add_site(peer)
        path = "/update_group_capacity_forecast"

        assert peer.send(path, BODIES[path]).status_code == 204
        assert len(bench.events(site_id)) == 1


class TestAcknowledge:
    """A peer answers our handshake with its wishes."""

    @pytest.mark.parametrize("correlation", [None, "ours"])
    @pytest.mark.parametrize(
        ("body", "interval_s"),
        [
            ({}, None),
            ({"required_behaviour": {}}, None),
            ({"required_behaviour": {"heartbeat_interval": 120}}, 120),
            ({"heartbeat_interval": 120, "measurement_configuration": ["CONTINUOUS"]}, 120),
            (BODIES["/handshake_acknowledge"], 60),
        ],
        ids=["empty", "empty behaviour", "no configuration", "flat", "whole"],
    )
    def test_wishes_are_kept_and_not_answered(
        self, peer: Caller, body: object, interval_s: int | None, correlation: str | None
    ) -> None:
        """Whatever of it a peer leaves out, also the header that names our handshake."""
        headers = {"X-Correlation-ID": correlation} if correlation else {}

        assert peer.send("/handshake_acknowledge", body, headers=headers).status_code == 204
        stored = peer.as_stored()
        assert (stored.heartbeat_interval_s, stored.handshake_at, stored.handshake_due_at) == (interval_s, NOW, None)
        assert peer.outbox() == []


class TestHeartbeat:
    """A peer says until when it counts as alive."""

    def test_moment_is_kept_as_stated(self, peer: Caller) -> None:
        """From then on its sender counts as offline, unless another heartbeat comes."""
        assert peer.send("/heartbeat", {"offline_mode_at": "2026-12-01T09:10:00+01:00"}).status_code == 204

        assert peer.as_stored().offline_at == datetime(2026, 12, 1, 8, 10, tzinfo=UTC)

    @pytest.mark.parametrize(("profile", "interval_s"), [("standard", 90), ("solarnetwork", 60)])
    def test_without_a_moment_three_intervals_are_meant(self, bench: Bench, profile: str, interval_s: int) -> None:
        """The interval is the one we asked for, which may be the profile's."""
        bench.context.settings.__dict__["heartbeat_interval_s"] = 90
        peer = bench.add_peer(profile)

        assert peer.send("/heartbeat", {}).status_code == 204
        assert peer.as_stored().offline_at == NOW + timedelta(seconds=3 * interval_s)

    def test_moment_in_the_past_is_now(self, peer: Caller) -> None:
        """A peer whose clock is wrong is alive at least while it speaks."""
        assert peer.send("/heartbeat", {"offline_mode_at": "2019-01-01T00:00:00Z"}).status_code == 204

        assert peer.as_stored().offline_at == NOW

    @pytest.mark.parametrize("moment", ["2028-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"])
    def test_moment_beyond_a_year_is_not_believed(self, peer: Caller, moment: str) -> None:
        """Else a peer with a wrong clock would never be missed."""
        assert peer.send("/heartbeat", {"offline_mode_at": moment}).status_code == 204

        assert peer.as_stored().offline_at == NOW + timedelta(days=365)

    def test_same_heartbeat_again_counts(self, bench: Bench, peer: Caller) -> None:
        """A peer that gives all its heartbeats one id, and no moment, is alive as long as they come."""
        peer.send("/heartbeat", {}, request_id="constant")
        bench.clock.advance(60)
        peer.send("/heartbeat", {}, request_id="constant")

        assert peer.as_stored().offline_at == NOW + timedelta(seconds=60 + 180)

    def test_any_heartbeat_brings_a_peer_back(self, bench: Bench) -> None:
        """It counts as alive again, and what waits for it goes out at once."""
        peer = bench.add_peer(offline=True, offline_at=NOW)
        peer.send("/handshake", BODIES["/handshake"])
        postpone(bench, peer)

        assert peer.send("/heartbeat", BODIES["/heartbeat"]).status_code == 204
        assert not peer.as_stored().offline
        assert [entry.next_attempt_at for entry in peer.outbox()] == [NOW]
        assert peer.as_stored().handshake_due_at is None

    def test_handshake_is_repeated_where_we_start_it(self, bench: Bench) -> None:
        """After being offline a handshake comes before other messages; of others we wait for one."""
        peer = bench.add_peer("pyoscp", offline=True, offline_at=NOW)

        peer.send("/heartbeat", {})
        assert peer.as_stored().handshake_due_at == NOW

    def test_time_without_zone_is_400(self, peer: Caller) -> None:
        """RFC 3339 wants one."""
        assert peer.send("/heartbeat", {"offline_mode_at": "2026-12-01 08:17:30"}).status_code == 400

    @pytest.mark.parametrize(("zone", "hour"), [("Europe/Amsterdam", 7), ("Asia/Taipei", 0), (None, 8)])
    def test_time_without_zone_is_the_peers_where_it_is_known_for_it(
        self, bench: Bench, zone: str | None, hour: int
    ) -> None:
        """One implementation writes local time; its zone is a setting of the peer, else of the server."""
        peer = bench.add_peer("pyoscp", time_zone=zone)
        bench.clock.instant = datetime(2026, 12, 1, tzinfo=UTC)

        assert peer.send("/heartbeat", {"offline_mode_at": "2026-12-01 08:17:30"}).status_code == 204
        assert peer.as_stored().offline_at == datetime(2026, 12, 1, hour, 17, 30, tzinfo=UTC)


def postpone(bench: Bench, peer: Caller) -> None:
    """Let an attempt to deliver the peer's first message have failed."""
    (entry,) = peer.outbox()
    later = NOW + timedelta(minutes=5)
    bench.context.database.write_now(
        lambda tx: tx.outbox.retry(entry.outbox_id, error="it did not answer", next_attempt_at=later)
    )
