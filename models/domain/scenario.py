"""Everything known at one instant: the input of one optimization."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.domain.capacity import CapacityForecasts
from models.domain.group import Site
from models.domain.schedule import Schedule
from models.domain.session import ChargingSession
from models.domain.tariff import EnergyTariff
from models.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scenario:
    """A site, who charges there, what energy costs and what the grid allows.

    Args:
        site: Groups and chargers.
        sessions: In any order; each id once.
        tariff: Prices; None where cost does not matter.
        forecasts: What the capacity providers have said.
        previous: The plan in force, to stay close to; None where there is none.

    Raises:
        InputError: A session id appears twice, or a session names an unknown charger, or a forecast an unknown group.
    """

    site: Site
    sessions: tuple[ChargingSession, ...]
    tariff: EnergyTariff | None = None
    forecasts: CapacityForecasts = field(default_factory=CapacityForecasts)
    previous: Schedule | None = None

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for session in self.sessions:
            if session.session_id in seen:
                raise InputError(f"session {session.session_id!r} is listed twice")
            seen.add(session.session_id)
            if not self.site.has_charger(session.charger_id):
                raise InputError(
                    f"session {session.session_id!r} is at the unknown charger {session.charger_id!r} "
                    f"of site {self.site.site_id!r}"
                )
        for group_id, _, _ in self.forecasts.series:
            if not self.site.has_group(group_id):
                raise InputError(f"a forecast names the unknown group {group_id!r} of site {self.site.site_id!r}")
