"""Peers by the REST API: invited, registered with, looked at, given new tokens, revoked."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from api.profiles import PROFILES, OptimumDelivery
from api.records import OutboxKind, OutboxState, PeerState, TokenKind
from api.rest_schemas import ProfileOverrides
from tests.api.rest.bench import BASE_URL, PEER_URL, Bench, message
from tests.builders import MORNING

PEERS = "/v1/peers"
THEIR_TOKEN = "token-that-the-peer-issued"


def invite(bench: Bench, **fields: Any) -> dict[str, Any]:
    """A peer that is to register itself."""
    answer = bench.operator.post(PEERS, {"name": "depot north"} | fields)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def start(bench: Bench, **fields: Any) -> dict[str, Any]:
    """A peer with which we register."""
    return invite(bench, **({"base_url": PEER_URL, "token": THEIR_TOKEN} | fields))


def kinds(bench: Bench, peer_id: str) -> list[tuple[OutboxKind, OutboxState]]:
    """What is, or was, to be sent to a peer."""
    return [(entry.message.kind, entry.state) for entry in bench.outbox(peer_id)]


class TestCreate:
    """POST /v1/peers."""

    def test_an_invited_peer_gets_a_token_to_register_with(self, bench: Bench) -> None:
        """201 with our base URL and TOKEN_A, which is stored as a hash only."""
        issued = invite(bench)

        assert issued.keys() == {"peer_id", "base_url", "token"}
        assert issued["base_url"] == BASE_URL
        assert bench.knows(issued["token"]) is TokenKind.INITIAL
        peer = bench.peer(issued["peer_id"])
        assert (peer.state, peer.base_url, peer.profile_name) == (PeerState.INVITED, None, "standard")
        assert kinds(bench, peer.peer_id) == []

    def test_with_an_address_and_a_token_we_register_there(self, bench: Bench) -> None:
        """The outbox has a Register, and the answer no token: the one for the peer is made for each attempt."""
        issued = start(bench, base_url=f"{PEER_URL}/")

        peer = bench.peer(issued["peer_id"])
        assert issued["token"] is None
        assert (peer.state, peer.base_url, peer.outbound_token) == (PeerState.STARTING, PEER_URL, THEIR_TOKEN)
        assert kinds(bench, peer.peer_id) == [(OutboxKind.REGISTER, OutboxState.PENDING)]

    def test_a_peer_that_does_not_register_is_registered_at_once(self, bench: Bench) -> None:
        """The token of the answer is good for every message."""
        issued = start(bench, profile="vector")

        peer = bench.peer(issued["peer_id"])
        assert (peer.state, peer.registered_at) == (PeerState.REGISTERED, bench.clock.now())
        assert peer.handshake_due_at is not None
        assert bench.knows(issued["token"]) is TokenKind.CURRENT
        assert kinds(bench, peer.peer_id) == []

    def test_a_peer_that_does_not_register_needs_an_address(self, bench: Bench) -> None:
        """It would never tell us where it is."""
        assert "base_url and token" in message(bench.operator.post(PEERS, {"name": "v", "profile": "vector"}), 400)

    def test_overrides_change_the_profile(self, bench: Bench) -> None:
        """Each field of a profile can be set for one peer."""
        issued = invite(bench, overrides={"optimum_delivery": "adjust", "heartbeat_interval_s": 30})

        profile = bench.peer(issued["peer_id"]).profile
        assert (profile.optimum_delivery, profile.heartbeat_interval_s) == (OptimumDelivery.ADJUST, 30)
        assert ProfileOverrides.model_fields.keys() | {"name"} == set(type(profile).__dataclass_fields__)

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"base_url": PEER_URL}, "base_url is given and token is not"),
            ({"token": THEIR_TOKEN}, "token is given and base_url is not"),
            ({"name": ""}, "name"),
            ({"name": 7}, "name"),
            ({"name": "a\nb"}, "name"),
            ({"profile": "standrad"}, "must be one of standard"),
            ({"time_zone": "Europe/Amsterdm"}, "time_zone"),
            ({"overrides": {"optimum_delivery": "pigeon"}}, "overrides.optimum_delivery"),
            ({"overrides": {"heartbeat_interval_s": 0}}, "overrides.heartbeat_interval_s"),
            ({"overrides": {"name": "other"}}, "overrides.name"),
            ({"overrides": {"acknowledge_path": "//evil.example\r\n"}}, "overrides.acknowledge_path"),
            ({"base_url": "http://fp.example", "token": THEIR_TOKEN}, "http"),
            ({"base_url": "https://127.0.0.1/oscp", "token": THEIR_TOKEN}, "127.0.0.1"),
            ({"base_url": PEER_URL, "token": f"{THEIR_TOKEN}\r\nX-Evil: 1"}, "token"),
            ({"base_url": PEER_URL, "token": ""}, "token"),
            ({"role": "FP"}, "role"),
        ],
    )
    def test_what_cannot_be_taken_is_refused(self, bench: Bench, fields: dict[str, Any], told: str) -> None:
        """400 that names the field and shows no token; nothing is stored."""
        text = message(bench.operator.post(PEERS, {"name": "depot north"} | fields), 400)

        assert told in text
        assert THEIR_TOKEN not in text
        assert bench.operator.get(PEERS).json() == []

    def test_a_name_belongs_to_one_peer(self, bench: Bench) -> None:
        """409 while it is in use; free again once the peer was revoked."""
        issued = invite(bench)
        message(bench.operator.post(PEERS, {"name": "depot north"}), 409)
        bench.operator.delete(f"{PEERS}/{issued['peer_id']}")

        assert bench.operator.post(PEERS, {"name": "depot north"}).status_code == 201

    @pytest.mark.parametrize("profile", sorted(PROFILES))
    def test_every_profile_is_taken(self, bench: Bench, profile: str) -> None:
        """By its name in the table."""
        assert bench.peer(start(bench, profile=profile)["peer_id"]).profile_name == profile


class TestLook:
    """GET /v1/peers and GET /v1/peers/{peer_id}."""

    def test_the_state_of_every_peer_is_listed(self, bench: Bench) -> None:
        """State, profile, heartbeats, last error; in order of creation."""
        first = invite(bench)
        bench.clock.instant = MORNING + timedelta(seconds=1)
        second = start(bench, name="depot south", profile="solarnetwork", time_zone="UTC")
        bench.write(lambda tx: tx.peers.update(second["peer_id"], offline=True, last_error="connection refused"))

        listed = bench.operator.get(PEERS).json()

        assert [peer["peer_id"] for peer in listed] == [first["peer_id"], second["peer_id"]]
        assert listed[0]["state"] == "invited"
        shown = {
            name: listed[1][name] for name in ("state", "profile", "offline", "last_error", "base_url", "time_zone")
        }
        assert shown == {
            "state": "starting",
            "profile": "solarnetwork",
            "offline": True,
            "last_error": "connection refused",
            "base_url": PEER_URL,
            "time_zone": "UTC",
        }

    def test_the_messages_to_a_peer_are_shown(self, bench: Bench) -> None:
        """Kind, group, state, attempts, next attempt, last error; neither body nor token."""
        issued = start(bench)

        (entry,) = bench.operator.get(f"{PEERS}/{issued['peer_id']}").json()["outbox"]

        assert entry == {
            "kind": "register",
            "group_id": None,
            "state": "pending",
            "created_at": "2026-03-02T08:00:00Z",
            "attempts": 0,
            "next_attempt_at": "2026-03-02T08:00:00Z",
            "finished_at": None,
            "last_error": "",
        }

    def test_no_token_is_shown_or_logged(self, bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
        """Neither the peer's nor ours, but once in the answer that issues it."""
        with caplog.at_level(logging.DEBUG):
            first, second = invite(bench), start(bench, name="depot south")
            shown = bench.operator.get(PEERS).text
            shown += "".join(bench.operator.get(f"{PEERS}/{peer['peer_id']}").text for peer in (first, second))
            renewed = bench.operator.post(f"{PEERS}/{first['peer_id']}/token").json()["token"]

        for token in (first["token"], renewed, THEIR_TOKEN):
            assert token not in shown
            assert token not in caplog.text

    @pytest.mark.parametrize(
        ("method", "end"), [("GET", ""), ("DELETE", ""), ("POST", "/token"), ("POST", "/register")]
    )
    def test_an_unknown_peer_is_not_found(self, bench: Bench, method: str, end: str) -> None:
        """404."""
        assert "nobody" in message(bench.operator.call(method, f"{PEERS}/nobody{end}"), 404)


