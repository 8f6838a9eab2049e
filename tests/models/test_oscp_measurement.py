"""OSCP 2.0 measurements: what is read and refused, how it is written, what it means in kW and kWh."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pytest
from pydantic import ValidationError

from models.domain import Phase, measurement
from models.oscp import v20
from models.oscp.v20 import (
    EnergyMeasurement,
    UpdateAssetMeasurements,
    UpdateGroupMeasurements,
    to_energy_readings,
    to_power_readings,
    to_stored_energy_readings,
)

AT = "2026-12-01T08:15:00.000Z"
START = "2026-12-01T07:41:09.000Z"


def make_energy(**override: Any) -> dict[str, Any]:
    """A valid energy measurement as JSON object, some properties replaced."""
    return {
        "value": 15321.375,
        "phase": "ALL",
        "unit": "KWH",
        "direction": "IMPORT",
        "energy_type": "TOTAL",
        "measure_time": AT,
    } | override


def make_instantaneous(**override: Any) -> dict[str, Any]:
    """A valid instantaneous measurement as JSON object, some properties replaced."""
    return {"value": 7.36, "phase": "ALL", "unit": "KW", "measure_time": AT} | override


def make_asset(**override: Any) -> dict[str, Any]:
    """An asset as JSON object, some properties replaced or added."""
    return {"asset_id": "evse-0001", "asset_category": "CHARGING"} | override


def make_body(*measurements: dict[str, Any]) -> dict[str, Any]:
    """A message as JSON object; that of assets and that of groups differ in the list only."""
    return {"group_id": "transformer-17", "measurements": list(measurements)}


def read_assets(*assets: dict[str, Any]) -> UpdateAssetMeasurements:
    """Read measurements at assets as text and as objects; both ways must agree."""
    message = UpdateAssetMeasurements.model_validate_json(json.dumps(make_body(*assets)))
    assert UpdateAssetMeasurements.model_validate(make_body(*assets)) == message
    return message


def read_group(*measurements: dict[str, Any]) -> UpdateGroupMeasurements:
    """Read measurements of a group."""
    return UpdateGroupMeasurements.model_validate_json(json.dumps(make_body(*measurements)))


def refused(asset: dict[str, Any]) -> str:
    """Where and why a message with one asset is refused."""
    with pytest.raises(ValidationError) as refusal:
        UpdateAssetMeasurements.model_validate_json(json.dumps(make_body(asset)))
    return str(refusal.value)


# Reading and writing


@pytest.mark.parametrize(
    "asset",
    [
        make_asset(energy_measurement=make_energy(), instantaneous_measurement=make_instantaneous()),
        make_asset(energy_measurement=make_energy(value=4.21, initial_measure_time=START)),
        make_asset(instantaneous_measurement=make_instantaneous(value=16.0, phase="ONE", unit="A")),
        make_asset(asset_category="GENERATION", energy_measurement=make_energy(direction="EXPORT")),
        make_asset(
            asset_category="STORAGE",
            energy_measurement=make_energy(value=-12.75, direction="NET", energy_type="FLEXIBLE"),
            instantaneous_measurement=make_instantaneous(value=41.2, unit="KWH"),
        ),
        make_asset(
            asset_category="CONSUMPTION",
            energy_measurement=make_energy(value=771200.0, unit="WH", energy_type="NONFLEXIBLE"),
        ),
        make_asset(instantaneous_measurement=make_instantaneous(value=-3000.0, unit="W")),
        make_asset(instantaneous_measurement=make_instantaneous(value=3000.0, unit="WH")),
        make_asset(),
    ],
    ids=["both", "session", "current", "generation", "battery", "load", "fed in", "charge", "neither"],
)
def test_asset_is_written_as_it_was_read(asset: dict[str, Any]) -> None:
    """Every category, unit, direction and type is taken, with either measurement, both or neither; nothing is null."""
    assert json.loads(read_assets(asset).model_dump_json()) == make_body(asset)


def test_same_asset_may_stand_twice() -> None:
    """An asset has one energy per entry: import and export are two entries of the same asset."""
    assets = [make_asset(energy_measurement=make_energy(direction=direction)) for direction in ("IMPORT", "EXPORT")]

    assert read_assets(*assets).model_dump(mode="json") == make_body(*assets)


def test_group_is_written_as_it_was_read() -> None:
    """A group has a list of energy measurements."""
    measurements = [make_energy(), make_energy(direction="EXPORT", value=1312.5)]

    assert json.loads(read_group(*measurements).model_dump_json()) == make_body(*measurements)


def test_group_may_have_no_measurements() -> None:
    """The schema wants one, the text that one peer quotes does not: none are read. Of assets one is needed."""
    assert read_group().measurements == ()
    with pytest.raises(ValidationError, match="at least 1 item"):
        read_assets()


def test_unknown_properties_are_ignored() -> None:
    """Peers add properties of their own; they neither disturb nor come out again."""
    asset = make_asset(note="x", energy_measurement=make_energy(note="x"))

    assert read_assets(asset).model_dump(mode="json") == make_body(make_asset(energy_measurement=make_energy()))


def test_energy_type_is_total_where_left_out() -> None:
    """An energy without a type, or with null, is the total."""
    without = make_energy()
    del without["energy_type"]

    assert read_group(without, make_energy(energy_type=None)).model_dump(mode="json") == make_body(
        make_energy(), make_energy()
    )


@pytest.mark.parametrize("name", ["energy_measurement", "instantaneous_measurement"])
def test_null_measurement_is_left_out(name: str) -> None:
    """Null for an optional measurement is read like none."""
    assert read_assets(make_asset(**{name: None})).model_dump(mode="json") == make_body(make_asset())


def test_null_start_is_left_out() -> None:
    """Null for the time of the last start is read like none."""
    assert read_group(make_energy(initial_measure_time=None)).model_dump(mode="json") == make_body(make_energy())


@pytest.mark.parametrize("name", ["value", "phase", "unit", "direction", "measure_time"])
def test_property_of_an_energy_is_required(name: str) -> None:
    """Every property but the type and the start is required; null does not count."""
    energy = make_energy()
    del energy[name]

    assert "Field required" in refused(make_asset(energy_measurement=energy))
    assert f"energy_measurement.{name}" in refused(make_asset(energy_measurement=make_energy(**{name: None})))


@pytest.mark.parametrize("name", ["value", "phase", "unit", "measure_time"])
def test_property_of_an_instantaneous_value_is_required(name: str) -> None:
    """Every property is required; null does not count."""
    instantaneous = make_instantaneous()
    del instantaneous[name]

    assert "Field required" in refused(make_asset(instantaneous_measurement=instantaneous))


@pytest.mark.parametrize("name", ["asset_id", "asset_category"])
def test_property_of_an_asset_is_required(name: str) -> None:
    """Id and category are required."""
    asset = make_asset()
    del asset[name]

    assert "Field required" in refused(asset)


@pytest.mark.parametrize(
    "energy",
    [
        {"unit": "kWh"},
        {"unit": "KW"},
        {"unit": "A"},
        {"direction": "import"},
        {"direction": "BOTH"},
        {"energy_type": "OTHER"},
        {"phase": "L1"},
        {"measure_time": "2026-12-01T08:15:00"},
        {"initial_measure_time": "2026-12-01T08:15:00"},
    ],
    ids=json.dumps,
)
def test_words_and_times_of_an_energy_are_exact(energy: dict[str, Any]) -> None:
    """Words are in upper case, an energy is in WH or KWH, and times have a zone."""
    assert f"energy_measurement.{next(iter(energy))}" in refused(make_asset(energy_measurement=make_energy(**energy)))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("4.2", "valid number"),
        (True, "valid number"),
        (float("nan"), "finite number"),
        (float("-inf"), "finite number"),
        (1.1e15, "less than or equal"),
        (-1.1e15, "greater than or equal"),
    ],
)
def test_value_is_a_bounded_number(value: object, reason: str) -> None:
    """A value is a JSON number of either sign, up to 1e15."""
    assert reason in refused(make_asset(energy_measurement=make_energy(value=value)))
    assert reason in refused(make_asset(instantaneous_measurement=make_instantaneous(value=value)))


def test_values_are_written_with_three_decimals() -> None:
    """0.1 + 0.2 is written as 0.3; read, values stay as they are."""
    message = read_group(make_energy(value=0.1 + 0.2))

    assert message.measurements[0].value == 0.1 + 0.2
    assert message.model_dump(mode="json") == make_body(make_energy(value=0.3))


@pytest.mark.parametrize(
    "asset",
    [{"asset_id": ""}, {"asset_id": "x" * 129}, {"asset_id": "a\x00"}, {"asset_id": 5}, {"asset_category": "EV"}],
)
def test_asset_is_named_and_of_a_category(asset: dict[str, Any]) -> None:
    """An id has 1 to 128 characters, none of them a control character; a category is one of four words."""
    assert next(iter(asset)) in refused(make_asset(**asset))
    assert read_assets(make_asset(asset_id="x" * 128)).measurements[0].asset_id == "x" * 128


def test_number_of_measurements_is_bounded() -> None:
    """A message has at most 10,000 measurements."""
    with pytest.raises(ValidationError, match="at most 10000 items"):
        UpdateAssetMeasurements.model_validate(make_body(*[make_asset()] * 10_001))
    with pytest.raises(ValidationError, match="at most 10000 items"):
        UpdateGroupMeasurements.model_validate(make_body(*[make_energy()] * 10_001))


@pytest.mark.parametrize("group_id", ["", "x" * 129, None, "a\x00b", "a\nb"])
def test_group_is_named(group_id: object) -> None:
    """A group id has 1 to 128 characters, none of them a control character."""
    with pytest.raises(ValidationError, match="group_id"):
        UpdateGroupMeasurements.model_validate(make_body() | {"group_id": group_id})
    with pytest.raises(ValidationError, match="group_id"):
        UpdateAssetMeasurements.model_validate(make_body(make_asset()) | {"group_id": group_id})


def test_measurement_cannot_be_changed() -> None:
    """A measurement is what was sent: it cannot be assigned to."""
    with pytest.raises(ValidationError, match="frozen"):
        EnergyMeasurement.model_validate(make_energy()).value = 1.0  # type: ignore[misc]


# From the wire


@pytest.mark.parametrize(
    ("wire", "domain"),
    [
        (v20.AssetCategory, measurement.AssetCategory),
        (v20.EnergyFlowDirection, measurement.FlowDirection),
        (v20.EnergyType, measurement.EnergyType),
    ],
)
def test_every_word_has_a_meaning(wire: type[StrEnum], domain: type[StrEnum]) -> None:
    """Wire and domain have the same words for categories, directions and types."""
    assert {each.value for each in wire} == {each.value for each in domain}


def test_energy_of_an_asset() -> None:
    """771,200 Wh are 771.2 kWh; asset, category, times and what is counted are kept."""
    energy = make_energy(
        value=771200, unit="WH", phase="TWO", direction="EXPORT", energy_type="NONFLEXIBLE", initial_measure_time=START
    )

    (reading,) = to_energy_readings(
        read_assets(make_asset(), make_asset(asset_id="pv", asset_category="GENERATION", energy_measurement=energy))
    )

    assert reading == measurement.EnergyReading(
        key=measurement.MeterKey(
            group_id="transformer-17",
            asset_id="pv",
            direction=measurement.FlowDirection.EXPORT,
            phase=Phase.TWO,
            energy_type=measurement.EnergyType.NONFLEXIBLE,
        ),
        value_kwh=771.2,
        measured_at=datetime(2026, 12, 1, 8, 15, tzinfo=UTC),
        started_at=datetime(2026, 12, 1, 7, 41, 9, tzinfo=UTC),
        category=measurement.AssetCategory.GENERATION,
    )


def test_energy_of_a_group() -> None:
    """A group's registers belong to no asset and no category; those that count different things stay apart."""
    readings = to_energy_readings(
        read_group(
            make_energy(value=5),
            make_energy(value=6, direction="EXPORT"),
            make_energy(value=7, phase="ONE"),
            make_energy(value=8, energy_type="FLEXIBLE"),
            make_energy(value=9, initial_measure_time=START),
            make_energy(value=10, measure_time="2026-12-01T08:16:00Z"),
        )
    )

    assert [reading.value_kwh for reading in readings] == [5, 6, 7, 8, 9, 10]
    assert {(reading.key.group_id, reading.key.asset_id, reading.category) for reading in readings} == {
        ("transformer-17", None, None)
    }


