"""A peer on the loopback that answers as a test says, and a server that calls it when a test says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from api.context import Context
from api.delivery import Delivery
from api.heartbeat import Heartbeats
from api.oscp_client import OscpClient
from api.records import NewMessage, OutboxKind, OutboxMessage
from tests.api.oscp.bench import Bench, Caller

Answer = tuple[int, dict[str, str], bytes]
TAKEN: Answer = (204, {}, b"")


@dataclass(frozen=True)
class Request:
    """What the peer got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class FakePeer:
    """Answers 204, or what is scripted first."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    script: list[Answer] = field(default_factory=list)
    before_answer: Callable[[Request], None] | None = None

    def paths(self) -> list[str]:
        """Paths of the requests, in their order."""
        return [request.path for request in self.requests]


@contextmanager
def fake_peer() -> Iterator[FakePeer]:
    """A peer on a free port of the loopback while the block runs."""
    peer = FakePeer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            peer.requests.append(request)
            if peer.before_answer is not None:
                peer.before_answer(request)
            status, headers, content = peer.script.pop(0) if peer.script else TAKEN
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != TAKEN[0]:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - names of the library

        def log_message(self, *_: object) -> None:
            """Stay silent."""

        def handle(self) -> None:
            """Whoever hangs up in the middle, as a delivery that is stopped does, is no failure of the peer."""
            with suppress(ConnectionResetError):
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    peer.url = f"http://127.0.0.1:{server.server_port}/fp"
    try:
        yield peer
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class OutboundBench:
    """A server that may call the loopback, and a peer there."""

    bench: Bench
    fake: FakePeer
    context: Context

    @classmethod
    def make(cls, bench: Bench, fake: FakePeer, **settings: Any) -> OutboundBench:
        """The server with some settings."""
        changed = bench.context.settings.model_copy(update={"allow_insecure_callbacks": True} | settings)
        return cls(bench=bench, fake=fake, context=replace(bench.context, settings=changed))

    def add_peer(self, profile: str = "standard", **fields: Any) -> Caller:
        """A registered peer at the fake's address."""
        return self.bench.add_peer(profile, **({"base_url": self.fake.url} | fields))

    def put(self, peer: Caller, kind: OutboxKind, *, body: str | None = "{}", **fields: Any) -> None:
        """A message into the outbox."""
        values: dict[str, Any] = {
            "peer_id": peer.peer_id,
            "kind": kind,
            "lane": "control",
            "body": body,
            "request_id": f"request-{len(self.fake.requests)}-{kind}",
        }
        message = NewMessage(**(values | fields))
        now = self.bench.clock.now()
        self.context.database.write_now(lambda tx: tx.outbox.add([message], now=now))

    def deliver(self) -> None:
        """Deliver what is due, until nothing is."""
        asyncio.run(self._deliver())

    def beat(self) -> None:
        """One tick of the heartbeats."""
        asyncio.run(self._beat())

    def all_messages(self, peer: Caller) -> list[OutboxMessage]:
        """Every message to a peer, finished or not, the oldest first."""
        found = self.context.database.read_now(lambda tx: tx.outbox.of_peer(peer.peer_id, limit=100))
        return sorted(found, key=lambda entry: entry.outbox_id)

    async def _deliver(self) -> None:
        client = OscpClient(self.context.settings)
        delivery = Delivery(self.context, client)
        while await delivery.deliver_due():
            await delivery.settle()
        await client.close()

    async def _beat(self) -> None:
        client = OscpClient(self.context.settings)
        heartbeats = Heartbeats(self.context, client)
        await heartbeats.tick()
        await heartbeats.settle()
        await client.close()
