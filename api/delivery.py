"""Delivers the outbox: at least once, in order within a lane, with growing pauses, until taken or given up."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from datetime import timedelta

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from tenacity import RetryCallState, Retrying
from tenacity.wait import wait_exponential_jitter

from api.context import Context
from api.logs import log_fields
from api.oscp_client import Answer, OscpClient, PeerUnreachableError
from api.persistence import NotFoundError, Transaction
from api.records import OutboxKind, OutboxMessage, Peer, PeerState, TokenKind
from api.services.registration import complete_registration
from api.tokens import new_token, token_hash
from models.oscp.v20 import OSCP_VERSION, Register, VersionUrl

logger = logging.getLogger(__name__)

PATHS = {
    OutboxKind.REGISTER: "/register",
    OutboxKind.REGISTER_REPLY: "/register",
    OutboxKind.UNREGISTER: "/register",
    OutboxKind.HANDSHAKE: "/handshake",
    OutboxKind.OPTIMUM: "/update_group_capacity_forecast",
    OutboxKind.ADJUST: "/adjust_group_capacity_forecast",
}
METHODS = {OutboxKind.UNREGISTER: "DELETE"}
TOKEN_KINDS = {OutboxKind.REGISTER: TokenKind.OFFERED}
"""What the token of a Register is for; CURRENT where it is not named."""
WITH_TOKEN = frozenset({OutboxKind.REGISTER, OutboxKind.REGISTER_REPLY})

PASSING = frozenset({408, 409, 425, 429})
"""Refusals that may pass by themselves."""
REFUSED = frozenset({401, 403})
"""The peer may be changing its tokens just now; after some attempts it is not."""
REFUSED_ATTEMPTS = 5
UNREGISTER_ATTEMPTS = 3
NOT_IMPLEMENTED = 501
SERVER_ERROR = 500

FIRST_PAUSE_S = 1.0
JITTER_S = 1.0
POLL_S = 1.0
CONCURRENT = 64
CONCURRENT_PER_PEER = 8
"""One peer that hangs must not hold up the others."""
LEASE_MARGIN_S = 10.0


class Delivery:
    """Delivers what is in the outbox, for one server process.

    Args:
        context: What the parts of the server share.
        client: Calls peers.
    """

    def __init__(self, context: Context, client: OscpClient) -> None:
        self._context = context
        self._client = client
        self._under_way: dict[asyncio.Task[None], str] = {}
        settings = context.settings
        self._lease_s = settings.delivery_timeout_s * 2 + LEASE_MARGIN_S
        self._wait = wait_exponential_jitter(multiplier=FIRST_PAUSE_S, max=settings.max_backoff_s, jitter=JITTER_S)

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            taken = await self.deliver_due()
            if not taken:
                await self._context.outbox_filled.wait(POLL_S)

    async def deliver_due(self) -> int:
        """Begin to deliver what is due; how many messages were begun."""
        room = CONCURRENT - len(self._under_way)
        if room <= 0:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
            return 1
        now = self._context.clock.now()
        due_at = await self._context.database.read(lambda tx: tx.outbox.next_due_at(now=now))
        if due_at is None or due_at > now:
            return 0
        busy = Counter(self._under_way.values())
        full = [peer_id for peer_id, count in busy.items() if count >= CONCURRENT_PER_PEER]
        messages = await self._context.database.write(
            lambda tx: tx.outbox.lease_due(
                owner=self._context.owner,
                now=now,
                lease_s=self._lease_s,
                limit=min(room, CONCURRENT_PER_PEER),
                but=full,
            )
        )
        for message in messages:
            task = asyncio.create_task(self._deliver(message))
            self._under_way[task] = message.message.peer_id
            task.add_done_callback(self._finished)
        return len(messages)

    async def settle(self) -> None:
        """Wait until nothing is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def stop(self) -> None:
        """Give what is under way a moment to end, and hand the rest back."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=1.0)
        for task in list(self._under_way):
            task.cancel()
        await self._context.database.write(lambda tx: tx.outbox.release_all(self._context.owner))

    def _finished(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._context.outbox_filled.notify()
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its lease ends by itself, and it is tried again.
            logger.error("a delivery failed: %s", error, exc_info=error)

    async def _deliver(self, entry: OutboxMessage) -> None:
        message = entry.message
        ids = {"peer": message.peer_id, "request": message.request_id, "correlation": message.correlation_id}
        ids |= {"site": message.site_id or "", "plan": message.plan_id or ""}
        span = self._context.tracer.start_as_current_span(
            f"deliver {message.kind}",
            kind=SpanKind.CLIENT,
            attributes={f"oscp.{name}": value for name, value in ids.items()},
        )
        with log_fields(**ids), span:
            await self._attempt(entry)

    async def _attempt(self, entry: OutboxMessage) -> None:
        database = self._context.database
        try:
            peer = await database.read(lambda tx: tx.peers.get(entry.message.peer_id))
            hashed, body = await self._body(peer, entry)
            answer = await self._send(peer, entry, body)
        except PeerUnreachableError as error:
            await self._failed(entry, str(error))
            return
        except NotFoundError:
            return
        if answer.is_success:
            await self._delivered(entry, hashed)
        else:
            await self._failed(entry, f"{answer.status} {answer.message}".strip(), answer)

    async def _body(self, peer: Peer, entry: OutboxMessage) -> tuple[str, str | None]:
        """Hash of the token it offers, which is valid before it is told, and the body."""
        kind = entry.message.kind
        if kind not in WITH_TOKEN:
            return "", self._body_without_token(peer, entry)
        token = new_token()
        hashed = token_hash(token)
        now = self._context.clock.now()
        token_kind = TOKEN_KINDS.get(kind, TokenKind.CURRENT)
        await self._context.database.write(lambda tx: tx.peers.add_token(peer.peer_id, hashed, token_kind, now=now))
        return hashed, self._register(token)

    def _body_without_token(self, peer: Peer, entry: OutboxMessage) -> str | None:
        if entry.message.kind is OutboxKind.UNREGISTER and peer.profile.delete_with_body:
            # A body is wanted, and what it says is of no use any more: a token nobody will accept.
            return self._register(new_token())
        return entry.message.body

    def _register(self, token: str) -> str:
        offer = VersionUrl(version=OSCP_VERSION, base_url=self._context.base_url)
        return Register(token=token, version_url=(offer,)).model_dump_json()

    async def _send(self, peer: Peer, entry: OutboxMessage, body: str | None) -> Answer:
        message = entry.message
        if peer.base_url is None or peer.outbound_token is None:
            raise PeerUnreachableError("the peer has given no URL and token to call it with")
        path = PATHS.get(message.kind, peer.profile.acknowledge_path)
        return await self._client.send(
            METHODS.get(message.kind, "POST"),
            peer.base_url,
            path,
            token=peer.outbound_token,
            body=body,
            request_id=message.request_id,
            correlation_id=message.correlation_id,
        )

    async def _delivered(self, entry: OutboxMessage, hashed: str) -> None:
        now = self._context.clock.now()
        message = entry.message

        def note(tx: Transaction) -> None:
            tx.outbox.delivered(entry.outbox_id, now=now)
            peer = tx.peers.get(message.peer_id)
            if message.kind is OutboxKind.REGISTER_REPLY:
                self._complete(tx, peer, hashed)
            elif message.kind is OutboxKind.UNREGISTER:
                tx.peers.update(peer.peer_id, outbound_token=None, last_error="")
            elif peer.last_error:
                tx.peers.update(peer.peer_id, last_error="")

        await self._context.database.write(note)
        self._count(message.kind, "delivered")
        logger.info("peer=%s request=%s %s delivered", message.peer_id, message.request_id, message.kind)

    def _complete(self, tx: Transaction, peer: Peer, hashed: str) -> None:
        # While the reply was under way the peer may have unregistered, or have begun anew.
        if peer.state in (PeerState.REPLYING, PeerState.REGISTERED):
            complete_registration(tx, peer, hashed, settings=self._context.settings, now=self._context.clock.now())

    async def _failed(self, entry: OutboxMessage, error: str, answer: Answer | None = None) -> None:
        now = self._context.clock.now()
        age = now - entry.created_at
        give_up = _is_final(entry, answer) or age >= timedelta(hours=self._context.settings.give_up_after_hours)
        message = entry.message

        def note(tx: Transaction) -> None:
            tx.peers.update(message.peer_id, last_error=f"{message.kind}: {error}")
            if give_up:
                tx.outbox.gave_up(entry.outbox_id, error=error, now=now)
                self._end_registration(tx, entry, error)
            else:
                pause_s = self._pause_s(entry.attempts + 1, answer)
                tx.outbox.retry(entry.outbox_id, error=error, next_attempt_at=now + timedelta(seconds=pause_s))

        await self._context.database.write(note)
        self._count(message.kind, "given up" if give_up else "failed")
        trace.get_current_span().set_status(Status(StatusCode.ERROR, error))
        logger.log(
            logging.WARNING if give_up else logging.INFO,
            "peer=%s request=%s %s %s after attempt %d: %s",
            message.peer_id,
            message.request_id,
            message.kind,
            "given up" if give_up else "failed",
            entry.attempts + 1,
            error,
        )

    def _end_registration(self, tx: Transaction, entry: OutboxMessage, error: str) -> None:
        kind, peer_id = entry.message.kind, entry.message.peer_id
        state = tx.peers.get(peer_id).state
        if kind in (OutboxKind.REGISTER, OutboxKind.REGISTER_REPLY) and state in (
            PeerState.STARTING,
            PeerState.REPLYING,
        ):
            tx.peers.update(peer_id, state=PeerState.FAILED, last_error=f"{kind}: {error}")
        if kind is OutboxKind.UNREGISTER:
            tx.peers.update(peer_id, outbound_token=None)

    def _pause_s(self, attempts: int, answer: Answer | None) -> float:
        call = RetryCallState(Retrying(), None, (), {})
        call.attempt_number = attempts
        asked_s = answer.retry_after_s if answer is not None and answer.retry_after_s is not None else 0.0
        return min(max(self._wait(call), asked_s), self._context.settings.max_backoff_s)

    def _count(self, kind: OutboxKind, outcome: str) -> None:
        self._context.metrics.deliveries.labels(kind, outcome).inc()


def _is_final(entry: OutboxMessage, answer: Answer | None) -> bool:
    """Whether a further attempt is of no use."""
    attempts = entry.attempts + 1
    if entry.message.kind is OutboxKind.UNREGISTER and attempts >= UNREGISTER_ATTEMPTS:
        return True
    if answer is None or answer.status in PASSING:
        return False
    if answer.status in REFUSED:
        return attempts >= REFUSED_ATTEMPTS
    return answer.status < SERVER_ERROR or answer.status == NOT_IMPLEMENTED
