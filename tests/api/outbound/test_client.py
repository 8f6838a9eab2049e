"""One call to a peer: what is sent, what is read of the answer, and what is never told."""

from __future__ import annotations

import asyncio
import logging
import threading
from email.utils import format_datetime

import pytest

from api.oscp_client import Answer, OscpClient, PeerUnreachableError
from api.settings import Settings
from tests.api.oscp.bench import NOW
from tests.api.outbound.bench import FakePeer, Request

TOKEN = "a+b/c==" * 30
INSECURE = Settings.model_validate({"allow_insecure_callbacks": True, "delivery_timeout_s": 5})


def send(
    fake: FakePeer, *, base_url: str = "", body: str | None = '{"a": 1}', correlation_id: str = "", method: str = "POST"
) -> Answer:
    """One message to the fake."""

    async def call() -> Answer:
        client = OscpClient(INSECURE)
        try:
            return await client.send(
                method,
                base_url or fake.url,
                "/heartbeat",
                token=TOKEN,
                body=body,
                request_id="request-1",
                correlation_id=correlation_id,
            )
        finally:
            await client.close()

    return asyncio.run(call())


def test_what_is_sent(fake: FakePeer) -> None:
    """The scheme is Token, the token as it came, the ids where they belong, JSON in the body."""
    assert send(fake, correlation_id="request-0") == Answer(status=204)

    (request,) = fake.requests
    assert (request.method, request.path, request.body) == ("POST", "/fp/heartbeat", b'{"a": 1}')
    assert request.headers["authorization"] == f"Token {TOKEN}"
    assert request.headers["x-request-id"] == "request-1"
    assert request.headers["x-correlation-id"] == "request-0"
    assert request.headers["content-type"] == "application/json"


def test_what_is_left_out(fake: FakePeer) -> None:
    """No X-Correlation-ID on a message that answers nothing; no content type without a body."""
    send(fake, body=None, method="DELETE")

    assert not {"x-correlation-id", "content-type"} & fake.requests[0].headers.keys()


@pytest.mark.parametrize("status", [200, 201, 204])
def test_any_2xx_is_a_success(fake: FakePeer, status: int) -> None:
    """One implementation answers 200 with a body."""
    fake.script = [(status, {}, b'{"status_code": 1000}' if status != 204 else b"")]

    assert send(fake).is_success


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"message": "no such group"}', "no such group"),
        (b'{"success": false, "code": "VAL.00005", "message": "bad\\nbody"}', "bad body"),
        (b"<html><body>404</body></html>", "<html><body>404</body></html>"),
        (b'{"message": 7}', "7"),
        (b"\xff\x00\x1b[31mred", "[31mred"),
        (b"", ""),
    ],
)
def test_an_error_is_told_in_one_printable_line(fake: FakePeer, body: bytes, said: str) -> None:
    """Whatever the body is: JSON of several kinds, a web page, bytes."""
    fake.script = [(400, {}, body)]

    answer = send(fake)

    assert not answer.is_success
    assert said in answer.message
    assert answer.message.isprintable()


def test_a_token_in_an_error_is_masked(fake: FakePeer, caplog: pytest.LogCaptureFixture) -> None:
    """A peer that repeats the header in its answer does not bring the token into our logs."""
    fake.script = [(403, {}, f'{{"message": "invalid token {TOKEN}"}}'.encode())]

    with caplog.at_level(logging.DEBUG):
        answer = send(fake)

    assert answer.message == "invalid token ***"
    assert TOKEN not in caplog.text


def test_a_long_error_is_cut(fake: FakePeer) -> None:
    """An excerpt is enough."""
    fake.script = [(500, {}, b"x" * 10_000_000)]

    assert len(send(fake).message) <= 201


def test_a_redirect_is_not_followed(fake: FakePeer) -> None:
    """It could lead anywhere, with the token."""
    fake.script = [(307, {"Location": fake.url + "/elsewhere"}, b"")]

    assert send(fake).status == 307
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"Retry-After": "120"}, 120.0),
        ({"Retry-After": "soon"}, None),
        (
            {
                "Retry-After": format_datetime(NOW.replace(minute=2), usegmt=True),
                "Date": format_datetime(NOW, usegmt=True),
            },
            120.0,
        ),
    ],
    ids=["absent", "seconds", "nonsense", "date"],
)
def test_how_long_to_leave_a_peer_alone(fake: FakePeer, headers: dict[str, str], expected: float | None) -> None:
    """In seconds, or as a date by the peer's own clock."""
    fake.script = [(503, headers, b"")]

    assert send(fake).retry_after_s == expected


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/fp", "http://no-such-host.invalid/fp"])
def test_nobody_there(fake: FakePeer, url: str) -> None:
    """No connection, no name: one kind of error, without the token."""
    with pytest.raises(PeerUnreachableError) as failed:
        send(fake, base_url=url)

    assert TOKEN not in str(failed.value)


def test_an_internal_address_is_not_called(fake: FakePeer) -> None:
    """Whatever was registered, each call is checked."""

    async def call() -> None:
        client = OscpClient(Settings())
        await client.send("POST", fake.url, "/heartbeat", token=TOKEN, body=None, request_id="r")

    with pytest.raises(PeerUnreachableError, match="https"):
        asyncio.run(call())
    assert fake.requests == []


def test_a_peer_that_does_not_answer_is_given_up(fake: FakePeer) -> None:
    """After the timeout, whatever the peer is doing."""
    hold = threading.Event()

    def wait(_: Request) -> None:
        hold.wait(20)

    fake.before_answer = wait

    async def call() -> None:
        client = OscpClient(INSECURE.model_copy(update={"delivery_timeout_s": 0.2}))
        await client.send("POST", fake.url, "/heartbeat", token=TOKEN, body=None, request_id="r")

    with pytest.raises(PeerUnreachableError, match=r"no answer within 0\.2 s"):
        asyncio.run(call())
    hold.set()
