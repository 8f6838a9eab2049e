"""Capacity advice as files: advice.json with the value beside every block, adjust.json with the OSCP messages."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from models.domain.capacity import CapacityBlock, CapacityKind
from models.domain.group import Site
from models.domain.scenario import Scenario
from models.oscp.v20 import (
    AdjustGroupCapacityForecast,
    CapacityForecastType,
    ForecastedBlock,
    ForecastedBlockUnit,
    PhaseIndicator,
)
from optimizer.advice import Advice, BlockAdvice
from optimizer.advice_options import AskedBlocks
from optimizer.scenario_io.files import new_folder

ADVICE_FILE = "advice.json"
ADJUST_FILE = "adjust.json"
KW_DECIMALS = 3
VALUE_DECIMALS = 6
HOUR = timedelta(hours=1)
INSTANT = timedelta(microseconds=1)


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True)


class ValueEntry(_Entry):
    """What further capacity is worth, from where the entry before ends."""

    up_to_kw: float = Field(description="How much more than stated this holds for, kW")
    value_per_kwh: float = Field(description="Currency per kW and hour")


class AdviceEntry(_Entry):
    """One block of one group."""

    group_id: str = Field(description="The group")
    start: datetime = Field(description="Begin")
    end: datetime = Field(description="End")
    limit_kw: float = Field(description="What is allowed, the lower of forecast and connection, kW")
    planned_kw: float = Field(
        description="The highest power of the plan that needs the least capacity among the best, kW"
    )
    hand_back_kw: float = Field(description="What can be handed back without loss, in all blocks at once, kW")
    asked_kw: float = Field(description="How much more is asked for, together with the other blocks, kW")
    value_per_kwh: float | None = Field(
        description="What the first kW asked for is worth in this block, currency per kWh; null where time was up"
    )
    more: list[ValueEntry] | None = Field(
        description="What more in this block alone would be worth; none where nothing, null where time was up"
    )


class AdviceFile(_Entry):
    """advice.json."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, serialize_by_alias=True)

    schema_version: Literal[1] = Field(default=1, alias="schema", description="Version of this format")
    site_id: str = Field(description="The site")
    currency: str = Field(description="ISO 4217 code of all values")
    asked_value: float = Field(description="What all that is asked for would be worth together, currency")
    blocks: list[AdviceEntry] = Field(description="Group by group, in order of time")


