"""The figures behind the charts of a report, rounded and bounded in number."""

from __future__ import annotations

import html
import textwrap
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from models.domain import FloatArray, IntArray, Schedule, SessionResult
from optimizer.report.facts import (
    ENERGY_TOLERANCE_KWH,
    ID_LENGTH,
    MINUS,
    Clock,
    GroupFacts,
    Outcome,
    number,
    outcome,
    runs,
    shorten,
    worst_first,
)

Json = dict[str, object]

STACKED_SESSIONS = 60
STACKED_CELLS = 12_000
"""Sessions are named in a stack while their steps stay below this number: a browser draws it within a second."""
TIMELINE_SESSIONS = 100
TIMELINE_SHORT = 60
TIMELINE_BARS = 5_000
POWER_LEVELS = 4
LEVEL_TOLERANCE = 0.01
HOVER_LENGTH = 44
LABEL_LENGTH = 14


def plain(text: str, length: int = ID_LENGTH) -> str:
    """Text for Plotly, which reads tags and entities in every label."""
    return html.escape(shorten(text, length), quote=False)


def chart_data(schedule: Schedule, facts: list[GroupFacts], shade: GroupFacts | None) -> Json:
    """Everything the charts of a page need, to be dumped as JSON.

    Args:
        schedule: What is drawn.
        facts: The groups drawn, in order.
        shade: The group whose binding steps are shaded behind the timeline.
    """
    clock = Clock.of(schedule.grid)
    edges_s = schedule.grid.edges_s.tolist()
    return {
        "edges": [clock.axis_s(edge_s) for edge_s in edges_s],
        "when": [clock.span(start_s, end_s) for start_s, end_s in pairwise(edges_s)],
        "price": _series(schedule.price_per_kwh, digits=6),
        "groups": [_group_data(schedule, group) for group in facts],
        "timeline": _timeline(schedule, clock),
        "shade": {"binds": runs(shade.binding), "over": runs(shade.exceeded)} if shade else {"binds": [], "over": []},
    }


def _series(values: FloatArray | None, *, digits: int = 3) -> list[float | None] | None:
    if values is None or not np.isfinite(values).any():
        return None
    return [
        round(value, digits) if finite else None
        for value, finite in zip(values.tolist(), np.isfinite(values), strict=True)
    ]


def _group_data(schedule: Schedule, group: GroupFacts) -> Json:
    return {
        "power": _series(group.result.power_kw),
        "limit": _series(group.result.limit_kw),
        "shadow": _series(group.result.shadow_price_per_kwh, digits=6),
        "binds": runs(group.binding),
        "over": runs(group.exceeded),
        "stack": _stack(schedule, group),
    }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Layers:
    """L layers of a stack from the bottom up, and the layer of each of S sessions, -1 where it has none."""

    names: list[str]
    outcomes: list[Outcome]
    layer_of: IntArray


def _layers(schedule: Schedule, members: IntArray) -> _Layers:
    named = set(_named_in_stack(schedule, members))
    layers = _Layers(names=[], outcomes=[], layer_of=np.full(len(schedule.sessions), -1))
    for kind in Outcome:
        alike = [s for s in members.tolist() if outcome(schedule.sessions[s]) is kind]
        others = [s for s in alike if s not in named]
        for positions in ([others] if others else []) + [[s] for s in alike if s in named]:
            layers.layer_of[positions] = len(layers.names)
            layers.names.append(_layer_name(schedule, positions, other=positions is others))
            layers.outcomes.append(kind)
    return layers


def _layer_name(schedule: Schedule, positions: list[int], *, other: bool) -> str:
    if other:
        return f"{len(positions):,} other session{'s' if len(positions) > 1 else ''}"
    session = schedule.sessions[positions[0]].session
    return f"{plain(session.session_id, HOVER_LENGTH)} · {plain(session.charger_id, LABEL_LENGTH)}"


def _named_in_stack(schedule: Schedule, members: IntArray) -> list[int]:
    """The sessions that get most, all of them where they are few."""
    if members.size <= STACKED_SESSIONS:
        return list(members.tolist())
    cells = np.bincount(schedule.session_index, minlength=len(schedule.sessions))
    largest = sorted(members.tolist(), key=lambda s: (-schedule.sessions[s].delivered_energy_kwh, s))
    within = np.cumsum(cells[largest]) <= STACKED_CELLS
    return [s for s, fits in zip(largest[:STACKED_SESSIONS], within, strict=False) if fits]


def _stack(schedule: Schedule, group: GroupFacts) -> Json:
    """Mean power of each layer in each step where it draws any, and where it begins."""
    layers = _layers(schedule, group.members)
    layer = layers.layer_of[schedule.session_index]
    # What vehicles feed in has no place in a stack of what is drawn.
    mean_kw = np.maximum(schedule.energy_kwh, 0.0) / schedule.grid.step_hours[schedule.step_index]
    height = len(layers.names)
    cell, place = np.unique((schedule.step_index * height + layer)[layer >= 0], return_inverse=True)
    power_kw = np.bincount(place, mean_kw[layer >= 0], minlength=cell.size)
    step = cell // height
    top_kw = np.cumsum(power_kw)
    before_step_kw = np.concatenate(([0.0], top_kw))[np.searchsorted(step, step)]
    base_kw = top_kw - power_kw - before_step_kw
    return {
        "names": layers.names,
        "outcomes": [int(kind) for kind in layers.outcomes],
        "layer": (cell % height).tolist(),
        "step": step.tolist(),
        "base": np.abs(base_kw).round(3).tolist(),
        "power": power_kw.round(3).tolist(),
    }


