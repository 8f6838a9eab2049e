"""From all that is stored of a site to a plan with its messages; pure, and run wherever plans are solved."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from api import outgoing
from api.advice import Advise, in_short, wishes_by_value
from api.loads import loads_of
from api.profiles import AdjustReason, AdjustRequest
from api.records import NewMessage, SiteWork, StoredPlan
from api.site_state import SiteState, planned_energy_kwh
from api.site_state_json import state_from_json, state_to_json
from api.situation import PlanningRules, Situation, next_awakening, next_edge, site_of, situation_of
from api.wishes import SHORT_KWH, Wish, wish_message, wishes_of, without_forecasts
from models.domain import ChargingSession, Scenario, Schedule, Site
from models.domain.headroom import load_violations
from models.errors import SolverError, VerificationError
from models.oscp.v20 import to_optimum_messages
from optimizer import OptimizeOptions, optimize
from optimizer.scenario_io.plan_document import schedule_from_document, to_plan_document
from optimizer.scenario_io.row_schemas import BATTERY_FIELDS
from optimizer.verify import verify

logger = logging.getLogger(__name__)

END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)

Solve = Callable[[Scenario, OptimizeOptions], Schedule]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A site to look at.

    Args:
        work: All that is stored of it; without the token that its peer gave us, for this may go to another machine.
        now: The present.
        rules: How to plan.
    """

    work: SiteWork
    now: datetime
    rules: PlanningRules

    @classmethod
    def of(cls, work: SiteWork, now: datetime, rules: PlanningRules) -> Task:
        """The task, without the token."""
        return cls(work=replace(work, peer=replace(work.peer, outbound_token=None)), now=now, rules=rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What came of a look at a site.

    Args:
        reason: Why it was planned anew; empty where there was no reason.
        snapshot: The state up to the version that was looked at.
        due_at: When to look again though nothing changes; None for never.
        plan: The plan; None where there was no reason, or nothing to plan.
        messages: What goes out with it.
        unmet_kwh: Energy that the plan leaves undelivered.
    """

    reason: str
    snapshot: str
    due_at: datetime | None
    plan: StoredPlan | None = None
    messages: Sequence[NewMessage] = ()
    unmet_kwh: float = 0.0


def drafted(task: Task, solve: Solve = optimize, advise: Advise | None = in_short) -> Draft:
    """Look at a site, and plan it where there is a reason to.

    Args:
        task: The site.
        solve: Makes the plan.
        advise: Says what another capacity is worth; None where there is nobody to say it.

    Raises:
        CapacityOptimizerError: It cannot be planned.
    """
    work, now, rules = task.work, task.now, task.rules
    site, state, plan = folded(work, now)
    awakening = next_awakening(work, site, state, now=now, rules=rules)
    reason = _reason(work, site, state, plan, task)
    if not reason:
        return Draft(reason="", snapshot=state_to_json(state), due_at=work.site.due_at)
    situation = situation_of(work, site, state, now=now, rules=rules, previous=plan)
    if situation is None:
        return Draft(reason=reason, snapshot=state_to_json(state), due_at=awakening)
    schedule = solve(situation.scenario, situation.options)
    how = work.peer.profile
    if how.adjust_request is AdjustRequest.NEVER:
        asked = []
    elif how.adjust_reason is AdjustReason.SHORTAGE:
        asked = _asked_when_short(how.adjust_request, situation, schedule, state, now, solve)
    else:
        asked = _asked_by_value(how.adjust_request, situation, state, now, advise)
    after = replace(
        state,
        unanswered={},
        asked={**state.asked, **{wish.group_id: wish.to_json() for wish in asked}},
        unread=(),
        expected={stored.session_id: state.expected_at(schedule.grid.start, stored, plan) for stored in work.sessions},
        assumed_kw=situation.load_kw,
        courses={one.storage.asset_id: one.course_until(schedule.grid.start) for one in state.storages_of(site, plan)},
    )
    stored = _stored(work, situation, schedule, now)
    messages, sent = _messages(work, situation, schedule, state, stored.plan_id)
    messages += [wish_message(wish, work.peer, site_id=stored.site_id, plan_id=stored.plan_id) for wish in asked]
    edge = next_edge(situation, now=now)
    return Draft(
        reason=reason,
        snapshot=state_to_json(replace(after, sent=sent)),
        due_at=edge if awakening is None else min(edge, awakening),
        plan=stored,
        messages=messages,
        unmet_kwh=schedule.unmet_energy_kwh,
    )


def require_that_it_still_holds(task: Task, draft: Draft, newest: SiteWork) -> None:
    """Let pass a plan that holds what is known by now.

    Args:
        task: What it was made of.
        draft: It, with the state it was made for.
        newest: What is stored by now.

    Raises:
        CapacityOptimizerError: It does not; or the prices have changed, or there is no plan any more to be made.
    """
    if draft.plan is None:
        return
    later = tuple(event for event in newest.events if event.version > draft.plan.version)
    site, state, _ = folded(replace(newest, snapshot=draft.snapshot, events=later, plan=None), task.now)
    # What was measured of storages meanwhile is of the next plan: another state breaks no limit.
    state = replace(state, stored=state_from_json(draft.snapshot).stored)
    known = situation_of(newest, site, state, now=task.now, rules=task.rules, previous=None)
    if known is None:
        raise VerificationError(("nothing is to be planned any more",))
    schedule = schedule_from_document(json.loads(draft.plan.document), site)
    # The document of a plan says what sessions ask for, not what their batteries are.
    by_id = {session.session_id: session for session in known.scenario.sessions}
    results = tuple(
        replace(result, session=with_battery_of(result.session, by_id.get(result.session.session_id)))
        for result in schedule.sessions
    )
    sessions = tuple(result.session for result in results)
    verify(
        replace(known.scenario, sessions=sessions),
        replace(schedule, sessions=results),
        limit_mode=known.options.limit_mode,
        current_mode=known.options.current_mode,
        stepless=known.options.is_stepless,
    )


def with_battery_of(session: ChargingSession, known: ChargingSession | None) -> ChargingSession:
    """A session with the battery of the one known by its id; as it is where there is none."""
    if known is None:
        return session
    return replace(session, **{name: getattr(known, name) for name in BATTERY_FIELDS})


def folded(work: SiteWork, now: datetime) -> tuple[Site, SiteState, Schedule | None]:
    """The site, what its messages add up to, and the plan in force."""
    site = site_of(work)
    state = state_from_json(work.snapshot).after(work.events, site, work.sessions)
    plan = None if work.plan is None else schedule_from_document(json.loads(work.plan.document), site)
    return site, state.pruned(now, [session.session_id for session in work.sessions]), plan


def _reason(work: SiteWork, site: Site, state: SiteState, plan: Schedule | None, task: Task) -> str:
    """Why to plan anew; empty where there is no reason."""
    if work.site.change_version > work.site.planned_version:
        return "change"
    if work.site.due_at is not None and work.site.due_at <= task.now:
        return "edge"
    if _load_drifts(work, site, state, task) or (plan is not None and _delivery_drifts(work, state, plan, task.rules)):
        return "drift"
    if any(one.has_drifted(task.rules.drift_kwh) for one in state.storages_of(site, plan)):
        return "drift"
    return ""


def _load_drifts(work: SiteWork, site: Site, state: SiteState, task: Task) -> bool:
    """Whether the load that was measured is far from what the plan in force was made for."""
    loads = loads_of(
        site,
        state,
        now=task.now,
        generation_age_s=task.rules.measurement_age_s,
        generation_counts=not work.peer.offline,
    )
    counted = [group.group_id for group in site.groups if group.limit_counts == "TOTAL"]
    return any(abs(loads[one] - state.assumed_kw.get(one, 0.0)) > task.rules.drift_kw for one in counted)


def _delivery_drifts(work: SiteWork, state: SiteState, plan: Schedule, rules: PlanningRules) -> bool:
    """Whether a session got much more or less than the plan in force gives it."""
    for session in work.sessions:
        delivered, expected = state.delivered_to(session), state.expected_of(session)
        # What was measured up to before the plan began tells nothing of how it is followed.
        if delivered is None or expected is None or delivered.until < expected.until:
            continue
        planned_kwh = planned_energy_kwh(plan, session.session_id, expected.until, delivered.until)
        if abs(delivered.energy_kwh - expected.energy_kwh - planned_kwh) > rules.drift_kwh:
            return True
    return False


def _asked_when_short(
    how: AdjustRequest, situation: Situation, schedule: Schedule, state: SiteState, now: datetime, solve: Solve
) -> list[Wish]:
    """The capacity to ask for where somebody goes short, and that was not asked for before."""
    if schedule.unmet_energy_kwh <= SHORT_KWH:
        return []
    wider = without_forecasts(situation)
    wanted = solve(wider.scenario, replace(wider.options, why=False))
    found = wishes_of(situation, wanted, how, now=now)
    return [wish for wish in found if not wish.is_covered_by(state.asked.get(wish.group_id))]


def _asked_by_value(
    how: AdjustRequest,
    situation: Situation,
    state: SiteState,
    now: datetime,
    advise: Advise | None,
) -> list[Wish]:
    """The capacity to ask for by its value, more or less, that was not asked for before; a plan never fails of it."""
    if advise is None:
        return []
    try:
        advice = advise(situation)
    except SolverError as error:
        logger.warning("site=%s nothing is asked for: %s", situation.site.site_id, error)
        return []
    found = wishes_by_value(advice, situation, how, now=now)
    return [wish for wish in found if not wish.is_known_from(state.asked.get(wish.group_id))]


def _stored(work: SiteWork, situation: Situation, schedule: Schedule, now: datetime) -> StoredPlan:
    of_loads = tuple(load_violations(situation.site, situation.forecasts, situation.load_kw, schedule.grid))
    schedule = replace(schedule, violations=(*schedule.violations, *of_loads))
    document = to_plan_document(
        schedule, situation.scenario, situation.options, notes=situation.notes, why_short_only=True
    )
    return StoredPlan(
        plan_id=str(uuid.uuid4()),
        site_id=work.site.site_id,
        version=work.site.version,
        made_at=now,
        start=schedule.grid.start.astimezone(UTC),
        end=schedule.grid.end.astimezone(UTC),
        status=schedule.status,
        document=json.dumps(document, separators=(",", ":")),
        unmet_kwh=schedule.unmet_energy_kwh,
        gap=schedule.gap,
        limit_margin_kw=schedule.limit_margin_kw,
    )


def _messages(
    work: SiteWork, situation: Situation, schedule: Schedule, state: SiteState, plan_id: str
) -> tuple[list[NewMessage], Mapping[str, str]]:
    """The messages that tell the peer of a plan; and by group what it was told last."""
    optima = to_optimum_messages(
        schedule,
        situation.site,
        situation.forecasts,
        window=(schedule.grid.start, END_OF_TIME),
        ampere_all_per_conductor=work.peer.profile.ampere_all_per_conductor,
    )
    return outgoing.optimum_messages(optima, work.peer, state, site_id=work.site.site_id, plan_id=plan_id)
