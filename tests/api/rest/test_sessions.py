"""Sessions and prices by the REST API: rows of sessions.csv and prices.csv as JSON."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from optimizer.scenario_io.documents import MAX_ROWS
from tests.api.rest.bench import Bench, Caller, message, price, session
from tests.builders import MORNING

SESSIONS = "/v1/sites/depot/sessions"
PRICES = "/v1/sites/depot/prices"


@pytest.fixture
def peer(bench: Bench) -> Caller:
    """The peer whose site depot is."""
    found = bench.add_peer()
    bench.add_site(found)
    return found


class TestManySessions:
    """POST /v1/sites/{site_id}/sessions."""

    def test_rows_are_stored(self, bench: Bench, peer: Caller) -> None:
        """One version for all of them, instants in UTC, and when they were stated."""
        answer = peer.post(SESSIONS, [session(), session(session_id="S2", priority=2, max_power_kw=11)])

        assert (answer.status_code, answer.json()) == (
            200,
            {"version": 2, "stored": 2, "notes": answer.json()["notes"]},
        )
        first, second = peer.get(SESSIONS).json()
        stated = {
            "session_id": "S1",
            "charger_id": "C1",
            "arrival": "2026-03-02T08:00:00Z",
            "departure": "2026-03-02T10:00:00Z",
            "energy_kwh": 10.0,
            "max_power_kw": None,
            "priority": 1.0,
            "stated_at": "2026-03-02T08:00:00Z",
        }
        assert {name: first[name] for name in stated} == stated
        assert {first[name] for name in first.keys() - stated.keys()} <= {None, 0, 1}
        assert (second["session_id"], second["priority"], second["max_power_kw"]) == ("S2", 2.0, 11.0)

    def test_a_known_session_is_replaced_and_others_stay(self, bench: Bench, peer: Caller) -> None:
        """Upsert; a new energy is a new statement."""
        peer.post(SESSIONS, [session(), session(session_id="S2")])
        bench.clock.instant = MORNING + timedelta(minutes=5)

        peer.post(SESSIONS, [session(energy_kwh=7)])

        first, second = peer.get(SESSIONS).json()
        assert (first["energy_kwh"], first["stated_at"]) == (7.0, "2026-03-02T08:05:00Z")
        assert (second["energy_kwh"], second["stated_at"]) == (10.0, "2026-03-02T08:00:00Z")

    @pytest.mark.parametrize(
        ("rows", "told"),
        [
            ([session(), session(session_id="S2", energy_kwh=-1)], "row 2, field energy_kwh, value '-1'"),
            ([session(energy_kwh="10")], "row 1, field energy_kwh, value '10'"),
            ([session(energy_kwh=None)], "row 1, field energy_kwh"),
            ([session(energy_kwh=True)], "row 1, field energy_kwh"),
            ([session(arrival="2026-03-02T09:00:00")], "row 1, field arrival, value '2026-03-02T09:00:00'"),
            ([session(arrival=1772438400)], "row 1, field arrival, value '1772438400'"),
            ([session(departure="2026-03-02T08:00:00Z")], "row 1, field departure"),
            ([session(departure="2026-05-02T08:00:00Z")], "longer than 31 days"),
            ([session(charger_id="C2")], "row 1, field charger_id, value 'C2'"),
            ([session(), session()], "row 2, field session_id, value 'S1': row 1 has the same id"),
            ([session(session_id="S1\n")], "control character"),
            ([session(session_id=7)], "row 1, field session_id"),
            ([{"session_id": "S1"}], "row 1, field charger_id: it is missing"),
            (
                [session(), session(session_id="S2", max_power_kwh=3)],
                "row 2, field max_power_kwh: the field must be called",
            ),
            ([session(), 7], "row 2"),
            ({"session_id": "S1"}, "must be an array"),
            ([session(**{f"x{number}": 1 for number in range(101)})], "101 different unknown fields"),
            ([{}] * (MAX_ROWS + 1), "at most 100000"),
        ],
    )
    def test_one_bad_row_refuses_all(self, bench: Bench, peer: Caller, rows: Any, told: str) -> None:
        """400 that names row, field and value; nothing is stored."""
        assert told in message(peer.post(SESSIONS, rows), 400)
        assert peer.get(SESSIONS).json() == []
        assert bench.operator.get("/v1/sites/depot").json()["version"] == 1

    def test_what_looks_odd_is_noted(self, peer: Caller) -> None:
        """22 kW for two hours are 44 kWh: of 100 kWh 56 are out of reach. Unknown fields are ignored."""
        answer = peer.post(SESSIONS, [session(energy_kwh=100, colour="red")])

        assert answer.status_code == 200
        assert answer.json()["notes"][0] == "sessions: unknown fields are ignored: colour"
        assert "by 56.000 kWh in all" in answer.json()["notes"][1]

    def test_no_rows_are_no_change(self, bench: Bench, peer: Caller) -> None:
        """An empty array is taken, and nobody plans anew."""
        assert peer.post(SESSIONS, []).json() == {"version": 1, "stored": 0, "notes": []}

    def test_what_was_answered_can_be_sent_again(self, peer: Caller) -> None:
        """GET, change, POST: the one field that is ours is ignored."""
        peer.post(SESSIONS, [session()])

        answer = peer.post(SESSIONS, peer.get(SESSIONS).json())

        assert answer.json()["notes"] == ["sessions: unknown fields are ignored: stated_at"]


class TestOneSession:
    """PUT, GET and DELETE /v1/sites/{site_id}/sessions/{session_id}."""

    def test_it_is_created_replaced_and_deleted(self, peer: Caller) -> None:
        """201, 200, 204, and then 404; the id may be left out of the body."""
        row = {name: value for name, value in session().items() if name != "session_id"}

        assert peer.put(f"{SESSIONS}/S1", row).status_code == 201
        assert peer.put(f"{SESSIONS}/S1", row | {"energy_kwh": 7, "session_id": "S1"}).status_code == 200
        assert peer.get(f"{SESSIONS}/S1").json()["energy_kwh"] == 7.0
        assert peer.delete(f"{SESSIONS}/S1").status_code == 204
        told = "site 'depot' has no session 'S1'"
        assert message(peer.get(f"{SESSIONS}/S1"), 404) == told
        assert message(peer.delete(f"{SESSIONS}/S1"), 404) == told

    def test_the_id_of_body_and_path_are_one(self, peer: Caller) -> None:
        """400 where they differ."""
        assert "'S2', the path says 'S1'" in message(peer.put(f"{SESSIONS}/S1", session(session_id="S2")), 400)

    def test_an_id_may_hold_a_slash(self, peer: Caller) -> None:
        """Escaped in the path."""
        peer.post(SESSIONS, [session(session_id="2026/03/1")])

        assert peer.get(f"{SESSIONS}/2026%2F03%2F1").json()["session_id"] == "2026/03/1"

    @pytest.mark.parametrize("body", [[session()], "text", 7])
    def test_only_an_object_is_taken(self, peer: Caller, body: object) -> None:
        """400 for anything else."""
        message(peer.put(f"{SESSIONS}/S1", body), 400)

    def test_the_charger_must_be_there(self, peer: Caller) -> None:
        """As in an array."""
        assert "charger_id, value 'C9'" in message(peer.put(f"{SESSIONS}/S1", session(charger_id="C9")), 400)


class TestPrices:
    """PUT, GET and DELETE /v1/sites/{site_id}/prices."""

    def test_they_are_replaced_as_a_whole(self, peer: Caller) -> None:
        """In order of time, whatever the order they came in."""
        later = price(start="2026-03-02T10:00:00+01:00", end="2026-03-02T11:00:00+01:00", export_price_per_kwh=0.1)

        assert peer.put(PRICES, [later, price()]).json() == {"version": 2, "stored": 2, "notes": []}
        assert peer.get(PRICES).json() == [
            {"start": "2026-03-02T08:00:00Z", "end": "2026-03-02T09:00:00Z", "import_price_per_kwh": 0.2},
            {
                "start": "2026-03-02T09:00:00Z",
                "end": "2026-03-02T10:00:00Z",
                "import_price_per_kwh": 0.2,
                "export_price_per_kwh": 0.1,
            },
        ]
        assert peer.put(PRICES, [price()]).json()["stored"] == 1
        assert len(peer.get(PRICES).json()) == 1

    def test_they_can_be_taken_away(self, peer: Caller) -> None:
        """Twice is once: the version of the site counts once."""
        peer.put(PRICES, [price()])

        assert [peer.delete(PRICES).status_code for _ in range(2)] == [204, 204]
        assert peer.get(PRICES).json() == []
        assert peer.get("/v1/sites/depot").json()["version"] == 3

    @pytest.mark.parametrize(
        ("rows", "told"),
        [
            ([], "no prices"),
            ([price(), price(start="2026-03-02T09:30:00+01:00")], "row 2, field start"),
            ([price(end="2026-03-02T09:00:00+01:00")], "row 1, field end"),
            ([price(import_price_per_kwh="0.2")], "row 1, field import_price_per_kwh, value '0.2'"),
            (
                [price(import_price_kwh=1)],
                "row 1, field import_price_kwh: the field must be called import_price_per_kwh",
            ),
            ({"start": 1}, "must be an array"),
        ],
    )
    def test_bad_rows_are_refused(self, peer: Caller, rows: Any, told: str) -> None:
        """400 that names the row; an overlap names both."""
        assert told in message(peer.put(PRICES, rows), 400)
        assert peer.get(PRICES).json() == []

    def test_an_overlap_names_both_rows(self, peer: Caller) -> None:
        """Whoever has to mend it looks at two."""
        rows = [price(), price(start="2026-03-02T09:30:00+01:00")]

        assert "overlaps that of row 1" in message(peer.put(PRICES, rows), 400)
