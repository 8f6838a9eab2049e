"""UpdateAssetMeasurements and UpdateGroupMeasurements of OSCP 2.0, as a peer sends them."""

from __future__ import annotations

from typing import Any

import pytest

from api.records import EventKind
from tests.api.oscp.bench import Bench, Caller, asset_body, group_body, message_of

ASSETS = "/update_asset_measurements"
GROUP = "/update_group_measurements"
TIME = "2026-12-01T08:00:00.000Z"


def energy(**values: object) -> dict[str, Any]:
    """A reading of an energy register."""
    return {"value": 4.21, "phase": "ALL", "unit": "KWH", "direction": "IMPORT", "energy_type": "TOTAL"} | {
        "measure_time": TIME,
        **values,
    }


def instantaneous(**values: object) -> dict[str, Any]:
    """A value at one instant."""
    return {"value": 16.0, "phase": "ONE", "unit": "A", "measure_time": TIME, **values}


@pytest.mark.parametrize("category", ["CHARGING", "CONSUMPTION", "GENERATION", "STORAGE"])
def test_every_category_is_kept(bench: Bench, peer: Caller, category: str) -> None:
    """Chargers, other loads, generation and batteries."""
    site_id = bench.add_site(peer)
    body = asset_body(asset_category=category)

    assert peer.send(ASSETS, body, request_id="m1").status_code == 204
    (event,) = bench.events(site_id)
    assert (event.kind, event.group_id, event.request_id) == (EventKind.ASSET_MEASUREMENTS, "g1", "m1")
    assert bench.bodies(site_id) == [body]


@pytest.mark.parametrize(
    "measured",
    [
        {"energy_measurement": energy(), "instantaneous_measurement": instantaneous()},
        {"energy_measurement": energy(initial_measure_time="2026-12-01T07:41:09.000Z")},
        {"energy_measurement": energy(value=-12.75, direction="NET", energy_type="FLEXIBLE")},
        {"energy_measurement": energy(value=0, unit="WH")},
        {"instantaneous_measurement": instantaneous(value=-7.4, unit="KW", phase="ALL")},
        {"instantaneous_measurement": instantaneous(value=41.2, unit="KWH", phase="ALL")},
        {},
    ],
    ids=["both", "intermittent", "net", "zero", "fed in", "charge", "neither"],
)
def test_energy_and_instantaneous_values_are_kept(bench: Bench, peer: Caller, measured: dict[str, object]) -> None:
    """Either, both or none; values may be negative; an energy at an instant is the charge of a battery."""
    site_id = bench.add_site(peer)
    body = asset_body()
    del body["measurements"][0]["instantaneous_measurement"]
    body["measurements"][0] |= measured

    assert peer.send(ASSETS, body).status_code == 204
    assert bench.bodies(site_id) == [body]


def test_missing_energy_type_is_total(bench: Bench, peer: Caller) -> None:
    """It is optional."""
    site_id = bench.add_site(peer)
    body = group_body()
    del body["measurements"][0]["energy_type"]

    assert peer.send(GROUP, body).status_code == 204
    assert bench.bodies(site_id) == [group_body(energy_type="TOTAL")]


def test_measurements_of_a_group_are_taken_too(bench: Bench, peer: Caller) -> None:
    """They are meant for a Capacity Provider, and one implementation sends them to a Capacity Optimizer."""
    site_id = bench.add_site(peer)

    assert peer.send(GROUP, group_body(), request_id="m2").status_code == 204
    (event,) = bench.events(site_id)
    assert (event.kind, event.group_id, event.request_id) == (EventKind.GROUP_MEASUREMENTS, "g1", "m2")
    assert bench.bodies(site_id) == [group_body()]


def test_group_without_measurements_is_taken(bench: Bench, peer: Caller) -> None:
    """The text admits what the schema does not."""
    bench.add_site(peer)

    assert peer.send(GROUP, {"group_id": "g1", "measurements": []}).status_code == 204


def test_assets_without_measurements_are_400(bench: Bench, peer: Caller) -> None:
    """At least one."""
    bench.add_site(peer)

    assert peer.send(ASSETS, {"group_id": "g1", "measurements": []}).status_code == 400


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        (ASSETS, asset_body(asset_category="EV"), "asset_category"),
        (ASSETS, asset_body(asset_id=""), "asset_id"),
        (ASSETS, asset_body(energy_measurement=energy(unit="KW")), "unit"),
        (ASSETS, asset_body(instantaneous_measurement=instantaneous(unit="V")), "unit"),
        (ASSETS, asset_body(instantaneous_measurement=instantaneous(measure_time="yesterday")), "measure_time"),
        (GROUP, group_body(direction="IN"), "direction"),
        (GROUP, group_body(value="12"), "value"),
        (GROUP, group_body(energy_type="SOME"), "energy_type"),
    ],
)
def test_measurement_that_breaks_the_schema_is_400(
    bench: Bench, peer: Caller, path: str, body: dict[str, object], said: str
) -> None:
    """Words in exact upper case, values as numbers, times as such."""
    site_id = bench.add_site(peer)
    answer = peer.send(path, body)

    assert answer.status_code == 400
    assert said in message_of(answer)
    assert bench.events(site_id) == ()


def test_every_digit_of_a_value_is_kept(bench: Bench, peer: Caller) -> None:
    """A difference of two readings is as good as their last digits."""
    site_id = bench.add_site(peer)

    peer.send(GROUP, group_body(value=15321.3751234))
    assert bench.bodies(site_id)[0]["measurements"][0]["value"] == 15321.3751234


def test_measured_current_of_all_phases_may_be_their_sum(bench: Bench) -> None:
    """It is read as in a forecast: 48 A of a peer that means the sum are three times 16 A."""
    peer = bench.add_peer(overrides={"ampere_all_per_conductor": False})
    site_id = bench.add_site(peer)

    peer.send(ASSETS, asset_body(instantaneous_measurement=instantaneous(value=48.0, phase="ALL")))
    peer.send(ASSETS, asset_body(instantaneous_measurement=instantaneous(value=48.0, phase="ONE")))
    kept = [body["measurements"][0]["instantaneous_measurement"]["value"] for body in bench.bodies(site_id)]
    assert kept == [16.0, 48.0]


@pytest.mark.parametrize(("path", "body"), [(ASSETS, asset_body()), (GROUP, group_body())])
def test_measurements_change_no_limit(bench: Bench, peer: Caller, path: str, body: dict[str, object]) -> None:
    """They make a version that is looked at; whether to plan anew, the planner decides."""
    site_id = bench.add_site(peer)
    before = bench.context.database.read_now(lambda tx: tx.sites.get(site_id))

    peer.send(path, body)
    after = bench.context.database.read_now(lambda tx: tx.sites.get(site_id))
    assert after.version > before.version
    assert (after.limit_version, after.change_version) == (before.limit_version, before.change_version)
