"""Requests of other implementations, as they were recorded on the wire, and their answers to ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from httpx2 import Response

from api.records import OutboxKind, OutboxState, PeerState, TokenKind
from tests.api.oscp.bench import Bench, Caller, message_of
from tests.api.outbound.bench import OutboundBench, fake_peer

PYOSCP = """Host: 127.0.0.1:18091
User-Agent: python-requests/2.34.2
Accept-Encoding: gzip, deflate
Accept: */*
Connection: keep-alive
Authorization: Token TOKEN
"""
SDK = """host: 127.0.0.1:18094
connection: keep-alive
User-Agent: _Oscp/JS 0.11.8-beta
X-Stainless-Retry-Count: 0
X-Stainless-Lang: js
X-Stainless-Package-Version: 0.11.8-beta
X-Stainless-OS: Linux
X-Stainless-Arch: x64
X-Stainless-Runtime: node
X-Stainless-Runtime-Version: v20.20.2
authorization: Bearer TOKEN
content-type: application/json
accept: */*
accept-language: *
sec-fetch-mode: cors
accept-encoding: gzip, deflate
"""
SDK_BLOCK = (
    '{"capacity":"25.5","phase":"ALL","unit":"KW","start_time":"2026-12-01T00:00:00.000Z",'
    '"end_time":"2026-12-01T00:15:00.000Z"}'
)
SDK_FORECAST = f'{{"group_id":"g1","type":"CONSUMPTION","forecasted_blocks":[{SDK_BLOCK}]}}'
SDK_REGISTER = '{"token":"TOKEN-FOR-FP","version_url":[{"version":"2.0","base_url":"https://fp.example/oscp/fp/2.0"}]}'
SDK_HANDSHAKE = '{"heartbeat_interval":60,"measurement_configuration":["CONTINUOUS"]}'
PYOSCP_REGISTER = (
    '{"token": "LIHf4IxRttEQRXlJfL5804pyN-KGK_B8jphu4mBygLI", "version_url": [{"version": "2.0", '
    '"base_url": "https://fp.example/oscp/fp/2.0"}]}'
)


def replay(peer: Caller, line: str, headers: str, body: str, *more: str) -> Response:
    """Send a recorded request with the token of a peer, every other byte as it was."""
    method, path = line.split(" ")
    fields = [line.partition(": ") for line in (headers.replace("TOKEN", peer.token) + "\n".join(more)).splitlines()]
    return peer.bench.client.request(
        method, path, content=body.encode(), headers=[(name, value) for name, _, value in fields if name]
    )


def require_taken(answer: Response) -> None:
    """204 with nothing in it."""
    assert (answer.status_code, answer.content) == (204, b""), answer.text


@pytest.fixture
def sdk(bench: Bench) -> Caller:
    """A registered peer that runs the generated client, with the group g1."""
    made = bench.add_peer("oscp-sdk")
    bench.add_site(made, "g1", site_id="depot")
    return made


@pytest.fixture
def outbound(bench: Bench) -> Iterator[OutboundBench]:
    """A server that may call a peer on the loopback."""
    with fake_peer() as fake:
        yield OutboundBench.make(bench, fake)


class TestPyoscp:
    """pyoscp 0.1.0."""

    def test_its_call_back_completes_our_registration(self, bench: Bench) -> None:
        """It names our Register; it is no new one, and is answered by none."""
        peer = bench.add_peer("pyoscp", kind=TokenKind.OFFERED, state=PeerState.STARTING)

        require_taken(
            replay(
                peer,
                "POST /oscp/co/2.0/register",
                PYOSCP,
                PYOSCP_REGISTER,
                "X-Request-ID: EC6mgExpBbM",
                "X-Correlation-ID: req-reg-ok",
                "Content-Type: application/json",
            )
        )

        stored = peer.as_stored()
        assert (stored.state, stored.base_url) == (PeerState.REGISTERED, "https://fp.example/oscp/fp/2.0")
        assert stored.outbound_token == "LIHf4IxRttEQRXlJfL5804pyN-KGK_B8jphu4mBygLI"
        assert peer.outbox() == []

    def test_it_registers_first(self, bench: Bench) -> None:
        """Our reply names its request: without that it would take it for another registration."""
        peer = bench.add_peer("pyoscp", kind=TokenKind.INITIAL, state=PeerState.INVITED, base_url=None)
        body = PYOSCP_REGISTER.replace("LIHf4IxRttEQRXlJfL5804pyN-KGK_B8jphu4mBygLI", "FP-SECRET-FOR-CO")

        require_taken(
            replay(
                peer,
                "POST /oscp/co/2.0/register",
                PYOSCP,
                body,
                "X-Request-ID: J6lp0f5xG0E",
                "Content-Type: application/json",
            )
        )

        (reply,) = peer.outbox(OutboxKind.REGISTER_REPLY)
        assert reply.message.correlation_id == "J6lp0f5xG0E"

    def test_its_spelling_of_the_acknowledgement(self, bench: Bench) -> None:
        """It echoes our interval as its own wish, which is beaten to."""
        peer = bench.add_peer("pyoscp")

        require_taken(
            replay(
                peer,
                "POST /oscp/co/2.0/handshake_acknowledgment",
                PYOSCP,
                '{"required_behaviour": {"heartbeat_interval": 3}}',
                "X-Request-ID: 6zm_Sp4TAbk",
                "Content-Type: application/json",
            )
        )

        assert peer.as_stored().heartbeat_interval_s == 3

    def test_its_naive_heartbeat(self, bench: Bench) -> None:
        """Local time without a zone, in that of the peer: 20:37:18 in Berlin is 19:37:18Z in November."""
        peer = bench.add_peer("pyoscp", time_zone="Europe/Berlin")

        require_taken(
            replay(
                peer,
                "POST /oscp/co/2.0/heartbeat",
                PYOSCP,
                '{"offline_mode_at": "2026-12-22 20:37:18"}',
                "X-Request-ID: _3jd8PPUp4E",
                "Content-Type: application/json",
            )
        )

        offline_at = peer.as_stored().offline_at
        assert offline_at is not None
        assert f"{offline_at.astimezone(ZoneInfo('UTC')):%H:%M:%S}" == "19:37:18"

    def test_its_prices_are_no_capacity(self, bench: Bench) -> None:
        """EUR/KWH is not of the standard; 400 names the field."""
        peer = bench.add_peer("pyoscp")
        bench.add_site(peer, "g1")
        priced = SDK_FORECAST.replace('"25.5"', "0.31").replace('"KW"', '"EUR/KWH"')

        answer = peer.send("/update_group_capacity_forecast", json.loads(priced))

        assert answer.status_code == 400
        assert "forecasted_blocks.0.unit" in message_of(answer)


class TestSdk:
    """oscp-sdk 0.11.8-beta, and oscp-go, from which it is generated."""

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/heartbeat", '{"offline_mode_at":"2026-12-01T08:05:00.000Z"}'),
            ("/heartbeat", "{}"),
            ("/update_group_capacity_forecast", SDK_FORECAST),
            (
                "/update_asset_measurements",
                (
                    '{"group_id":"g1","measurements":[{"asset_id":"evse-1","asset_category":"CHARGING",'
                    '"energy_measurement":{"value":1234.5,"phase":"ALL","unit":"WH","direction":"IMPORT",'
                    '"energy_type":"TOTAL","measure_time":"2026-12-01T00:00:00.000Z",'
                    '"initial_measure_time":"2026-11-30T23:00:00.000Z"},"instantaneous_measurement":{"value":7.4,'
                    '"phase":"ALL","unit":"KW","measure_time":"2026-12-01T00:00:00.000Z"}}]}'
                ),
            ),
            (
                "/update_group_measurements",
                (
                    '{"group_id":"g1","measurements":[{"value":10,"phase":"ALL","unit":"KWH","direction":"NET",'
                    '"measure_time":"2026-12-01T00:00:00.000Z"}]}'
                ),
            ),
            ("/update_group_measurements", '{"group_id":"g1","measurements":[]}'),
        ],
    )
    def test_what_it_sends_is_taken(self, bench: Bench, sdk: Caller, path: str, body: str) -> None:
        """With Bearer, numbers in texts, and optional fields left out; once, however often it is retried."""
        for retry in range(3):
            headers = SDK.replace("Retry-Count: 0", f"Retry-Count: {retry}")
            require_taken(replay(sdk, f"POST /oscp/co/2.0{path}", headers, body, "x-request-id: sdk-1"))

        assert len(bench.events("depot")) == (0 if path == "/heartbeat" else 1)

    def test_its_capacity_is_a_number_then(self, bench: Bench, sdk: Caller) -> None:
        """The text "25.5" is 25.5 kW."""
        require_taken(
            replay(sdk, "POST /oscp/co/2.0/update_group_capacity_forecast", SDK, SDK_FORECAST, "x-request-id: sdk-f1")
        )

        assert bench.bodies("depot")[0]["forecasted_blocks"][0]["capacity"] == 25.5

    def test_its_segments(self, bench: Bench, sdk: Caller) -> None:
        """The first of two names the message it answers; nothing is stored before the second."""
        line, later = "POST /oscp/co/2.0/update_group_capacity_forecast", SDK_FORECAST.replace("00:00:00", "00:05:00")
        first = ("x-correlation-id: orig-1", "x-request-id: sdk-f1", "x-segment-count: 2", "x-segment-index: 1")
        require_taken(replay(sdk, line, SDK, SDK_FORECAST, *first))
        assert bench.events("depot") == ()

        second = ("x-correlation-id: sdk-f1", "x-request-id: sdk-f2", "x-segment-count: 2", "x-segment-index: 2")
        require_taken(replay(sdk, line, SDK, later, *second))
        assert len(bench.bodies("depot")[0]["forecasted_blocks"]) == 2

    def test_its_flat_handshake(self, sdk: Caller) -> None:
        """The wishes count though nothing is around them, and are acknowledged under the id of the request."""
        require_taken(replay(sdk, "POST /oscp/co/2.0/handshake", SDK, SDK_HANDSHAKE, "x-request-id: sdk-h1"))

        (answer,) = sdk.outbox(OutboxKind.HANDSHAKE_ACKNOWLEDGE)
        assert answer.message.correlation_id == "sdk-h1"
        assert sdk.as_stored().heartbeat_interval_s == 60

    def test_registration_replacement_and_end(self, sdk: Caller) -> None:
        """POST, PUT and DELETE, each with a Register: the PUT is not answered by another, the DELETE ends all."""
        require_taken(replay(sdk, "POST /oscp/co/2.0/register", SDK, SDK_REGISTER, "x-request-id: sdk-r1"))
        assert sdk.outbox(OutboxKind.REGISTER_REPLY)
        moved = SDK_REGISTER.replace("TOKEN-FOR-FP", "TOKEN-FOR-FP2")
        require_taken(replay(sdk, "PUT /oscp/co/2.0/register", SDK, moved, "x-request-id: sdk-r2"))
        assert sdk.as_stored().outbound_token == "TOKEN-FOR-FP2"

        require_taken(replay(sdk, "DELETE /oscp/co/2.0/register", SDK, moved, "x-request-id: sdk-r3"))
        assert sdk.as_stored().state is PeerState.UNREGISTERED
        assert replay(sdk, "POST /oscp/co/2.0/heartbeat", SDK, "{}", "x-request-id: sdk-h2").status_code == 403

    def test_nobody_else_is_let_off(self, bench: Bench) -> None:
        """To a peer of the standard the scheme is wrong."""
        peer = bench.add_peer()

        answer = replay(peer, "POST /oscp/co/2.0/heartbeat", SDK, "{}", "x-request-id: sdk-h2")

        assert answer.status_code == 401
        assert "not Token" in message_of(answer)


class TestSolarNetwork:
    """SolarNetwork's flexibility provider."""

    def test_its_reply_names_no_request(self, bench: Bench) -> None:
        """A Register with the token that only ours told is the reply; it is answered by none."""
        peer = bench.add_peer("solarnetwork", kind=TokenKind.OFFERED, state=PeerState.STARTING)
        token = "Zm9v+/" * 10  # standard base64, 64 characters at most

        require_taken(
            peer.send(
                "/register",
                {"token": token, "version_url": [{"version": "2.0", "base_url": "https://fp.example/x"}]},
                request_id="0b0e7a5e-6a0e-4f5b-9d5c-1f1c1b1a1918",
            )
        )

        assert (peer.as_stored().state, peer.as_stored().outbound_token) == (PeerState.REGISTERED, token)
        assert peer.outbox() == []

    def test_its_empty_acknowledgement(self, bench: Bench) -> None:
        """It wants no heartbeats."""
        peer = bench.add_peer("solarnetwork", heartbeat_interval_s=60)

        require_taken(peer.send("/handshake_acknowledge", {"required_behaviour": {}}))

        assert peer.as_stored().heartbeat_interval_s is None

    def test_a_plan_it_refuses_is_given_up_visibly(self, outbound: OutboundBench) -> None:
        """403 to an OPTIMUM, as it answers a capacity optimizer: after some attempts it is not sent any more."""
        peer = outbound.add_peer("solarnetwork")
        outbound.fake.script = [(403, {}, b'{"message":"Access denied"}')] * 10
        outbound.put(peer, OutboxKind.OPTIMUM, lane="optimum:g1")
        for _ in range(10):
            outbound.deliver()
            outbound.bench.clock.advance(600)

        (message,) = outbound.all_messages(peer)
        assert message.state is OutboxState.GIVEN_UP
        assert "Access denied" in peer.as_stored().last_error


