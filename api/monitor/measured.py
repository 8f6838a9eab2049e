"""What chargers were measured to draw over the last hours."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from api.records import Event
from api.site_state import Charged, SiteState
from models.domain import Site
from models.units import mean_power_kw, seconds_to_hours

SITES = 200
STALE_S = 3_600.0
"""A measurement older than this tells nothing of now."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class History:
    """What was measured of a site's chargers.

    Args:
        since: Messages that came before are not part of it.
        version: The site's version up to which messages are.
        document: site.json it was made with.
        state: What the messages add up to.
        charged: In the order in which it was told.
    """

    since: datetime
    version: int
    document: str
    state: SiteState
    charged: tuple[Charged, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The newest measured power of some chargers together.

    Args:
        power_kw: Mean over its time, kW.
        until_s: End of its time, s since the epoch.
    """

    power_kw: float
    until_s: float


class Histories:
    """The histories of the sites that were looked at lately; a message is read once."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, History] = OrderedDict()

    def known(self, site_id: str, document: str, since: datetime) -> History:
        """What is known already of a site, of the last hours."""
        found = self._known.get(site_id)
        if found is None or found.document != document:
            return History(since=since, version=0, document=document, state=SiteState(), charged=())
        return found

    def followed(self, site: Site, known: History, events: Sequence[Event], since: datetime) -> History:
        """The history after some more messages; what is over is left out."""
        state, charged = known.state.followed(events, site, ())
        history = History(
            since=since,
            version=events[-1].version if events else known.version,
            document=known.document,
            state=state,
            charged=tuple(one for one in (*known.charged, *charged) if one.end > since),
        )
        self._known[site.site_id] = history
        self._known.move_to_end(site.site_id)
        if len(self._known) > SITES:
            self._known.popitem(last=False)
        return history


def total_kw(charged: Iterable[Charged]) -> list[tuple[float, float, float]]:
    """Power of some chargers together, as intervals of begin, end (s since the epoch) and kW, gaps where none told."""
    changes: dict[float, tuple[float, int]] = {}
    for one in charged:
        start_s, end_s = one.start.timestamp(), one.end.timestamp()
        power_kw = mean_power_kw(one.energy_kwh, hours=seconds_to_hours(end_s - start_s))
        for at_s, change_kw, count in ((start_s, power_kw, 1), (end_s, -power_kw, -1)):
            known_kw, known = changes.get(at_s, (0.0, 0))
            changes[at_s] = (known_kw + change_kw, known + count)
    intervals: list[tuple[float, float, float]] = []
    power_kw, telling = 0.0, 0
    edges_s = sorted(changes)
    for start_s, end_s in pairwise(edges_s):
        change_kw, count = changes[start_s]
        power_kw, telling = power_kw + change_kw, telling + count
        if telling:
            intervals.append((start_s, end_s, round(power_kw, 3)))
    return intervals


def newest(intervals: Sequence[tuple[float, float, float]], now_s: float) -> Reading | None:
    """The newest power; None where nothing was measured lately."""
    if not intervals or now_s - intervals[-1][1] > STALE_S:
        return None
    return Reading(power_kw=intervals[-1][2], until_s=intervals[-1][1])
