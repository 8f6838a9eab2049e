"""What the page shows: the figures of now, what was, what is planned, what changed, and to whom."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from api.monitor.measured import newest, total_kw
from api.monitor.plans import PlannedSession
from api.persistence import Transaction
from api.site_state import Charged
from models.domain.asset import BaseLoad
from optimizer import OptimizeOptions, optimize
from optimizer.scenario_io import SiteFile
from optimizer.scenario_io.plan_document import to_plan_document
from tests.api.page.bench import HOUR, PageBench
from tests.api.rest.bench import make_plan, message, site_input
from tests.builders import MORNING, make_scenario, make_series, make_site

HOURLY = OptimizeOptions(raster=HOUR)


class TestGlance:
    """The figures of now."""

    def test_allowed_planned_measured_and_short(self, page: PageBench) -> None:
        """15 kW are allowed for two hours and a car wants 40 kWh within them: 15 kW are planned, 10 kWh go short. The
        charger told of 12 kWh in the hour before.
        """
        page.forecast(15.0, 15.0)
        page.put_session(hours=2, energy_kwh=40.0)
        page.measure(12.0)
        page.plan()

        overview = page.operator().see("overview")

        (site,) = overview["sites"]
        (group,) = site["roots"]
        assert (group["capacity_kw"], group["capacity_source"]) == (15.0, "forecast")
        assert group["planned_kw"] == pytest.approx(15.0)
        assert group["measured_kw"] == pytest.approx(12.0)
        assert (group["sessions"], group["short"]) == (1, 1)
        assert group["short_kwh"] == pytest.approx(10.0)
        assert group["binds"]
        assert site["plan"]["status"] == "optimal"
        assert overview["now"] == page.now.timestamp()

    def test_what_limits_where_nothing_was_forecast(self, page: PageBench) -> None:
        """The connection's 100 kW; they hold under a higher forecast too."""
        person = page.operator()
        (site,) = person.see("overview")["sites"]
        before = site["roots"][0]
        page.forecast(120.0)
        (site,) = person.see("overview")["sites"]

        for group in (before, site["roots"][0]):
            assert (group["capacity_kw"], group["capacity_source"]) == (100.0, "connection")

    def test_a_fallback_holds_in_a_gap(self, page: PageBench) -> None:
        """After the hour of the forecast the fallback holds."""
        page.forecast(30.0)
        page.forecast(7.0, 7.0, 7.0, kind="FALLBACK_CONSUMPTION")
        page.pass_time(1.5)
        (site,) = page.operator().see("overview")["sites"]

        assert (site["roots"][0]["capacity_kw"], site["roots"][0]["capacity_source"]) == (7.0, "fallback")

    def test_an_old_measurement_tells_nothing_of_now(self, page: PageBench) -> None:
        """After more than an hour there is no measured power."""
        page.measure(12.0)
        page.pass_time(1.1)
        (site,) = page.operator().see("overview")["sites"]

        assert site["roots"][0]["measured_kw"] is None


