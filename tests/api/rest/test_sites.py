"""Sites by the REST API: site.json in, site.json out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from optimizer.scenario_io.fields import ID_PATTERN
from tests.api.rest.bench import Bench, message, session, site_input
from tests.builders import MORNING


class TestPut:
    """PUT /v1/sites/{site_id}."""

    def test_a_new_site_is_stored_and_answered(self, bench: Bench) -> None:
        """201 with site.json as stored, defaults filled in, and whose it is; the planner is woken."""
        peer = bench.add_peer()

        answer = bench.operator.put("/v1/sites/depot", site_input(peer.peer_id))

        assert answer.status_code == 201, answer.text
        stored = answer.json()
        assert stored["schema"] == 1
        assert (stored["site_id"], stored["peer_id"], stored["version"]) == ("depot", peer.peer_id, 1)
        assert (
            stored["groups"]
            == [{"group_id": "main", "parent_id": None, "import_limit_kw": 100.0, "export_limit_kw": None}]
            or stored["groups"][0].items() >= {"group_id": "main", "import_limit_kw": 100.0}.items()
        )
        assert stored["notes"] == []
        assert bench.operator.get("/v1/sites/depot").json() == stored

    def test_conductors_are_stored(self, bench: Bench) -> None:
        """What a site says of its lines comes back as it was put; one figure for all conductors as three."""
        lines = [{"line_limit_id": "neutral", "group_id": "main", "limit_a": 20.0, "weights": [1.0, 1.0, 1.0]}]
        charger = {"charger_id": "C1", "group_id": "main", "max_power_kw": 22.0, "connection": "L2-L3-L1"}
        groups = [{"group_id": "main", "current_limit_a": 16}]
        peer = bench.add_peer()

        given = site_input(peer.peer_id, groups=groups, chargers=[charger], line_limits=lines)
        answer = bench.operator.put("/v1/sites/depot", given)

        assert answer.status_code == 201, answer.text
        stored = bench.operator.get("/v1/sites/depot").json()
        assert stored["groups"][0]["current_limit_a"] == [16.0, 16.0, 16.0]
        assert stored["chargers"][0].items() >= charger.items()
        assert stored["line_limits"] == lines

    def test_storages_are_stored(self, bench: Bench) -> None:
        """A battery comes back as it was put."""
        peer = bench.add_peer()
        battery = {
            "asset_id": "battery",
            "group_id": "main",
            "max_charge_kw": 5.0,
            "max_discharge_kw": 4.0,
            "energy_kwh": 3.0,
            "max_energy_kwh": 10.0,
        }

        answer = bench.operator.put("/v1/sites/depot", site_input(peer.peer_id, storages=[battery]))

        assert answer.status_code == 201, answer.text
        (stored,) = bench.operator.get("/v1/sites/depot").json()["storages"]
        assert stored.items() >= battery.items()

    @pytest.mark.parametrize("kind", ["generators", "base_loads"])
    def test_assets_whose_forecasts_nobody_keeps_are_refused(self, bench: Bench, kind: str) -> None:
        """400 that names the asset and where it can be planned; nothing is stored."""
        peer = bench.add_peer()
        given = site_input(peer.peer_id) | {kind: [{"asset_id": "roof", "group_id": "main"}]}

        told = message(bench.operator.put("/v1/sites/depot", given), 400)

        assert "has the asset 'roof'" in told
        assert "POST /v1/optimize" in told
        assert bench.operator.get("/v1/sites").json() == []

    def test_a_known_site_is_replaced(self, bench: Bench) -> None:
        """200; sessions and prices stay, the version counts on."""
        peer = bench.add_peer()
        bench.add_site(peer)
        bench.operator.post("/v1/sites/depot/sessions", [session()])

        answer = bench.operator.put("/v1/sites/depot", site_input(peer.peer_id, currency="USD"))

        assert answer.status_code == 200, answer.text
        assert (answer.json()["currency"], answer.json()["version"]) == ("USD", 3)
        assert len(bench.operator.get("/v1/sites/depot/sessions").json()) == 1

    @pytest.mark.parametrize("fields", [{"site_id": "depot"}, {"schema": 1}, {"site_id": "depot", "schema": 1}])
    def test_site_json_of_a_scenario_folder_is_taken_as_it_is(self, bench: Bench, fields: dict[str, Any]) -> None:
        """Id and schema may be there, as in the file."""
        peer = bench.add_peer()

        assert bench.operator.put("/v1/sites/depot", site_input(peer.peer_id, **fields)).status_code == 201

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"site_id": "other"}, "'other', the path says 'depot'"),
            ({"schema": 2}, "field schema, value '2'"),
            ({"peer_id": "nobody"}, "peer_id is 'nobody'; there is no such peer"),
            ({"peer_id": None}, "field peer_id"),
            ({"time_zone": "Europe/Amsterdm"}, "field time_zone, value 'Europe/Amsterdm'"),
            ({"nominal_voltage_v": "230"}, "field nominal_voltage_v, value '230'"),
            ({"groups": []}, "field groups"),
            ({"groups": [{"group_id": "main", "import_limit": 5}]}, "must be called import_limit_kw"),
            ({"groups": [{"group_id": "main", "parent_id": "mian"}]}, "row 1, field groups.parent_id, value 'mian'"),
            ({"groups": [{"group_id": "main"}, {"group_id": "main"}]}, "row 2, field groups.group_id, value 'main'"),
            ({"groups": [{"group_id": "main", "parent_id": "main"}]}, "the groups form a cycle"),
            ({"chargers": [{"charger_id": "C1", "group_id": "mian", "max_power_kw": 1}]}, "did you mean 'main'?"),
            ({"groups": [{"group_id": "ma\nin"}]}, "control character"),
            ({"groups": [{"group_id": "main", "current_limit_a": [16, 16]}]}, "field groups.current_limit_a"),
            (
                {"line_limits": [{"line_limit_id": "N", "group_id": "mian", "limit_a": 1, "weights": [1, 1, 1]}]},
                "did you mean 'main'?",
            ),
            ({f"unknown {number}": 1 for number in range(101)}, "101 different unknown fields"),
        ],
    )
    def test_what_load_scenario_refuses_is_refused(self, bench: Bench, fields: dict[str, Any], told: str) -> None:
        """400 that names row, field and value, as of the file; nothing is stored."""
        peer = bench.add_peer()

        answer = bench.operator.put("/v1/sites/depot", site_input(peer.peer_id) | fields)

        assert told in message(answer, 400)
        assert bench.operator.get("/v1/sites").json() == []

    def test_unknown_fields_are_noted(self, bench: Bench) -> None:
        """What nobody reads is no error, and is said."""
        peer = bench.add_peer()

        answer = bench.operator.put("/v1/sites/depot", site_input(peer.peer_id, colour="blue"))

        assert answer.json()["notes"] == ["site.json: unknown fields are ignored: colour"]
        assert "colour" not in bench.operator.get("/v1/sites/depot").json()

    def test_a_group_of_another_site_of_the_peer_is_a_conflict(self, bench: Bench) -> None:
        """An OSCP message names the group alone: it must lead to one site."""
        peer = bench.add_peer()
        bench.add_site(peer)

        assert "main" in message(bench.operator.put("/v1/sites/second", site_input(peer.peer_id)), 409)

    def test_a_site_does_not_change_hands(self, bench: Bench) -> None:
        """Its sessions and forecasts are not another peer's."""
        bench.add_site(bench.add_peer())
        other = bench.add_peer("depot south")

        message(bench.operator.put("/v1/sites/depot", site_input(other.peer_id)), 409)

    def test_a_charger_with_a_session_stays(self, bench: Bench) -> None:
        """A session at a charger that is gone could not be planned, nor anything else at the site."""
        peer = bench.add_peer()
        bench.add_site(peer)
        bench.operator.post("/v1/sites/depot/sessions", [session()])
        moved = site_input(peer.peer_id, chargers=[{"charger_id": "C2", "group_id": "main", "max_power_kw": 22}])

        told = message(bench.operator.put("/v1/sites/depot", moved), 409)

        assert "session 'S1' is at charger 'C1'" in told
        assert bench.operator.get("/v1/sites/depot").json()["chargers"][0]["charger_id"] == "C1"
        bench.clock.instant = MORNING + timedelta(hours=3)
        assert bench.operator.put("/v1/sites/depot", moved).status_code == 200


