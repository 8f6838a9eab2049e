"""Heartbeats: sent as often as peers asked for them, and missed when theirs do not come."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from api import outgoing
from api.context import Context
from api.oscp_client import OscpClient, PeerUnreachableError
from api.persistence import Transaction
from api.records import Peer
from models.oscp.v20 import Heartbeat

logger = logging.getLogger(__name__)

TICK_S = 1.0
AT_ONCE = 500
"""Most peers taken up in one tick."""
NAIVE_FORMAT = "%Y-%m-%d %H:%M:%S"


class Heartbeats:
    """Sends and watches heartbeats, for one server process.

    Args:
        context: What the parts of the server share.
        client: Calls peers.
    """

    def __init__(self, context: Context, client: OscpClient) -> None:
        self._context = context
        self._client = client
        self._under_way: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Send and watch until cancelled."""
        while True:
            await self.tick()
            await asyncio.sleep(TICK_S)

    async def tick(self) -> None:
        """Begin to send what is due, and note who has fallen silent."""
        now = self._context.clock.now()
        settings = self._context.settings

        def claim(tx: Transaction) -> tuple[Sequence[Peer], Sequence[Peer], Sequence[Peer], Sequence[Peer]]:
            to_shake = tx.peers.claim_handshakes(now=now, limit=AT_ONCE)
            tx.outbox.add([outgoing.handshake(peer, settings) for peer in to_shake], now=now)
            return (
                tx.peers.claim_heartbeats(now=now, limit=AT_ONCE),
                to_shake,
                tx.peers.claim_silent(now=now, grace_s=settings.heartbeat_grace_s, limit=AT_ONCE),
                tx.peers.claim_unanswered(now=now, timeout_s=settings.reply_timeout_s, limit=AT_ONCE),
            )

        to_beat, to_shake, silent, unanswered = await self._context.database.write(claim)
        for peer in to_beat:
            self._begin(peer)
        if to_shake:
            self._context.outbox_filled.notify()
        for peer in silent:
            logger.warning("peer=%s is offline: no heartbeat since it promised one", peer.peer_id)
        for peer in unanswered:
            logger.warning("peer=%s has not replied to our Register", peer.peer_id)
        if silent:
            self._context.site_changed.notify()

    async def settle(self) -> None:
        """Wait until nothing is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way.values())

    async def stop(self) -> None:
        """Send no more."""
        for task in list(self._under_way.values()):
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    def _begin(self, peer: Peer) -> None:
        # A peer that hangs gets no second heartbeat beside the first.
        if peer.peer_id in self._under_way:
            return
        task = asyncio.create_task(self._beat(peer))
        self._under_way[peer.peer_id] = task
        task.add_done_callback(lambda _: self._under_way.pop(peer.peer_id))

    async def _beat(self, peer: Peer) -> None:
        if peer.base_url is None or peer.outbound_token is None or peer.heartbeat_interval_s is None:
            return
        try:
            answer = await self._client.send(
                "POST",
                peer.base_url,
                "/heartbeat",
                token=peer.outbound_token,
                body=self._body(peer, peer.heartbeat_interval_s),
                request_id=outgoing.new_request_id(),
            )
            error = "" if answer.is_success else f"{answer.status} {answer.message}".strip()
        except PeerUnreachableError as unreachable:
            error = str(unreachable)
        self._context.metrics.deliveries.labels("heartbeat", "failed" if error else "delivered").inc()
        if error:
            logger.info("peer=%s heartbeat failed: %s", peer.peer_id, error)
            await self._context.database.write(
                lambda tx: tx.peers.update(peer.peer_id, last_error=f"heartbeat: {error}")
            )

    def _body(self, peer: Peer, interval_s: int) -> str:
        heartbeat = Heartbeat.sent_at(self._context.clock.now(), interval_s=interval_s)
        if not peer.profile.naive_heartbeats or heartbeat.offline_mode_at is None:
            return heartbeat.model_dump_json()
        zone = ZoneInfo(peer.time_zone or self._context.settings.naive_time_zone)
        return json.dumps({"offline_mode_at": heartbeat.offline_mode_at.astimezone(zone).strftime(NAIVE_FORMAT)})
