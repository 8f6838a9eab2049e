"""What messages add up to: in whatever portions they are read, and after a while in a database."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from api.loads import asset_loads, group_loads
from api.records import Event, EventKind, StoredSession
from api.site_state import SiteState
from api.site_state_json import state_from_json, state_to_json
from models.domain import CapacityGroup, CapacityKind, Site
from tests.builders import HOUR, MORNING, make_charger, make_site, make_storage

MINUTE = timedelta(minutes=1)
SITE: Site = make_site(
    groups=[CapacityGroup(group_id="main"), CapacityGroup(group_id="row", parent_id="main")],
    chargers=[make_charger("C1"), make_charger("C2", group_id="row")],
    storages=[make_storage()],
)


def stored_session(session_id: str, charger_id: str, *, stated_at: datetime = MORNING) -> StoredSession:
    """A session of four hours from the morning on."""
    row = {
        "session_id": session_id,
        "charger_id": charger_id,
        "arrival": MORNING.isoformat(),
        "departure": (MORNING + 4 * HOUR).isoformat(),
        "energy_kwh": 40.0,
    }
    return StoredSession(session_id=session_id, document=json.dumps(row), stated_at=stated_at)


SESSIONS = [stored_session("S1", "C1"), stored_session("S2", "C2", stated_at=MORNING + 10 * MINUTE)]


def event(version: int, kind: EventKind, body: dict[str, object], *, at: datetime) -> Event:
    """A message that came at an instant."""
    return Event(
        version=version,
        kind=kind,
        group_id=str(body["group_id"]),
        received_at=at,
        request_id=f"request-{version}",
        body=json.dumps(body),
    )


def energy(
    asset_id: str,
    value_kwh: float,
    *,
    at: datetime,
    since: datetime | None = None,
    category: str = "CHARGING",
    direction: str = "IMPORT",
    phase: str = "ALL",
    energy_type: str = "TOTAL",
    version: int = 1,
) -> Event:
    """A register of an asset."""
    register: dict[str, object] = {
        "value": value_kwh,
        "phase": phase,
        "unit": "KWH",
        "direction": direction,
        "energy_type": energy_type,
        "measure_time": at.isoformat(),
    }
    if since is not None:
        register["initial_measure_time"] = since.isoformat()
    asset = {"asset_id": asset_id, "asset_category": category, "energy_measurement": register}
    return event(version, EventKind.ASSET_MEASUREMENTS, {"group_id": "main", "measurements": [asset]}, at=at)


def stored(asset_id: str, value_kwh: float, *, at: datetime, category: str = "STORAGE", version: int = 1) -> Event:
    """What a battery holds."""
    level = {"value": value_kwh * 1000, "phase": "ALL", "unit": "WH", "measure_time": at.isoformat()}
    asset = {"asset_id": asset_id, "asset_category": category, "instantaneous_measurement": level}
    return event(version, EventKind.ASSET_MEASUREMENTS, {"group_id": "main", "measurements": [asset]}, at=at)


def group_energy(value_kwh: float, energy_type: str, *, at: datetime, since: datetime, version: int = 1) -> Event:
    """A register of a group as a whole."""
    register = {
        "value": value_kwh,
        "phase": "ALL",
        "unit": "KWH",
        "direction": "IMPORT",
        "energy_type": energy_type,
        "measure_time": at.isoformat(),
        "initial_measure_time": since.isoformat(),
    }
    body: dict[str, object] = {"group_id": "main", "measurements": [register]}
    return event(version, EventKind.GROUP_MEASUREMENTS, body, at=at)


def after(*events: Event) -> SiteState:
    """The state after some messages."""
    return SiteState().after(events, SITE, SESSIONS)


def delivered(state: SiteState) -> dict[str, float]:
    """Energy by session, kWh."""
    found = {session.session_id: state.delivered_to(session) for session in SESSIONS}
    return {session_id: round(one.energy_kwh, 9) if one else 0.0 for session_id, one in found.items()}


class TestDelivered:
    """Energy of a charger is that of the session there."""

    def test_a_register_of_the_session(self) -> None:
        """3 kWh, then 5 kWh since the same start: 5 kWh in all."""
        state = after(
            energy("C1", 3, at=MORNING + 20 * MINUTE, since=MORNING),
            energy("C1", 5, at=MORNING + 40 * MINUTE, since=MORNING),
        )

        assert delivered(state) == {"S1": 5.0, "S2": 0.0}

    def test_a_register_that_counts_on(self) -> None:
        """100 kWh, then 104 kWh: 4 kWh; the first tells nothing."""
        state = after(energy("C1", 100, at=MORNING), energy("C1", 104, at=MORNING + 30 * MINUTE))

        assert delivered(state) == {"S1": 4.0, "S2": 0.0}

    def test_only_what_came_after_the_need_was_stated(self) -> None:
        """Stated at 08:10: of 4 kWh from 08:00 to 08:20 half counts."""
        state = after(energy("C2", 4, at=MORNING + 20 * MINUTE, since=MORNING))

        assert delivered(state) == {"S1": 0.0, "S2": 2.0}

    def test_only_while_the_vehicle_is_there(self) -> None:
        """6 kWh from 07:00 to 09:00, of which the vehicle was there for the second half."""
        state = after(energy("C1", 6, at=MORNING + HOUR, since=MORNING - HOUR))

        assert delivered(state) == {"S1": 3.0, "S2": 0.0}

    def test_three_phases_add_up(self) -> None:
        """1 kWh on each conductor is 3 kWh."""
        parts = [energy("C1", 1, at=MORNING + HOUR, since=MORNING, phase=phase) for phase in ("ONE", "TWO", "THREE")]

        assert delivered(after(*parts)) == {"S1": 3.0, "S2": 0.0}

    def test_two_registers_of_one_flow_count_once(self) -> None:
        """The total in both spellings of a peer that sends both: 5 kWh, not 10."""
        state = after(
            energy("C1", 5, at=MORNING + HOUR, since=MORNING),
            energy("C1", 5, at=MORNING + HOUR, since=MORNING, direction="NET"),
            energy("C1", 5, at=MORNING + HOUR, since=MORNING, energy_type="FLEXIBLE"),
        )

        assert delivered(state) == {"S1": 5.0, "S2": 0.0}

    def test_what_is_fed_in_is_not_delivered(self) -> None:
        """An export register says nothing of what the vehicle got."""
        state = after(energy("C1", 5, at=MORNING + HOUR, since=MORNING, direction="EXPORT"))

        assert delivered(state) == {"S1": 0.0, "S2": 0.0}

    def test_a_need_stated_anew_counts_anew(self) -> None:
        """What was delivered before belongs to the old statement."""
        state = after(energy("C1", 5, at=MORNING + HOUR, since=MORNING))

        assert state.delivered_to(stored_session("S1", "C1", stated_at=MORNING + HOUR)) is None


class TestLoads:
    """Power of what nobody can steer."""

    def test_the_mean_of_a_period(self) -> None:
        """6 kWh in 30 min are 12 kW; a generator that feeds in 2 kWh in 30 min is -4 kW."""
        state = after(
            energy("building", 6, at=MORNING + 30 * MINUTE, since=MORNING, category="CONSUMPTION"),
            energy("roof", 2, at=MORNING + 30 * MINUTE, since=MORNING, category="GENERATION", direction="EXPORT"),
        )

        assert {key[1]: load.power_kw for key, load in asset_loads(state).items()} == {"building": 12.0, "roof": -4.0}

    def test_a_group_measured_as_such(self) -> None:
        """5 kWh in an hour, not flexible: 5 kW."""
        state = after(group_energy(5, "NONFLEXIBLE", at=MORNING + HOUR, since=MORNING))

        assert group_loads(state)["main"].power_kw == 5.0

    def test_the_total_less_the_flexible_part(self) -> None:
        """20 kWh in all, 14 kWh by the chargers in the same hour: 6 kW; of the total alone nothing follows."""
        total = group_energy(20, "TOTAL", at=MORNING + HOUR, since=MORNING)
        flexible = group_energy(14, "FLEXIBLE", at=MORNING + HOUR, since=MORNING)

        assert group_loads(after(total)) == {}
        assert group_loads(after(total, flexible))["main"].power_kw == 6.0

    def test_what_comes_late_changes_nothing(self) -> None:
        """A reading of 08:30 that comes after one of 09:00."""
        state = after(
            energy("building", 6, at=MORNING + HOUR, since=MORNING + 30 * MINUTE, category="CONSUMPTION"),
            energy("building", 9, at=MORNING + 30 * MINUTE, since=MORNING, category="CONSUMPTION", phase="UNKNOWN"),
        )

        assert [load.power_kw for load in asset_loads(state).values()] == [12.0]


def test_the_newest_state_of_a_storage_counts() -> None:
    """4 kWh at 08:30, told after 6 kWh at 09:00; the charge of a vehicle and a storage of others are nobody's."""
    state = after(
        stored("battery", 6, at=MORNING + HOUR),
        stored("battery", 4, at=MORNING + 30 * MINUTE),
        stored("C1", 30, at=MORNING + HOUR, category="CHARGING"),
        stored("elsewhere", 7, at=MORNING + HOUR),
    )

    assert {key: (one.energy_kwh, one.at) for key, one in state.stored.items()} == {"battery": (6.0, MORNING + HOUR)}