class TestElmo:
    """Taipower's ELMO, and peers that behave like it."""

    def test_its_relative_base_url(self, bench: Bench) -> None:
        """It counts from where it was called; its tokens have 256 characters."""
        peer = bench.add_peer(
            "elmo", kind=TokenKind.OFFERED, state=PeerState.STARTING, base_url="https://elmo.example/oscp/2.0"
        )

        require_taken(
            peer.send("/register", {"token": "x" * 256, "version_url": [{"version": "2.0", "base_url": "/oscp/2.0"}]})
        )

        stored = peer.as_stored()
        assert (stored.base_url, stored.outbound_token) == ("https://elmo.example/oscp/2.0", "x" * 256)

    @pytest.mark.parametrize(
        "body", [{"required_behaviour": {"measurement_configuration": ["CONTINUOUS"]}}, {}, {"required_behaviour": {}}]
    )
    def test_its_handshake_without_heartbeats(self, bench: Bench, body: dict[str, Any]) -> None:
        """It is acknowledged under its id, for it refuses an acknowledgement that names none; and nothing is beaten."""
        peer = bench.add_peer("elmo")

        require_taken(peer.send("/handshake", body, request_id="HZX5UDU09IZ1WYSVNPTSBE9NOFB2FO71"))

        (answer,) = peer.outbox(OutboxKind.HANDSHAKE_ACKNOWLEDGE)
        assert answer.message.correlation_id == "HZX5UDU09IZ1WYSVNPTSBE9NOFB2FO71"
        assert peer.as_stored().heartbeat_interval_s is None

    def test_another_spelling_of_the_acknowledgement(self, bench: Bench) -> None:
        """One in use has an e in it."""
        peer = bench.add_peer()

        require_taken(peer.send("/handshake_acknowledgement", {"required_behaviour": {"heartbeat_interval": 20}}))

        assert peer.as_stored().heartbeat_interval_s == 20