class TestBodies:
    """What is no JSON."""

    def test_only_json_is_taken(self, bench: Bench) -> None:
        """415 for another media type, and for a compressed body."""
        headers = {"Content-Type": "text/plain"}
        zipped = {"Content-Type": "application/json", "Content-Encoding": "gzip"}

        assert "text/plain" in message(bench.operator.put("/v1/sites/depot", content=b"{}", headers=headers), 415)
        assert "gzip" in message(bench.operator.put("/v1/sites/depot", content=b"{}", headers=zipped), 415)

    @pytest.mark.parametrize(
        ("body", "told"),
        [
            (b"", "not valid JSON"),
            (b"{", "not valid JSON"),
            (b'{"peer_id": NaN}', "not valid JSON"),
            (b'{"peer_id": "\\ud800"}', "not valid JSON"),
            (b"[" * 100_000, "recursion limit"),
            (b'"text"', "site"),
            (b"null", "site"),
            (b"[]", "site"),
            (b'{"nominal_voltage_v": ' + b"9" * 5000 + b"}", "out of range"),
        ],
    )
    def test_broken_json_is_refused(self, bench: Bench, body: bytes, told: str) -> None:
        """400, whatever comes."""
        headers = {"Content-Type": "application/json; charset=utf-8"}

        assert told in message(bench.operator.put("/v1/sites/depot", content=body, headers=headers), 400)

    def test_a_body_is_bounded(self, bench: Bench) -> None:
        """413 above the largest body."""
        size = bench.context.settings.max_body_bytes + 1
        headers = {"Content-Type": "application/json"}

        message(bench.operator.put("/v1/sites/depot", content=b" " * size, headers=headers), 413)


