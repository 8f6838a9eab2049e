"""More capacity, asked for where a group goes short: what it would draw if only its connections limited it; pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from api import outgoing
from api.profiles import AdjustRequest
from api.records import NewMessage, OutboxKind, Peer
from api.situation import Situation
from models.domain import CapacityBlock, CapacityForecasts, CapacityKind, Schedule
from models.domain.time_grid import FloatArray
from models.oscp.v20 import (
    AdjustGroupCapacityForecast,
    CapacityForecastType,
    ForecastedBlock,
    ForecastedBlockUnit,
    PhaseIndicator,
)

SHORT_KWH = 0.01
"""Less than this is no reason to ask."""
SAME_KW = 0.5
"""A wish that grows by less than this is not repeated."""
DECIMALS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The capacity a group asks for.

    Args:
        group_id: The group.
        blocks: In order of time.
    """

    group_id: str
    blocks: tuple[ForecastedBlock, ...]

    def to_json(self) -> str:
        """Start and capacity of each block, to compare with later wishes."""
        return json.dumps({block.start_time.isoformat(): block.capacity for block in self.blocks})

    def is_known_from(self, asked: str | None) -> bool:
        """Whether an earlier wish asked for the same."""
        known: Mapping[str, float] = json.loads(asked) if asked else {}
        return all(
            abs(block.capacity - known.get(block.start_time.isoformat(), math.inf)) <= SAME_KW for block in self.blocks
        )

    def is_covered_by(self, asked: str | None) -> bool:
        """Whether an earlier wish asked for as much."""
        known: Mapping[str, float] = json.loads(asked) if asked else {}
        return all(
            block.capacity <= known.get(block.start_time.isoformat(), -math.inf) + SAME_KW for block in self.blocks
        )


def without_forecasts(situation: Situation) -> Situation:
    """The same with nothing but the connections' limits."""
    return replace(situation, scenario=replace(situation.scenario, forecasts=CapacityForecasts(), previous=None))


def wishes_of(situation: Situation, wanted: Schedule, how: AdjustRequest, *, now: datetime) -> list[Wish]:
    """What groups with a CONSUMPTION forecast ask for.

    Args:
        situation: What was planned.
        wanted: The plan without forecasts.
        how: In which form.
        now: The present.
    """
    wishes = []
    for group in situation.site.groups:
        blocks = situation.forecasts.blocks(group.group_id, CapacityKind.CONSUMPTION)
        if not blocks:
            continue
        load_kw = max(0.0, situation.load_kw.get(group.group_id, 0.0)) if group.limit_counts == "TOTAL" else 0.0
        power_kw = wanted.group(group.group_id).power_kw + load_kw
        needed = _Needed(wanted, power_kw)
        if how is AdjustRequest.BLOCKS:
            asked = _short_blocks(blocks, needed)
        else:
            asked = _whole_days(blocks, needed, situation, now)
        if asked:
            wishes.append(Wish(group_id=group.group_id, blocks=tuple(asked)))
    return wishes


def wish_message(wish: Wish, peer: Peer, *, site_id: str, plan_id: str) -> NewMessage:
    """The wish as a message."""
    message = AdjustGroupCapacityForecast(
        group_id=wish.group_id, type=CapacityForecastType.CONSUMPTION, forecasted_blocks=wish.blocks
    )
    return NewMessage(
        peer_id=peer.peer_id,
        kind=OutboxKind.ADJUST,
        lane=f"adjust:{wish.group_id}",
        body=message.model_dump_json(),
        request_id=outgoing.new_request_id(),
        site_id=site_id,
        group_id=wish.group_id,
        plan_id=plan_id,
    )


class _Needed:
    """The highest power that a plan draws within some time."""

    def __init__(self, wanted: Schedule, power_kw: FloatArray) -> None:
        self._edges_s = wanted.grid.edges_s
        self._power_kw = power_kw

    def between(self, start: datetime, end: datetime) -> float:
        inside = (self._edges_s[:-1] < end.timestamp()) & (self._edges_s[1:] > start.timestamp())
        return float(self._power_kw[inside].max()) if inside.any() else 0.0


def _short_blocks(blocks: Sequence[CapacityBlock], needed: _Needed) -> list[ForecastedBlock]:
    return [
        _asked(block.start, block.end, needed_kw)
        for block in blocks
        if (needed_kw := needed.between(block.start, block.end)) > block.capacity_kw
    ]


def _whole_days(
    blocks: Sequence[CapacityBlock], needed: _Needed, situation: Situation, now: datetime
) -> list[ForecastedBlock]:
    zone = situation.site.time_zone
    today = now.astimezone(zone).date()
    short = [block for block in blocks if needed.between(block.start, block.end) > block.capacity_kw]
    days = {block.start.astimezone(zone).date() for block in short}
    asked: list[ForecastedBlock] = []
    for day in sorted(day for day in days if day > today):
        for start, end in _hours(day, situation):
            stated = [block.capacity_kw for block in blocks if block.start < end and block.end > start]
            asked.append(_asked(start, end, max(needed.between(start, end), min(stated, default=0.0))))
    return asked


def _hours(day: date, situation: Situation) -> list[tuple[datetime, datetime]]:
    """The whole hours of a local day: 23 or 25 where the clock is changed."""
    zone = situation.site.time_zone
    start = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    following = day + timedelta(days=1)
    end = datetime(following.year, following.month, following.day, tzinfo=zone).astimezone(UTC)
    hour = timedelta(hours=1)
    count = round((end - start) / hour)
    return [(start + index * hour, start + (index + 1) * hour) for index in range(count)]


def _asked(start: datetime, end: datetime, power_kw: float) -> ForecastedBlock:
    scale = 10.0**DECIMALS
    return ForecastedBlock(
        capacity=math.ceil(power_kw * scale) / scale,
        phase=PhaseIndicator.ALL,
        unit=ForecastedBlockUnit.KW,
        start_time=start,
        end_time=end,
    )