def write_advice(
    folder: Path, advice: Advice, scenario: Scenario, *, blocks: AskedBlocks, hand_back: bool
) -> tuple[dict[str, object], list[AdjustGroupCapacityForecast]]:
    """Write advice.json and adjust.json; both, or nothing.

    Args:
        folder: Where; missing, empty, or earlier advice, which is replaced.
        advice: The advice.
        scenario: What it is for.
        blocks: The blocks in which capacity is asked for.
        hand_back: Whether blocks with capacity to spare are asked for at what is needed.

    Returns:
        The content of both.

    Raises:
        InputError: The folder holds something else.
    """
    document = advice_document(advice, scenario.site)
    messages = adjust_messages(advice, scenario, blocks=blocks, hand_back=hand_back)
    with new_folder(folder, kind="advice", objection=_objection) as partial:
        written = {ADVICE_FILE: document, ADJUST_FILE: [message.model_dump(mode="json") for message in messages]}
        for name, content in written.items():
            (partial / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return document, messages


def advice_document(advice: Advice, site: Site) -> dict[str, object]:
    """The content of advice.json, as JSON values."""
    document: dict[str, object] = advice_file(advice, site).model_dump(mode="json")
    return document


def advice_file(advice: Advice, site: Site) -> AdviceFile:
    """The content of advice.json."""
    return AdviceFile(
        site_id=site.site_id,
        currency=site.currency,
        asked_value=round(advice.asked_value, VALUE_DECIMALS),
        blocks=[_entry(block) for block in advice.blocks],
    )


def _entry(block: BlockAdvice) -> AdviceEntry:
    value_per_kwh = block.asked_value_per_kwh
    return AdviceEntry(
        group_id=block.group_id,
        start=block.start,
        end=block.end,
        limit_kw=round(block.limit_kw, KW_DECIMALS),
        planned_kw=_up(block.planned_kw),
        hand_back_kw=max(0.0, round(block.limit_kw - _up(block.planned_kw), KW_DECIMALS)),
        asked_kw=_up(block.asked_kw),
        value_per_kwh=None if value_per_kwh is None else round(value_per_kwh, VALUE_DECIMALS),
        more=None
        if block.more is None
        else [
            ValueEntry(
                up_to_kw=round(step.up_to_kw, KW_DECIMALS), value_per_kwh=round(step.value_per_kwh, VALUE_DECIMALS)
            )
            for step in block.more
        ],
    )


def adjust_messages(
    advice: Advice, scenario: Scenario, *, blocks: AskedBlocks, hand_back: bool, after: date | None = None
) -> list[AdjustGroupCapacityForecast]:
    """AdjustGroupCapacityForecast of type CONSUMPTION for each group of which anything is asked.

    Args:
        advice: The advice.
        scenario: For the time zone of days, and what is stated of hours outside the window.
        blocks: The blocks in which capacity is asked for.
        hand_back: Whether blocks with capacity to spare are asked for at what is needed.
        after: Whole days up to this one are not asked for; None for none.
    """
    by_group: dict[str, list[BlockAdvice]] = {}
    for block in advice.blocks:
        by_group.setdefault(block.group_id, []).append(block)
    messages = []
    for group_id, stated in by_group.items():
        if blocks is AskedBlocks.STATED:
            asked = _as_stated(stated, hand_back=hand_back)
        else:
            known = scenario.forecasts.blocks(group_id, CapacityKind.CONSUMPTION)
            zone = scenario.site.time_zone
            days = _days((block for block in stated if _is_asked(block, hand_back=hand_back)), zone)
            wanted = [day for day in sorted(days) if after is None or day > after]
            asked = _whole_days(wanted, stated, known, zone, hand_back=hand_back)
        if asked:
            messages.append(
                AdjustGroupCapacityForecast(
                    group_id=group_id, type=CapacityForecastType.CONSUMPTION, forecasted_blocks=tuple(asked)
                )
            )
    return messages


def _is_asked(block: BlockAdvice, *, hand_back: bool) -> bool:
    return block.asked_kw > 0 or (hand_back and block.hand_back_kw > 10**-KW_DECIMALS)


def _wanted_kw(block: BlockAdvice, *, hand_back: bool) -> float:
    if block.asked_kw > 0:
        return block.limit_kw + block.asked_kw
    return min(block.planned_kw, block.limit_kw) if hand_back else block.limit_kw


def _as_stated(stated: Sequence[BlockAdvice], *, hand_back: bool) -> list[ForecastedBlock]:
    return [
        _wire_block(block.start, block.end, _wanted_kw(block, hand_back=hand_back))
        for block in stated
        if _is_asked(block, hand_back=hand_back)
    ]


def _days(blocks: Iterable[BlockAdvice], zone: ZoneInfo) -> set[date]:
    """The local days that blocks are part of."""
    days = set()
    for block in blocks:
        day, last = block.start.astimezone(zone).date(), (block.end - INSTANT).astimezone(zone).date()
        while day <= last:
            days.add(day)
            day += timedelta(days=1)
    return days


def _whole_days(
    days: Iterable[date],
    stated: Sequence[BlockAdvice],
    known: Sequence[CapacityBlock],
    zone: ZoneInfo,
    *,
    hand_back: bool,
) -> list[ForecastedBlock]:
    """Every whole hour of local days: the most that any block in it wants."""
    asked: list[ForecastedBlock] = []
    for day in days:
        hour = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
        while hour.astimezone(zone).date() == day:
            within = [block for block in stated if block.start < hour + HOUR and block.end > hour]
            as_known_kw = min(
                (block.capacity_kw for block in known if block.start < hour + HOUR and block.end > hour), default=0.0
            )
            wanted_kw = max((_wanted_kw(block, hand_back=hand_back) for block in within), default=as_known_kw)
            asked.append(_wire_block(hour, hour + HOUR, wanted_kw))
            hour += HOUR
    return asked


def _wire_block(start: datetime, end: datetime, power_kw: float) -> ForecastedBlock:
    return ForecastedBlock(
        capacity=_up(power_kw),
        phase=PhaseIndicator.ALL,
        unit=ForecastedBlockUnit.KW,
        start_time=start,
        end_time=end,
    )


def _up(power_kw: float) -> float:
    """Rounded up to a W: a little less would not do."""
    scale = 10.0**KW_DECIMALS
    return math.ceil(round(power_kw * scale, KW_DECIMALS)) / scale


def _objection(folder: Path) -> str | None:
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in (ADVICE_FILE, ADJUST_FILE))
    return f"it holds {foreign[0]!r}, which no advice has" if foreign else None
