"""Plans by the REST API: of a stored site, and of a scenario that is sent along."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import timedelta
from typing import Any

import pytest

from api.persistence import Transaction
from api.planner import Planner
from api.records import EventKind, PeerState
from api.services.optimization import BusyError, Optimizations
from api.settings import Settings
from models.domain import Scenario, Schedule
from models.errors import InputError
from models.oscp.v20 import CapacityForecastType, PhaseIndicator
from optimizer import OptimizeOptions
from optimizer.exports import ExportFormat
from tests.api.planning.bench import InlineExecutor
from tests.api.rest.bench import Bench, Caller, InlineSolver, message, price, session, site_input
from tests.builders import make_message, make_schedule

PLAN = "/v1/sites/depot/plan"
HEADER = "session_id,charger_id,start,end,power_kw"
ROW = "S1,C1,2026-03-02T09:00:00+01:00,2026-03-02T10:00:00+01:00,10.0"


@pytest.fixture
def peer(bench: Bench) -> Caller:
    """The peer whose site depot is."""
    found = bench.add_peer()
    bench.add_site(found)
    return found


def plan_all(bench: Bench) -> None:
    """Let the planner look at everything that is due."""

    async def run() -> None:
        planner = Planner(bench.context, InlineExecutor())
        await planner.take_due()
        await planner.settle()

    asyncio.run(run())


class TestPlan:
    """GET /v1/sites/{site_id}/plan."""

    def test_figures_and_rows(self, bench: Bench, peer: Caller) -> None:
        """The fields of summary.json at the top, beside them the schedule: 10 kW from nine to ten are 10 kWh for 2."""
        bench.add_plan()

        plan = peer.get(PLAN).json()

        assert (plan["status"], plan["delivered_energy_kwh"], plan["energy_cost"]) == ("optimal", 10.0, 2.0)
        assert plan["schedule"] == [dict(zip(HEADER.split(","), [*ROW.split(",")[:4], 10.0], strict=True))]
        assert plan["session_results"][0]["delivered_energy_kwh"] == 10.0
        assert [row["power_kw"] for row in plan["group_results"]] == [10.0, 0.0]
        assert (plan["plan_id"], plan["version"], plan["made_at"]) == ("plan-of-depot", 1, "2026-03-02T08:00:00Z")

    @pytest.mark.parametrize(
        ("path", "accept", "is_csv"),
        [
            (PLAN, "text/csv", True),
            (PLAN, "text/csv;q=0.9, application/json;q=0.5", True),
            (PLAN, "application/json, text/csv;q=0.5", False),
            (PLAN, "*/*", False),
            (PLAN, "text/csv;q=x", False),
            (f"{PLAN}?format=csv", "application/json", True),
            (f"{PLAN}?format=json", "text/csv", False),
        ],
    )
    def test_the_schedule_as_csv(self, bench: Bench, peer: Caller, path: str, accept: str, is_csv: bool) -> None:
        """By the header Accept, or by the query, which says it plainly."""
        bench.add_plan()

        answer = peer.get(path, headers={"Accept": accept})

        assert answer.headers["content-type"].startswith("text/csv" if is_csv else "application/json")
        if is_csv:
            assert answer.text == f"{HEADER}\n{ROW}\n"
            assert next(csv.DictReader(io.StringIO(answer.text)))["power_kw"] == "10.0"

    @pytest.mark.parametrize("wanted", ["ocpp16", "ocpp201", "ocpi", "parquet"])
    def test_the_plan_in_the_words_of_others(self, bench: Bench, peer: Caller, wanted: str) -> None:
        """Profiles for the chargers of the site, or for the sessions of the plan; the schedule as Parquet."""
        bench.add_plan()

        answer = peer.get(f"{PLAN}?format={wanted}&unit=A&max_periods=24")

        assert answer.status_code == 200
        if wanted == "parquet":
            assert answer.content[:4] == b"PAR1"
        else:
            assert ("session_id" in answer.json()[0]) == (wanted == "ocpi")
            assert '"A"' in answer.text
        assert "max_periods" in message(peer.get(f"{PLAN}?format={wanted}&max_periods=0"), 400)

    def test_another_format_is_refused(self, peer: Caller) -> None:
        """400: not silently JSON."""
        refusal = message(peer.get(f"{PLAN}?format=xml"), 400)
        assert "query.format 'xml'" in refusal
        assert all(f"'{known}'" in refusal for known in ("json", *ExportFormat))

    def test_without_a_plan_it_says_that_planning_waits_or_failed(self, bench: Bench, peer: Caller) -> None:
        """404 for a site that was not looked at, and for one that could not be planned."""
        assert "planning waits; version 1" in message(peer.get(PLAN), 404)
        now = bench.clock.now()

        def fail(tx: Transaction) -> None:
            (lease,) = tx.leases.take_due(owner="test", now=now, lease_s=60, limit=1)
            tx.leases.failed(lease, error="prices leave a gap", retry_at=now + timedelta(seconds=1))

        bench.write(fail)
        assert "failed, and it is tried again: prices leave a gap" in message(peer.get(PLAN), 404)

    def test_without_a_plan_it_says_that_nothing_asks_for_one(self, bench: Bench, peer: Caller) -> None:
        """404 for a site that was looked at, and left without a plan."""
        now = bench.clock.now()

        def attend(tx: Transaction) -> None:
            (lease,) = tx.leases.take_due(owner="test", now=now, lease_s=60, limit=1)
            tx.leases.attended(lease, version=1, snapshot="{}", due_at=None, planned=False)

        bench.write(attend)
        assert "nothing asks for one yet; send sessions" in message(peer.get(PLAN), 404)

    @pytest.mark.parametrize(
        ("hours", "words"),
        [
            (-5.0, ("any more: the last of its 1 sessions, 'S1', departed at 2026-03-02T05:00:00", "depart later")),
            (100.0, ("the next session, 'S1', arrives at 2026-03-06T12:00:00", "OSCP_HORIZON_HOURS")),
        ],
    )
    def test_without_a_plan_it_says_when_sessions_are(
        self, bench: Bench, peer: Caller, hours: float, words: tuple[str, str]
    ) -> None:
        """404 for a site whose sessions have all departed, or are further ahead than anybody looks."""
        arrival = bench.clock.now() + timedelta(hours=hours)
        stay = {"arrival": arrival.isoformat(), "departure": (arrival + timedelta(hours=2)).isoformat()}
        assert peer.post("/v1/sites/depot/sessions", [session(**stay)]).status_code == 200
        plan_all(bench)

        refusal = message(peer.get(PLAN), 404)
        assert all(part in refusal for part in words), refusal


def test_the_capacities_in_force_are_shown(bench: Bench, peer: Caller) -> None:
    """Two hours of 50 and 40 kW, the second hour then 30 kW: the newest for each instant, by type and phase."""
    now = bench.clock.now()
    sent = [
        make_message(),
        make_message([30.0], start=make_message().forecasted_blocks[1].start_time),
        make_message([5.0], kind=CapacityForecastType.GENERATION, phase=PhaseIndicator.ONE),
    ]

    def say(tx: Transaction) -> None:
        for body in sent:
            text = body.model_dump_json()
            tx.sites.append_event("depot", EventKind.FORECAST, "main", request_id="", body=text, now=now)

    bench.write(say)

    series = peer.get("/v1/sites/depot/forecasts").json()

    assert [(entry["type"], entry["phase"]) for entry in series] == [("CONSUMPTION", "ALL"), ("GENERATION", "ONE")]
    assert [(block["start"], block["capacity_kw"]) for block in series[0]["blocks"]] == [
        ("2026-03-02T08:00:00Z", 50.0),
        ("2026-03-02T09:00:00Z", 30.0),
    ]


def request(**parts: Any) -> dict[str, Any]:
    """A scenario of one session at one charger, in one document."""
    site = {name: value for name, value in site_input("x").items() if name != "peer_id"}
    return {"site": site | {"schema": 1, "site_id": "depot"}, "sessions": [session()]} | parts


class TestOptimize:
    """POST /v1/optimize."""

    def test_a_scenario_is_planned(self, bench: Bench) -> None:
        """10 kWh within two hours, the first at 0.20, the second at 0.30, no more than 5 kW in the first: 5 kWh in each
        cost 2.50. Nothing is stored.
        """
        forecast = make_message([5.0, 100.0]).model_dump(mode="json")
        prices = [price(), price(start=price()["end"], end="2026-03-02T11:00:00+01:00", import_price_per_kwh=0.3)]

        answer = bench.operator.post("/v1/optimize", request(prices=prices, forecasts=[forecast]))

        assert answer.status_code == 200, answer.text
        plan = answer.json()
        assert (plan["status"], plan["delivered_energy_kwh"]) == ("optimal", 10.0)
        assert plan["energy_cost"] == pytest.approx(2.5)
        assert sum(row["power_kw"] for row in plan["schedule"]) > 0
        assert bench.operator.get("/v1/sites").json() == []

    def test_currents_of_lines(self, bench: Bench) -> None:
        """A charger on L1 of a connection of 16 A gets 3.68 kW; what the line carries is said for each step."""
        groups = [{"group_id": "main", "current_limit_a": 16}]
        chargers = [{"charger_id": "C1", "group_id": "main", "max_power_kw": 22, "connection": "L1-N"}]
        site = request()["site"] | {"groups": groups, "chargers": chargers}

        answer = bench.operator.post("/v1/optimize", request(site=site, options={"step_minutes": 60}))

        assert answer.status_code == 200, answer.text
        plan = answer.json()
        assert plan["delivered_energy_kwh"] == pytest.approx(2 * 3.68)
        assert [row["line_id"] for row in plan["line_results"]] == ["main L1"] * 2
        assert [row["current_a"] for row in plan["line_results"]] == pytest.approx([16.0] * 2)
        for options, told in (({"line_sides": 3}, "line_sides"), ({"line_form": "circle"}, "line_form")):
            assert told in message(bench.operator.post("/v1/optimize", request(options=options)), 400)

    def test_options_are_those_of_the_command_line(self, bench: Bench) -> None:
        """Window, step, limits, objective, strategy; the time limit is the server's."""
        options = {
            "start": "2026-03-02T08:00:00Z",
            "end": "2026-03-02T12:00:00Z",
            "step_minutes": 30,
            "limits": "instantaneous",
            "objective": "peak",
            "strategy": "edf",
        }

        plan = bench.operator.post("/v1/optimize", request(options=options)).json()

        assert (plan["steps"], plan["limits"], plan["objective"]) == (8, "instantaneous", "peak")
        assert (plan["strategy"], plan["status"]) == ("edf", "heuristic")
        assert bench.solver.asked[0].solver.time_limit_s == bench.context.settings.solve_deadline_s

    def test_the_plan_says_why(self, bench: Bench) -> None:
        """Only where that is asked for: who is served has nothing to change, and what holds it back."""
        why = bench.operator.post("/v1/optimize", request(options={"why": True})).json()["why"]

        assert [(one["session_id"], one["changes"]) for one in why["sessions"]] == [("S1", [])]
        assert why["sessions"][0]["holdings"]
        assert bench.operator.post("/v1/optimize", request()).json()["why"] is None

    @pytest.mark.parametrize(
        ("parts", "told"),
        [
            ({"site": None}, "site"),
            ({"sessions": None}, "sessions: it must be an array"),
            ({"sessions": [session(charger_id="C2")]}, "row 1, field charger_id, value 'C2'"),
            ({"site": {"schema": 1}}, "site, field site_id"),
            ({"prices": []}, "no prices"),
            ({"prices": [price()]}, "2026-03-02T10:00:00+01:00"),
            ({"forecasts": [make_message(group_id="mian").model_dump(mode="json")]}, "did you mean 'main'?"),
            ({"forecasts": {}}, "forecasts"),
            ({"options": {"step_minutes": "15"}}, "options, field step_minutes, value '15'"),
            ({"options": {"step_minutes": 0.5}}, "field step_minutes"),
            ({"options": {"stepminutes": 15}}, "field stepminutes"),
            ({"options": {"strategy": "best"}}, "field strategy, value 'best'"),
            ({"options": {"end": "2026-03-02T07:00:00Z"}}, "not after its start"),
            ({"option": {}}, "unknown field 'option'"),
            ({"options": {"start": "1970-01-01T00:00:00Z", "step_minutes": 1}}, "more than the 1000000"),
        ],
    )
    def test_what_cannot_be_planned_is_refused(self, bench: Bench, parts: dict[str, Any], told: str) -> None:
        """400 that names part, row, field and value; no solver is asked for what is too large."""
        assert told in message(bench.operator.post("/v1/optimize", request(**parts)), 400)

    def test_a_part_must_be_there(self, bench: Bench) -> None:
        """Without sessions it is not known what was meant."""
        assert "lacks the field sessions" in message(bench.operator.post("/v1/optimize", {"site": {}}), 400)
        assert "must be an object" in message(bench.operator.post("/v1/optimize", []), 400)

    def test_it_is_for_registered_peers(self, bench: Bench) -> None:
        """A peer that has a token but did not register gets 403."""
        registered = bench.add_peer()
        invited = bench.add_peer("invited", state=PeerState.INVITED)

        assert registered.post("/v1/optimize", request()).status_code == 200
        assert "registered" in message(invited.post("/v1/optimize", request()), 403)

    def test_too_many_at_once_are_sent_away(self) -> None:
        """Of six at once four are planned; a place is free again after a success and after a failure."""
        optimizations = Optimizations(Settings(), SlowSolver())

        async def ask(count: int, scenario: object) -> list[type]:
            asked = (optimizations.optimize(scenario) for _ in range(count))
            return [type(answer) for answer in await asyncio.gather(*asked, return_exceptions=True)]

        async def ask_three_times() -> list[list[type]]:
            return [await ask(6, request()), await ask(6, []), await ask(4, request())]

        assert asyncio.run(ask_three_times()) == [
            [dict] * 4 + [BusyError] * 2,
            [InputError] * 4 + [BusyError] * 2,
            [dict] * 4,
        ]

    def test_the_answer_says_when_to_come_back(self, bench: Bench) -> None:
        """After as long as a plan may take."""
        bench.client.app.state.optimizations = Optimizations(  # type: ignore[attr-defined]
            bench.context.settings, bench.solver, max_at_once=0
        )

        answer = bench.operator.post("/v1/optimize", request())

        assert "ask again in 20 s" in message(answer, 503)
        assert answer.headers["Retry-After"] == "20"

    def test_one_is_solved_at_a_time(self) -> None:
        """The deadline of a plan counts from when it is handed over, so it must not wait behind others there."""
        solver = SlowSolver()
        optimizations = Optimizations(Settings(), solver)

        async def three() -> None:
            await asyncio.gather(*(optimizations.optimize(request()) for _ in range(3)))

        asyncio.run(three())

        assert (solver.solved, solver.most_at_once) == (3, 1)


class SlowSolver(InlineSolver):
    """Lets others have the event loop while it solves."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.solved = self.most_at_once = 0

    async def solve(self, scenario: Scenario, options: OptimizeOptions) -> Schedule:
        self.now += 1
        self.most_at_once = max(self.most_at_once, self.now)
        for _ in range(20):
            await asyncio.sleep(0)
        self.now -= 1
        self.solved += 1
        return make_schedule()
