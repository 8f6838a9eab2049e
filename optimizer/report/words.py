"""What the report says: the headline and other facts of a schedule in plain words, not yet escaped."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from models.domain import Schedule, ScheduleStatus
from models.domain.why import ChangeKind, ServingChange
from optimizer.report.facts import (
    ENERGY_TOLERANCE_KWH,
    TO,
    BoolArray,
    Clock,
    GroupFacts,
    LineFacts,
    Outcome,
    critical_groups,
    line_facts,
    number,
    offset_name,
    outcome,
    runs,
    shorten,
)

LISTED_PERIODS = 3


def headline(schedule: Schedule, facts: list[GroupFacts]) -> str:
    """What matters most in one sentence: limits broken, limits that bind, energy not served."""
    if not schedule.sessions:
        return "No sessions: there is nothing to plan."
    limits = _limit_words(schedule, facts) or _line_words(schedule)
    service = _service_words(schedule)
    if limits:
        return f"The {limits}; {service}."
    joint = "although" if schedule.unmet_energy_kwh > ENERGY_TOLERANCE_KWH else "and"
    return f"{service[0].upper()}{service[1:]}, {joint} no limit binds."


def _service_words(schedule: Schedule) -> str:
    if schedule.unmet_energy_kwh > ENERGY_TOLERANCE_KWH:
        proved = schedule.status is ScheduleStatus.OPTIMAL
        return f"{number(schedule.unmet_energy_kwh)} kWh {'cannot be' if proved else 'is not'} served"
    if schedule.unreachable_energy_kwh > ENERGY_TOLERANCE_KWH:
        return f"everyone gets what the stay allows, {number(schedule.unreachable_energy_kwh)} kWh is out of reach"
    return "everyone is fully served"


def _limit_words(schedule: Schedule, facts: list[GroupFacts]) -> str:
    critical = critical_groups(facts)
    if not critical:
        return ""
    over = bool(critical[0].exceeded.any())
    more = sum(bool(group.exceeded.any()) == over for group in critical) - 1
    clause = _limit_clause(schedule, critical[0], alone=len(facts) == 1)
    if not more:
        return clause
    verb = ("is exceeded" if more == 1 else "are exceeded") if over else ("binds" if more == 1 else "bind")
    return f"{clause}, {count_words(more, 'more limit')} {verb}"


def _line_words(schedule: Schedule) -> str:
    """The line that matters most, where no group's limit does; empty where none does either."""
    critical = [line for line in line_facts(schedule) if line.critical]
    if not critical:
        return ""
    line = critical[0]
    over = bool(line.exceeded.any())
    mask = line.exceeded if over else line.binding
    what = f"{current_words(line)} limit of line {shorten(line.result.line_id)}"
    more = sum(bool(other.exceeded.any()) == over for other in critical) - 1
    beside = f", as {'does' if more == 1 else 'do'} {count_words(more, 'more line')}" if more and not over else ""
    return f"{what} {'is exceeded' if over else 'binds'} {_periods(schedule, mask)}{beside}"


def current_words(line: LineFacts) -> str:
    """The limit of a line, over all steps; empty where there is none."""
    limit_a = line.result.limit_a[np.isfinite(line.result.limit_a)]
    if not limit_a.size:
        return ""
    low, high = number(float(limit_a.min())), number(float(limit_a.max()))
    return f"{low} A" if low == high else f"{low}{TO}{high} A"


def _limit_clause(schedule: Schedule, group: GroupFacts, *, alone: bool) -> str:
    over = bool(group.exceeded.any())
    mask = group.exceeded if over else group.binding
    limit = f"{limit_words(group, mask)} limit".strip()
    where = "" if alone else f" of {shorten(group.path[-1])}"
    if not over:
        return f"{limit}{where} binds {_periods(schedule, mask)}"
    excess_kw = float((group.result.power_kw - group.result.limit_kw)[mask].max())
    return f"{limit}{where} is exceeded by up to {number(excess_kw)} kW {_periods(schedule, mask)}"


