"""OSCP 2.0 over HTTP: paths, methods, headers, status codes and bodies of answers."""

from __future__ import annotations

import pytest

from tests.api.oscp.bench import BODIES, GROUP_PATHS, PREFIX, Bench, Caller, forecast_body, message_of, register_body


@pytest.mark.parametrize("path", BODIES)
def test_success_is_204_without_a_body(bench: Bench, peer: Caller, path: str) -> None:
    """What was taken is answered 204 No Content: no body, no type of one; one production peer counts anything else as
    failure.
    """
    bench.add_site(peer)

    answer = peer.send(path, BODIES[path])

    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-type" not in answer.headers
    assert answer.headers.get("content-length", "0") == "0"


@pytest.mark.parametrize("path", BODIES)
def test_trailing_slash_is_taken_without_a_redirect(bench: Bench, peer: Caller, path: str) -> None:
    """A peer that appends a slash is served at once: a redirect would have it send its token and body twice."""
    bench.add_site(peer)

    assert bench.client.follow_redirects
    bench.client.follow_redirects = False
    assert peer.send(f"{path}/", BODIES[path]).status_code == 204


@pytest.mark.parametrize("path", ["/handshake_acknowledgment", "/handshake_acknowledgement"])
def test_other_spellings_of_the_acknowledge_are_served(peer: Caller, path: str) -> None:
    """Two implementations spell the path their own way."""
    assert peer.send(path, BODIES["/handshake_acknowledge"]).status_code == 204


@pytest.mark.parametrize("path", [*BODIES, "/register"])
def test_there_is_no_get(peer: Caller, path: str) -> None:
    """No message is fetched: 405, which names the methods there are."""
    answer = peer.send(path, method="GET")

    assert answer.status_code == 405
    assert answer.headers["allow"] == ("DELETE, POST, PUT" if path == "/register" else "POST")
    assert path in message_of(answer)


@pytest.mark.parametrize("path", ["/adjust_group_capacity_forecast", "/group_capacity_compliance_error", "/nothing"])
def test_what_a_capacity_optimizer_does_not_serve_is_404(peer: Caller, path: str) -> None:
    """Two messages are for a Capacity Provider only."""
    assert path in message_of(answer := peer.send(path, forecast_body()))
    assert answer.status_code == 404


@pytest.mark.parametrize("path", BODIES)
def test_missing_token_is_401(bench: Bench, path: str) -> None:
    """Every request is authenticated; the answer says with which scheme."""
    answer = bench.client.post(PREFIX + path, json=BODIES[path], headers={"X-Request-ID": "r1"})

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Token")
    assert "Authorization" in message_of(answer)


def test_unknown_token_is_403(peer: Caller) -> None:
    """A token that was never issued is forbidden, not unauthorized."""
    assert message_of(answer := peer.send("/heartbeat", {}, token="never-issued"))
    assert answer.status_code == 403


@pytest.mark.parametrize("scheme", ["Token", "token", "TOKEN"])
def test_scheme_is_read_in_capital_and_small_letters(peer: Caller, scheme: str) -> None:
    """The scheme is Token; HTTP does not tell its letters apart."""
    assert peer.send("/heartbeat", {}, authorization=f"{scheme} {peer.token}").status_code == 204


@pytest.mark.parametrize("path", BODIES)
def test_missing_request_id_is_400(bench: Bench, peer: Caller, path: str) -> None:
    """Every request has an X-Request-ID."""
    bench.add_site(peer)
    answer = peer.send(path, BODIES[path], request_id=None)

    assert answer.status_code == 400
    assert "X-Request-ID" in message_of(answer)


@pytest.mark.parametrize("profile", ["solarnetwork", "pyoscp"])
def test_missing_request_id_is_let_through_where_a_peer_is_known_for_it(bench: Bench, profile: str) -> None:
    """Two implementations do not care for X-Request-ID."""
    assert bench.add_peer(profile).send("/heartbeat", {}, request_id=None).status_code == 204


@pytest.mark.parametrize("status_code", [204, 400, 401, 403, 404, 405, 415], ids=str)
def test_every_answer_names_the_request(bench: Bench, peer: Caller, status_code: int) -> None:
    """X-Correlation-ID of the answer is the X-Request-ID of the request, whatever the answer is."""
    answer = {
        204: lambda: peer.send("/heartbeat", {}, request_id="r-1"),
        400: lambda: peer.send("/heartbeat", [], request_id="r-1"),
        401: lambda: peer.send("/heartbeat", {}, request_id="r-1", authorization="nothing"),
        403: lambda: peer.send("/heartbeat", {}, request_id="r-1", token="wrong"),
        404: lambda: peer.send("/nothing", {}, request_id="r-1"),
        405: lambda: peer.send("/heartbeat", {}, request_id="r-1", method="PUT"),
        415: lambda: peer.send("/heartbeat", {}, request_id="r-1", headers={"Content-Type": "text/plain"}),
    }[status_code]()

    assert answer.status_code == status_code
    assert answer.headers.get_list("x-correlation-id") == ["r-1"]


