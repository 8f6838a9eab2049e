"""Messages to peers: at least once, in order, with growing pauses, until they are taken or visibly given up."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.delivery import Delivery
from api.oscp_client import OscpClient
from api.records import OutboxKind, OutboxState, PeerState, TokenKind
from tests.api.oscp.bench import PREFIX, Caller, register_body
from tests.api.outbound.bench import TAKEN, Answer, FakePeer, OutboundBench, Request

REFUSED_500: Answer = (500, {}, b'{"message": "out of order"}')


def token_of(request: Request) -> str:
    """The token that a Register told."""
    told: str = json.loads(request.body)["token"]
    return told


class TestPaths:
    """Each message where the standard, or the profile, wants it."""

    @pytest.mark.parametrize(
        ("kind", "path"),
        [
            (OutboxKind.HANDSHAKE, "/fp/handshake"),
            (OutboxKind.HANDSHAKE_ACKNOWLEDGE, "/fp/handshake_acknowledge"),
            (OutboxKind.OPTIMUM, "/fp/update_group_capacity_forecast"),
            (OutboxKind.ADJUST, "/fp/adjust_group_capacity_forecast"),
        ],
    )
    def test_standard(self, outbound: OutboundBench, fake: FakePeer, kind: OutboxKind, path: str) -> None:
        """With the body as it was put there, and the ids."""
        peer = outbound.add_peer()
        outbound.put(peer, kind, body='{"x": 1}', request_id="r-1", correlation_id="c-1")

        outbound.deliver()

        (request,) = fake.requests
        assert (request.method, request.path, request.body) == ("POST", path, b'{"x": 1}')
        assert (request.headers["x-request-id"], request.headers["x-correlation-id"]) == ("r-1", "c-1")
        assert outbound.all_messages(peer)[0].state is OutboxState.DELIVERED

    def test_a_spelling_of_its_own(self, outbound: OutboundBench, fake: FakePeer) -> None:
        """Pyoscp answers 404 to the path of the standard."""
        outbound.put(outbound.add_peer("pyoscp"), OutboxKind.HANDSHAKE_ACKNOWLEDGE)

        outbound.deliver()

        assert fake.paths() == ["/fp/handshake_acknowledgment"]

    @pytest.mark.parametrize(("profile", "has_body"), [("standard", False), ("oscp-sdk", True)])
    def test_unregister(self, outbound: OutboundBench, fake: FakePeer, profile: str, has_body: bool) -> None:
        """DELETE, with a body where one is wanted; the peer's token is forgotten."""
        peer = outbound.add_peer(profile, state=PeerState.UNREGISTERED)
        outbound.put(peer, OutboxKind.UNREGISTER, body=None)

        outbound.deliver()

        (request,) = fake.requests
        assert (request.method, request.path, bool(request.body)) == ("DELETE", "/fp/register", has_body)
        assert peer.as_stored().outbound_token is None


