"""What a site's storages hold: as it was measured, and since then as it was planned; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from models.domain import Schedule
from models.domain.asset import Storage
from models.domain.measurement import AssetCategory
from models.domain.time_grid import FloatArray

KEPT_COURSE = timedelta(hours=2)
"""How long it is known what plans that are no longer in force had in store: a reading may come that late."""
DRIFT_SHARE = 0.01
"""Share of what a storage may hold by which its state is always off: many are told in whole percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What a storage held at one instant.

    Args:
        energy_kwh: kWh.
        at: The instant.
    """

    energy_kwh: float
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageRecord:
    """What is known of one storage.

    Args:
        storage: It, as the site states it.
        measured: What it was last measured to hold; None where it never was.
        course: What it is believed to have held up to the begin of the plan in force, in order of time; in between it
            changes evenly.
        plan: The plan in force.
    """

    storage: Storage
    measured: Stored | None
    course: Sequence[Stored]
    plan: Schedule | None

    def believed_kwh(self, at: datetime) -> float:
        """What it holds at an instant, kWh, within its bounds.

            planned(at) + measured - planned(when it was measured)

        What was planned alone where nothing was measured; before anything was planned, what the site states.
        """
        return self._bounded(self._planned_kwh(at) + self._error_kwh())

    def course_until(self, start: datetime) -> tuple[Stored, ...]:
        """What it is believed to have held lately, up to the begin of another plan."""
        since = start - KEPT_COURSE
        if self.measured is not None:
            since = max(since, self.measured.at)
        last = Stored(energy_kwh=self.believed_kwh(start), at=start)
        if since >= start:
            return (last,)
        times_s, _ = self._planned()
        inside_s = times_s[(times_s > since.timestamp()) & (times_s < start.timestamp())]
        corners = (since, *(datetime.fromtimestamp(time_s, tz=UTC) for time_s in inside_s.tolist()))
        error_kwh = self._error_kwh()
        return (*(Stored(energy_kwh=self._planned_kwh(at) + error_kwh, at=at) for at in corners), last)

    def has_drifted(self, drift_kwh: float) -> bool:
        """Whether it was measured to hold much more or less than the plan in force has it hold."""
        most_kwh = max(drift_kwh, DRIFT_SHARE * self.storage.max_energy_kwh)
        return bool(self.course) and abs(self._error_kwh()) > most_kwh

    def planned_for(self, start: datetime) -> Storage:
        """The storage as a plan that begins at an instant finds it.

        Where the site does not say what is to be in it at the end, that is what the site states to be in it. What is in
        it at the begin would be less with every plan that takes some out to put it back later.
        """
        return replace(
            self.storage, energy_kwh=self.believed_kwh(start), final_energy_kwh=self.storage.wanted_energy_kwh
        )

    def _planned_kwh(self, at: datetime) -> float:
        return float(np.interp(at.timestamp(), *self._planned()))

    def _planned(self) -> tuple[FloatArray, FloatArray]:
        """Corners of what was planned, s since the epoch and kWh, even in between."""
        if not self.course:
            return np.zeros(1), np.array([self.storage.energy_kwh])
        times_s = np.array([one.at.timestamp() for one in self.course])
        energy_kwh = np.array([one.energy_kwh for one in self.course])
        stored_kwh = self._stored_by_plan()
        if self.plan is None or stored_kwh is None:
            return times_s, energy_kwh
        ends_s = self.plan.grid.edges_s[1:]
        ahead = ends_s > times_s[-1]
        return np.concatenate((times_s, ends_s[ahead])), np.concatenate((energy_kwh, stored_kwh[ahead]))

    def _stored_by_plan(self) -> FloatArray | None:
        for asset in () if self.plan is None else self.plan.assets:
            if asset.asset_id == self.storage.asset_id and asset.category is AssetCategory.STORAGE:
                return asset.stored_kwh
        return None

    def _error_kwh(self) -> float:
        """What was measured less what was planned for then, kWh; the course has what was measured before it begins."""
        if self.measured is None or (self.course and self.measured.at < self.course[0].at):
            return 0.0
        return self._bounded(self.measured.energy_kwh) - self._planned_kwh(self.measured.at)

    def _bounded(self, energy_kwh: float) -> float:
        return min(max(energy_kwh, self.storage.min_energy_kwh), self.storage.max_energy_kwh)
