"""What limits, prices and loads of a case are: read from messages, blocks and rows one by one, without array code."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from models.domain.capacity import SINGLE_PHASES, CapacityKind, Phase
from models.domain.group import Charger, Site
from models.domain.schedule import Schedule
from tests.properties.strategies import Case


def rows(schedule: Schedule) -> list[tuple[str, float, float, float]]:
    """Session, start, end and power of each row."""
    return [
        (schedule.sessions[index].session.session_id, start_s, end_s, power_kw)
        for index, start_s, end_s, power_kw in zip(
            schedule.session_index.tolist(),
            schedule.start_s.tolist(),
            schedule.end_s.tolist(),
            schedule.power_kw.tolist(),
            strict=True,
        )
    ]


def stated_kw(case: Case, group_id: str, phase: Phase, instant_s: float) -> float | None:
    """What the capacity provider allows at an instant: the last CONSUMPTION that covers it, else the last FALLBACK."""
    for kind in (CapacityKind.CONSUMPTION, CapacityKind.FALLBACK_CONSUMPTION):
        for message in reversed(case.messages):
            covering = [
                block.capacity_kw
                for block in message.blocks
                if (message.group_id, message.kind) == (group_id, kind)
                and (Phase.ALL if block.phase is Phase.UNKNOWN else block.phase) is phase
                and block.start.timestamp() <= instant_s < block.end.timestamp()
            ]
            if covering:
                return min(covering)
    return None


def limits_kw(case: Case, group_id: str, instant_s: float) -> dict[Phase, float]:
    """Every limit of a group at an instant; zero for all phases where it has forecasts but nothing is known."""
    found = {}
    for phase in (Phase.ALL, *SINGLE_PHASES):
        kw = stated_kw(case, group_id, phase, instant_s)
        if kw is not None:
            found[phase] = kw
    static_kw = next(group.import_limit_kw for group in case.site.groups if group.group_id == group_id)
    if static_kw is not None:
        found[Phase.ALL] = min(static_kw, found.get(Phase.ALL, math.inf))
    kinds = (CapacityKind.CONSUMPTION, CapacityKind.FALLBACK_CONSUMPTION)
    has_forecasts = any(message.group_id == group_id and message.kind in kinds for message in case.messages)
    if has_forecasts and not found and not is_fed_by_a_limit(case, group_id, instant_s):
        found[Phase.ALL] = 0.0
    return found


def is_fed_by_a_limit(case: Case, group_id: str, instant_s: float) -> bool:
    """Whether any group above has a limit at an instant."""
    parents = {group.group_id: group for group in case.site.groups}
    above = parents[group_id].parent_id
    while above is not None:
        stated = [stated_kw(case, above, phase, instant_s) for phase in (Phase.ALL, *SINGLE_PHASES)]
        if parents[above].import_limit_kw is not None or any(kw is not None for kw in stated):
            return True
        above = parents[above].parent_id
    return False


def price_at(case: Case, instant_s: float) -> float | None:
    """Price at an instant; None where there is none."""
    for block in case.prices:
        if block.start.timestamp() <= instant_s < block.end.timestamp():
            return block.import_price_per_kwh
    return None


def is_below(site: Site, charger: Charger, group_id: str) -> bool:
    """Whether a group feeds a charger, directly or through others."""
    parents = {group.group_id: group.parent_id for group in site.groups}
    here: str | None = charger.group_id
    while here is not None:
        if here == group_id:
            return True
        here = parents[here]
    return False


def share(charger: Charger, phase: Phase) -> float:
    """A third of three phases; everything on its own phase, or where nobody knows which that is."""
    if phase is Phase.ALL:
        return 1.0
    return {Phase.ALL: 1 / 3, Phase.UNKNOWN: 1.0, phase: 1.0}.get(charger.phases, 0.0)


def counted_rows(case: Case, schedule: Schedule, group_id: str, phase: Phase) -> list[tuple[float, float, float]]:
    """Start, end and counted power of each row below a group."""
    sessions = {session.session_id: session for session in case.sessions}
    chargers = {charger.charger_id: charger for charger in case.site.chargers}
    found = []
    for session_id, start_s, end_s, power_kw in rows(schedule):
        charger = chargers[sessions[session_id].charger_id]
        if is_below(case.site, charger, group_id):
            found.append((start_s, end_s, power_kw * share(charger, phase)))
    return found


def steps(schedule: Schedule) -> Iterator[tuple[float, float]]:
    """Start and end of each step, seconds since the epoch."""
    return pairwise(schedule.grid.edges_s.tolist())