class TestAnswers:
    """What peers answer to messages of ours."""

    @pytest.mark.parametrize(
        ("answer", "state"),
        [
            ((200, {"Content-Type": "application/json"}, b'{"status_code":1000}'), OutboxState.DELIVERED),
            ((204, {}, b""), OutboxState.DELIVERED),
            ((404, {"Content-Type": "text/html"}, b"<!doctype html><title>404</title>"), OutboxState.GIVEN_UP),
            ((400, {}, b'{"errors": {"phase": "no"}, "message": "Input payload validation failed"}'), "given_up"),
            ((422, {}, b'{"message":"bad body"}'), OutboxState.GIVEN_UP),
            ((500, {}, b'{"message": "Internal Server Error"}'), OutboxState.PENDING),
            ((503, {"Retry-After": "5"}, b""), OutboxState.PENDING),
        ],
    )
    def test_what_becomes_of_a_message(self, outbound: OutboundBench, answer: Any, state: str) -> None:
        """Any 2xx is a success; a refusal that will not pass is final; a failure is tried again."""
        peer = outbound.add_peer()
        outbound.fake.script = [answer]
        outbound.put(peer, OutboxKind.OPTIMUM, lane="optimum:g1")

        outbound.deliver()

        assert outbound.all_messages(peer)[0].state == state


def test_negative_capacity_is_refused(bench: Bench) -> None:
    """No peer of the standard may mean anything by it."""
    peer = bench.add_peer()
    bench.add_site(peer, "g1")

    answer = peer.send("/update_group_capacity_forecast", json.loads(SDK_FORECAST.replace('"25.5"', "-10")))

    assert answer.status_code == 400
    assert "forecasted_blocks.0.capacity" in message_of(answer)