class TestRead:
    """GET and DELETE."""

    def test_sites_are_listed_with_their_state(self, bench: Bench) -> None:
        """How far the planner is: nobody has looked at version 1 yet."""
        peer = bench.add_peer()
        bench.add_site(peer)

        assert bench.operator.get("/v1/sites").json() == [
            {
                "site_id": "depot",
                "peer_id": peer.peer_id,
                "version": 1,
                "attended_version": 0,
                "planned_version": 0,
                "updated_at": "2026-03-02T08:00:00Z",
                "due_at": None,
                "last_error": "",
            }
        ]

    def test_a_deleted_site_is_gone(self, bench: Bench) -> None:
        """204, then 404 for it and all below it."""
        bench.add_site(bench.add_peer())

        assert bench.operator.delete("/v1/sites/depot").status_code == 204
        for path in ("", "/sessions", "/prices", "/plan", "/forecasts"):
            assert message(bench.operator.get(f"/v1/sites/depot{path}"), 404) == "there is no site 'depot'"
        assert message(bench.operator.delete("/v1/sites/depot"), 404) == "there is no site 'depot'"

    @pytest.mark.parametrize("site_id", ["%00", "a%0Ab", "%20a", "a%20", "x" * 129, "%C2%85"])
    def test_ids_are_those_of_the_scenario_folder(self, bench: Bench, site_id: str) -> None:
        """400 for control characters, blanks at an end, and what is too long; the path has the pattern of the file."""
        assert "site_id" in message(bench.operator.get(f"/v1/sites/{site_id}"), 400)
        assert ID_PATTERN.startswith("^")

    def test_an_id_may_be_any_text(self, bench: Bench) -> None:
        """Blanks inside and letters of any script, escaped in the path."""
        peer = bench.add_peer()

        assert bench.operator.put("/v1/sites/D%C3%A9p%C3%B4t%201", site_input(peer.peer_id)).status_code == 201
        assert bench.operator.get("/v1/sites").json()[0]["site_id"] == "Dépôt 1"
        assert bench.operator.get("/v1/sites/D%C3%A9p%C3%B4t%201").status_code == 200