class TestSite:
    """One site in full."""

    def test_sessions_with_what_they_got_and_will_have(self, page: PageBench) -> None:
        """Of 40 kWh the car got 12 within an hour of 12 kW; 12 kW for three more hours leave nothing out."""
        page.forecast(12.0, 12.0, 12.0, 12.0)
        page.put_session(hours=4, energy_kwh=40.0)
        page.plan()
        page.pass_time(1)
        page.measure(12.0)
        page.plan()

        site = page.operator().see("site", site="depot")

        (entry,) = site["group"]["sessions"]
        assert entry["got_kwh"] == pytest.approx(12.0)
        assert entry["will_have_kwh"] == pytest.approx(40.0)
        assert not entry["is_short"]
        assert sum(kw * (end - start) / 3600 for start, end, kw in entry["draws"]) == pytest.approx(28.0)
        assert entry["took"] == [[MORNING.timestamp(), (MORNING + HOUR).timestamp(), 12.0]]
        assert site["group"]["measured"] == entry["took"]

    def test_the_past_is_as_it_was_planned_then(self, page: PageBench) -> None:
        """The plan of nine o'clock had 20 kW; that of ten, made for 5 kW, does not change what nine was planned for."""
        page.forecast(20.0, 20.0)
        page.put_session(hours=2, energy_kwh=40.0)
        page.plan()
        page.pass_time(1)
        page.forecast(5.0)
        page.plan()

        group = page.operator().see("site", site="depot")["group"]

        assert sum(kw * (end - start) / 3600 for start, end, kw in group["past"]) == pytest.approx(20.0)
        assert group["past"][-1][1] == page.now.timestamp() == group["edges"][0]
        assert group["power_kw"][0] == pytest.approx(5.0)

    def test_what_a_forecast_changed(self, page: PageBench) -> None:
        """The second hour is cut from 20 to 5 kW: 15 kWh less there, and the car, which could take no more before,
        goes short now.
        """
        page.forecast(20.0, 20.0)
        page.put_session(hours=2, energy_kwh=40.0)
        page.plan()
        page.pass_time(0.25)
        page.forecast(20.0)
        page.send_block(page.now + 0.75 * HOUR, page.now + 1.75 * HOUR, 5.0)
        page.plan()

        changes = page.operator().see("site", site="depot")["changes"]

        assert changes["less_kwh"] == pytest.approx(-15.0)
        assert changes["more_kwh"] == 0
        (session,) = changes["sessions"]
        assert (session["session_id"], session["what"]) == ("S1", "short")
        assert session["change_kwh"] == pytest.approx(-15.0)
        assert {"kind": "forecast", "group_id": "main", "count": 2} in changes["news"]

    def test_why_somebody_goes_short(self, page: PageBench) -> None:
        """15 kW in each of two hours for 40 kWh: main holds it back all the time; 28 min more, or 5 kW more, would have
        served it, 10 kWh at 22 kW being 27.3 min.
        """
        page.forecast(15.0, 15.0)
        page.put_session(hours=2, energy_kwh=40.0)
        page.plan()

        (entry,) = page.operator().see("site", site="depot")["group"]["sessions"]

        whole = [MORNING.timestamp(), (MORNING + 2 * HOUR).timestamp()]
        (holding,) = entry["why"]["holdings"]
        assert (holding["code"], holding["holder"], holding["stretches"]) == ("group_limit", "group main", [whole])
        raised = next(one for one in entry["why"]["changes"] if one["kind"] == "capacity")
        assert (raised["more_kw"], raised["limits"], raised["stretches"]) == (5.0, ["group main"], [whole])

    def test_whoever_is_served_has_no_why(self, page: PageBench) -> None:
        """Nothing is to be said of who misses nothing."""
        page.put_session(hours=4, energy_kwh=10.0)
        page.plan()

        (entry,) = page.operator().see("site", site="depot")["group"]["sessions"]
        assert (entry["is_short"], entry["why"]) == (False, None)

    def test_currents_of_conductors(self, page: PageBench) -> None:
        """Three conductors of 16 A: each carries them while 11 kW of three phases are drawn."""
        chargers = [{"charger_id": "C1", "group_id": "main", "max_power_kw": 22, "phases": "ALL"}]
        groups = [{"group_id": "main", "current_limit_a": [16, 16, 16]}]
        page.bench.operator.put(
            "/v1/sites/depot", site_input(page.peer.peer_id, groups=groups, chargers=chargers)
        ).raise_for_status()
        page.put_session(hours=1, energy_kwh=40.0)
        page.plan()

        lines = page.operator().see("site", site="depot")["group"]["lines"]

        assert [line["name"] for line in lines] == ["main L1", "main L2", "main L3"]
        assert {value for line in lines for value in line["limit_a"]} == {16.0}
        assert all(value == pytest.approx(16.0, abs=0.1) for line in lines for value in line["current_a"])

    def test_assets_beside_the_chargers(self, page: PageBench) -> None:
        """A plan with an office of 4 kW: drawn at its group."""
        site = make_site(base_loads=[BaseLoad(asset_id="office", group_id="main")])
        scenario = make_scenario(site=site, base_load_kw={"office": make_series([4.0, 4.0])})
        document = to_plan_document(optimize(scenario, HOURLY), scenario, HOURLY, notes=())
        plan = replace(make_plan("depot"), document=json.dumps(document))
        stored = SiteFile.from_domain(site).model_dump_json(by_alias=True)

        def put(tx: Transaction) -> None:
            tx.sites.put("depot", page.peer.peer_id, stored, ["main"], now=page.now)
            tx.plans.add(plan)

        page.bench.write(put)

        (asset,) = page.operator().see("site", site="depot")["group"]["assets"]
        assert asset == {
            "name": "office",
            "category": "CONSUMPTION",
            "power_kw": [4.0, 4.0],
            "stored_kwh": None,
        }

    def test_a_storage_that_is_planned_all_the_time(self, page: PageBench) -> None:
        """A battery of the depot that is told to be full: its power and state, as planned from now on."""
        battery = {
            "asset_id": "battery",
            "group_id": "main",
            "max_charge_kw": 5,
            "max_discharge_kw": 5,
            "energy_kwh": 5,
            "max_energy_kwh": 10,
        }
        page.bench.operator.put("/v1/sites/depot", site_input(page.peer.peer_id, storages=[battery])).raise_for_status()
        level = {"value": 10, "phase": "ALL", "unit": "KWH", "measure_time": page.now.isoformat()}
        asset = {"asset_id": "battery", "asset_category": "STORAGE", "instantaneous_measurement": level}
        page.send("/update_asset_measurements", {"group_id": "main", "measurements": [asset]})
        page.put_session(hours=1, energy_kwh=5.0)
        page.plan()

        (drawn,) = page.operator().see("site", site="depot")["group"]["assets"]

        assert (drawn["name"], drawn["category"]) == ("battery", "STORAGE")
        assert min(drawn["stored_kwh"]) >= 5.0
        assert max(drawn["stored_kwh"]) == 10.0
        assert len(drawn["power_kw"]) == 4

    def test_a_group_or_site_that_is_not_there(self, page: PageBench) -> None:
        """404 and 400, with what there is."""
        person = page.operator()

        assert "'yard'" in message(person.get("site", site="yard"), 404)
        assert "'main'" in message(person.get("site", site="depot", group="cellar"), 400)


