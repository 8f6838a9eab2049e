"""GET /v1/sites/{site_id}/advice: what `optimizer.advice` says, in limits as they were stated, for whom the site is."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest

from api.advice import Question
from models.errors import SolverError
from models.oscp.v20 import AdjustGroupCapacityForecast
from optimizer import OptimizeOptions
from optimizer.advice import Advice, advise
from optimizer.scenario_io.advice_document import advice_document
from tests.api.rest.bench import Bench, Caller, message, price, session
from tests.builders import HOUR, MORNING, make_forecast, make_scenario, make_session, make_site, make_tariff

ADVICE = "/v1/sites/depot/advice"
OSCP = "/oscp/co/2.0"
QUARTERS = OptimizeOptions(start=MORNING, end=MORNING + 2 * HOUR, raster=timedelta(minutes=15))


@pytest.fixture(name="peer")
def peer_fixture(bench: Bench) -> Caller:
    """The peer of the depot: 10 kWh wanted from nine to eleven, at 0.20 and then 0.30, under 3 and then 4 kW."""
    return with_depot(bench)


def with_depot(bench: Bench, peer: Caller | None = None, **site: Any) -> Caller:
    """The depot of a peer."""
    peer = peer or bench.add_peer()
    bench.add_site(peer, **site)
    assert peer.post("/v1/sites/depot/sessions", [session()]).status_code == 200
    later = {"start": "2026-03-02T10:00:00+01:00", "end": "2026-03-02T11:00:00+01:00", "import_price_per_kwh": 0.3}
    assert peer.put("/v1/sites/depot/prices", [price(), price(**later)]).status_code == 200
    forecast(peer, 3.0, 4.0)
    return peer


def forecast(peer: Caller, *capacities_kw: float) -> None:
    """What the peer says of the capacity of each hour from nine."""
    blocks = [
        {
            "capacity": capacity_kw,
            "phase": "ALL",
            "unit": "KW",
            "start_time": (MORNING + at * HOUR).isoformat(),
            "end_time": (MORNING + (at + 1) * HOUR).isoformat(),
        }
        for at, capacity_kw in enumerate(capacities_kw)
    ]
    send(peer, "/update_group_capacity_forecast", {"type": "CONSUMPTION", "forecasted_blocks": blocks})


def send(peer: Caller, path: str, body: dict[str, Any]) -> None:
    """A message of the peer."""
    answer = peer.post(OSCP + path, {"group_id": "main"} | body, headers={"X-Request-ID": str(uuid.uuid4())})
    assert answer.status_code == 204, answer.text


def load(peer: Caller, power_kw: float) -> None:
    """What the peer measures of the building beside the chargers."""
    measured = {"value": power_kw, "phase": "ALL", "unit": "KW", "measure_time": MORNING.isoformat()}
    asset = {"asset_id": "building", "asset_category": "CONSUMPTION", "instantaneous_measurement": measured}
    send(peer, "/update_asset_measurements", {"measurements": [asset]})


class TestAnswer:
    """What is said."""

    def test_it_is_what_the_engine_says(self, peer: Caller) -> None:
        """The blocks of advice.json of the same scenario, by hand: 3 kW more in the cheap hour serve all, at 10 a kWh
        less 0.2, the next 4 move energy from the dear one at 0.1.
        """
        scenario = make_scenario(
            site=make_site(),
            sessions=[make_session(energy_kwh=10)],
            tariff=make_tariff((0.2, 0.3)),
            forecasts=[make_forecast((3.0, 4.0))],
        )
        expected = advice_document(advise(scenario, QUARTERS), scenario.site)

        told = peer.get(ADVICE).json()

        assert told["blocks"] == expected["blocks"]
        assert told["asked_value"] == expected["asked_value"] == pytest.approx(3 * 9.8 + 4 * 0.1, abs=1e-4)
        assert told["blocks"][0]["more"] == [
            {"up_to_kw": 3.0, "value_per_kwh": 9.8},
            {"up_to_kw": 7.0, "value_per_kwh": 0.1},
        ]
        assert (told["version"], told["made_at"], told["currency"]) == (4, "2026-03-02T08:00:00Z", "EUR")

    def test_messages_are_of_oscp(self, peer: Caller) -> None:
        """One for the group: 7 kW more in the cheap hour. Nothing can be handed back, as all is used."""
        (told,) = peer.get(ADVICE, params={"hand_back": True}).json()["messages"]

        asked = AdjustGroupCapacityForecast.model_validate_json(json.dumps(told))
        assert (asked.group_id, asked.type) == ("main", "CONSUMPTION")
        assert [(block.start_time, block.end_time, block.capacity) for block in asked.forecasted_blocks] == [
            (MORNING, MORNING + HOUR, 10.0)
        ]

    def test_what_is_left_is_handed_back_when_asked(self, peer: Caller) -> None:
        """12 and 8 kW for 10 kWh that come in the cheap hour: nothing is asked for, or 10 and 0 kW."""
        forecast(peer, 12.0, 8.0)

        assert peer.get(ADVICE).json()["messages"] == []
        (told,) = peer.get(ADVICE, params={"hand_back": True}).json()["messages"]
        assert [block["capacity"] for block in told["forecasted_blocks"]] == [10.0, 0.0]
        assert [block["hand_back_kw"] for block in peer.get(ADVICE).json()["blocks"]] == [2.0, 8.0]

    def test_whole_days_where_the_peer_takes_nothing_else(self, bench: Bench) -> None:
        """By its profile, or when told; the hours around keep what was stated, nothing where nothing was."""
        elmo = with_depot(bench, bench.add_peer("elmo", profile_name="elmo"))

        (whole,) = elmo.get(ADVICE).json()["messages"]
        (stated,) = elmo.get(ADVICE, params={"blocks": "stated"}).json()["messages"]

        assert [len(one["forecasted_blocks"]) for one in (whole, stated)] == [24, 1]
        assert [block["capacity"] for block in whole["forecasted_blocks"][8:12]] == [0.0, 10.0, 4.0, 0.0]

    def test_what_is_worth_less_is_not_asked_for(self, peer: Caller) -> None:
        """At 0.15 per kWh the 3 kW that serve."""
        told = peer.get(ADVICE, params={"least_value": 0.15}).json()

        assert [block["asked_kw"] for block in told["blocks"]] == [3.0, 0.0]

    def test_nothing_is_stored(self, bench: Bench, peer: Caller) -> None:
        """Neither a plan nor a message."""
        assert peer.get(ADVICE).status_code == 200

        assert bench.read(lambda tx: tx.plans.in_force("depot")) is None
        assert bench.outbox(peer.peer_id) == []


class TestLoad:
    """A group whose limit counts the building too: limits as they were stated."""

    @pytest.fixture(name="total")
    def total_fixture(self, bench: Bench) -> Caller:
        """The depot with such a group."""
        return with_depot(bench, groups=[{"group_id": "main", "limit_counts": "TOTAL"}])

    def test_the_load_is_part_of_what_is_needed(self, total: Caller) -> None:
        """1 kW of the building under 4 and 5 kW leaves 3 and 4: the same is asked for, from what was stated."""
        forecast(total, 4.0, 5.0)
        load(total, 1.0)

        told = total.get(ADVICE).json()

        cheap, dear = told["blocks"]
        assert (cheap["limit_kw"], cheap["planned_kw"], cheap["asked_kw"]) == (4.0, 4.0, 7.0)
        assert (dear["limit_kw"], dear["planned_kw"], dear["hand_back_kw"]) == (5.0, 5.0, 0.0)
        assert told["messages"][0]["forecasted_blocks"][0]["capacity"] == 11.0

    def test_a_load_above_the_limit_comes_first(self, total: Caller) -> None:
        """5 kW of the building under 3 and 4: 2 kW more are worth nothing to who charges, then 10 kW serve all."""
        load(total, 5.0)

        cheap = total.get(ADVICE).json()["blocks"][0]

        assert (cheap["limit_kw"], cheap["hand_back_kw"], cheap["asked_kw"]) == (3.0, 0.0, 12.0)
        assert cheap["more"][0] == {"up_to_kw": 2.0, "value_per_kwh": 0.0}
        assert cheap["more"][1] == {"up_to_kw": 12.0, "value_per_kwh": 9.8}

    def test_generation_is_not_handed_back(self, bench: Bench, total: Caller) -> None:
        """Under 12 kW the sun gives 4: 16 kW for the chargers, which draw 10; 2 kW are to spare without the sun."""
        forecast(total, 12.0, 0.0)
        measured = {"value": 4.0, "phase": "ALL", "unit": "KW", "measure_time": MORNING.isoformat()}
        sun = {"asset_id": "sun", "asset_category": "GENERATION", "instantaneous_measurement": measured}
        send(total, "/update_asset_measurements", {"measurements": [sun]})

        cheap = total.get(ADVICE).json()["blocks"][0]

        assert cheap["hand_back_kw"] == 2.0


class TestWho:
    """The operator, and the peer whose site it is."""

    def test_another_peers_site_is_as_if_it_were_not_there(self, bench: Bench, peer: Caller) -> None:
        """The same answer as for a site that nobody has."""
        other = bench.add_peer("depot south")

        assert message(other.get(ADVICE), 404) == "there is no site 'depot'"
        assert message(peer.get("/v1/sites/nowhere/advice"), 404) == "there is no site 'nowhere'"
        assert bench.operator.get(ADVICE).json() == peer.get(ADVICE).json()
        assert bench.stranger.get(ADVICE).status_code == 403

    def test_a_site_with_nothing_to_plan(self, bench: Bench) -> None:
        """404 says what is missing."""
        bench.add_site(bench.add_peer())

        assert "no session and no capacity lies ahead" in message(bench.operator.get(ADVICE), 404)


class TestTrouble:
    """What cannot be answered."""

    @pytest.mark.parametrize(
        "query", ["least_value=0", "least_value=nan", "blocks=weekly", "hand_back=perhaps", "least_value=1e9"]
    )
    def test_queries_that_mean_nothing(self, peer: Caller, query: str) -> None:
        """400 names the field."""
        assert query.split("=", maxsplit=1)[0] in message(peer.get(f"{ADVICE}?{query}"), 400)

    def test_no_time(self, bench: Bench, peer: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        """503 says when to ask again."""

        async def late(question: Question) -> Advice:
            raise SolverError("no advice was found in time")

        monkeypatch.setattr(bench.solver, "advise", late)

        answer = peer.get(ADVICE)
        assert "in time; ask again in 20 s" in message(answer, 503)
        assert answer.headers["Retry-After"] == "20"


def test_a_block_that_began_is_told_as_stated(bench: Bench, peer: Caller) -> None:
    """At half past nine its first half is over; who asks for more asks for the block."""
    bench.clock.instant = MORNING + HOUR / 2

    told = peer.get(ADVICE).json()

    assert told["blocks"][0]["start"] == "2026-03-02T09:00:00+01:00"
    assert told["messages"][0]["forecasted_blocks"][0]["start_time"] == "2026-03-02T08:00:00.000Z"