def limit_words(group: GroupFacts, mask: BoolArray | None = None) -> str:
    """The limit in some steps, or in all; empty where there is none."""
    limited = np.isfinite(group.result.limit_kw)
    limit_kw = group.result.limit_kw[limited if mask is None else limited & mask]
    if not limit_kw.size:
        return ""
    low, high = number(float(limit_kw.min())), number(float(limit_kw.max()))
    return f"{low} kW" if low == high else f"{low}{TO}{high} kW"


def _periods(schedule: Schedule, mask: BoolArray) -> str:
    edges_s = schedule.grid.edges_s.tolist()
    clock = Clock.of(schedule.grid)
    spans = [(edges_s[begin], edges_s[end]) for begin, end in runs(mask)]
    if len(spans) <= LISTED_PERIODS:
        return ", ".join(clock.span(*span) for span in spans)
    first, last = clock.text(spans[0][0]), clock.text(spans[-1][1])
    return f"{len(spans)} times from {first} to {last}, {hours_words(schedule, mask)} in all"


def hours_words(schedule: Schedule, mask: BoolArray) -> str:
    """How long some steps last together."""
    return f"{number(float(schedule.grid.step_hours[mask].sum()))} h"


def count_words(count: int, noun: str) -> str:
    """A number of things."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def window_words(schedule: Schedule) -> str:
    """The window with its dates, zone and offset."""
    grid = schedule.grid
    start, end = grid.start, grid.end
    finish = f"{end:%H:%M}" if start.date() == end.date() else f"{end.day} {end:%b %Y %H:%M}"
    offsets = dict.fromkeys(offset_name(instant.utcoffset() or timedelta()) for instant in (start, end))
    return f"{start.day} {start:%b %Y %H:%M}{TO}{finish}, {grid.time_zone} ({' to '.join(offsets)})"


def clock_change_words(schedule: Schedule) -> str:
    """What a change of clocks within the window means for the charts; empty where there is none."""
    clock = Clock.of(schedule.grid)
    if clock.change_s is None:
        return ""
    return (
        f"The clocks change in this window, at the latest at {clock.text(clock.change_s)}. "
        f"The axes of the charts keep {offset_name(clock.offset)} throughout; "
        "times in words, here and at the pointer, are those of the wall clock."
    )


def short_words(schedule: Schedule) -> str:
    """How many sessions go short, and how many get nothing."""
    short = [result for result in schedule.sessions if outcome(result) is Outcome.SHORT]
    if not short:
        return "nobody goes short"
    nothing = sum(result.delivered_energy_kwh <= ENERGY_TOLERANCE_KWH for result in short)
    go, get = "goes" if len(short) == 1 else "go", "gets" if nothing == 1 else "get"
    words = f"{len(short):,} of {count_words(len(schedule.sessions), 'session')} {go} short"
    return f"{words}, {nothing:,} {get} nothing" if nothing else words


def fairness_words(schedule: Schedule) -> str:
    """How evenly requests are met."""
    return (
        f"Of each request at least {schedule.lowest_share:.0%} is met; "
        f"Jain's index of these shares is {schedule.jain_index:.3f}."
    )


def change_words(schedule: Schedule, session_id: str) -> str:
    """What would have served a session; empty where the plan does not say."""
    if schedule.why is None or session_id not in schedule.why.changes:
        return ""
    clock = Clock.of(schedule.grid)
    changes = schedule.why.changes[session_id]
    if not changes:
        return "Neither a departure up to a day later nor higher limits would have served it."
    return f"Served with {', or with '.join(_change_clause(change, clock) for change in changes)}."


def _change_clause(change: ServingChange, clock: Clock) -> str:
    if change.kind is ChangeKind.DEPARTURE:
        return f"a departure {count_words(change.minutes_later, 'minute')} later"
    spans = [clock.span(*stretch) for stretch in change.stretches_s]
    when = ", ".join(spans[:LISTED_PERIODS]) + (
        f" and {len(spans) - LISTED_PERIODS} more" if len(spans) > LISTED_PERIODS else ""
    )
    more_kw = f"{change.more_kw:.3f}".rstrip("0").rstrip(".")
    return f"{more_kw} kW more on {' and '.join(shorten(label) for label in change.limits)} {when}"