def _timeline(schedule: Schedule, clock: Clock) -> Json:
    chosen = timeline_sessions(schedule)
    return {
        "rows": [_timeline_row(schedule.sessions[s], clock) for s in chosen],
        "bars": _bars(schedule, chosen, clock),
    }


def timeline_sessions(schedule: Schedule) -> list[int]:
    """Positions of the sessions drawn: all where they are few, else the worst served and an even sample of the rest."""
    count = len(schedule.sessions)
    if count <= TIMELINE_SESSIONS:
        return list(range(count))
    worst = worst_first(schedule)[:TIMELINE_SHORT]
    rest = np.setdiff1d(np.arange(count), worst)
    sample = rest[np.linspace(0, rest.size - 1, TIMELINE_SESSIONS - len(worst)).round().astype(np.int64)]
    return sorted({*worst, *sample.tolist()})


def _timeline_row(result: SessionResult, clock: Clock) -> Json:
    session = result.session
    start_s, end_s = session.arrival_s, session.departure_s
    lines = [
        f"<b>{plain(session.session_id, HOVER_LENGTH)}</b>",
        f"charger {plain(session.charger_id, HOVER_LENGTH)}",
        f"there {clock.span(start_s, end_s)}",
        f"gets {number(result.delivered_energy_kwh)} of {number(session.energy_kwh)} kWh",
    ]
    if result.unmet_energy_kwh > ENERGY_TOLERANCE_KWH:
        lines.append(f"unmet {result.unmet_energy_kwh:,.2f} kWh")
    if result.unreachable_energy_kwh > ENERGY_TOLERANCE_KWH:
        lines.append(f"unreachable {result.unreachable_energy_kwh:,.2f} kWh")
    lines += [plain(line) for line in textwrap.wrap(shorten(result.reason, 4 * HOVER_LENGTH), HOVER_LENGTH)]
    missing_kwh = result.unmet_energy_kwh + result.unreachable_energy_kwh
    return {
        "label": plain(session.charger_id, LABEL_LENGTH),
        "outcome": int(outcome(result)),
        "from": clock.axis_s(start_s),
        "to": clock.axis_s(end_s),
        "missing": "" if outcome(result) is Outcome.SERVED else f"{MINUS}{number(missing_kwh)}",
        "hover": "<br>".join(lines),
    }


def _bars(schedule: Schedule, chosen: list[int], clock: Clock) -> Json:
    """Stretches of charging, thicker the nearer they are to the session's highest power."""
    row_of = np.full(len(schedule.sessions), -1)
    row_of[chosen] = np.arange(len(chosen))
    row = row_of[schedule.session_index]
    kept = np.flatnonzero((row >= 0) & (schedule.power_kw > 0))
    order = kept[np.lexsort((schedule.start_s[kept], row[kept]))]
    row, start_s, end_s = row[order], schedule.start_s[order], schedule.end_s[order]
    highest_kw = np.zeros(len(chosen))
    np.maximum.at(highest_kw, row, schedule.power_kw[order])
    level = np.ceil(POWER_LEVELS * schedule.power_kw[order] / highest_kw[row] - LEVEL_TOLERANCE)
    first = _first_of_each(row, start_s, end_s, level)
    if first.size > TIMELINE_BARS:
        level = np.full_like(level, POWER_LEVELS)
        first = _first_of_each(row, start_s, end_s, level)
    last = np.append(first[1:], order.size) - 1 if first.size else first
    energy_kwh = np.add.reduceat(schedule.energy_kwh[order], first) if first.size else np.zeros(0)
    spans = list(zip(start_s[first].tolist(), end_s[last].tolist(), strict=True))
    return {
        "row": row[first].tolist(),
        "from": [clock.axis_s(begin_s) for begin_s, _ in spans],
        "to": [clock.axis_s(finish_s) for _, finish_s in spans],
        "level": (level[first] / POWER_LEVELS).tolist(),
        "text": [
            f"{clock.span(*span)}: {number(kwh)} kWh" for span, kwh in zip(spans, energy_kwh.tolist(), strict=True)
        ],
    }


def _first_of_each(row: IntArray, start_s: FloatArray, end_s: FloatArray, level: FloatArray) -> IntArray:
    """Where a new stretch begins: another session, a pause of more than a second, or another level of power."""
    same = (row[1:] == row[:-1]) & (start_s[1:] - end_s[:-1] < 1) & (level[1:] == level[:-1])
    return np.flatnonzero(np.concatenate((np.ones(min(row.size, 1), dtype=bool), ~same)))