class TestRevoke:
    """DELETE /v1/peers/{peer_id}."""

    def test_a_registered_peer_is_told_and_loses_its_token_at_once(self, bench: Bench) -> None:
        """Its requests are refused from now on, and nothing is sent but the news; its site stays."""
        peer = bench.add_peer(next_heartbeat_at=bench.clock.now(), handshake_due_at=bench.clock.now())
        bench.add_site(peer)
        bench.operator.post(f"{PEERS}/{peer.peer_id}/register")

        assert bench.operator.delete(f"{PEERS}/{peer.peer_id}").status_code == 204

        message(peer.get("/v1/sites"), 403)
        stored = bench.peer(peer.peer_id)
        assert (stored.state, stored.next_heartbeat_at, stored.handshake_due_at) == (PeerState.UNREGISTERED, None, None)
        assert kinds(bench, peer.peer_id) == [
            (OutboxKind.REGISTER, OutboxState.SUPERSEDED),
            (OutboxKind.UNREGISTER, OutboxState.PENDING),
        ]
        assert bench.operator.get("/v1/sites/depot").status_code == 200

    def test_again_it_does_nothing(self, bench: Bench) -> None:
        """The peer is told once."""
        peer = bench.add_peer()

        assert [bench.operator.delete(f"{PEERS}/{peer.peer_id}").status_code for _ in range(2)] == [204, 204]
        assert [kind for kind, _ in kinds(bench, peer.peer_id)] == [OutboxKind.UNREGISTER]

    def test_a_peer_that_never_registered_is_told_nothing(self, bench: Bench) -> None:
        """It could not be called; its invitation is void."""
        issued = invite(bench)
        bench.operator.delete(f"{PEERS}/{issued['peer_id']}")

        assert bench.knows(issued["token"]) is None
        assert kinds(bench, issued["peer_id"]) == []

    def test_a_registration_under_way_is_given_up(self, bench: Bench) -> None:
        """Its Register does not go out any more."""
        issued = start(bench)
        bench.operator.delete(f"{PEERS}/{issued['peer_id']}")

        assert kinds(bench, issued["peer_id"]) == [(OutboxKind.REGISTER, OutboxState.SUPERSEDED)]

    def test_a_peer_that_does_not_register_is_told_nothing(self, bench: Bench) -> None:
        """It knows no unregistration."""
        issued = start(bench, profile="vector")
        bench.operator.delete(f"{PEERS}/{issued['peer_id']}")

        assert bench.knows(issued["token"]) is None
        assert kinds(bench, issued["peer_id"]) == []


