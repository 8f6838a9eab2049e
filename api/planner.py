"""Plans sites that are due: lease, scenario, solve elsewhere, verify, publish with its messages in one transaction."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

from opentelemetry import trace
from tenacity import RetryCallState, Retrying
from tenacity.wait import wait_exponential_jitter

from api.context import Context
from api.drafting import Draft, Task, require_that_it_still_holds
from api.executor import SolveExecutor
from api.logs import log_fields
from api.persistence import DatabaseUnavailableError, LeaseLostError, NotFoundError, Transaction
from api.records import SiteLease, SiteWork, StoredPlan
from api.situation import PlanningRules
from models.errors import CapacityOptimizerError

logger = logging.getLogger(__name__)

POLL_S = 1.0
"""How often it looks for what other servers left, and for edges of blocks."""
RENEWALS = 3
"""Times a lease is renewed within its length."""
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 600.0


class Planner:
    """Plans the sites that are due, for one server process.

    Args:
        context: What the parts of the server share.
        executor: Solves.
    """

    def __init__(self, context: Context, executor: SolveExecutor) -> None:
        self._context = context
        self._executor = executor
        self._rules = PlanningRules.of(context.settings)
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
            lambda tx: tx.leases.take_due(owner=self._context.owner, now=now, lease_s=settings.lease_s, limit=room)
        )
        for lease in leases:
            self._context.metrics.lease_wait_seconds.observe(lease.waited_s)
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
            await self._context.database.write(lambda tx: tx.leases.release_all(self._context.owner))

    async def attend(self, lease: SiteLease) -> None:
        """Look at a site, and plan it where there is a reason to; the lease is handed back in any case."""
        with log_fields(site=lease.site_id):
            await self._attend_or_note(lease)

    async def _attend_or_note(self, lease: SiteLease) -> None:
        try:
            with self._context.tracer.start_as_current_span("plan", attributes={"oscp.site": lease.site_id}):
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
        task = Task.of(work, now, self._rules)
        draft = await self._drafted(lease, task)
        if not await self._still_holds(lease, task, draft):
            self._context.metrics.plans_discarded.inc()
            await self._context.database.write(lambda tx: tx.leases.release(lease))
            return
        await self._write(lease, work, draft)
        if draft.plan is not None:
            with log_fields(plan=draft.plan.plan_id):
                self._note(draft.plan, draft, time.perf_counter() - started_s)

    def _note(self, plan: StoredPlan, draft: Draft, seconds: float) -> None:
        trace.get_current_span().set_attributes(
            {"oscp.plan": plan.plan_id, "oscp.reason": draft.reason, "oscp.status": plan.status}
        )
        metrics = self._context.metrics
        metrics.plans.labels(plan.status, draft.reason).inc()
        metrics.plan_seconds.observe(seconds)
        if draft.messages:
            self._context.outbox_filled.notify()
        logger.info(
            "site=%s plan=%s version=%d reason=%s status=%s seconds=%.3f unmet_kwh=%.3f messages=%d",
            plan.site_id,
            plan.plan_id,
            plan.version,
            draft.reason,
            plan.status,
            seconds,
            draft.unmet_kwh,
            len(draft.messages),
        )

    async def _drafted(self, lease: SiteLease, task: Task) -> Draft:
        """The draft; meanwhile the lease is held."""
        renewing = asyncio.create_task(self._keep(lease))
        try:
            return await self._executor.draft(task)
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

    async def _still_holds(self, lease: SiteLease, task: Task, draft: Draft) -> bool:
        """Whether a plan may go out: no limit has changed while it was made, or it holds the new ones too."""
        if draft.plan is None:
            return True
        database = self._context.database
        site = await database.read(lambda tx: tx.sites.get(lease.site_id))
        if site.limit_version <= draft.plan.version:
            return True
        newest = await database.read(lambda tx: tx.sites.load(lease.site_id, now=task.now))
        try:
            await asyncio.to_thread(require_that_it_still_holds, task, draft, newest)
        except CapacityOptimizerError as error:
            logger.info("site=%s plan discarded: %s", lease.site_id, error)
            return False
        return True

    async def _write(self, lease: SiteLease, work: SiteWork, draft: Draft) -> None:
        """Keep the state, and publish the plan, if there is one, with its messages."""
        now = self._context.clock.now()

        def write(tx: Transaction) -> None:
            if draft.plan is not None:
                tx.plans.add(draft.plan)
                tx.outbox.add(draft.messages, now=now)
            tx.leases.attended(
                lease,
                version=work.site.version,
                snapshot=draft.snapshot,
                due_at=draft.due_at,
                planned=bool(draft.reason),
            )

        await self._context.database.write(write)

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
                lambda tx: tx.leases.failed(lease, error=str(error), retry_at=now + timedelta(seconds=pause_s))
            )


def _renew(tx: Transaction, *, lease: SiteLease, now: datetime, lease_s: float) -> None:
    tx.leases.renew(lease, now=now, lease_s=lease_s)
