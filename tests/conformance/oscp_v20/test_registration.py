"""Registration of OSCP 2.0: tokens A, B and C, versions, addresses, replies, rotation, PUT and DELETE."""

from __future__ import annotations

import pytest

from api import outgoing
from api.records import OutboxKind, PeerState, TokenKind
from tests.api.oscp.bench import BODIES, PEER_URL, Bench, Caller, forecast_body, message_of, register_body

OTHER_URL = "https://fp2.example.org:8443/oscp/fp/2.0"


@pytest.fixture(name="invited")
def invited_fixture(bench: Bench) -> Caller:
    """A peer that was given TOKEN_A, and nothing is known of."""
    return bench.add_peer(kind=TokenKind.INITIAL, state=PeerState.INVITED, base_url=None, outbound_token=None)


@pytest.fixture(name="asked")
def asked_fixture(bench: Bench) -> Caller:
    """A peer where we registered with TOKEN_B, and that has not replied."""
    return bench.add_peer(kind=TokenKind.OFFERED, state=PeerState.STARTING, outbound_token="its-token-a")


class TestInitialRegister:
    """A peer registers with TOKEN_A."""

    def test_it_is_kept_and_replied_to_after_the_204(self, invited: Caller) -> None:
        """The reply is a request of ours in the other direction, which waits to go out; it names the request."""
        answer = invited.send("/register", register_body("token-b"), request_id="r1")

        peer = invited.as_stored()
        (reply,) = invited.outbox()
        assert (answer.status_code, answer.content) == (204, b"")
        assert (peer.state, peer.outbound_token, peer.base_url) == (PeerState.REPLYING, "token-b", PEER_URL)
        assert (reply.message.kind, reply.message.correlation_id) == (OutboxKind.REGISTER_REPLY, "r1")

    def test_reply_names_something_where_the_request_has_no_id(self, bench: Bench) -> None:
        """A reply without X-Correlation-ID is taken for another registration by one peer, which never ends."""
        peer = bench.add_peer("pyoscp", kind=TokenKind.INITIAL, state=PeerState.INVITED)

        answer = peer.send("/register", register_body(), request_id=None)
        (reply,) = peer.outbox()
        assert reply.message.correlation_id == answer.headers["x-correlation-id"] != ""

    def test_token_a_stays_valid_until_the_reply_is_delivered(self, invited: Caller) -> None:
        """A peer that could not be called back registers again, with the only token it has; one reply goes out, to the
        last address.
        """
        for number in range(3):
            assert invited.send("/register", register_body(f"token-b{number}", OTHER_URL)).status_code == 204

        assert [reply.message.kind for reply in invited.outbox()] == [OutboxKind.REGISTER_REPLY]
        assert invited.as_stored().outbound_token == "token-b2"

    @pytest.mark.parametrize("path", BODIES)
    def test_token_a_is_good_for_registering_only(self, bench: Bench, invited: Caller, path: str) -> None:
        """Registration comes before everything else."""
        bench.add_site(invited)

        answer = invited.send(path, BODIES[path])
        assert answer.status_code == 403
        assert "register" in message_of(answer)

    def test_version_is_chosen_by_name_not_by_place(self, invited: Caller) -> None:
        """Of all the versions offered, the one that is spoken here counts, wherever it stands."""
        body = register_body()
        body["version_url"] = [
            {"version": "1.0", "base_url": "https://fp.example.org/oscp/1.0"},
            {"version": "2.0", "base_url": OTHER_URL},
            {"version": "2.1", "base_url": "https://fp.example.org/oscp/2.1"},
        ]

        assert invited.send("/register", body).status_code == 204
        assert invited.as_stored().base_url == OTHER_URL

    def test_no_common_version_leaves_everything_as_it_was(self, invited: Caller) -> None:
        """501, and no reply follows; the token is good for another attempt."""
        before = invited.as_stored()

        assert invited.send("/register", register_body(version="1.0")).status_code == 501
        assert (invited.as_stored(), invited.outbox()) == (before, [])
        assert invited.send("/register", register_body()).status_code == 204

    def test_relative_address_of_an_unknown_peer_is_400(self, invited: Caller) -> None:
        """There is nothing that it could be relative to."""
        answer = invited.send("/register", register_body(base_url="/oscp/fp/2.0"))

        assert answer.status_code == 400
        assert "base_url" in message_of(answer)
        assert invited.outbox() == []

    def test_trailing_slash_of_an_address_is_cut(self, invited: Caller) -> None:
        """Paths of messages begin with one."""
        invited.send("/register", register_body(base_url=f"{PEER_URL}/"))

        assert invited.as_stored().base_url == PEER_URL

    def test_token_is_kept_to_the_letter(self, invited: Caller) -> None:
        """Tokens are opaque, up to 256 characters long at one peer, with signs of base64 at another."""
        token = "aB+/" * 63 + "yz=="

        invited.send("/register", register_body(token))
        assert invited.as_stored().outbound_token == token