class TestToken:
    """POST /v1/peers/{peer_id}/token."""

    def test_an_invitation_is_replaced(self, bench: Bench) -> None:
        """The token that was lost is void."""
        first = invite(bench)

        answer = bench.operator.post(f"{PEERS}/{first['peer_id']}/token")

        assert answer.status_code == 201
        second = answer.json()
        assert (second["peer_id"], second["base_url"]) == (first["peer_id"], BASE_URL)
        assert (bench.knows(first["token"]), bench.knows(second["token"])) == (None, TokenKind.INITIAL)

    @pytest.mark.parametrize("state", [PeerState.FAILED, PeerState.UNREGISTERED, PeerState.STARTING])
    def test_a_peer_that_is_not_registered_is_invited_again(self, bench: Bench, state: PeerState) -> None:
        """What was pending, a farewell among it, does not go out after all."""
        peer = bench.add_peer()
        bench.operator.delete(f"{PEERS}/{peer.peer_id}")
        bench.write(lambda tx: tx.peers.update(peer.peer_id, state=state, last_error="no reply"))

        token = bench.operator.post(f"{PEERS}/{peer.peer_id}/token").json()["token"]

        stored = bench.peer(peer.peer_id)
        assert (stored.state, stored.last_error, bench.knows(token)) == (PeerState.INVITED, "", TokenKind.INITIAL)
        assert kinds(bench, peer.peer_id) == [(OutboxKind.UNREGISTER, OutboxState.SUPERSEDED)]

    def test_a_registered_peer_goes_on_until_it_registers_anew(self, bench: Bench) -> None:
        """Its present token stays valid."""
        peer = bench.add_peer()

        token = bench.operator.post(f"{PEERS}/{peer.peer_id}/token").json()["token"]

        assert bench.knows(token) is TokenKind.INITIAL
        assert bench.peer(peer.peer_id).state is PeerState.REGISTERED
        assert peer.get("/v1/sites").status_code == 200

    def test_a_peer_that_does_not_register_gets_its_token(self, bench: Bench) -> None:
        """Good for everything; the old one ends with its grace. After a revocation it is let in again."""
        first = start(bench, profile="vector")
        bench.operator.delete(f"{PEERS}/{first['peer_id']}")

        second = bench.operator.post(f"{PEERS}/{first['peer_id']}/token").json()["token"]

        assert (bench.knows(first["token"]), bench.knows(second)) == (None, TokenKind.CURRENT)
        assert bench.peer(first["peer_id"]).state is PeerState.REGISTERED

    @pytest.mark.parametrize("end", ["token", "register"])
    def test_a_name_that_is_taken_meanwhile_is_a_conflict(self, bench: Bench, end: str) -> None:
        """Two peers of one name could not be told apart."""
        old = bench.add_peer()
        bench.operator.delete(f"{PEERS}/{old.peer_id}")
        new = invite(bench)

        assert new["peer_id"] in message(bench.operator.post(f"{PEERS}/{old.peer_id}/{end}"), 409)


