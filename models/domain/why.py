"""Why a plan is what it is: what holds each session back and when, and the smallest change that would serve it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from models.domain.pickling import reduced


class ReasonCode(StrEnum):
    """Why a session goes short, or draws no more than it does, for machines."""

    DEPARTURE_TOO_EARLY = "departure_too_early"
    """The stay does not allow the energy even at full power."""
    CHARGER_LIMIT = "charger_limit"
    """The charger is at its limit."""
    VEHICLE_LIMIT = "vehicle_limit"
    """The vehicle is at its own limit."""
    GROUP_LIMIT = "group_limit"
    """A group that feeds the charger is at its limit."""
    LINE_LIMIT = "line_limit"
    """A conductor, winding or fuse on the way to the charger is at its limit in ampere."""
    OUTRANKED = "outranked_by_priority"
    """Sessions of higher priority draw under the limit that holds it back."""
    STRATEGY = "not_used_by_the_strategy"
    """There was room; the strategy did not use it."""
    OTHER_TIME = "served_at_other_times"
    """Nothing holds it back: it gets its energy when that is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What keeps a session from drawing more over some time.

    Args:
        session_id: The session.
        start_s: Begin, seconds since the epoch.
        end_s: End, seconds since the epoch.
        code: What it is.
        holder: The limit's name, such as ``group main``; empty where nothing holds.
        price_per_kwh: Currency saved per further kWh that it would let the session have; NaN where no solver said.
    """

    session_id: str
    start_s: float
    end_s: float
    code: ReasonCode
    holder: str
    price_per_kwh: float


class ChangeKind(StrEnum):
    """What would be changed."""

    DEPARTURE = "departure"
    CAPACITY = "capacity"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingChange:
    """The smallest change of one kind after which a session is served and nobody gets less than in the plan.

    Args:
        kind: What would be changed.
        minutes_later: How much later it would have to leave, whole minutes; zero for a change of capacity.
        departure: When it would leave then; None for a change of capacity.
        limits: Names of the limits that would be raised together, such as ``group main``.
        more_kw: By how much each of them, kW.
        stretches_s: When: begin and end of each stretch, seconds since the epoch.
    """

    kind: ChangeKind
    minutes_later: int = 0
    departure: datetime | None = None
    limits: tuple[str, ...] = ()
    more_kw: float = 0.0
    stretches_s: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """The reasons of one plan.

    Args:
        holdings: What holds whom back, session by session, in order of time.
        changes: By session that misses energy: what would have served it, departure first; empty where neither a later
            departure nor higher limits would.
        not_searched: Sessions that miss energy and whose changes were not looked for: time was up, or lines of the site
            hold currents as phasors.
    """

    holdings: tuple[Holding, ...] = ()
    changes: Mapping[str, tuple[ServingChange, ...]] = field(default_factory=lambda: MappingProxyType({}))
    not_searched: tuple[str, ...] = ()

    def __reduce__(self) -> tuple[Callable[[], Why], tuple[()]]:
        return reduced(self)