class TestRegistration:
    """Tokens are valid before they are told, and all that may have been taken stay valid."""

    def test_we_start_and_the_peer_replies_during_our_request(self, outbound: OutboundBench, fake: FakePeer) -> None:
        """One implementation calls back before it answers: both requests are served, and the reply is not undone."""
        peer = outbound.add_peer(state=PeerState.STARTING, outbound_token="token-a")
        outbound.put(peer, OutboxKind.REGISTER, body=None, request_id="r-1")
        replies: list[int] = []

        with TestClient(create_app(outbound.context, loops=False)) as server:

            def call_back(request: Request) -> None:
                answer = server.post(
                    f"{PREFIX}/register",
                    json=register_body("token-c", fake.url),
                    headers={
                        "Authorization": f"Token {token_of(request)}",
                        "X-Request-ID": "r-2",
                        "X-Correlation-ID": request.headers["x-request-id"],
                    },
                )
                replies.append(answer.status_code)

            fake.before_answer = call_back
            outbound.deliver()

        (request,) = fake.requests
        assert replies == [204]
        assert request.headers["authorization"] == "Token token-a"
        assert json.loads(request.body)["version_url"] == [
            {"version": "2.0", "base_url": outbound.context.base_url},
        ]
        stored = peer.as_stored()
        assert (stored.state, stored.outbound_token) == (PeerState.REGISTERED, "token-c")
        assert peer.is_known(token_of(request))
        assert len(outbound.all_messages(peer)) == 1

    def test_every_token_that_may_have_been_taken_stays_valid(self, outbound: OutboundBench, fake: FakePeer) -> None:
        """The answer to the first attempt is lost: the peer may hold its token, or that of the second."""
        peer = outbound.add_peer(state=PeerState.STARTING)
        outbound.put(peer, OutboxKind.REGISTER, body=None, request_id="r-1")
        fake.script = [REFUSED_500]

        outbound.deliver()
        outbound.bench.clock.advance(10)
        outbound.deliver()

        first, second = fake.requests
        assert token_of(first) != token_of(second)
        assert first.headers["x-request-id"] == second.headers["x-request-id"] == "r-1"
        assert peer.is_known(token_of(first))
        assert peer.is_known(token_of(second))
        assert peer.as_stored().state is PeerState.STARTING

    def test_our_reply_completes_it(self, outbound: OutboundBench, fake: FakePeer) -> None:
        """The token we told is the one from now on; TOKEN_A ends after the grace."""
        peer = outbound.bench.add_peer(
            state=PeerState.REPLYING, kind=TokenKind.INITIAL, base_url=fake.url, token="token-a"
        )
        outbound.put(peer, OutboxKind.REGISTER_REPLY, body=None, correlation_id="r-0")

        outbound.deliver()

        (request,) = fake.requests
        assert request.headers["x-correlation-id"] == "r-0"
        assert peer.as_stored().state is PeerState.REGISTERED
        assert peer.is_known(token_of(request))
        assert peer.is_known("token-a")
        outbound.bench.clock.advance(outbound.context.settings.token_grace_s + 1)
        assert not peer.is_known("token-a")
        assert peer.is_known(token_of(request))

    def test_token_a_lives_until_the_peer_has_our_reply(self, outbound: OutboundBench, fake: FakePeer) -> None:
        """A peer that never got the reply can begin anew with the token it has."""
        peer = outbound.bench.add_peer(
            state=PeerState.REPLYING, kind=TokenKind.INITIAL, base_url=fake.url, token="token-a"
        )
        outbound.put(peer, OutboxKind.REGISTER_REPLY, body=None)
        fake.script = [REFUSED_500]

        outbound.deliver()

        assert peer.is_known("token-a")
        assert peer.as_stored().state is PeerState.REPLYING

    def test_a_refused_registration_fails_visibly(self, outbound: OutboundBench, fake: FakePeer) -> None:
        """No common version: the operator sees why."""
        peer = outbound.add_peer(state=PeerState.STARTING)
        outbound.put(peer, OutboxKind.REGISTER, body=None)
        fake.script = [(501, {}, b'{"message": "unsupported version"}')]

        outbound.deliver()

        stored = peer.as_stored()
        assert stored.state is PeerState.FAILED
        assert stored.last_error == "register: 501 unsupported version"

    def test_a_reply_under_way_does_not_revive_a_peer_that_left(self, outbound: OutboundBench, fake: FakePeer) -> None:
        """It unregisters while our reply is on its way."""
        peer = outbound.add_peer(state=PeerState.REPLYING)
        outbound.put(peer, OutboxKind.REGISTER_REPLY, body=None)
        database = outbound.context.database

        def leave(_: Request) -> None:
            database.write_now(lambda tx: tx.peers.update(peer.peer_id, state=PeerState.UNREGISTERED))
            database.write_now(lambda tx: tx.peers.revoke_tokens(peer.peer_id))

        fake.before_answer = leave
        outbound.deliver()

        assert peer.as_stored().state is PeerState.UNREGISTERED
        assert not peer.is_known(token_of(fake.requests[0]))


