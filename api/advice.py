"""What more capacity of a site's groups is worth and what can be handed back, in limits as they were stated; pure.

The plan knows the limits that are left for the chargers. Here the load that was taken off is put on again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from api.profiles import AdjustRequest
from api.situation import Situation
from api.wishes import SAME_KW, Wish
from models.domain import CapacityBlock, CapacityKind, LimitCounts, Scenario
from models.oscp.v20 import AdjustGroupCapacityForecast
from optimizer.advice import Advice, BlockAdvice, ValueStep, advise
from optimizer.advice_options import AskedBlocks
from optimizer.scenario_io.advice_document import adjust_messages

ASKED_BLOCKS = {AdjustRequest.BLOCKS: AskedBlocks.STATED, AdjustRequest.WHOLE_DAY: AskedBlocks.WHOLE_DAY}

Advise = Callable[[Situation], Advice]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Whose advice is asked for; for a process that solves.

    Args:
        situation: What is known of the site.
        least_value_per_kwh: Capacity that is worth less, currency per kWh of block, is not asked for.
    """

    situation: Situation
    least_value_per_kwh: float


def answered(question: Question) -> Advice:
    """The advice on a site, with what more of each block is worth step by step.

    Raises:
        CapacityOptimizerError: It cannot be planned, or there was no time.
    """
    situation = question.situation
    return as_stated(
        advise(situation.scenario, situation.options, least_value_per_kwh=question.least_value_per_kwh), situation
    )


def in_short(situation: Situation) -> Advice:
    """The advice on a site: what to ask for, without what each block alone is worth.

    Raises:
        CapacityOptimizerError: There was no time.
    """
    return as_stated(advise(situation.scenario, situation.options, step_by_step=False), situation)


def as_stated(advice: Advice, situation: Situation) -> Advice:
    """Advice on what is left for the chargers as advice on the limits that were stated.

    A group whose limit counts everything needs its other load too. Where that alone is above the limit, the first kW
    more help nobody to charge. What is handed back does not count on generation.
    """
    return replace(advice, blocks=tuple(_block_as_stated(block, situation) for block in advice.blocks))


def messages_of(
    advice: Advice, situation: Situation, *, blocks: AskedBlocks, hand_back: bool
) -> list[AdjustGroupCapacityForecast]:
    """The messages that advice in limits as stated stands for."""
    return adjust_messages(advice, _stated_scenario(situation), blocks=blocks, hand_back=hand_back)


def wishes_by_value(advice: Advice, situation: Situation, how: AdjustRequest, *, now: datetime) -> list[Wish]:
    """What groups ask for by advice in limits as stated: more where it is worth something, less where it is not needed.

    Nothing is handed back of a block that reaches beyond the horizon, for nobody knows who comes there, and nothing
    that is less than a wish has to differ by to be a new one.

    Args:
        advice: The advice.
        situation: What it is on.
        how: In which form; a whole day can only be asked for before it begins.
        now: The present.
    """
    kept = replace(advice, blocks=tuple(_without_guesses(block, situation) for block in advice.blocks))
    messages = adjust_messages(
        kept,
        _stated_scenario(situation),
        blocks=ASKED_BLOCKS[how],
        hand_back=True,
        after=now.astimezone(situation.site.time_zone).date(),
    )
    return [Wish(group_id=message.group_id, blocks=message.forecasted_blocks) for message in messages]


def _stated_scenario(situation: Situation) -> Scenario:
    return replace(situation.scenario, site=situation.site, forecasts=situation.forecasts)


def _stated_block(block: BlockAdvice, situation: Situation) -> CapacityBlock:
    known = situation.forecasts.blocks(block.group_id, CapacityKind.CONSUMPTION)
    return next(one for one in known if one.start < block.end and one.end > block.start)


def _block_as_stated(block: BlockAdvice, situation: Situation) -> BlockAdvice:
    group = next(one for one in situation.site.groups if one.group_id == block.group_id)
    counts_all = group.limit_counts is LimitCounts.TOTAL
    load_kw = situation.load_kw.get(block.group_id, 0.0) if counts_all else 0.0
    stated = _stated_block(block, situation)
    limits_kw = (stated.capacity_kw, group.import_limit_kw)
    limit_kw = min(limit for limit in limits_kw if limit is not None)
    missing_kw = max(0.0, load_kw - limit_kw)
    return replace(
        block,
        start=stated.start.astimezone(situation.site.time_zone),
        limit_kw=limit_kw,
        planned_kw=block.planned_kw + max(0.0, load_kw),
        more=_beyond(block.more, missing_kw),
        asked_kw=block.asked_kw + missing_kw if block.asked_kw > 0 else 0.0,
    )


def _beyond(more: tuple[ValueStep, ...] | None, missing_kw: float) -> tuple[ValueStep, ...] | None:
    """Steps of value that begin only where some capacity is missing for other load."""
    if not more or missing_kw <= 0:
        return more
    steps = tuple(replace(step, up_to_kw=step.up_to_kw + missing_kw) for step in more)
    return (ValueStep(up_to_kw=missing_kw, value_per_kwh=0.0), *steps)


def _without_guesses(block: BlockAdvice, situation: Situation) -> BlockAdvice:
    stated = _stated_block(block, situation)
    is_cut = stated.end > block.end
    if is_cut or block.hand_back_kw < SAME_KW:
        block = replace(block, planned_kw=max(block.planned_kw, block.limit_kw))
    return replace(block, end=stated.end)