class TestRegister:
    """POST /v1/peers/{peer_id}/register."""

    def test_a_registered_peer_is_registered_with_again(self, bench: Bench) -> None:
        """202; it is served and called as before until the new tokens are exchanged."""
        peer = bench.add_peer()

        answer = bench.operator.post(f"{PEERS}/{peer.peer_id}/register")

        assert (answer.status_code, answer.json()["state"]) == (202, "registered")
        assert kinds(bench, peer.peer_id) == [(OutboxKind.REGISTER, OutboxState.PENDING)]
        assert peer.get("/v1/sites").status_code == 200

    def test_again_it_replaces_the_one_that_waits(self, bench: Bench) -> None:
        """One Register goes out."""
        peer = bench.add_peer()
        for _ in range(2):
            bench.operator.post(f"{PEERS}/{peer.peer_id}/register")

        states = [state for _, state in kinds(bench, peer.peer_id)]
        assert states == [OutboxState.SUPERSEDED, OutboxState.PENDING]

    def test_a_failed_registration_is_started_again(self, bench: Bench) -> None:
        """With the address and token that the operator gave."""
        issued = start(bench)
        bench.write(lambda tx: tx.peers.update(issued["peer_id"], state=PeerState.FAILED, last_error="no reply"))

        assert bench.operator.post(f"{PEERS}/{issued['peer_id']}/register").json()["state"] == "starting"
        assert bench.peer(issued["peer_id"]).last_error == ""

    @pytest.mark.parametrize("fields", [{}, {"profile": "vector", "base_url": PEER_URL, "token": THEIR_TOKEN}])
    def test_a_peer_that_cannot_be_registered_with_is_a_conflict(self, bench: Bench, fields: dict[str, Any]) -> None:
        """Nobody knows where an invited one is; another kind takes no Register. The message says what to do instead."""
        issued = invite(bench, **fields)

        assert "issue a" in message(bench.operator.post(f"{PEERS}/{issued['peer_id']}/register"), 409)