class TestRetries:
    """A message that was not taken is tried again, later and later."""

    def test_pauses_grow_up_to_a_limit(self, outbound: OutboundBench, fake: FakePeer) -> None:
        """1 s, 2 s, 4 s and so on with at most a second of jitter, never more than the limit."""
        outbound = OutboundBench.make(outbound.bench, fake, max_backoff_s=20.0)
        peer = outbound.add_peer()
        outbound.put(peer, OutboxKind.OPTIMUM, request_id="r-1")
        fake.script = [REFUSED_500] * 8
        pauses = []

        for _ in range(8):
            outbound.deliver()
            entry = outbound.all_messages(peer)[0]
            pauses.append((entry.next_attempt_at - outbound.bench.clock.now()).total_seconds())
            outbound.bench.clock.instant = entry.next_attempt_at
        outbound.deliver()

        for attempt, pause_s in enumerate(pauses):
            assert min(2**attempt, 20) <= pause_s <= min(2**attempt + 1, 20)
        assert {request.headers["x-request-id"] for request in fake.requests} == {"r-1"}
        assert outbound.all_messages(peer)[0].state is OutboxState.DELIVERED

    def test_a_peer_may_ask_for_a_pause(self, outbound: OutboundBench, fake: FakePeer) -> None:
        """Retry-After counts where it is longer than ours."""
        peer = outbound.add_peer()
        outbound.put(peer, OutboxKind.OPTIMUM)
        fake.script = [(503, {"Retry-After": "77"}, b"")]

        outbound.deliver()

        entry = outbound.all_messages(peer)[0]
        assert entry.next_attempt_at == outbound.bench.clock.now() + timedelta(seconds=77)

    @pytest.mark.parametrize("status", [400, 404, 405, 413, 415, 422, 501])
    def test_a_refusal_for_good_is_final(self, outbound: OutboundBench, fake: FakePeer, status: int) -> None:
        """What the peer cannot read now it cannot read later; who looks sees what it said."""
        peer = outbound.add_peer()
        outbound.put(peer, OutboxKind.OPTIMUM)
        fake.script = [(status, {}, b'{"message": "no"}')]

        outbound.deliver()

        entry = outbound.all_messages(peer)[0]
        assert (entry.state, entry.last_error) == (OutboxState.GIVEN_UP, f"{status} no")
        assert peer.as_stored().last_error == f"optimum: {status} no"

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_refused_token_is_tried_some_times(self, outbound: OutboundBench, fake: FakePeer, status: int) -> None:
        """The peer may be changing tokens just now; after five attempts it is not."""
        peer = outbound.add_peer()
        outbound.put(peer, OutboxKind.OPTIMUM)
        fake.script = [(status, {}, b"")] * 9

        for _ in range(9):
            outbound.deliver()
            outbound.bench.clock.advance(400)

        assert len(fake.requests) == 5
        assert outbound.all_messages(peer)[0].state is OutboxState.GIVEN_UP

    def test_a_message_too_old_is_given_up(
        self, outbound: OutboundBench, fake: FakePeer, caplog: pytest.LogCaptureFixture
    ) -> None:
        """After a day, by default, with a warning."""
        peer = outbound.add_peer()
        outbound.put(peer, OutboxKind.OPTIMUM)
        fake.script = [REFUSED_500] * 2
        outbound.deliver()
        outbound.bench.clock.advance(24 * 3600)

        outbound.deliver()

        assert outbound.all_messages(peer)[0].state is OutboxState.GIVEN_UP
        assert any(record.levelno == logging.WARNING and "given up" in record.message for record in caplog.records)

    def test_a_peer_that_was_away_gets_the_newest(self, outbound: OutboundBench, fake: FakePeer) -> None:
        """Nobody there for hours, five plans meanwhile: one message goes out when it is back."""
        away = outbound.bench.add_peer(base_url="http://127.0.0.1:1/fp")
        for number in range(5):
            outbound.put(away, OutboxKind.OPTIMUM, lane="optimum:g1", body=json.dumps(number), plan_id=str(number))
            outbound.deliver()
            outbound.bench.clock.advance(3600)
        now = outbound.bench.clock.now()
        outbound.context.database.write_now(lambda tx: tx.peers.update(away.peer_id, base_url=fake.url))
        outbound.context.database.write_now(lambda tx: tx.outbox.hurry(away.peer_id, now=now))

        outbound.deliver()

        assert [request.body for request in fake.requests] == [b"4"]
        assert away.as_stored().last_error == ""


