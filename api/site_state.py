"""What a site's messages add up to: forecasts in force, registers of meters, energy delivered, loads measured."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from operator import attrgetter

import numpy as np
from pydantic import ValidationError

from api.records import Event, EventKind, StoredSession
from api.storages import StorageRecord, Stored
from models.domain import CapacityForecasts, CapacityKind, ChargingSession, Phase, Schedule, Site
from models.domain.capacity import SINGLE_PHASES
from models.domain.measurement import (
    AssetCategory,
    EnergyDelta,
    EnergyMeters,
    EnergyReading,
    EnergyType,
    FlowDirection,
    MeterKey,
    PowerReading,
    StoredEnergyReading,
)
from models.errors import CapacityOptimizerError, shortened
from models.oscp.v20 import (
    UpdateAssetMeasurements,
    UpdateGroupCapacityForecast,
    UpdateGroupMeasurements,
    to_capacity_forecast,
    to_energy_readings,
    to_power_readings,
    to_stored_energy_readings,
)
from models.units import SECONDS_PER_HOUR
from optimizer.scenario_io import SessionRow

logger = logging.getLogger(__name__)

CLOCK_TOLERANCE = timedelta(minutes=2)
"""How far ahead of ours a meter's clock may be; a reading from further on would outdate those to come."""
KEPT_PAST = timedelta(hours=26)
"""How long blocks that are over are kept: a wish may be for the whole of today, and a clock may step back."""
MAX_REGISTERS = 50_000
"""Meters of one site; a peer that names ever new assets loses the oldest."""
MAX_NOTES = 20
MAX_NOTE = 300

# The lower, the better a register tells what a charger took.
_DIRECTIONS = {FlowDirection.IMPORT: 0, FlowDirection.NET: 1}
_TYPES = {EnergyType.TOTAL: 0, EnergyType.FLEXIBLE: 1}
LOAD_CATEGORIES = (AssetCategory.CONSUMPTION, AssetCategory.GENERATION)

