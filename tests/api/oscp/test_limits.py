"""What no caller may do to the server: bodies too large, too deep, too slow, or not what they seem."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from api import server
from api.settings import Settings
from models.oscp.v20.forecast import MAX_BLOCKS
from tests.api.oscp.bench import (
    BODIES,
    GROUP_PATHS,
    PREFIX,
    Bench,
    Caller,
    block,
    forecast_body,
    message_of,
    register_body,
    running,
)

FORECAST = "/update_group_capacity_forecast"
MEGABYTE = 1_000_000
KEY = "k" * 16


class TestSize:
    """Refused as soon as it shows, before it is read."""

    def test_a_hundred_megabytes_that_are_announced(self, peer: Caller) -> None:
        """413 by the header alone: none of it is sent."""
        answer = peer.send(FORECAST, b"{", headers={"Content-Length": str(100 * MEGABYTE)})

        assert answer.status_code == 413
        assert "8000000 bytes" in message_of(answer)
        assert answer.headers["connection"] == "close"

    def test_a_hundred_megabytes_that_are_not(self, bench: Bench, peer: Caller) -> None:
        """413 after the first eight: the rest of a body in chunks is not asked for."""

        def chunks() -> Iterator[bytes]:
            for _ in range(100):
                yield b" " * MEGABYTE

        head = {"Authorization": f"Token {peer.token}", "X-Request-ID": "r", "Content-Type": "application/json"}
        answer = bench.client.post(PREFIX + FORECAST, content=chunks(), headers=head)

        assert answer.status_code == 413

    def test_a_million_blocks(self, folder: Path) -> None:
        """400 that names the limit, also where the operator allows bodies that hold as many."""
        with running(folder, max_body_bytes=500 * MEGABYTE) as bench:
            peer = bench.add_peer()
            site_id = bench.add_site(peer)
            text = json.dumps(block()).encode()
            body = b'{"group_id":"g1","type":"CONSUMPTION","forecasted_blocks":[' + b",".join([text] * MEGABYTE) + b"]}"
            answer = peer.send(FORECAST, body)

            assert answer.status_code == 400
            assert str(MAX_BLOCKS) in message_of(answer)
            assert bench.events(site_id) == ()

    @pytest.mark.parametrize("path", GROUP_PATHS)
    def test_json_without_a_bottom(self, peer: Caller, path: str) -> None:
        """400, however deep: nothing recurses until it falls over."""
        closed = b'{"x":' + b"[" * MEGABYTE + b"]" * MEGABYTE + b"}"
        for body in (b"[" * MEGABYTE, b'{"group_id":' * MEGABYTE, closed):
            answer = peer.send(path, body)

            assert answer.status_code in (400, 413)
            assert message_of(answer)

    def test_a_number_without_an_end(self, peer: Caller) -> None:
        """400: not minutes of arithmetic."""
        body = json.dumps(forecast_body()).replace("25.5", "9" * MEGABYTE).encode()

        assert peer.send(FORECAST, body).status_code == 400


class TestDisguise:
    """What is not what it seems."""

    @pytest.mark.parametrize("path", BODIES)
    def test_a_gzip_bomb_is_not_unpacked(self, peer: Caller, path: str) -> None:
        """415, whatever it would become: no message comes compressed."""
        bomb = gzip.compress(b" " * (10 * MEGABYTE))
        answer = peer.send(path, bomb, headers={"Content-Encoding": "gzip"})

        assert answer.status_code == 415
        assert "gzip" in message_of(answer)

    @pytest.mark.parametrize("value", ["a b", "a\tb", "\x7f", "x" * 257])
    @pytest.mark.parametrize("name", ["X-Request-ID", "X-Correlation-ID"])
    def test_an_id_that_would_break_a_header_is_refused(self, peer: Caller, name: str, value: str) -> None:
        """400, and the answer does not carry it: it would come back in a header of ours, and go on in one to others."""
        answer = peer.send(FORECAST, forecast_body(), headers={name: value})

        assert answer.status_code == 400
        assert name in message_of(answer)
        assert value not in answer.headers["x-correlation-id"]

    @pytest.mark.parametrize("value", ["told\r\nX-Evil: 1", "told to us", "töken", "\x00"])
    def test_a_token_that_would_break_a_header_is_refused(self, bench: Bench, value: str) -> None:
        """It would be sent in a header of ours; the message does not repeat it."""
        peer = bench.add_peer()
        answer = peer.send("/register", register_body(token=value))

        assert answer.status_code == 400
        assert value not in message_of(answer)
        assert peer.as_stored().outbound_token != value

    @pytest.mark.parametrize(
        "url",
        [
            "https://fp.example.org/\r\nX-Evil: 1",
            "https://fp.example.org/a b",
            "https://user:secret@fp.example.org/",
            "file:///etc/passwd",
            "gopher://fp.example.org/",
            "https://[::1",
            "https://",
            "https:///oscp/fp/2.0",
            "//169.254.169.254/latest",
        ],
    )
    def test_an_address_that_is_none_is_refused(self, bench: Bench, url: str) -> None:
        """400, and the one known stays."""
        peer = bench.add_peer()
        before = peer.as_stored().base_url
        answer = peer.send("/register", register_body(base_url=url))

        assert answer.status_code == 400
        assert "secret" not in message_of(answer)
        assert peer.as_stored().base_url == before


class TestPace:
    """Whoever is slow is cut off, and holds up nobody."""

    @pytest.fixture(name="port")
    def port_fixture(self, tmp_path: Path) -> Iterator[int]:
        """Where a server listens that waits for a body for a tenth of a second."""
        settings = Settings.model_validate(
            {
                "port": 0,
                "database_url": f"sqlite:///{tmp_path}/state.db",
                "operator_key": KEY,
                "body_timeout_s": 0.1,
            }
        )
        with server.serving(settings) as url:
            yield int(url.rpartition(":")[2])

    def test_a_body_that_trickles_is_cut_off(self, port: int) -> None:
        """408, and the connection is closed."""
        head = (
            f"PUT /v1/sites/depot HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
            "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
        )
        with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as slow:
            slow.sendall(head.encode())
            received = b""
            while chunk := slow.recv(4096):
                received += chunk

        assert received.startswith(b"HTTP/1.1 408")
        assert b"connection: close" in received.lower()

    def test_many_that_never_finish_hold_up_nobody(self, port: int) -> None:
        """A hundred connections that begin a request and wait; another caller is answered."""
        idle = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(100)]
        for one in idle:
            one.sendall(b"POST /oscp/co/2.0/heartbeat HTTP/1.1\r\nHost: x\r\n")
        with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as quick:
            quick.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            received = quick.recv(4096)
        for one in idle:
            one.close()

        assert received.startswith(b"HTTP/1.1 200")