class TestOrder:
    """Messages of one lane go out one after the other; lanes and peers do not wait for each other."""

    def test_a_lane_waits_for_its_first(self, outbound: OutboundBench, fake: FakePeer) -> None:
        """The first is refused for now: the second stays behind it, another group's goes out."""
        peer = outbound.add_peer()
        for body, lane in (("1", "optimum:g1"), ("2", "optimum:g1"), ("3", "optimum:g2")):
            message_kind = OutboxKind.OPTIMUM if body != "2" else OutboxKind.ADJUST
            outbound.put(peer, message_kind, lane=lane, body=body)
        refused: list[Request] = []

        def refuse_the_first_once(request: Request) -> None:
            if request.body == b"1" and not refused:
                refused.append(request)
                fake.script.append(REFUSED_500)

        fake.before_answer = refuse_the_first_once
        outbound.deliver()
        assert sorted(request.body for request in fake.requests) == [b"1", b"3"]

        outbound.bench.clock.advance(10)
        outbound.deliver()
        assert [request.body for request in fake.requests[2:]] == [b"1", b"2"]

    def test_a_newer_plan_supersedes_one_that_failed(self, outbound: OutboundBench, fake: FakePeer) -> None:
        """It came while the older was under way: that is not tried again."""
        peer = outbound.add_peer()
        outbound.put(peer, OutboxKind.OPTIMUM, lane="optimum:g1", body="1", plan_id="1", request_id="r-1")

        def plan_anew(request: Request) -> None:
            fake.before_answer = None
            outbound.put(peer, OutboxKind.OPTIMUM, lane="optimum:g1", body="2", plan_id="2", request_id="r-2")

        fake.before_answer = plan_anew
        fake.script = [REFUSED_500]
        outbound.deliver()

        assert [request.body for request in fake.requests] == [b"1", b"2"]
        states = [entry.state for entry in outbound.all_messages(peer)]
        assert states == [OutboxState.SUPERSEDED, OutboxState.DELIVERED]

    def test_a_peer_that_hangs_holds_up_nobody(self, outbound: OutboundBench, fake: FakePeer) -> None:
        """Twelve groups of a peer that never answers; the message to another goes out meanwhile."""
        hold = threading.Event()

        def hang(request: Request) -> None:
            if request.body == b'"slow"':
                hold.wait(20)

        fake.before_answer = hang
        slow, quick = outbound.add_peer(), outbound.add_peer()
        for number in range(12):
            outbound.put(slow, OutboxKind.OPTIMUM, lane=f"optimum:g{number}", body='"slow"')
        outbound.put(quick, OutboxKind.OPTIMUM, lane="optimum:g1", body='"quick"')

        async def deliver() -> None:
            client = OscpClient(outbound.context.settings)
            delivery = Delivery(outbound.context, client)
            while not quick_is_delivered():
                await delivery.deliver_due()
                await asyncio.sleep(0.01)
            hold.set()
            await delivery.settle()
            await client.close()

        def quick_is_delivered() -> bool:
            return outbound.all_messages(quick)[0].state is OutboxState.DELIVERED

        asyncio.run(deliver())

    @pytest.mark.parametrize(
        "state", [PeerState.INVITED, PeerState.STARTING, PeerState.UNREGISTERED, PeerState.FAILED, PeerState.REPLYING]
    )
    def test_who_is_not_registered_gets_no_plan(
        self, outbound: OutboundBench, fake: FakePeer, state: PeerState
    ) -> None:
        """Its token may be no longer valid, or not yet."""
        outbound.put(outbound.add_peer(state=state), OutboxKind.OPTIMUM, lane="optimum:g1")

        outbound.deliver()

        assert fake.requests == []


class TestCrashes:
    """What was under way when a server died goes out again."""

    def test_a_lease_that_nobody_ends_passes_on(self, outbound: OutboundBench, fake: FakePeer) -> None:
        """A server took the message and died: after the lease another sends it, under the same id."""
        peer = outbound.add_peer()
        outbound.put(peer, OutboxKind.OPTIMUM, request_id="r-1")
        now = outbound.bench.clock.now()
        taken = outbound.context.database.write_now(
            lambda tx: tx.outbox.lease_due(owner="dead", now=now, lease_s=50, limit=9)
        )
        assert len(taken) == 1

        outbound.deliver()
        assert fake.requests == []
        outbound.bench.clock.advance(51)
        outbound.deliver()

        assert [request.headers["x-request-id"] for request in fake.requests] == ["r-1"]

    def test_a_server_that_stops_hands_back(self, outbound: OutboundBench, fake: FakePeer) -> None:
        """What it could not finish is due for others at once."""
        peer = outbound.add_peer()
        outbound.put(peer, OutboxKind.OPTIMUM)
        now = outbound.bench.clock.now()
        owner = outbound.context.owner
        outbound.context.database.write_now(lambda tx: tx.outbox.lease_due(owner=owner, now=now, lease_s=50, limit=9))

        async def stop() -> None:
            await Delivery(outbound.context, OscpClient(outbound.context.settings)).stop()

        asyncio.run(stop())
        outbound.deliver()

        assert len(fake.requests) == 1


def test_no_token_is_logged(outbound: OutboundBench, fake: FakePeer, caplog: pytest.LogCaptureFixture) -> None:
    """A registration that fails, and one that does not, at the most talkative level."""
    peer = outbound.add_peer(state=PeerState.STARTING, outbound_token="outbound-secret")
    outbound.put(peer, OutboxKind.REGISTER, body=None)
    fake.script = [(500, {}, b"outbound-secret"), TAKEN]

    with caplog.at_level(logging.DEBUG):
        outbound.deliver()
        outbound.bench.clock.advance(10)
        outbound.deliver()

    secrets = ["outbound-secret", *(token_of(request) for request in fake.requests)]
    assert not [secret for secret in secrets if secret in caplog.text]
    assert "outbound-secret" not in peer.as_stored().last_error


def test_callers_are_named_by_what_they_are(outbound: OutboundBench, fake: FakePeer) -> None:
    """A peer without an address is not called, and the operator hears why."""
    peer: Caller = outbound.bench.add_peer(base_url=None)
    outbound.put(peer, OutboxKind.OPTIMUM)

    outbound.deliver()

    assert fake.requests == []
    assert "no URL" in peer.as_stored().last_error