PowerKey = tuple[str, str, Phase]
"""Group, asset and conductor."""
CountedKey = tuple[str, Phase]
"""Charger and conductor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Energy of a session since it was stated.

    Args:
        stated_at: The statement it counts from.
        energy_kwh: kWh.
        until: Up to when.
    """

    stated_at: datetime
    energy_kwh: float
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Charged:
    """Energy that a charger delivered over some time.

    Args:
        charger_id: The charger.
        start: Begin.
        end: End.
        energy_kwh: kWh; of one conductor where its meter counts conductors, which then follow one another.
    """

    charger_id: str
    start: datetime
    end: datetime
    energy_kwh: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SiteState:
    """What a site's messages up to some version add up to; immutable.

    Args:
        forecasts: What was said of every group, all types; an OPTIMUM is the peer's own wish.
        meters: The newest reading of each register.
        delivered: By session, what was measured.
        counted: By charger and conductor, up to when its energy has been given to sessions.
        flows: By register, the newest energy of groups and of assets that are no chargers.
        powers: The newest power of each asset that is no charger.
        unanswered: By group, X-Request-ID of the newest forecast that no plan has answered.
        unread: Notes on messages that could not be read, since the last plan.
        sent: By group, the blocks of the OPTIMUM that was sent last, as JSON.
        asked: By group, the blocks of the capacity that was asked for last, as JSON.
        expected: By session, what it was to have when the plan in force began.
        assumed_kw: By group, the non-flexible load that the plan in force was made for.
        stored: By storage, what it was last measured to hold.
        courses: By storage, what it is believed to have held up to the begin of the plan in force.
    """

    forecasts: CapacityForecasts = field(default_factory=CapacityForecasts)
    meters: EnergyMeters = field(default_factory=EnergyMeters)
    delivered: Mapping[str, Delivered] = field(default_factory=dict)
    counted: Mapping[CountedKey, datetime] = field(default_factory=dict)
    flows: Mapping[MeterKey, EnergyDelta] = field(default_factory=dict)
    powers: Mapping[PowerKey, PowerReading] = field(default_factory=dict)
    unanswered: Mapping[str, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    sent: Mapping[str, str] = field(default_factory=dict)
    asked: Mapping[str, str] = field(default_factory=dict)
    expected: Mapping[str, Delivered] = field(default_factory=dict)
    assumed_kw: Mapping[str, float] = field(default_factory=dict)
    stored: Mapping[str, Stored] = field(default_factory=dict)
    courses: Mapping[str, tuple[Stored, ...]] = field(default_factory=dict)

    def after(self, events: Iterable[Event], site: Site, sessions: Iterable[StoredSession]) -> SiteState:
        """The state after some more messages, in their order.

        A message that cannot be read any more is noted and left out: one must not stop a site for good.

        Args:
            events: In order of version.
            site: Its chargers' energy goes to the sessions.
            sessions: Those that may have got energy.
        """
        return self.followed(events, site, sessions)[0]

    def followed(
        self, events: Iterable[Event], site: Site, sessions: Iterable[StoredSession]
    ) -> tuple[SiteState, Sequence[Charged]]:
        """The state as `after` has it, and the energy that chargers were measured to deliver, no instant counted twice.

        Args:
            events: In order of version.
            site: Its chargers' energy goes to the sessions.
            sessions: Those that may have got energy.
        """
        fold = _Fold(self, site, sessions)
        for event in events:
            try:
                fold.take(event)
            except (ValueError, ArithmeticError, CapacityOptimizerError) as error:
                reason = _reason(error)
                logger.warning("site=%s version=%d left out: %s", site.site_id, event.version, reason)
                fold.unread.append(f"message {event.version} ({event.kind}) cannot be read and is left out: {reason}")
        return fold.result(), fold.charged

    def pruned(self, now: datetime, sessions: Iterable[str]) -> SiteState:
        """The state without blocks that are long over, sessions that are gone, and meters beyond the bound.

        A series that is over is kept, empty: that a limit was once stated tells a gap from no limit at all.
        """
        present = set(sessions)
        oldest = now - KEPT_PAST
        series = {
            key: tuple(block for block in blocks if block.end > oldest) for key, blocks in self.forecasts.series.items()
        }
        return replace(
            self,
            forecasts=CapacityForecasts(series=series),
            meters=_newest(self.meters),
            flows=dict(sorted(self.flows.items(), key=lambda item: item[1].end)[-MAX_REGISTERS:]),
            powers=dict(sorted(self.powers.items(), key=lambda item: item[1].measured_at)[-MAX_REGISTERS:]),
            delivered={key: value for key, value in self.delivered.items() if key in present},
            expected={key: value for key, value in self.expected.items() if key in present},
        )

    def delivered_to(self, stored: StoredSession) -> Delivered | None:
        """What a session got since its energy was stated; None where nothing was measured."""
        return _of_statement(self.delivered.get(stored.session_id), stored)

    def expected_of(self, stored: StoredSession) -> Delivered | None:
        """What a session was to have when the plan in force began; None where that plan does not know it as stated."""
        return _of_statement(self.expected.get(stored.session_id), stored)

    def expected_at(self, start: datetime, stored: StoredSession, plan: Schedule | None) -> Delivered:
        """What a session is to have when another plan begins: what was measured, and since then what was planned.

        Args:
            start: When the other plan begins.
            stored: The session.
            plan: The plan in force until then.
        """
        known = self.delivered_to(stored)
        if known is None:
            return Delivered(stated_at=stored.stated_at, energy_kwh=0.0, until=start)
        expected = self.expected_of(stored)
        if expected is not None and expected.until > known.until:
            known = expected
        since_kwh = 0.0 if plan is None else planned_energy_kwh(plan, stored.session_id, known.until, start)
        return replace(known, energy_kwh=known.energy_kwh + since_kwh, until=max(start, known.until))

    def storages_of(self, site: Site, plan: Schedule | None) -> tuple[StorageRecord, ...]:
        """What is known of each storage of a site.

        Args:
            site: The storages.
            plan: The plan in force.
        """
        return tuple(
            StorageRecord(
                storage=storage,
                measured=self.stored.get(storage.asset_id),
                course=self.courses.get(storage.asset_id, ()),
                plan=plan,
            )
            for storage in site.storages
        )


def planned_energy_kwh(plan: Schedule, session_id: str, start: datetime, end: datetime) -> float:
    """What a plan gives a session between two instants, kWh; zero where the plan does not know it."""
    wanted = [index for index, result in enumerate(plan.sessions) if result.session.session_id == session_id]
    rows = np.isin(plan.session_index, wanted)
    first = np.maximum(plan.start_s[rows], start.timestamp())
    last = np.minimum(plan.end_s[rows], end.timestamp())
    return float((plan.power_kw[rows] * np.maximum(last - first, 0.0)).sum() / SECONDS_PER_HOUR)


class _Fold:
    """A state in the making, with mappings of its own: a message of ten thousand readings copies none of them."""

    def __init__(self, state: SiteState, site: Site, sessions: Iterable[StoredSession]) -> None:
        self._state = state
        self._site = site
        self._sessions = sessions
        self._stays: dict[str, list[tuple[StoredSession, ChargingSession]]] | None = None
        self._forecasts = state.forecasts
        self._meters = state.meters
        self._delivered = dict(state.delivered)
        self._counted = dict(state.counted)
        self._flows = dict(state.flows)
        self._powers = dict(state.powers)
        self._unanswered = dict(state.unanswered)
        self._storage_ids = {storage.asset_id for storage in site.storages}
        self._stored = {key: value for key, value in state.stored.items() if key in self._storage_ids}
        self.unread = list(state.unread)
        self.charged: list[Charged] = []

    def take(self, event: Event) -> None:
        """Add one message."""
        if event.kind is EventKind.FORECAST:
            self._take_forecast(event)
        elif event.kind is EventKind.ASSET_MEASUREMENTS:
            assets = UpdateAssetMeasurements.model_validate_json(event.body)
            powers = to_power_readings(assets, voltage_v=self._site.nominal_voltage_v)
            self._take_energy(to_energy_readings(assets), event)
            self._take_powers(powers, event)
            self._take_stored(to_stored_energy_readings(assets), event)
        else:
            groups = UpdateGroupMeasurements.model_validate_json(event.body)
            self._take_energy(to_energy_readings(groups), event)

    def result(self) -> SiteState:
        """The state."""
        return replace(
            self._state,
            forecasts=self._forecasts,
            meters=self._meters,
            delivered=self._delivered,
            counted=self._counted,
            flows=self._flows,
            powers=self._powers,
            unanswered=self._unanswered,
            unread=tuple(self.unread[-MAX_NOTES:]),
            stored=self._stored,
        )

    def _take_forecast(self, event: Event) -> None:
        message = UpdateGroupCapacityForecast.model_validate_json(event.body)
        forecast = to_capacity_forecast(message, voltage_v=self._site.nominal_voltage_v)
        self._forecasts = self._forecasts.updated(forecast)
        # Answering an OPTIMUM with an OPTIMUM would never end between two that do so.
        if forecast.kind is not CapacityKind.OPTIMUM:
            self._unanswered[event.group_id] = event.request_id

    def _take_energy(self, readings: Iterable[EnergyReading], event: Event) -> None:
        self._meters, deltas = self._meters.updated(readings, not_after=event.received_at + CLOCK_TOLERANCE)
        for delta in sorted(deltas, key=_preference):
            if delta.key.asset_id is None or delta.category in LOAD_CATEGORIES:
                known = self._flows.get(delta.key)
                if known is None or delta.end > known.end:
                    self._flows[delta.key] = delta
            elif delta.category is AssetCategory.CHARGING and self._site.has_charger(delta.key.asset_id):
                self._take_charging(delta, delta.key.asset_id)

    def _take_powers(self, readings: Iterable[PowerReading], event: Event) -> None:
        latest = event.received_at + CLOCK_TOLERANCE
        for reading in readings:
            key = (reading.group_id, reading.asset_id, reading.phase)
            known = self._powers.get(key)
            is_newest = known is None or reading.measured_at > known.measured_at
            if reading.category in LOAD_CATEGORIES and is_newest and reading.measured_at <= latest:
                self._powers[key] = reading

    def _take_stored(self, readings: Iterable[StoredEnergyReading], event: Event) -> None:
        latest = event.received_at + CLOCK_TOLERANCE
        for reading in readings:
            is_ours = reading.category is AssetCategory.STORAGE and reading.asset_id in self._storage_ids
            known = self._stored.get(reading.asset_id)
            is_newest = known is None or reading.measured_at > known.at
            if is_ours and is_newest and reading.measured_at <= latest:
                self._stored[reading.asset_id] = Stored(energy_kwh=reading.energy_kwh, at=reading.measured_at)

    def _take_charging(self, delta: EnergyDelta, charger_id: str) -> None:
        """Give the energy of a charger to the sessions that were there, in proportion to time.

        No instant is counted twice, whichever registers tell of it: what another one has told is cut off. Registers of
        single conductors add up to one of all.
        """
        if delta.key.direction not in _DIRECTIONS or delta.key.energy_type not in _TYPES:
            return
        phase = delta.key.phase if delta.key.phase in SINGLE_PHASES else Phase.ALL
        same_flow = (Phase.ALL, *SINGLE_PHASES) if phase is Phase.ALL else (Phase.ALL, phase)
        counted = [until for one in same_flow if (until := self._counted.get((charger_id, one))) is not None]
        start = max([delta.start, *counted])
        if start >= delta.end:
            return
        self._counted[charger_id, phase] = delta.end
        share = (delta.end - start) / (delta.end - delta.start)
        self.charged.append(
            Charged(charger_id=charger_id, start=start, end=delta.end, energy_kwh=delta.energy_kwh * share)
        )
        for stored, session in self._stays_at(charger_id):
            first, last = max(start, session.arrival, stored.stated_at), min(delta.end, session.departure)
            if first < last:
                share = (last - first) / (delta.end - delta.start)
                self._deliver(stored, delta.energy_kwh * share, last)

    def _deliver(self, stored: StoredSession, energy_kwh: float, until: datetime) -> None:
        before = _of_statement(self._delivered.get(stored.session_id), stored)
        self._delivered[stored.session_id] = Delivered(
            stated_at=stored.stated_at,
            energy_kwh=energy_kwh + (before.energy_kwh if before else 0.0),
            until=max(until, before.until) if before else until,
        )

    def _stays_at(self, charger_id: str) -> list[tuple[StoredSession, ChargingSession]]:
        if self._stays is None:
            self._stays = {}
            for stored in self._sessions:
                session = SessionRow.model_validate_json(stored.document).to_domain()
                self._stays.setdefault(session.charger_id, []).append((stored, session))
        return self._stays.get(charger_id, [])


def _of_statement(energy: Delivered | None, stored: StoredSession) -> Delivered | None:
    return energy if energy is not None and energy.stated_at == stored.stated_at else None


def _preference(delta: EnergyDelta) -> tuple[datetime, bool, int, int]:
    """Order in which the energies of one message are taken: by time; of one time the register that tells most first."""
    key = delta.key
    return delta.end, key.phase in SINGLE_PHASES, _DIRECTIONS.get(key.direction, 2), _TYPES.get(key.energy_type, 2)


def _newest(meters: EnergyMeters) -> EnergyMeters:
    if len(meters.last) <= MAX_REGISTERS:
        return meters
    newest = sorted(meters.last.values(), key=attrgetter("measured_at"))[-MAX_REGISTERS:]
    return EnergyMeters(last={reading.key: reading for reading in newest})


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        return shortened(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", MAX_NOTE)
    return shortened(f"{type(error).__name__}: {error}", MAX_NOTE)
