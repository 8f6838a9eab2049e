"""The advice on the page: that of the REST API, for whoever may see the site."""

from __future__ import annotations

import pytest

from api.advice import Question
from models.errors import SolverError
from optimizer.advice import Advice
from tests.api.page.bench import PageBench
from tests.api.rest.bench import message


@pytest.fixture(name="planned")
def planned_fixture(page: PageBench) -> PageBench:
    """Two hours of 15 kW for a car that wants 40 kWh within them."""
    page.forecast(15.0, 15.0)
    page.put_session(hours=2, energy_kwh=40.0)
    return page


def test_it_is_that_of_the_rest_api(planned: PageBench) -> None:
    """10 kWh more serve all: the same words, for the operator and the peer."""
    told = planned.operator().see("advice", site="depot")

    assert sum(block["asked_kw"] for block in told["blocks"]) == pytest.approx(10.0)
    assert told == planned.peer.get("/v1/sites/depot/advice", params={"hand_back": True}).json()
    assert told == planned.person_of(planned.peer).see("advice", site="depot")


def test_who_may_not_see_it(planned: PageBench) -> None:
    """Nobody who is not signed in; another peer as if it were not there."""
    other = planned.person_of(planned.bench.add_peer("elsewhere"))

    assert planned.somebody().get("advice", site="depot").status_code == 401
    assert message(other.get("advice", site="depot"), 404) == "there is no site 'depot'"


def test_no_time(planned: PageBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 says when to ask again."""

    async def late(question: Question) -> Advice:
        raise SolverError("no advice was found in time")

    monkeypatch.setattr(planned.bench.solver, "advise", late)

    answer = planned.operator().get("advice", site="depot")
    assert "ask again in 5 s" in message(answer, 503)
