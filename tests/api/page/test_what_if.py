"""What would be if: hand-computed, beside the present, and nothing of it is stored or sent."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from api.persistence import Transaction
from api.persistence.tables import metadata, sign_in
from tests.api.page.bench import HOUR, PageBench
from tests.api.rest.bench import message


def everything(tx: Transaction) -> dict[str, list[Any]]:
    """All that is stored, but for who is signed in."""
    return {
        table.name: [tuple(row) for row in tx.connection.execute(select(table))]
        for table in metadata.sorted_tables
        if table is not sign_in
    }


@pytest.fixture(name="planned")
def planned_fixture(page: PageBench) -> PageBench:
    """A car at 22 kW wants 40 kWh within four hours, at 0.10, 0.20, 0.30 and 0.40 per kWh: 22 and 18 kWh for 5.80."""
    page.put_prices(0.1, 0.2, 0.3, 0.4)
    page.put_session(hours=4, energy_kwh=40.0)
    page.plan()
    return page


def limit(page: PageBench, limit_kw: float, first: float, last: float) -> dict[str, Any]:
    """Another limit of main for some hours from now."""
    start, end = ((page.now + hours * HOUR).isoformat() for hours in (first, last))
    return {"limits": [{"group_id": "main", "start": start, "end": end, "limit_kw": limit_kw}]}


class TestAnswers:
    """The plan that would be."""

    def test_another_limit(self, planned: PageBench) -> None:
        """With 2 kW in the first hour: 2 kWh at 0.10, 22 at 0.20 and 16 at 0.30 for 9.40; nobody goes short."""
        answer = planned.operator().ask(limit(planned, 2.0, 0, 1)).json()

        assert answer["present"]["energy_cost"] == pytest.approx(5.8)
        assert answer["changed"]["energy_cost"] == pytest.approx(9.4)
        assert answer["changed"]["short"] == 0
        assert sum(kw * (end - start) / 3600 for start, end, kw in answer["groups"]["main"]) == pytest.approx(0.0)

    def test_a_limit_that_lets_somebody_go_short(self, planned: PageBench) -> None:
        """5 kW all the time are 20 of 40 kWh."""
        answer = planned.operator().ask(limit(planned, 5.0, 0, 4)).json()

        assert answer["present"]["short"] == 0
        assert answer["changed"]["short"] == 1
        assert answer["changed"]["unmet_kwh"] == pytest.approx(20.0)
        (session,) = answer["sessions"]
        assert session["change_kwh"] == pytest.approx(-20.0)
        assert session["reason"]

    def test_another_price(self, planned: PageBench) -> None:
        """At 0.50 in the first hour it charges in the second and third: 22 at 0.20 and 18 at 0.30 for 9.80."""
        start, end = planned.now.isoformat(), (planned.now + HOUR).isoformat()
        answer = planned.operator().ask({"prices": [{"start": start, "end": end, "import_price_per_kwh": 0.5}]}).json()

        assert answer["changed"]["energy_cost"] == pytest.approx(9.8)

    def test_another_departure(self, planned: PageBench) -> None:
        """Who leaves after one hour gets 22 of 40 kWh."""
        departure = {"session_id": "S1", "departure": (planned.now + HOUR).isoformat()}
        answer = planned.operator().ask({"departures": [departure]}).json()

        assert answer["changed"]["delivered_kwh"] == pytest.approx(22.0)
        assert answer["changed"]["unmet_kwh"] == pytest.approx(18.0)

    def test_a_group_that_nothing_limits(self, page: PageBench) -> None:
        """Around the limit that is tried the group stays free: a gap must not become a limit of zero."""
        page.bench.operator.put("/v1/sites/depot", page.site_without_limit())
        page.put_session(hours=4, energy_kwh=40.0)
        page.plan()
        answer = page.operator().ask(limit(page, 5.0, 0, 1)).json()

        assert answer["changed"]["unmet_kwh"] == pytest.approx(0.0)

    def test_nothing_is_stored_or_sent(self, planned: PageBench) -> None:
        """Whatever is asked, by whomever, the database stays as it is."""
        before = planned.bench.read(everything)
        for person in (planned.operator(), planned.person_of(planned.peer)):
            assert person.ask(limit(planned, 3.0, 0, 4)).status_code == 200

        assert planned.bench.read(everything) == before


class TestRefusals:
    """What cannot be asked."""

    @pytest.mark.parametrize(
        ("what", "words"),
        [
            ({}, "name a limit"),
            ({"limits": []}, "name a limit"),
            ({"limit": 5}, "limit"),
            ({"departures": [{"session_id": "nobody", "departure": "2026-03-02T10:00:00Z"}]}, "no session 'nobody'"),
            ({"departures": [{"session_id": "S1", "departure": "2026-03-02T07:00:00Z"}]}, "cannot leave"),
            ({"departures": [{"session_id": "S1", "departure": "2026-03-02T10:00:00"}]}, "departure"),
        ],
    )
    def test_with_a_reason(self, planned: PageBench, what: dict[str, Any], words: str) -> None:
        """400; the message names what is wrong."""
        assert words in message(planned.operator().ask(what), 400)

    @pytest.mark.parametrize("limit_kw", [-1.0, 2e6, "much", None])
    def test_a_limit_that_is_none(self, planned: PageBench, limit_kw: Any) -> None:
        """400 for what is no power between nothing and a gigawatt."""
        assert "limit_kw" in message(planned.operator().ask(limit(planned, limit_kw, 0, 1)), 400)

    def test_times_in_the_wrong_order_or_of_another_group(self, planned: PageBench) -> None:
        """400."""
        what = limit(planned, 5.0, 0, 1)
        what["limits"][0]["group_id"] = "cellar"

        assert "'cellar'" in message(planned.operator().ask(what), 400)
        assert "after start" in message(planned.operator().ask(limit(planned, 5.0, 2, 1)), 400)

    def test_prices_where_there_are_none(self, page: PageBench) -> None:
        """400: there is nothing to compare with."""
        page.put_session()
        what = {"start": page.now.isoformat(), "end": (page.now + HOUR).isoformat(), "import_price_per_kwh": 1.0}

        assert "no prices" in message(page.operator().ask({"prices": [what]}), 400)