def test_a_message_that_cannot_be_read_stops_nobody() -> None:
    """It is left out, the next one counts."""
    broken = Event(
        version=1, kind=EventKind.FORECAST, group_id="main", received_at=MORNING, request_id="", body='{"group_id": 7}'
    )

    state = after(broken, energy("C1", 5, at=MORNING + HOUR, since=MORNING))

    assert delivered(state)["S1"] == 5.0


def test_pruning_keeps_what_counts() -> None:
    """Blocks that are over and sessions that are gone go; that a limit was once stated stays known."""
    block = {
        "capacity": 10,
        "phase": "ALL",
        "unit": "KW",
        "start_time": MORNING.isoformat(),
        "end_time": (MORNING + HOUR).isoformat(),
    }
    body: dict[str, object] = {"group_id": "main", "type": "CONSUMPTION", "forecasted_blocks": [block]}
    state = after(
        event(1, EventKind.FORECAST, body, at=MORNING), energy("C1", 5, at=MORNING + HOUR, since=MORNING, version=2)
    )

    pruned = state.pruned(MORNING + 28 * HOUR, ["S2"])

    assert pruned.forecasts.blocks("main", CapacityKind.CONSUMPTION) == ()
    assert pruned.forecasts.has_limits("main")
    assert not pruned.delivered


