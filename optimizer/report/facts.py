"""What a report is about: how each session fares, where limits bind, and when, in words and figures."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from models.domain import GroupResult, IntArray, LineResult, Schedule, SessionResult, Site, TimeGrid

BoolArray = NDArray[np.bool_]

SHOWN_GROUPS = 12
ENERGY_TOLERANCE_KWH = 0.005
LIMIT_TOLERANCE_KW = 0.01
LIMIT_TOLERANCE_A = 0.01
LIMIT_TOLERANCE_SHARE = 1e-4
PRICE_TOLERANCE = 1e-6
VISIBLE_POWER_KW = 0.05
LARGE = 10_000
ID_LENGTH = 80
TO = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


class Outcome(IntEnum):
    """How a session fares, in the order of stacking: who goes short lies on top, right under the limit."""

    SERVED = 0
    UNREACHABLE = 1
    SHORT = 2


def outcome(result: SessionResult) -> Outcome:
    """Short where the stay allows more than the plan gives, unreachable where only the stay is to blame."""
    if result.unmet_energy_kwh > ENERGY_TOLERANCE_KWH:
        return Outcome.SHORT
    return Outcome.UNREACHABLE if result.unreachable_energy_kwh > ENERGY_TOLERANCE_KWH else Outcome.SERVED


def worst_first(schedule: Schedule) -> list[int]:
    """Positions of the sessions that miss energy: most unmet first, then most unreachable."""
    missing = [s for s, result in enumerate(schedule.sessions) if outcome(result) is not Outcome.SERVED]
    return sorted(
        missing,
        key=lambda s: (-schedule.sessions[s].unmet_energy_kwh, -schedule.sessions[s].unreachable_energy_kwh, s),
    )


def shorten(text: str, length: int = ID_LENGTH) -> str:
    """The text itself, or its begin and its end around an ellipsis."""
    if len(text) <= length:
        return text
    tail = (length - 1) // 3
    return f"{text[: length - 1 - tail]}…{text[-tail:]}"


def number(value: float) -> str:
    """A power, an energy or a time, with one decimal at most and none from ten thousand."""
    text = f"{value:,.0f}" if abs(value) >= LARGE else f"{value:,.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """How instants of a window are written, and where they lie on a chart.

    Plotly knows no time zones, so its axis is a wall clock that keeps one offset throughout. Words give the true wall
    clock, with the offset beside it where the clocks change within the window.

    Args:
        grid: The window.
        offset: The axis' offset from UTC: the one that holds in the middle of the window.
        change_s: First edge after the clocks have changed, seconds since the epoch; None where they do not.
        dated: Whether the window touches more than one day.
    """

    grid: TimeGrid
    offset: timedelta
    change_s: float | None
    dated: bool

    @classmethod
    def of(cls, grid: TimeGrid) -> Clock:
        """The clock of a window."""
        edges_s = grid.edges_s.tolist()
        offsets = [instant.utcoffset() or timedelta() for instant in grid.instants()]
        changed = (edge_s for edge_s, offset in zip(edges_s, offsets, strict=True) if offset != offsets[0])
        return cls(
            grid=grid,
            offset=grid.instant((edges_s[0] + edges_s[-1]) / 2).utcoffset() or timedelta(),
            change_s=next(changed, None),
            dated=grid.start.date() != (grid.end - timedelta(microseconds=1)).date(),
        )

    def axis_s(self, epoch_s: float) -> float:
        """Place on the axis: seconds since midnight of 1 January 1970 on its wall clock."""
        return round(epoch_s + self.offset.total_seconds(), 3)

    def text(self, epoch_s: float) -> str:
        """An instant in words."""
        return self._day(epoch_s) + self._hour(epoch_s)

    def span(self, start_s: float, end_s: float) -> str:
        """An interval in words."""
        same_day = self._day(start_s) == self._day(end_s)
        return f"{self.text(start_s)}{TO}{self._hour(end_s) if same_day else self.text(end_s)}"

    def _day(self, epoch_s: float) -> str:
        instant = self.grid.instant(epoch_s)
        return f"{instant.day} {instant:%b} " if self.dated else ""

    def _hour(self, epoch_s: float) -> str:
        instant = self.grid.instant(epoch_s)
        suffix = "" if self.change_s is None else f" ({offset_name(instant.utcoffset() or timedelta())})"
        return f"{instant:%H:%M}{suffix}"


def offset_name(offset: timedelta) -> str:
    """An offset in words, such as UTC+02:00."""
    minutes = round(offset / timedelta(minutes=1))
    return f"UTC{MINUS if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupFacts:
    """What is to be said of one group that has sessions. M members, T steps.

    Args:
        path: Ids from the root down to the group.
        result: Its power and limit.
        members: (M,), positions of the sessions at it or below it.
        binding: (T,), whether somebody is there and the power is at the limit.
        exceeded: (T,), whether the power is above the limit.
        requested_kwh: What its sessions ask for, kWh.
        burden: What its limit costs at its shadow price, currency; zero where no solver said.
    """

    path: tuple[str, ...]
    result: GroupResult
    members: IntArray
    binding: BoolArray
    exceeded: BoolArray
    requested_kwh: float
    burden: float

    @property
    def critical(self) -> bool:
        """Whether its limit binds or is exceeded at any time."""
        return bool(self.binding.any() or self.exceeded.any())


def group_facts(schedule: Schedule, site: Site) -> list[GroupFacts]:
    """Every group that has sessions: roots first, then those at their limit, then the busiest."""
    members: dict[str, list[int]] = {}
    for position, result in enumerate(schedule.sessions):
        for group_id in site.path(site.charger(result.session.charger_id).group_id):
            members.setdefault(group_id, []).append(position)
    facts = [
        _facts(schedule, result, site.path(result.group_id)[::-1], np.array(members[result.group_id]))
        for result in schedule.groups
        if result.group_id in members
    ]
    return sorted(facts, key=lambda group: (len(group.path) > 1, not group.critical, -group.requested_kwh, group.path))


def _facts(schedule: Schedule, result: GroupResult, path: tuple[str, ...], members: IntArray) -> GroupFacts:
    exceeded = result.power_kw > result.limit_kw * (1 + LIMIT_TOLERANCE_SHARE) + LIMIT_TOLERANCE_KW
    at_limit = result.power_kw >= result.limit_kw * (1 - LIMIT_TOLERANCE_SHARE) - LIMIT_TOLERANCE_KW
    price_per_kwh = np.nan_to_num(result.shadow_price_per_kwh)
    return GroupFacts(
        path=path,
        result=result,
        members=members,
        binding=(at_limit | (price_per_kwh > PRICE_TOLERANCE)) & ~exceeded & _somebody_there(schedule, members),
        exceeded=exceeded,
        requested_kwh=sum(schedule.sessions[s].session.energy_kwh for s in members.tolist()),
        burden=float((price_per_kwh * result.power_kw * schedule.grid.step_hours).sum()),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LineFacts:
    """What is to be said of one line. T steps.

    Args:
        result: Its current and limit.
        binding: (T,), whether the current is at the limit.
        exceeded: (T,), whether it is above the limit.
        burden: What its limit costs at its shadow price, currency; zero where no solver said.
    """

    result: LineResult
    binding: BoolArray
    exceeded: BoolArray
    burden: float

    @property
    def critical(self) -> bool:
        """Whether its limit binds or is exceeded at any time."""
        return bool(self.binding.any() or self.exceeded.any())


def line_facts(schedule: Schedule) -> list[LineFacts]:
    """Every line with a limit: those exceeded first, then those that bind, the costliest and fullest first."""
    facts = [_line_facts(schedule, result) for result in schedule.lines]
    return sorted(
        facts,
        key=lambda line: (not line.exceeded.any(), not line.critical, -line.burden, -float(line.binding.sum())),
    )


def _line_facts(schedule: Schedule, result: LineResult) -> LineFacts:
    limit_a = result.limit_a
    exceeded = result.current_a > limit_a * (1 + LIMIT_TOLERANCE_SHARE) + LIMIT_TOLERANCE_A
    at_limit = (result.current_a > 0) & (result.current_a >= limit_a * (1 - LIMIT_TOLERANCE_SHARE) - LIMIT_TOLERANCE_A)
    price_per_kwh = np.nan_to_num(result.shadow_price_per_kwh)
    used = np.where(np.isfinite(limit_a), np.minimum(result.current_a / np.maximum(limit_a, LIMIT_TOLERANCE_A), 1), 0)
    return LineFacts(
        result=result,
        binding=(at_limit | (price_per_kwh > PRICE_TOLERANCE)) & ~exceeded,
        exceeded=exceeded,
        burden=float((price_per_kwh * used * schedule.grid.step_hours).sum()),
    )


def critical_groups(facts: list[GroupFacts]) -> list[GroupFacts]:
    """Groups whose limit is exceeded, then those whose limit binds, the costliest first."""
    critical = [group for group in facts if group.critical]
    return sorted(critical, key=lambda group: (not group.exceeded.any(), -group.burden))


def _somebody_there(schedule: Schedule, members: IntArray) -> BoolArray:
    edges_s = schedule.grid.edges_s
    sessions = [schedule.sessions[s].session for s in members.tolist()]
    first = np.searchsorted(edges_s[1:], [session.arrival_s for session in sessions], side="right")
    after = np.searchsorted(edges_s[:-1], [session.departure_s for session in sessions], side="left")
    change = np.bincount(first, minlength=edges_s.size) - np.bincount(after, minlength=edges_s.size)
    return np.cumsum(change)[: schedule.grid.steps] > 0


def counts_more_than_mean(schedule: Schedule, group: GroupFacts) -> bool:
    """Whether the group's power is above the mean of its sessions: its limit counts everything that may coincide."""
    mine = np.isin(schedule.session_index, group.members)
    steps = schedule.grid.steps
    energy_kwh = np.bincount(schedule.step_index[mine], schedule.energy_kwh[mine], minlength=steps)
    return bool((group.result.power_kw - energy_kwh / schedule.grid.step_hours > VISIBLE_POWER_KW).any())


def runs(mask: BoolArray) -> list[tuple[int, int]]:
    """Begin and end, exclusive, of each stretch of true values."""
    change = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return list(zip(change[::2].tolist(), change[1::2].tolist(), strict=True))


def shown_in_tree_order(facts: list[GroupFacts]) -> list[GroupFacts]:
    """The groups that matter most, each below the one that feeds it, row 2 before row 10."""
    return sorted(facts[:SHOWN_GROUPS], key=lambda group: [_by_number(group_id) for group_id in group.path])


def _by_number(text: str) -> list[tuple[int, str]]:
    parts = re.split(r"([0-9]+)", text)
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]
