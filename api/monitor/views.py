"""The views of sites that the page asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from api.context import Context
from api.monitor.charts import site_view
from api.monitor.glance import Json, site_glance
from api.monitor.sign_in import Viewer
from api.monitor.snapshots import Snapshot, Snapshots
from api.persistence import NotFoundError, Transaction
from api.records import OutboxState, Peer, PeerState, SiteStamp

T = TypeVar("T")


class Views:
    """What is shown of sites, for one server process.

    Args:
        context: What the parts of the server share.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._snapshots = Snapshots(context.settings)

    async def overview(self, viewer: Viewer) -> Json:
        """Every site the viewer may see, at a glance, and how much waits or is wrong."""
        now = self._context.clock.now()

        def read(tx: Transaction) -> Json:
            sites = [site_glance(self._snapshots.of(tx, stamp, now), now) for stamp in _stamps(tx, viewer)]
            peers = tx.peers.all() if viewer.peer_id is None else [tx.peers.get(viewer.peer_id)]
            waiting = tx.outbox.waiting(peer_id=viewer.peer_id, limit=1_000)
            return {
                "now": now.timestamp(),
                "sites": sites,
                "peers": {"offline": sum(map(_is_away, peers)), "all": len([peer for peer in peers if _is_used(peer)])},
                "outbox": {
                    "waiting": len(waiting),
                    "failing": sum(one.state is OutboxState.PENDING and one.attempts > 0 for one in waiting),
                },
            }

        return await self._context.database.read(read)

    async def site(self, viewer: Viewer, site_id: str, group_id: str | None) -> Json:
        """A site with one of its groups in full.

        Raises:
            NotFoundError: There is no such site that the viewer may see.
            InputError: It has no such group.
        """
        return await self.with_snapshot(viewer, site_id, lambda snapshot, now: site_view(snapshot, group_id, now))

    async def with_snapshot(self, viewer: Viewer, site_id: str, work: Callable[[Snapshot, datetime], T]) -> T:
        """What is made of all that is known of a site, apart from the event loop.

        Raises:
            NotFoundError: There is no such site that the viewer may see.
        """
        now = self._context.clock.now()

        def read(tx: Transaction) -> T:
            for stamp in _stamps(tx, viewer):
                if stamp.site_id == site_id:
                    return work(self._snapshots.of(tx, stamp, now), now)
            raise NotFoundError(f"there is no site {site_id!r}")

        return await self._context.database.read(read)


def _stamps(tx: Transaction, viewer: Viewer) -> Sequence[SiteStamp]:
    stamps = tx.monitoring.site_stamps()
    return sorted(
        (one for one in stamps if viewer.peer_id in (None, one.peer_id)),
        key=lambda one: one.site_id,
    )


def _is_used(peer: Peer) -> bool:
    return peer.state is not PeerState.UNREGISTERED


def _is_away(peer: Peer) -> bool:
    return peer.state is PeerState.REGISTERED and peer.offline
