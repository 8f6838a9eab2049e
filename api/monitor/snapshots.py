"""All that is shown of a site, read at one instant, and read again only when something of it has changed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from api.loads import loads_of
from api.monitor.changes import last_change
from api.monitor.measured import Histories
from api.monitor.plans import PlanFacts, PlanMemory
from api.persistence import Transaction
from api.records import LoggedEvent, SiteStamp, SiteWork
from api.settings import Settings
from api.site_state import Charged, SiteState
from api.site_state_json import state_from_json
from api.situation import site_of
from models.domain import Site

BACK = timedelta(hours=6)
"""How much of the past is shown."""
PAST_PLANS = 120
LISTED_CHANGES = 50
SITES = 500


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshot:
    """A site at one instant.

    Args:
        work: As stored.
        site: Its groups and chargers.
        state: What its messages add up to.
        charged: What its chargers were measured to draw.
        load_kw: By group, the non-flexible load of it and everything below it.
        plans: The plan in force and those before it, the newest first.
        changed: Index of the newest plan that differs from the one before it; None where none does.
        news: What came between those two, the newest first.
    """

    work: SiteWork
    site: Site
    state: SiteState
    charged: Sequence[Charged]
    load_kw: Mapping[str, float]
    plans: Sequence[PlanFacts]
    changed: int | None
    news: Sequence[LoggedEvent]

    @property
    def plan(self) -> PlanFacts | None:
        """The plan in force; None where there is none."""
        return self.plans[0] if self.plans else None

    def is_below(self, charger_id: str, group_id: str) -> bool:
        """Whether a charger hangs on a group or on anything below it."""
        return self.site.has_charger(charger_id) and group_id in self.site.path(self.site.charger(charger_id).group_id)


class Snapshots:
    """The sites that were looked at lately, for one server process.

    Args:
        settings: Of the server.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._plans = PlanMemory()
        self._histories = Histories()
        self._known: OrderedDict[str, tuple[str, Snapshot]] = OrderedDict()
        # Threads of the database ask; whoever asks for the same site finds it read.
        self._turn = threading.Lock()

    def of(self, tx: Transaction, stamp: SiteStamp, now: datetime) -> Snapshot:
        """A site as it is stored, which a stamp of the same transaction tells to have changed or not.

        Raises:
            NotFoundError: There is none of that id.
        """
        with self._turn:
            known = self._known.get(stamp.site_id)
            if known is not None and known[0] == stamp.stamp:
                return known[1]
            snapshot = self._read(tx, stamp.site_id, now)
            self._known[stamp.site_id] = (stamp.stamp, snapshot)
            self._known.move_to_end(stamp.site_id)
            if len(self._known) > SITES:
                self._known.popitem(last=False)
            return snapshot

    def _read(self, tx: Transaction, site_id: str, now: datetime) -> Snapshot:
        work = tx.sites.load(site_id, now=now)
        site = site_of(work)
        state = state_from_json(work.snapshot).after(work.events, site, work.sessions)
        since = now - BACK
        plans = self._recent_plans(tx, work, since)
        known = self._histories.known(site_id, work.site.document, since)
        events = tx.monitoring.events_since(site_id, after=known.version, since=known.since)
        history = self._histories.followed(site, known, events, since)
        changed = last_change(plans, [group.group_id for group in site.groups if group.parent_id is None])
        news: Sequence[LoggedEvent] = ()
        if changed is not None:
            new, old = plans[changed], plans[changed + 1]
            news = tx.monitoring.changes_between(site_id, old.version, new.version, limit=LISTED_CHANGES)
        return Snapshot(
            work=work,
            site=site,
            state=state,
            charged=history.charged,
            load_kw=loads_of(
                site,
                state,
                now=now,
                generation_age_s=self._settings.measurement_age_s,
                generation_counts=not work.peer.offline,
            ),
            plans=plans,
            changed=changed,
            news=news,
        )

    def _recent_plans(self, tx: Transaction, work: SiteWork, since: datetime) -> list[PlanFacts]:
        if work.plan is None:
            return []
        plans = [self._plans.facts(work.plan)]
        for plan_id in tx.plans.ids_of_site(work.site.site_id, since=since, limit=PAST_PLANS):
            if plan_id == work.plan.plan_id:
                continue
            known = self._plans.known(plan_id)
            if known is None and (stored := tx.plans.get(plan_id)) is not None:
                known = self._plans.facts(stored)
            if known is not None:
                plans.append(known)
        return plans
