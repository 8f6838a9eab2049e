"""A flexibility provider: registers, sends what it is told to, and keeps every OPTIMUM that comes."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import urlsplit

PATH = "/oscp/fp/2.0"
PATIENCE_S = 60.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimum:
    """An OPTIMUM as it came.

    Args:
        group_id: Of which group.
        blocks: As on the wire.
        correlation_id: X-Request-ID of the forecast it answers; empty for none.
        received_s: When, by `time.perf_counter`.
    """

    group_id: str
    blocks: Sequence[Mapping[str, Any]]
    correlation_id: str
    received_s: float


class FlexibilityProvider:
    """Serves on a free port of the loopback from its creation until closed; any number of threads may send at once."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._optima: list[Optimum] = []
        self._requests: list[str] = []
        self._issued = secrets.token_urlsafe(32)
        self.base_url = self.token = ""
        self._local = threading.local()
        self._connections: list[HTTPConnection] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.provider = self
        self.url = f"http://127.0.0.1:{self._server.server_port}{PATH}"
        threading.Thread(target=self._server.serve_forever, name="flexibility-provider", daemon=True).start()

    def close(self) -> None:
        """Serve no more, and hang up."""
        self._server.shutdown()
        self._server.server_close()
        for connection in self._connections:
            connection.close()

    @property
    def optima(self) -> Sequence[Optimum]:
        """Every OPTIMUM so far, in order of arrival."""
        with self._changed:
            return tuple(self._optima)

    @property
    def requests(self) -> Sequence[str]:
        """The path of every message so far, in order of arrival."""
        with self._changed:
            return tuple(self._requests)

    def register(self, base_url: str, token: str) -> None:
        """Register with a TOKEN_A, and wait for the reply, the handshake and its acknowledgement."""
        self.admit(base_url, token)
        offer = {"version": "2.0", "base_url": self.url}
        self._require("/register", {"token": self._issued, "version_url": [offer]})
        self.wait_until(lambda: "/register" in self._requests, "reply to its Register")
        wanted = {"heartbeat_interval": 300, "measurement_configuration": ["CONTINUOUS"]}
        self._require("/handshake", {"required_behaviour": wanted})
        self.wait_until(lambda: "/handshake_acknowledge" in self._requests, "acknowledgement of its handshake")

    def admit(self, base_url: str, token: str) -> None:
        """Send to an address, with a token, from now on."""
        self.base_url, self.token = base_url, token

    def send(self, path: str, body: object, *, request_id: str | None = None) -> int:
        """Send one message; the status of the answer.

        Raises:
            OSError: The server cannot be reached, or hangs up.
        """
        headers = {
            "Authorization": f"Token {self.token}",
            "X-Request-ID": request_id or secrets.token_urlsafe(12),
            "Content-Type": "application/json",
        }
        text = json.dumps(body)
        try:
            return self._exchange(path, text, headers)
        except (ConnectionError, HTTPException):
            # The server hangs up where nothing was said for some seconds; the id makes it safe to say it again.
            try:
                return self._exchange(path, text, headers)
            except HTTPException as error:
                raise OSError(f"POST {path}: {error!r}") from error

    def wait_until(self, found: Callable[[], T], what: str, *, timeout_s: float = PATIENCE_S) -> T:
        """Wait until something is found among what came.

        Raises:
            TimeoutError: It did not come.
        """
        end_s = time.monotonic() + timeout_s
        with self._changed:
            while not (value := found()):
                left_s = end_s - time.monotonic()
                if left_s <= 0:
                    raise TimeoutError(f"the server has not sent the {what} within {timeout_s:.0f} s")
                self._changed.wait(left_s)
        return value

    def take(self, path: str, body: Mapping[str, Any], *, correlation_id: str) -> None:
        """Keep what came."""
        with self._changed:
            self._requests.append(path)
            if path == "/register":
                self.token = body["token"]
            if body.get("type") == "OPTIMUM":
                self._optima.append(
                    Optimum(
                        group_id=body["group_id"],
                        blocks=body["forecasted_blocks"],
                        correlation_id=correlation_id,
                        received_s=time.perf_counter(),
                    )
                )
            self._changed.notify_all()

    def _require(self, path: str, body: object) -> None:
        status = self.send(path, body)
        if status != HTTPStatus.NO_CONTENT:
            raise RuntimeError(f"POST {path} was answered {status}")

    def _exchange(self, path: str, text: str, headers: Mapping[str, str]) -> int:
        connection = self._connection()
        try:
            connection.request("POST", urlsplit(self.base_url).path + path, text, headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, HTTPException):
            connection.close()
            raise
        return answer.status

    def _connection(self) -> HTTPConnection:
        """One for each thread that sends; http.client opens it again after it was closed."""
        address = urlsplit(self.base_url)
        known: HTTPConnection | None = getattr(self._local, "connection", None)
        if known is None or (known.host, known.port) != (address.hostname, address.port):
            known = HTTPConnection(address.hostname or "", address.port, timeout=10)
            self._local.connection = known
            self._connections.append(known)
        return known


class _Server(ThreadingHTTPServer):
    provider: FlexibilityProvider
    request_queue_size = 128
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        """Take one message."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(HTTPStatus.NO_CONTENT)
        self.end_headers()
        self.server.provider.take(
            self.path.removeprefix(PATH), body, correlation_id=self.headers["X-Correlation-ID"] or ""
        )

    def log_message(self, *_: object) -> None:
        """Stay silent."""
