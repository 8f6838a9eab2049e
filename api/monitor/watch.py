"""Tells whoever watches that something has changed, whichever server process changed it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence

from api.context import Context
from api.monitor.sign_in import Viewer, viewer_of
from api.persistence import DatabaseUnavailableError, Transaction
from api.records import PeerStamp, SiteStamp

Json = dict[str, object]

POLL_S = 1.0
"""How often the database is asked, once for all who watch at this process."""
SIGN_OF_LIFE_S = 10.0
"""How often somebody who watches hears of the time, and whether the sign-in still holds is looked up."""

Stamps = tuple[Sequence[SiteStamp], Sequence[PeerStamp]]


class Watcher:
    """Asks the database for stamps, at most once in a while however many watch.

    Args:
        context: What the parts of the server share.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._asked_s = -POLL_S
        self._asking = asyncio.Lock()
        self._stamps: Stamps | None = None

    async def stamps(self) -> Stamps | None:
        """The newest stamps; None while the database is away."""
        async with self._asking:
            if time.monotonic() - self._asked_s >= POLL_S:
                try:
                    self._stamps = await self._context.database.read(_stamps)
                except DatabaseUnavailableError:
                    self._stamps = None
                self._asked_s = time.monotonic()
            return self._stamps

    async def changes(self, viewer: Viewer, cookie: str) -> AsyncIterator[Json]:
        """What a viewer is told: first the stamp of all it may see, then of what has changed, and the time.

        It ends when the sign-in does.
        """
        known: Mapping[str, str] = {}
        is_first, told_s = True, -SIGN_OF_LIFE_S
        while True:
            stamps = await self.stamps()
            present = known if stamps is None else _visible(stamps, viewer)
            changed = {name: stamp for name, stamp in present.items() if known.get(name) != stamp}
            gone = [name for name in known if name not in present]
            is_due = time.monotonic() - told_s >= SIGN_OF_LIFE_S
            if is_due and not await self._is_signed_in(viewer, cookie):
                yield {"ended": True}
                return
            if is_first or changed or gone or is_due:
                yield {
                    "now": self._context.clock.now().timestamp(),
                    "database": stamps is not None,
                    "changed": changed,
                    "gone": gone,
                }
                told_s, is_first = time.monotonic(), False
            known = present
            await asyncio.sleep(POLL_S)

    async def _is_signed_in(self, viewer: Viewer, cookie: str) -> bool:
        try:
            return await viewer_of(self._context, cookie) == viewer
        except DatabaseUnavailableError:
            return True  # nothing is shown while it is away


def _stamps(tx: Transaction) -> Stamps:
    return tx.monitoring.site_stamps(), tx.monitoring.peer_stamps()


def _visible(stamps: Stamps, viewer: Viewer) -> dict[str, str]:
    sites, peers = stamps

    def may_see(peer_id: str) -> bool:
        return viewer.peer_id in (None, peer_id)

    return {f"site:{one.site_id}": one.stamp for one in sites if may_see(one.peer_id)} | {
        f"peer:{one.peer_id}": one.stamp for one in peers if may_see(one.peer_id)
    }