class TestReply:
    """A peer answers our Register: with TOKEN_B, which only our Register has told it."""

    @pytest.mark.parametrize("correlation", [None, "the-id-of-our-register", "nonsense"])
    def test_it_completes_the_registration_whatever_it_names(self, asked: Caller, correlation: str | None) -> None:
        """Two peers send no X-Correlation-ID; the token alone tells a reply. It is never answered with a Register."""
        headers = {"X-Correlation-ID": correlation} if correlation else {}

        assert asked.send("/register", register_body("token-c", OTHER_URL), headers=headers).status_code == 204
        peer = asked.as_stored()
        assert (peer.state, peer.outbound_token, peer.base_url) == (PeerState.REGISTERED, "token-c", OTHER_URL)
        assert peer.registered_at == asked.bench.clock.now()
        assert asked.outbox(OutboxKind.REGISTER, OutboxKind.REGISTER_REPLY) == []

    def test_token_b_is_what_the_peer_presents_from_then_on(self, bench: Bench, asked: Caller) -> None:
        """It may send messages at once, and for good; what else it held ends after a grace."""
        asked.present("older", TokenKind.CURRENT)
        bench.add_site(asked)

        asked.send("/register", register_body())
        bench.clock.advance(bench.context.settings.token_grace_s + 1)
        assert asked.send("/update_group_capacity_forecast", forecast_body()).status_code == 204
        assert not asked.is_known("older")

    def test_relative_address_counts_from_where_we_called(self, asked: Caller) -> None:
        """One peer replies with a bare path: the host is that of our first call."""
        assert asked.send("/register", register_body(base_url="/oscp/2.0")).status_code == 204

        assert asked.as_stored().base_url == "https://fp.example.org/oscp/2.0"

    def test_pending_register_is_not_sent_any_more(self, bench: Bench, asked: Caller) -> None:
        """The reply may come while our Register still waits for its answer: that did arrive."""
        queue(bench, asked, OutboxKind.REGISTER)

        asked.send("/register", register_body())
        assert asked.outbox(OutboxKind.REGISTER) == []

    def test_register_that_names_one_of_ours_is_a_reply_too(self, bench: Bench, peer: Caller) -> None:
        """A peer that answers our reply, or that replies under its old token, names our request: no ping-pong."""
        request_id = queue(bench, peer, OutboxKind.REGISTER_REPLY)

        peer.send("/register", register_body("token-d"), headers={"X-Correlation-ID": request_id})
        assert peer.outbox(OutboxKind.REGISTER, OutboxKind.REGISTER_REPLY) == []
        assert (peer.as_stored().state, peer.as_stored().outbound_token) == (PeerState.REGISTERED, "token-d")

    def test_handshake_is_due_at_once_where_we_start_it(self, bench: Bench) -> None:
        """Two implementations never start a handshake towards a Capacity Optimizer; of others we wait for one."""
        asked, waiting = (
            bench.add_peer(profile, kind=TokenKind.OFFERED, state=PeerState.STARTING)
            for profile in ("solarnetwork", "standard")
        )

        for peer in (asked, waiting):
            peer.send("/register", register_body())
        due, later = asked.as_stored().handshake_due_at, waiting.as_stored().handshake_due_at
        assert due == bench.clock.now()
        assert later is not None
        assert (later - due).total_seconds() == bench.context.settings.handshake_after_s


