"""Plans sites that are due: lease, scenario, solve elsewhere, verify, publish with its messages in one transaction."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from tenacity import RetryCallState, Retrying
from tenacity.wait import wait_exponential_jitter

from api import outgoing
from api.context import Context
from api.executor import SolveExecutor
from api.loads import loads_of
from api.persistence import DatabaseUnavailableError, LeaseLostError, NotFoundError, Transaction
from api.profiles import AdjustRequest
from api.records import NewMessage, SiteLease, SiteWork, StoredPlan
from api.site_state import SiteState, planned_energy_kwh
from api.site_state_json import state_from_json, state_to_json
from api.situation import Situation, next_awakening, next_edge, site_of, situation_of
from api.wishes import SHORT_KWH, Wish, wish_message, wishes_of, without_forecasts
from models.domain import Schedule, Site
from models.errors import CapacityOptimizerError, VerificationError
from models.oscp.v20 import to_optimum_messages
from optimizer.scenario_io.plan_document import schedule_from_document, to_plan_document
from optimizer.verify import verify

logger = logging.getLogger(__name__)

POLL_S = 1.0
"""How often it looks for what other servers left, and for edges of blocks."""
RENEWALS = 3
"""Times a lease is renewed within its length."""
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 600.0
END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Look:
    """A site as it was found.

    Args:
        reason: Why to plan anew; empty where there is no reason.
        state: What its messages add up to.
        plan: The plan in force.
        situation: What is to be planned; None without a reason, and where there is nothing to plan.
        awakening: When something comes within the horizon that is beyond it now.
    """

    reason: str
    state: SiteState
    plan: Schedule | None
    situation: Situation | None
    awakening: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Draft:
    """A plan as it is to be published."""

    plan: StoredPlan
    messages: Sequence[NewMessage]
    snapshot: str
    due_at: datetime


class Planner:
    """Plans the sites that are due, for one server process.

    Args:
        context: What the parts of the server share.
        executor: Solves.
    """

    def __init__(self, context: Context, executor: SolveExecutor) -> None:
        self._context = context
        self._executor = executor
        self._under_way: set[asyncio.Task[None]] = set()
        self._failures: dict[str, int] = {}
        self._room = executor.places + 1

    async def run(self) -> None:
        """Plan until cancelled."""
        while True:
            if not await self.take_due():
                await self._context.site_changed.wait(POLL_S)

    async def take_due(self) -> int:
        """Begin to plan sites that are due; how many were begun, or one when there was no room."""
        room = self._room - len(self._under_way)
        if room <= 0:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
            return 1
        settings = self._context.settings
        now = self._context.clock.now()
        leases = await self._context.database.write(
            lambda tx: tx.sites.lease_due(owner=self._context.owner, now=now, lease_s=settings.lease_s, limit=room)
        )
        for lease in leases:
            task = asyncio.create_task(self.attend(lease))
            self._under_way.add(task)
            task.add_done_callback(self._finished)
        return len(leases)

    async def settle(self) -> None:
        """Wait until nothing is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def stop(self) -> None:
        """Hand back what is under way."""
        for task in list(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        with suppress(DatabaseUnavailableError):
            await self._context.database.write(lambda tx: tx.sites.release_all(self._context.owner))

    async def attend(self, lease: SiteLease) -> None:
        """Look at a site, and plan it where there is a reason to; the lease is handed back in any case."""
        try:
            await self._attend(lease)
        except (LeaseLostError, NotFoundError) as error:
            logger.info("site=%s %s", lease.site_id, error)
        except DatabaseUnavailableError:
            logger.warning("site=%s the database went away; its lease ends by itself", lease.site_id)
        except (CapacityOptimizerError, ValueError) as error:
            await self._failed(lease, error)
        else:
            self._failures.pop(lease.site_id, None)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._context.site_changed.notify()
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("planning failed: %s", error, exc_info=error)

    async def _attend(self, lease: SiteLease) -> None:
        started_s = time.perf_counter()
        now = self._context.clock.now()
        work = await self._context.database.read(lambda tx: tx.sites.load(lease.site_id, now=now))
        # Messages of ten thousand readings and prices of a month are read here: not on the event loop.
        look = await asyncio.to_thread(self._look, work, now)
        situation = look.situation
        if situation is None:
            await self._note(lease, work, look)
            return
        schedule = await self._solved(lease, situation)
        asked = await self._asked(lease, situation, schedule, work, look.state)
        draft = await asyncio.to_thread(self._draft, work, situation, schedule, look, asked)
        if not await self._published(lease, work, situation, schedule, draft):
            return
        seconds = time.perf_counter() - started_s
        self._context.metrics.plan_seconds.observe(seconds)
        logger.info(
            "site=%s plan=%s version=%d reason=%s status=%s seconds=%.3f unmet_kwh=%.3f messages=%d",
            lease.site_id,
            draft.plan.plan_id,
            draft.plan.version,
            look.reason,
            schedule.status,
            seconds,
            schedule.unmet_energy_kwh,
            len(draft.messages),
        )

    def _look(self, work: SiteWork, now: datetime) -> _Look:
        """What the messages of a site add up to, and what is to be planned where there is a reason to."""
        settings = self._context.settings
        site, state = _folded(work, now)
        plan = None if work.plan is None else schedule_from_document(json.loads(work.plan.document), site)
        reason = self._reason(work, site, state, plan, now)
        situation = None
        if reason:
            situation = situation_of(work, site, state, now=now, settings=settings, previous=plan)
        return _Look(
            reason=reason,
            state=state,
            plan=plan,
            situation=situation,
            awakening=next_awakening(work, site, state, now=now, settings=settings),
        )

    def _reason(self, work: SiteWork, site: Site, state: SiteState, plan: Schedule | None, now: datetime) -> str:
        """Why to plan anew; empty where there is no reason."""
        if work.site.change_version > work.site.planned_version:
            return "change"
        if work.site.due_at is not None and work.site.due_at <= now:
            return "edge"
        return "drift" if self._drifts(work, site, state, plan, now) else ""

    def _drifts(self, work: SiteWork, site: Site, state: SiteState, plan: Schedule | None, now: datetime) -> bool:
        """Whether what was measured is far from what the plan in force was made for."""
        settings = self._context.settings
        loads = loads_of(
            site,
            state,
            now=now,
            generation_age_s=settings.measurement_age_s,
            generation_counts=not work.peer.offline,
        )
        counted = [group.group_id for group in site.groups if group.limit_counts == "TOTAL"]
        if any(abs(loads[one] - state.assumed_kw.get(one, 0.0)) > settings.drift_kw for one in counted):
            return True
        if plan is None or not state.delivered:
            return False
        for session in work.sessions:
            delivered, expected = state.delivered_to(session), state.expected_of(session)
            # What was measured up to before the plan began tells nothing of how it is followed.
            if delivered is None or expected is None or delivered.until < expected.until:
                continue
            planned_kwh = planned_energy_kwh(plan, session.session_id, expected.until, delivered.until)
            if abs(delivered.energy_kwh - expected.energy_kwh - planned_kwh) > settings.drift_kwh:
                return True
        return False

    async def _note(self, lease: SiteLease, work: SiteWork, look: _Look) -> None:
        """Keep the state without a plan: nothing asks for one, or there is nothing to plan."""
        seen = bool(look.reason)
        due_at = look.awakening if seen else work.site.due_at
        now = self._context.clock.now()
        snapshot = state_to_json(look.state)
        await self._context.database.write(
            lambda tx: tx.sites.attended(
                lease, version=work.site.version, snapshot=snapshot, due_at=due_at, planned=seen, now=now
            )
        )

    async def _solved(self, lease: SiteLease, situation: Situation) -> Schedule:
        """The plan; meanwhile the lease is held."""
        renewing = asyncio.create_task(self._keep(lease))
        try:
            return await self._executor.solve(situation.scenario, situation.options)
        finally:
            renewing.cancel()

    async def _keep(self, lease: SiteLease) -> None:
        lease_s = self._context.settings.lease_s
        while True:
            await asyncio.sleep(lease_s / RENEWALS)
            now = self._context.clock.now()
            # Where it is lost, the plan is refused when it is published.
            with suppress(LeaseLostError, DatabaseUnavailableError):
                await self._context.database.write(partial(_renew, lease=lease, now=now, lease_s=lease_s))

    async def _asked(
        self, lease: SiteLease, situation: Situation, schedule: Schedule, work: SiteWork, state: SiteState
    ) -> list[Wish]:
        """The capacity to ask for, where the peer takes such wishes, and has not been asked for it before."""
        how = work.peer.profile.adjust_request
        if how is AdjustRequest.NEVER or schedule.unmet_energy_kwh <= SHORT_KWH:
            return []
        wanted = await self._solved(lease, without_forecasts(situation))
        found = wishes_of(situation, wanted, how, now=self._context.clock.now())
        return [wish for wish in found if not wish.is_covered_by(state.asked.get(wish.group_id))]

    def _draft(
        self, work: SiteWork, situation: Situation, schedule: Schedule, look: _Look, asked: Sequence[Wish]
    ) -> _Draft:
        now = self._context.clock.now()
        state = look.state
        plan_id = str(uuid.uuid4())
        document = to_plan_document(schedule, situation.scenario, situation.options, notes=situation.notes)
        plan = StoredPlan(
            plan_id=plan_id,
            site_id=work.site.site_id,
            version=work.site.version,
            made_at=now,
            start=schedule.grid.start.astimezone(UTC),
            end=schedule.grid.end.astimezone(UTC),
            status=schedule.status,
            document=json.dumps(document, separators=(",", ":")),
        )
        window = (schedule.grid.start, END_OF_TIME)
        optima = to_optimum_messages(
            schedule,
            situation.site,
            situation.forecasts,
            window=window,
            ampere_all_per_conductor=work.peer.profile.ampere_all_per_conductor,
        )
        messages, sent = outgoing.optimum_messages(optima, work.peer, state, site_id=plan.site_id, plan_id=plan_id)
        messages += [wish_message(wish, work.peer, site_id=plan.site_id, plan_id=plan_id) for wish in asked]
        after = replace(
            state,
            unanswered={},
            sent=sent,
            asked={**state.asked, **{wish.group_id: wish.to_json() for wish in asked}},
            unread=(),
            expected={
                stored.session_id: state.expected_at(schedule.grid.start, stored, look.plan) for stored in work.sessions
            },
            assumed_kw=situation.load_kw,
        )
        edge = next_edge(situation, now=now)
        return _Draft(
            plan=plan,
            messages=messages,
            snapshot=state_to_json(after),
            due_at=edge if look.awakening is None else min(edge, look.awakening),
        )

    async def _published(
        self, lease: SiteLease, work: SiteWork, situation: Situation, schedule: Schedule, draft: _Draft
    ) -> bool:
        """Publish a plan with its messages, unless a limit has changed meanwhile that it does not hold."""
        settings = self._context.settings
        now = self._context.clock.now()

        def publish(tx: Transaction) -> bool:
            tx.sites.renew(lease, now=now, lease_s=settings.lease_s)
            if tx.sites.get(lease.site_id).limit_version > work.site.version:
                try:
                    self._require_that_it_still_holds(tx, lease.site_id, situation, schedule)
                except CapacityOptimizerError as error:
                    logger.info("site=%s plan discarded: %s", lease.site_id, error)
                    tx.sites.release(lease)
                    return False
            tx.plans.add(draft.plan)
            tx.outbox.add(draft.messages, now=now)
            tx.sites.attended(
                lease,
                version=work.site.version,
                snapshot=draft.snapshot,
                due_at=draft.due_at,
                planned=True,
                now=now,
            )
            return True

        published = await self._context.database.write(publish)
        metrics = self._context.metrics
        if not published:
            metrics.plans_discarded.inc()
            return False
        metrics.plans.labels(schedule.status).inc()
        metrics.unmet_kwh.labels(lease.site_id).set(schedule.unmet_energy_kwh)
        if draft.messages:
            self._context.outbox_filled.notify()
        return True

    def _require_that_it_still_holds(
        self, tx: Transaction, site_id: str, planned: Situation, schedule: Schedule
    ) -> None:
        """Let pass a plan that holds what is known by now.

        Raises:
            VerificationError: It does not.
        """
        start = planned.options.start
        if start is None:
            raise VerificationError(("the plan has no begin",))
        work = tx.sites.load(site_id, now=start)
        site, state = _folded(work, start)
        newest = situation_of(work, site, state, now=start, settings=self._context.settings, previous=None)
        if newest is None:
            raise VerificationError(("nothing is to be planned any more",))
        scenario = replace(newest.scenario, sessions=planned.scenario.sessions, tariff=planned.scenario.tariff)
        verify(scenario, schedule, limit_mode=planned.options.limit_mode)

    async def _failed(self, lease: SiteLease, error: Exception) -> None:
        """Note why a site could not be planned, and leave it alone for a while."""
        failures = self._failures[lease.site_id] = self._failures.get(lease.site_id, 0) + 1
        call = RetryCallState(Retrying(), None, (), {})
        call.attempt_number = failures
        pause_s = wait_exponential_jitter(multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S)(call)
        now = self._context.clock.now()
        self._context.metrics.plans_failed.inc()
        logger.warning("site=%s cannot be planned, tried again in %.0f s: %s", lease.site_id, pause_s, error)
        with suppress(LeaseLostError, DatabaseUnavailableError):
            await self._context.database.write(
                lambda tx: tx.sites.failed(lease, error=str(error), retry_at=now + timedelta(seconds=pause_s), now=now)
            )


def _renew(tx: Transaction, *, lease: SiteLease, now: datetime, lease_s: float) -> None:
    tx.sites.renew(lease, now=now, lease_s=lease_s)


def _folded(work: SiteWork, now: datetime) -> tuple[Site, SiteState]:
    """The site, and what its messages add up to."""
    site = site_of(work)
    state = state_from_json(work.snapshot).after(work.events, site, work.sessions)
    return site, state.pruned(now, [session.session_id for session in work.sessions])