KINDS = st.sampled_from(["CONSUMPTION", "GENERATION", "FALLBACK_CONSUMPTION", "FALLBACK_GENERATION", "OPTIMUM"])
MINUTES = st.integers(0, 300)
PHASES = st.sampled_from(["ALL", "ONE", "TWO", "THREE", "UNKNOWN"])


@st.composite
def any_event(draw: st.DrawFn) -> Event:
    """A forecast or a measurement, whatever its order in time."""
    minute = draw(MINUTES)
    at = MORNING + minute * MINUTE
    value = draw(st.floats(0, 1e6, allow_nan=False))
    choice = draw(st.integers(0, 3))
    if choice == 0:
        start = MORNING + draw(MINUTES) * MINUTE
        block = {
            "capacity": value,
            "phase": draw(PHASES),
            "unit": draw(st.sampled_from(["A", "W", "KW", "WH", "KWH"])),
            "start_time": start.isoformat(),
            "end_time": (start + draw(st.integers(1, 120)) * MINUTE).isoformat(),
        }
        body: dict[str, object] = {"group_id": "main", "type": draw(KINDS), "forecasted_blocks": [block]}
        return event(1, EventKind.FORECAST, body, at=at)
    if choice == 1:
        return group_energy(value, draw(st.sampled_from(["FLEXIBLE", "NONFLEXIBLE", "TOTAL"])), at=at, since=MORNING)
    if choice == 2:
        return stored("battery", value, at=at)
    return energy(
        draw(st.sampled_from(["C1", "C2", "building"])),
        value,
        at=at,
        since=draw(st.sampled_from([None, MORNING, MORNING + HOUR])),
        category=draw(st.sampled_from(["CHARGING", "CONSUMPTION", "GENERATION", "STORAGE"])),
        direction=draw(st.sampled_from(["IMPORT", "EXPORT", "NET"])),
        phase=draw(PHASES),
    )


@given(st.lists(any_event(), max_size=12), st.integers(0, 12))
def test_portions_do_not_matter(events: list[Event], cut: int) -> None:
    """Read all at once, or one part, kept as JSON, and then the rest: the same to the last digit."""
    at_once = SiteState().after(events, SITE, SESSIONS)

    first = state_from_json(state_to_json(SiteState().after(events[:cut], SITE, SESSIONS)))
    in_parts = first.after(events[cut:], SITE, SESSIONS)

    assert state_to_json(in_parts) == state_to_json(at_once)
    assert in_parts.delivered == at_once.delivered
    assert dict(in_parts.meters.last) == dict(at_once.meters.last)


@given(st.lists(any_event(), max_size=12))
def test_no_more_is_delivered_than_was_measured(events: list[Event]) -> None:
    """Energy goes to a session in part or as a whole, never twice."""
    state = SiteState().after(events, SITE, SESSIONS)

    measured = sum(
        json.loads(one.body)["measurements"][0].get("energy_measurement", {}).get("value", 0.0)
        for one in events
        if one.kind is EventKind.ASSET_MEASUREMENTS
    )
    assert sum(one.energy_kwh for one in state.delivered.values()) <= measured * (1 + 1e-9)