class TestWhoSeesWhat:
    """A peer sees its own; the operator sees all; nobody sees a token."""

    def test_a_peer_sees_nothing_of_another(self, page: PageBench) -> None:
        """Neither its site, its messages, what waits for it, nor that it is there."""
        stranger = page.bench.add_peer("stranger")
        page.forecast(15.0)
        page.put_session()
        page.plan()
        person = page.person_of(stranger)
        key = next(entry["key"] for entry in page.operator().see("log")["entries"] if entry["direction"] == "in")
        sent = next(entry["key"] for entry in page.operator().see("outbox")["waiting"])

        assert person.see("overview")["sites"] == []
        assert [peer["name"] for peer in person.see("peers")["peers"]] == ["stranger"]
        assert person.see("log", peer=page.peer.peer_id)["entries"] == []
        assert person.see("outbox")["waiting"] == person.see("outbox")["finished"] == []
        message(person.get("site", site="depot"), 404)
        message(person.get("message", key=key), 404)
        message(person.get("message", key=sent), 404)
        departure = {"session_id": "S1", "departure": (page.now + HOUR).isoformat()}
        message(person.ask({"departures": [departure]}), 404)
        for path in ("overview", "peers", "log", "outbox"):
            assert "depot" not in json.dumps(person.see(path)), path

    def test_a_peer_sees_its_own(self, page: PageBench) -> None:
        """Its site, its messages in full, and what waits for it."""
        page.forecast(15.0)
        page.put_session()
        page.plan()
        person = page.person_of(page.peer)

        assert [site["site_id"] for site in person.see("overview")["sites"]] == ["depot"]
        entries = person.see("log")["entries"]
        assert {entry["type"] for entry in entries} >= {"CONSUMPTION", "OPTIMUM"}
        for entry in entries:
            assert json.loads(person.see("message", key=entry["key"])["text"])["group_id"] == "main"

    def test_no_token_is_shown_to_anybody(self, page: PageBench) -> None:
        """Neither the one we hold nor the one the peer presents, wherever one looks."""
        page.forecast(15.0)
        page.put_session()
        page.plan()
        person = page.operator()
        shown = [person.see(path) for path in ("overview", "peers", "log", "outbox")] + [
            person.see("site", site="depot")
        ]
        shown += [person.see("message", key=entry["key"]) for entry in person.see("log")["entries"]]
        text = json.dumps(shown)

        assert "the-token-we-hold" not in text
        assert page.peer.authorization.removeprefix("Token ") not in text

    @pytest.mark.parametrize(
        "key", ["in:x:depot", "in:99:depot", "out:99", "out:-1", "out:" + "9" * 30, "nonsense", "in:1"]
    )
    def test_a_message_that_is_not_there(self, page: PageBench, key: str) -> None:
        """404."""
        message(page.operator().get("message", key=key), 404)