class TestRotation:
    """A registered peer registers again."""

    def test_it_is_a_whole_exchange_under_the_current_token(self, peer: Caller) -> None:
        """The new address is kept, the reply waits; until it is delivered the peer knows no other token."""
        assert peer.send("/register", register_body("rotated", OTHER_URL), request_id="r9").status_code == 204

        stored = peer.as_stored()
        (reply,) = peer.outbox()
        assert (stored.state, stored.outbound_token, stored.base_url) == (PeerState.REPLYING, "rotated", OTHER_URL)
        assert (reply.message.kind, reply.message.correlation_id) == (OutboxKind.REGISTER_REPLY, "r9")
        assert peer.is_known(peer.token)

    def test_messages_are_taken_meanwhile(self, bench: Bench, peer: Caller) -> None:
        """A rotation interrupts nothing."""
        bench.add_site(peer)
        peer.send("/register", register_body())

        assert peer.send("/update_group_capacity_forecast", forecast_body()).status_code == 204

    def test_same_request_again_does_nothing(self, peer: Caller) -> None:
        """A repetition does not make a second reply."""
        for _ in range(2):
            assert peer.send("/register", register_body(), request_id="once").status_code == 204

        assert len(peer.outbox()) == 1

    def test_what_waits_beside_it_still_goes_out(self, peer: Caller) -> None:
        """An acknowledge that waits is not thrown away by a reply."""
        peer.send("/handshake", BODIES["/handshake"])
        peer.send("/register", register_body())

        kinds = [entry.message.kind for entry in peer.outbox()]
        assert kinds == [OutboxKind.HANDSHAKE_ACKNOWLEDGE, OutboxKind.REGISTER_REPLY]


class TestPut:
    """A registered peer replaces its token or address."""

    def test_it_replaces_both_and_calls_nobody_back(self, peer: Caller) -> None:
        """They are stored before the 204, and used from then on; the peer's own token stays."""
        assert peer.send("/register", register_body("put", OTHER_URL), method="PUT").status_code == 204

        stored = peer.as_stored()
        assert (stored.state, stored.outbound_token, stored.base_url) == (PeerState.REGISTERED, "put", OTHER_URL)
        assert peer.outbox() == []
        assert peer.send("/heartbeat", {}).status_code == 204

    def test_relative_address_counts_from_the_known_one(self, peer: Caller) -> None:
        """As in a reply."""
        assert peer.send("/register", register_body(base_url="/moved"), method="PUT").status_code == 204

        assert peer.as_stored().base_url == "https://fp.example.org/moved"

    def test_no_common_version_is_501(self, peer: Caller) -> None:
        """And nothing is replaced."""
        before = peer.as_stored()

        assert peer.send("/register", register_body(version="1.0"), method="PUT").status_code == 501
        assert peer.as_stored() == before

    def test_token_a_does_not_put(self, invited: Caller) -> None:
        """There is nothing to replace before a registration."""
        assert invited.send("/register", register_body(), method="PUT").status_code == 403

    def test_put_with_the_words_and_id_of_a_post_is_no_repetition(self, bench: Bench, peer: Caller) -> None:
        """The method makes another request of it."""
        peer.send("/register", register_body("one"), request_id="same")
        peer.send("/register", register_body("two"))
        peer.send("/register", register_body("one"), request_id="same", method="PUT")

        assert peer.as_stored().outbound_token == "one"


class TestDelete:
    """A peer unregisters."""

    @pytest.mark.parametrize(
        "body",
        [None, register_body(), b"", b"{", {"token": 1}],
        ids=["none", "a register", "empty", "cut", "wrong"],
    )
    def test_it_ends_the_registration_with_or_without_a_body(self, peer: Caller, body: object) -> None:
        """One implementation sends none, two send a Register; what it holds is of no matter."""
        answer = peer.send("/register", body, method="DELETE")

        stored = peer.as_stored()
        assert (answer.status_code, answer.content) == (204, b"")
        assert (stored.state, stored.outbound_token, stored.next_heartbeat_at) == (PeerState.UNREGISTERED, None, None)

    def test_every_token_is_forbidden_afterwards(self, peer: Caller) -> None:
        """Also a second DELETE."""
        peer.present("another", TokenKind.CURRENT)
        peer.send("/register", method="DELETE")

        assert peer.send("/register", method="DELETE").status_code == 403
        assert peer.send("/heartbeat", {}, token="another").status_code == 403
        assert peer.send("/register", register_body()).status_code == 403

    def test_nothing_more_is_sent(self, peer: Caller) -> None:
        """What waited is taken back; we do not unregister in turn."""
        peer.send("/handshake", BODIES["/handshake"])
        peer.send("/register", method="DELETE")

        assert peer.outbox() == []

    def test_what_is_known_of_its_sites_stays(self, bench: Bench, peer: Caller) -> None:
        """The operator decides about that."""
        site_id = bench.add_site(peer)
        peer.send("/update_group_capacity_forecast", forecast_body())
        peer.send("/register", method="DELETE")

        assert len(bench.events(site_id)) == 1


def queue(bench: Bench, peer: Caller, kind: OutboxKind) -> str:
    """Put a Register of some kind into the outbox; its X-Request-ID."""
    message = outgoing.register(peer.peer_id, kind)
    bench.context.database.write_now(lambda tx: tx.outbox.add([message], now=bench.clock.now()))
    return message.request_id
