"""UpdateGroupCapacityForecast of OSCP 2.0, as a peer sends it."""

from __future__ import annotations

import pytest

from api.records import EventKind
from models.oscp.v20 import UpdateGroupCapacityForecast
from tests.api.oscp.bench import Bench, Caller, block, forecast_body, message_of

PATH = "/update_group_capacity_forecast"


@pytest.mark.parametrize(
    "kind", ["CONSUMPTION", "GENERATION", "FALLBACK_CONSUMPTION", "FALLBACK_GENERATION", "OPTIMUM"]
)
def test_every_type_is_kept(bench: Bench, peer: Caller, kind: str) -> None:
    """One message states one type; a received OPTIMUM is the peer's wish."""
    site_id = bench.add_site(peer)

    assert peer.send(PATH, forecast_body(kind=kind), request_id="f1").status_code == 204
    (event,) = bench.events(site_id)
    assert (event.kind, event.group_id, event.request_id) == (EventKind.FORECAST, "g1", "f1")
    assert event.received_at == bench.clock.now()
    assert bench.bodies(site_id) == [forecast_body(kind=kind)]


@pytest.mark.parametrize("unit", ["A", "W", "KW", "WH", "KWH"])
@pytest.mark.parametrize("phase", ["UNKNOWN", "ONE", "TWO", "THREE", "ALL"])
def test_every_phase_and_unit_is_kept(bench: Bench, peer: Caller, phase: str, unit: str) -> None:
    """Blocks of several phases for one time are normal; the unit is kept, for the answer is in it."""
    site_id = bench.add_site(peer)
    body = forecast_body(block(phase=phase, unit=unit), block(phase="ALL"))

    assert peer.send(PATH, body).status_code == 204
    assert bench.bodies(site_id) == [body]


def test_zero_is_a_capacity(bench: Bench, peer: Caller) -> None:
    """It means stop."""
    site_id = bench.add_site(peer)

    assert peer.send(PATH, forecast_body(block(0))).status_code == 204
    assert bench.bodies(site_id)[0]["forecasted_blocks"][0]["capacity"] == 0.0


def test_every_digit_of_a_capacity_is_kept(bench: Bench, peer: Caller) -> None:
    """What we write has three decimals; what a peer states is not changed by keeping it."""
    site_id = bench.add_site(peer)

    peer.send(PATH, forecast_body(block(10.00061234567)))
    assert bench.bodies(site_id)[0]["forecasted_blocks"][0]["capacity"] == 10.00061234567


def test_what_is_kept_reads_as_the_message(bench: Bench, peer: Caller) -> None:
    """The event is a message as it is written, which any reader of one reads."""
    site_id = bench.add_site(peer, "grøup «1»")
    body = forecast_body(block(start="2026-12-01T10:00:00.123456+01:00"), group_id="grøup «1»")

    peer.send(PATH, body)
    (event,) = bench.events(site_id)
    kept = UpdateGroupCapacityForecast.model_validate_json(event.body)
    assert kept == UpdateGroupCapacityForecast.model_validate(body)
    assert bench.bodies(site_id)[0]["forecasted_blocks"][0]["start_time"] == "2026-12-01T09:00:00.123Z"