class TestOutbox:
    """What waits, and how often it was tried."""

    def test_a_retry_is_seen(self, page: PageBench) -> None:
        """The message waits with its attempts, the reason and when it is tried next."""
        page.forecast(15.0)
        page.put_session()
        page.plan()
        (waiting,) = page.bench.outbox(page.peer.peer_id)
        page.bench.write(
            lambda tx: tx.outbox.retry(waiting.outbox_id, error="503 later", next_attempt_at=page.now + HOUR)
        )
        (entry,) = page.operator().see("outbox")["waiting"]

        assert (entry["attempts"], entry["last_error"]) == (1, "503 later")
        assert entry["next_attempt_at"] == (page.now + HOUR).timestamp()
        assert page.operator().see("overview")["outbox"] == {"waiting": 1, "failing": 1}


class TestPower:
    """Energies of chargers as power over time; pure."""

    def test_chargers_add_up_where_they_overlap(self) -> None:
        """6 kWh over an hour and 4 kWh over its second half: 6 kW, then 14 kW; nothing in the hour after, then 2 kW."""
        charged = [
            Charged(charger_id="A", start=MORNING, end=MORNING + HOUR, energy_kwh=6.0),
            Charged(charger_id="B", start=MORNING + HOUR / 2, end=MORNING + HOUR, energy_kwh=4.0),
            Charged(charger_id="A", start=MORNING + 2 * HOUR, end=MORNING + 3 * HOUR, energy_kwh=2.0),
        ]
        t = MORNING.timestamp()

        intervals = total_kw(charged)

        assert intervals == [
            (t, t + 1800, 6.0),
            (t + 1800, t + 3600, 14.0),
            (t + 7200, t + 10800, 2.0),
        ]
        found = newest(intervals, t + 10800)
        assert found is not None
        assert found.power_kw == 2.0

    def test_energy_between_two_instants(self) -> None:
        """10 kW for an hour, of which the second half and the half hour after it count: 5 kWh."""
        session = PlannedSession(
            session_id="S",
            charger_id="A",
            arrival_s=0,
            departure_s=7200,
            requested_kwh=10,
            delivered_kwh=10,
            unmet_kwh=0,
            unreachable_kwh=0,
            reason="",
            draws=[(0, 3600, 10.0)],
        )

        assert session.energy_kwh(1800, 5400) == pytest.approx(5.0)