def test_answer_to_a_request_without_id_names_one_made_up(bench: Bench) -> None:
    """Where there is none to name, the answer has one of its own; the log has the same."""
    peer = bench.add_peer("pyoscp")

    first, second = (peer.send("/heartbeat", {}, request_id=None).headers["x-correlation-id"] for _ in range(2))
    assert first
    assert first != second


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/xml", "application/x-www-form-urlencoded", "application/json; charset=utf-16", ""],
)
def test_other_content_type_is_415(peer: Caller, content_type: str) -> None:
    """A message is JSON in UTF-8 and says so."""
    answer = peer.send("/heartbeat", b"{}", headers={"Content-Type": content_type})

    assert answer.status_code == 415
    assert "Content-Type" in message_of(answer)


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON", "application/json; charset=UTF-8", "application/json;x=1"]
)
def test_content_type_may_have_parameters(peer: Caller, content_type: str) -> None:
    """Letters of the type are not told apart, and what it is followed by is of no matter."""
    assert peer.send("/heartbeat", b"{}", headers={"Content-Type": content_type}).status_code == 204


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "EOF"),
        (b"{", "EOF"),
        (b"null", "body"),
        (b"[]", "body"),
        (b'{"group_id": "\xff"}', "JSON"),
        (b'{"group_id": NaN}', "group_id"),
        (b"{}", "group_id"),
    ],
    ids=["empty", "cut", "null", "list", "not UTF-8", "not a number", "no field"],
)
@pytest.mark.parametrize("path", GROUP_PATHS)
def test_malformed_body_is_400(bench: Bench, peer: Caller, path: str, body: bytes, said: str) -> None:
    """What is no JSON, or not the message of the path, is refused with what is wrong with it."""
    bench.add_site(peer)
    answer = peer.send(path, body)

    assert answer.status_code == 400
    assert said in message_of(answer)


def test_message_of_a_refusal_names_field_value_and_limit(bench: Bench, peer: Caller) -> None:
    """Whoever has to put a message right is told what and where."""
    bench.add_site(peer)
    body = forecast_body()
    body["forecasted_blocks"][0]["capacity"] = -10

    answer = peer.send("/update_group_capacity_forecast", body)
    expected = "forecasted_blocks.0.capacity '-10': Input should be greater than or equal to 0"
    assert message_of(answer).startswith(expected)


@pytest.mark.parametrize("path", BODIES)
def test_unknown_properties_are_ignored(bench: Bench, peer: Caller, path: str) -> None:
    """The schemas forbid no further properties, and peers send some."""
    bench.add_site(peer)

    assert peer.send(path, BODIES[path] | {"business_details": {"name": "x"}}).status_code == 204


@pytest.mark.parametrize("path", GROUP_PATHS)
def test_unknown_group_is_404_and_named(bench: Bench, peer: Caller, path: str) -> None:
    """No message makes a group; ids are agreed out of band."""
    bench.add_site(peer, "g1")

    answer = peer.send(path, BODIES[path] | {"group_id": "transformer-17"})
    assert answer.status_code == 404
    assert "transformer-17" in message_of(answer)


@pytest.mark.parametrize("path", GROUP_PATHS)
def test_same_request_again_is_204_and_does_nothing(bench: Bench, peer: Caller, path: str) -> None:
    """A peer that missed the answer sends the request again under its id."""
    site_id = bench.add_site(peer)

    answers = [peer.send(path, BODIES[path], request_id="again").status_code for _ in range(3)]
    assert answers == [204, 204, 204]
    assert len(bench.events(site_id)) == 1


def test_same_id_for_another_body_path_or_group_is_another_request(bench: Bench, peer: Caller) -> None:
    """One peer passes on the ids of the providers behind it, which are unique for each of those only."""
    site_id = bench.add_site(peer, "g1", "g2")

    peer.send("/update_group_capacity_forecast", forecast_body(), request_id="same")
    peer.send("/update_group_capacity_forecast", forecast_body(group_id="g2"), request_id="same")
    peer.send("/update_group_capacity_forecast", forecast_body(kind="GENERATION"), request_id="same")
    peer.send("/update_asset_measurements", BODIES["/update_asset_measurements"], request_id="same")
    peer.send("/update_group_measurements", BODIES["/update_group_measurements"], request_id="same")
    assert len(bench.events(site_id)) == 5


def test_request_is_remembered_for_some_minutes(bench: Bench, peer: Caller) -> None:
    """After that it is a new one."""
    site_id = bench.add_site(peer)
    path, body = "/update_group_capacity_forecast", forecast_body()

    peer.send(path, body, request_id="same")
    bench.clock.advance(bench.context.settings.request_memory_s - 1)
    peer.send(path, body, request_id="same")
    assert len(bench.events(site_id)) == 1
    bench.clock.advance(bench.context.settings.request_memory_s + 1)
    peer.send(path, body, request_id="same")
    assert len(bench.events(site_id)) == 2


def test_without_id_nothing_is_taken_for_a_repetition(bench: Bench) -> None:
    """Two forecasts that are equal may be two forecasts."""
    peer = bench.add_peer("pyoscp")
    site_id = bench.add_site(peer)

    for _ in range(2):
        peer.send("/update_group_capacity_forecast", forecast_body(), request_id=None)
    assert len(bench.events(site_id)) == 2


def test_request_that_was_refused_may_come_again(bench: Bench, peer: Caller) -> None:
    """A refusal leaves no trace: once the group is there, the same request is taken."""
    path, body = "/update_group_capacity_forecast", forecast_body()
    assert peer.send(path, body, request_id="early").status_code == 404
    site_id = bench.add_site(peer)

    assert peer.send(path, body, request_id="early").status_code == 204
    assert len(bench.events(site_id)) == 1


def test_no_common_version_is_501(peer: Caller) -> None:
    """Versions are compared as texts; the refusal says which are offered and which is spoken."""
    answer = peer.send("/register", register_body(version="2.0.1"))

    assert answer.status_code == 501
    assert "2.0.1" in message_of(answer)
