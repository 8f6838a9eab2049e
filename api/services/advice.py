"""What another capacity of a site's groups is worth now."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from api.advice import ASKED_BLOCKS, Question, messages_of
from api.context import Context
from api.drafting import folded
from api.persistence import NotFoundError, Transaction
from api.rest_schemas import AdviceView
from api.services.optimization import Optimizations
from api.services.sites import visible_site
from api.situation import PlanningRules, Situation, situation_of
from optimizer.advice import Advice
from optimizer.advice_options import AskedBlocks
from optimizer.scenario_io.advice_document import advice_file


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceRequest:
    """What is asked.

    Args:
        blocks: The blocks of the messages; None for those that the peer takes.
        hand_back: Whether the messages ask for less where capacity is left.
        least_value_per_kwh: Capacity that is worth less, currency per kWh of block, is not asked for.
    """

    blocks: AskedBlocks | None
    hand_back: bool
    least_value_per_kwh: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Known:
    """A site at one instant.

    Args:
        situation: What is to be planned.
        version: The site's version.
        blocks: The blocks that its peer takes.
    """

    situation: Situation
    version: int
    blocks: AskedBlocks


async def site_advice(
    context: Context, optimizations: Optimizations, site_id: str, viewer: str | None, request: AdviceRequest
) -> AdviceView:
    """The advice on what is stored of a site.

    Raises:
        NotFoundError: There is no such site that the viewer may see, or nothing is to be planned.
        InputError: It cannot be planned.
        SolverError: No advice was found in time.
        BusyError: Too many plans are being made.
    """
    rules = PlanningRules.of(context.settings)
    now = context.clock.now()
    known = await context.database.read(lambda tx: _known(tx, site_id, viewer, rules=rules, now=now))
    question = Question(situation=known.situation, least_value_per_kwh=request.least_value_per_kwh)
    advice = await optimizations.advice(question)
    return await asyncio.to_thread(_view, advice, known, request, now)


def _known(tx: Transaction, site_id: str, viewer: str | None, *, rules: PlanningRules, now: datetime) -> _Known:
    visible_site(tx, site_id, viewer)
    work = tx.sites.load(site_id, now=now)
    site, state, plan = folded(work, now)
    situation = situation_of(work, site, state, now=now, rules=rules, previous=plan)
    if situation is None:
        raise NotFoundError(f"site {site_id!r} has no plan to advise on: no session and no capacity lies ahead")
    return _Known(
        situation=situation,
        version=work.site.version,
        blocks=ASKED_BLOCKS.get(work.peer.profile.adjust_request, AskedBlocks.STATED),
    )


def _view(advice: Advice, known: _Known, request: AdviceRequest, now: datetime) -> AdviceView:
    messages = messages_of(advice, known.situation, blocks=request.blocks or known.blocks, hand_back=request.hand_back)
    content = advice_file(advice, known.situation.site)
    return AdviceView(
        **{name: getattr(content, name) for name in type(content).model_fields},
        version=known.version,
        made_at=now,
        messages=messages,
    )
