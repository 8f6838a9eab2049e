"""What a plan changed against the one before it; pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from api.monitor.plans import PlanFacts, PlannedSession
from models.units import energy_at_power_kwh, seconds_to_hours

Json = dict[str, object]

MOVED = ("later", "earlier")
SAME_KWH = 0.05
SAME_KW = 0.01
NOTICED_KWH = 0.5
"""A plan that shifts less than this, for the same sessions, is as the one before it."""
LOOKED_AT = 30

Shift = tuple[float, float, float, float]
"""Begin and end (s since the epoch), change (kW), and its energy (kWh)."""


def last_change(plans: Sequence[PlanFacts], group_ids: Sequence[str]) -> int | None:
    """Index of the newest plan, the newest first, that differs from the one before it; None where none does."""
    for index, (new, old) in enumerate(pairwise(plans[: LOOKED_AT + 1])):
        shifted_kwh = sum(abs(kwh) for group_id in group_ids for _, _, _, kwh in power_changes(new, old, group_id))
        if shifted_kwh > NOTICED_KWH or session_changes(new, old, lambda _: True):
            return index
    return None


def power_changes(new: PlanFacts, old: PlanFacts, group_id: str) -> list[Shift]:
    """Where a plan draws more or less than another from its begin on; neighbours of equal change are joined."""
    if not new.edges_s:
        return []
    begin_s = new.edges_s[0]
    edges_s = sorted({*new.edges_s, *(edge for edge in old.edges_s if edge > begin_s)})
    found: list[Shift] = []
    for start_s, end_s in pairwise(edges_s):
        change_kw = (new.power_kw(group_id, start_s) or 0.0) - (old.power_kw(group_id, start_s) or 0.0)
        if abs(change_kw) < SAME_KW:
            continue
        energy_kwh = energy_at_power_kwh(change_kw, hours=seconds_to_hours(end_s - start_s))
        if found and found[-1][1] == start_s and abs(found[-1][2] - change_kw) < SAME_KW:
            first_s, _, _, before_kwh = found[-1]
            found[-1] = (first_s, end_s, change_kw, before_kwh + energy_kwh)
        else:
            found.append((start_s, end_s, change_kw, energy_kwh))
    return found


def session_changes(new: PlanFacts, old: PlanFacts, is_shown: Callable[[str], bool]) -> list[Json]:
    """Sessions that are new, gone, get more or less, or stay otherwise, the largest change first.

    Args:
        new: A plan.
        old: The one before it.
        is_shown: Whether the sessions of a charger are looked at.
    """
    if not new.edges_s or not old.edges_s:
        return []
    begin_s = new.edges_s[0]
    found: list[tuple[float, Json]] = []
    for session_id in {**old.sessions, **new.sessions}:
        after, before = new.sessions.get(session_id), old.sessions.get(session_id)
        present = after or before
        if present is None or not is_shown(present.charger_id):
            continue
        change_kwh = _ahead_kwh(after, begin_s) - _ahead_kwh(before, begin_s)
        what = _what(after, before, change_kwh, begin_s)
        if what in MOVED and before is not None and before.departure_s >= old.edges_s[-1]:
            what = ""  # it stays beyond the horizon, which moves on with every plan
        if what:
            entry: Json = {
                "session_id": session_id,
                "charger_id": present.charger_id,
                "what": what,
                "change_kwh": round(change_kwh, 3),
            }
            found.append((abs(change_kwh), entry))
    found.sort(key=lambda item: -item[0])
    return [entry for _, entry in found]


def _what(after: PlannedSession | None, before: PlannedSession | None, change_kwh: float, begin_s: float) -> str:
    if before is None:
        return "new"
    if after is None:
        return "gone" if before.departure_s > begin_s else ""
    if after.departure_s != before.departure_s:
        return "later" if after.departure_s > before.departure_s else "earlier"
    if after.is_short != before.is_short:
        return "short" if after.is_short else "served"
    if abs(change_kwh) < SAME_KWH:
        return ""
    return "more" if change_kwh > 0 else "less"


def _ahead_kwh(session: PlannedSession | None, begin_s: float) -> float:
    return 0.0 if session is None else session.energy_kwh(begin_s, session.departure_s)