def test_entries_of_a_group_that_differ_in_value_only_are_summed() -> None:
    """One peer sends an entry for each asset, without its name: 2 kWh, 500 Wh and 0 kWh in a period are 2.5 kWh."""
    (reading,) = to_energy_readings(
        read_group(
            make_energy(value=2, initial_measure_time=START),
            make_energy(value=500, unit="WH", initial_measure_time=START),
            make_energy(value=0, initial_measure_time=START),
        )
    )

    assert reading.value_kwh == 2.5


def test_entries_of_an_asset_are_not_summed() -> None:
    """An asset has a name: the same register listed twice is a repetition."""
    entry = make_asset(energy_measurement=make_energy(value=2))

    assert [reading.value_kwh for reading in to_energy_readings(read_assets(entry, entry))] == [2, 2]


@pytest.mark.parametrize(
    ("value", "unit", "phase", "power_kw"),
    [
        (7.36, "KW", "ALL", 7.36),
        (7360, "W", "UNKNOWN", 7.36),
        (16, "A", "ONE", 3.68),
        (16, "A", "ALL", 11.04),
        (16, "A", "UNKNOWN", 11.04),
        (-10, "A", "THREE", -2.3),
        (-5, "KW", "ALL", -5.0),
    ],
)
def test_power_of_an_asset(value: float, unit: str, phase: str, power_kw: float) -> None:
    """16 A at 230 V are 3.68 kW on one conductor and 11.04 kW on three; what is fed in is negative."""
    message = read_assets(make_asset(instantaneous_measurement=make_instantaneous(value=value, unit=unit, phase=phase)))

    (reading,) = to_power_readings(message, voltage_v=230.0)

    assert reading.power_kw == pytest.approx(power_kw, rel=1e-12)
    assert (reading.group_id, reading.asset_id, reading.phase) == ("transformer-17", "evse-0001", Phase(phase))
    assert (reading.category, reading.measured_at) == ("CHARGING", datetime(2026, 12, 1, 8, 15, tzinfo=UTC))
    assert to_stored_energy_readings(message) == ()


@pytest.mark.parametrize(("value", "unit"), [(41.2, "KWH"), (41_200, "WH")])
def test_charge_of_a_battery(value: float, unit: str) -> None:
    """An instantaneous energy is the charge of a battery, no power; 41,200 Wh are 41.2 kWh."""
    asset = make_asset(asset_category="STORAGE", instantaneous_measurement=make_instantaneous(value=value, unit=unit))
    message = read_assets(asset, make_asset())

    (reading,) = to_stored_energy_readings(message)

    assert (reading.asset_id, reading.category, reading.energy_kwh) == ("evse-0001", "STORAGE", 41.2)
    assert reading.measured_at == datetime(2026, 12, 1, 8, 15, tzinfo=UTC)
    assert to_power_readings(message, voltage_v=230.0) == ()