@pytest.mark.parametrize(
    "blocks",
    [
        [block(start="2019-01-01T00:00:00Z", end="2019-01-02T00:00:00Z")],
        [block(1), block(2)],
        [block(1, "2026-12-02T00:00:00Z", "2026-12-03T00:00:00Z"), block(2)],
        [block(1, "2026-12-01T09:00:00Z", "2026-12-01T09:00:00.001Z")],
    ],
    ids=["past", "overlapping", "unordered", "a millisecond"],
)
def test_order_gaps_overlaps_and_the_past_are_no_reason_to_refuse(
    bench: Bench, peer: Caller, blocks: list[dict[str, object]]
) -> None:
    """No source promises order, contiguity or alignment; what is past is of no use, but not wrong."""
    bench.add_site(peer)

    assert peer.send(PATH, forecast_body(*blocks)).status_code == 204


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ([block(-0.001)], "capacity"),
        ([block("25.5")], "capacity"),
        ([block(None)], "capacity"),
        ([block(True)], "capacity"),
        ([block(1e300)], "capacity"),
        ([block(phase="L1")], "phase"),
        ([block(phase="all")], "phase"),
        ([block(unit="EUR/KWH")], "unit"),
        ([block(unit="kW")], "unit"),
        ([block(end="2026-12-01T09:00:00Z")], "end_time"),
        ([block(end="2026-12-01T08:59:59Z")], "end_time"),
        ([block(start="2026-12-01T09:00:00")], "time zone"),
        ([block(start="2026-12-01 09:00:00")], "time zone"),
        ([block(), {"capacity": 1}], "forecasted_blocks.1.phase"),
    ],
)
def test_block_that_breaks_the_schema_is_400(
    bench: Bench, peer: Caller, blocks: list[dict[str, object]], said: str
) -> None:
    """Capacity at least zero and a number, words in exact upper case, times with a zone, the end after the start."""
    site_id = bench.add_site(peer)
    answer = peer.send(PATH, forecast_body(*blocks))

    assert answer.status_code == 400
    assert said in message_of(answer)
    assert bench.events(site_id) == ()


def test_no_block_is_400(bench: Bench, peer: Caller) -> None:
    """A forecast states at least one."""
    bench.add_site(peer)

    assert peer.send(PATH, {"group_id": "g1", "type": "CONSUMPTION", "forecasted_blocks": []}).status_code == 400


def test_type_is_one_of_five(bench: Bench, peer: Caller) -> None:
    """And in exact upper case."""
    bench.add_site(peer)

    assert "type" in message_of(peer.send(PATH, forecast_body(kind="PRICE")))


def test_capacity_in_a_text_is_read_where_a_peer_is_known_for_it(bench: Bench) -> None:
    """Two related implementations type it so."""
    peer = bench.add_peer("oscp-sdk")
    site_id = bench.add_site(peer)

    assert peer.send(PATH, forecast_body(block("25.5"))).status_code == 204
    assert bench.bodies(site_id) == [forecast_body(block(25.5))]


def test_absurd_power_of_an_energy_is_400(bench: Bench, peer: Caller) -> None:
    """An energy is a budget for its block; a billion kWh in a millisecond is no power that any grid carries."""
    bench.add_site(peer)
    short = block(1e9, "2026-12-01T09:00:00.000Z", "2026-12-01T09:00:00.001Z", unit="KWH")

    answer = peer.send(PATH, forecast_body(block(), short))
    assert answer.status_code == 400
    assert "forecasted_blocks.1" in message_of(answer)
    assert "KWH" in message_of(answer)


@pytest.mark.parametrize(
    ("phase", "kept"), [("ALL", 32.0), ("UNKNOWN", 32.0), ("ONE", 96.0), ("TWO", 96.0), ("THREE", 96.0)]
)
def test_current_of_all_phases_may_be_their_sum(bench: Bench, phase: str, kept: float) -> None:
    """Sources differ on whether A with phase ALL is per conductor; for a peer that means the sum, 96 A are three times
    32 A. It is kept per conductor, as the standard profile means it.
    """
    peer = bench.add_peer(overrides={"ampere_all_per_conductor": False})
    site_id = bench.add_site(peer)

    peer.send(PATH, forecast_body(block(96.0, phase=phase, unit="A"), block(96.0, phase=phase, unit="KW")))
    assert [entry["capacity"] for entry in bench.bodies(site_id)[0]["forecasted_blocks"]] == [kept, 96.0]


def test_forecast_makes_a_version_that_asks_for_a_plan(bench: Bench, peer: Caller) -> None:
    """The order of arrival is the order that counts."""
    site_id = bench.add_site(peer)
    before = bench.context.database.read_now(lambda tx: tx.sites.get(site_id))

    for capacity in (1, 2):
        peer.send(PATH, forecast_body(block(capacity)))
    after = bench.context.database.read_now(lambda tx: tx.sites.get(site_id))
    first, second = bench.events(site_id)
    assert before.version < first.version < second.version == after.version
    assert after.limit_version == after.change_version == after.version
    assert [body["forecasted_blocks"][0]["capacity"] for body in bench.bodies(site_id)] == [1, 2]
