"""GET /v1/sites/{site_id}/report: a month of a site, worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
import pytest

from api.monthly import quarter_hour_peak_kw
from api.persistence import Transaction
from api.records import StoredPlan
from tests.api.rest.bench import Bench, Caller, make_plan, message, session
from tests.builders import HOUR, MORNING

REPORT = "/v1/sites/depot/report"
START = MORNING
"""Nine o'clock in the depot's time zone, 2 March 2026."""


@pytest.fixture
def peer(bench: Bench) -> Caller:
    """The peer of a depot with one charger of 22 kW below 100 kW."""
    found = bench.add_peer()
    bench.add_site(found)
    return found


def iso(hours: float) -> str:
    """An instant some hours after the start."""
    return (START + hours * HOUR).isoformat()


def plan(
    made_at: float,
    rows: Sequence[tuple[float, float, float]],
    prices: Sequence[float | None],
    *,
    limit_kw: float = 50.0,
) -> StoredPlan:
    """A plan of session S1 made some hours after the start, for hours from then on.

    Args:
        made_at: Hours after the start.
        rows: Hours after the start from which and up to which S1 gets a power, kW.
        prices: Price of each hour.
        limit_kw: Of every hour.
    """
    template = make_plan("depot")
    document: dict[str, Any] = json.loads(template.document)
    document["schedule"] = [
        {"session_id": "S1", "charger_id": "C1", "start": iso(first), "end": iso(last), "power_kw": power_kw}
        for first, last, power_kw in rows
    ]
    document["group_results"] = [
        {
            "group_id": "main",
            "start": iso(made_at + step),
            "end": iso(made_at + step + 1),
            "power_kw": 0.0,
            "limit_kw": limit_kw,
            "price_per_kwh": price,
            "shadow_price_per_kwh": 0.0,
        }
        for step, price in enumerate(prices)
    ]
    return replace(
        template, plan_id=f"made at {made_at}", made_at=START + made_at * HOUR, document=json.dumps(document)
    )


def publish(bench: Bench, *plans: StoredPlan) -> None:
    """Make plans, one after the other."""
    for one in plans:
        bench.write(partial(_add, plan=one))


def _add(tx: Transaction, *, plan: StoredPlan) -> None:
    tx.plans.add(plan)


def charged(bench: Bench, peer: Caller, **fields: Any) -> None:
    """S1 asked for 10 kWh from nine to eleven, and it is noon."""
    bench.clock.instant = START
    assert peer.put("/v1/sites/depot/sessions/S1", session(**fields)).status_code in (200, 201)
    bench.clock.instant = START + 3 * HOUR


def report(caller: Caller, **options: Any) -> dict[str, Any]:
    """The report on the present month."""
    answer = caller.get(REPORT, **options)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_only_what_was_in_force_counts(bench: Bench, peer: Caller) -> None:
    """The first plan wants 4 kW from nine to eleven at 0.10 and 0.20; the second, made at ten, 6 kW at 0.50 instead: 4
    kWh for 0.40 and 6 kWh for 3.00 are 10 kWh for 3.40, and 6 kW the highest quarter of an hour.
    """
    charged(bench, peer)
    publish(bench, plan(0, [(0, 2, 4.0)], [0.1, 0.2]), plan(1, [(1, 2, 6.0)], [0.5]))

    found = report(peer)

    assert (found["planned_kwh"], found["cost"], found["peak_kw"]) == (10.0, pytest.approx(3.4), 6.0)
    assert (found["sessions"], found["sessions_short"], found["unmet_kwh"], found["plans"]) == (1, 0, 0.0, 2)
    assert (found["start"], found["end"]) == ("2026-02-28T23:00:00Z", "2026-03-02T11:00:00Z")
    assert found["days"] == [
        {"day": "2026-03-02", "sessions": 1, "planned_kwh": 10.0, "unmet_kwh": 0.0, "cost": pytest.approx(3.4)}
    ]


def test_what_else_could_have_been(bench: Bench, peer: Caller) -> None:
    """Charged at once at 22 kW, 10 kWh take 27 minutes at 0.40, for 4.00; planned in the second hour at 0.10 they cost
    1.00: 3.00 are saved, and nothing goes over the limit of 50 kW.
    """
    charged(bench, peer)
    publish(bench, plan(0, [(1, 2, 10.0)], [0.4, 0.1]))

    uncontrolled, equal = report(peer)["alternatives"]

    assert uncontrolled["strategy"] == "uncontrolled"
    assert (uncontrolled["cost"], uncontrolled["saving"]) == (pytest.approx(4.0), pytest.approx(3.0))
    assert (uncontrolled["energy_kwh"], uncontrolled["peak_kw"]) == (pytest.approx(10.0), pytest.approx(22.0))
    assert uncontrolled["minutes_over_limit"] == 0
    assert equal["strategy"] == "equal-share"
    assert equal["saving"] == pytest.approx(3.0)


def test_uncontrolled_charging_goes_over_a_limit(bench: Bench, peer: Caller) -> None:
    """Of a limit of 5 kW for two hours 10 kWh just fit; at 22 kW the first half hour of steps lies above it."""
    charged(bench, peer)
    publish(bench, plan(0, [(0, 2, 5.0)], [0.1, 0.1], limit_kw=5.0))

    uncontrolled, equal = report(peer)["alternatives"]

    assert uncontrolled["minutes_over_limit"] == 30
    assert (equal["minutes_over_limit"], equal["peak_kw"]) == (0, pytest.approx(5.0))


def test_measurements_tell_what_is_unmet(bench: Bench, peer: Caller) -> None:
    """Planned were 10 kWh, and 7 were measured: 3 are unmet, and the session is one of those that went short."""
    charged(bench, peer)
    publish(bench, plan(0, [(0, 2, 5.0)], [None, None]))
    reading = {
        "value": 7,
        "phase": "ALL",
        "unit": "KWH",
        "direction": "IMPORT",
        "energy_type": "TOTAL",
        "initial_measure_time": iso(0),
        "measure_time": iso(2),
    }
    asset = {"asset_id": "C1", "asset_category": "CHARGING", "energy_measurement": reading}
    body = {"group_id": "main", "measurements": [asset]}
    sent = peer.post("/oscp/co/2.0/update_asset_measurements", body, headers={"X-Request-ID": "m1"})
    assert sent.status_code == 204, sent.text
    bench.clock.instant += HOUR

    found = report(peer)

    assert (found["planned_kwh"], found["measured_kwh"], found["unmet_kwh"]) == (10.0, 7.0, 3.0)
    # 7 kWh in two hours.
    assert (found["peak_kw"], found["measured_peak_kw"]) == (5.0, pytest.approx(3.5))
    assert [short["session_id"] for short in found["short"]] == ["S1"]
    assert found["cost"] is None
    assert found["alternatives"][0]["saving"] is None
    assert "not every plan knew prices" in " ".join(found["notes"])


def test_what_the_limit_was_worth(bench: Bench, peer: Caller) -> None:
    """Of 5 kW for two hours 5 and then 3 kW are drawn: full for an hour in which a further kWh would have saved 0.30, 2
    kWh left. What a plan said of the time after it was replaced does not count.
    """
    charged(bench, peer)
    first = with_groups(plan(0, [(0, 1, 5.0)], [0.1, 0.1]), [(5.0, 5.0, 0.3), (1.0, 5.0, 9.0)])
    publish(bench, first, with_groups(plan(1, [(1, 2, 3.0)], [0.1]), [(3.0, 5.0, 0.0)]))

    (use,) = report(peer)["capacity"]

    assert use == {
        "group_id": "main",
        "limited_hours": 2.0,
        "full_hours": 1.0,
        "worth_per_kw": 0.3,
        "highest_kw": 5.0,
        "never_used_kw": 0.0,
        "unused_kwh": 2.0,
    }
    page = peer.get(REPORT, params={"format": "html"}).text
    assert "1.0 of 2 h" in page
    assert "nothing was measured" in page


def with_groups(stored: StoredPlan, steps: Sequence[tuple[float, float, float]]) -> StoredPlan:
    """A plan whose group main has in each step a power, a limit and a shadow price."""
    document = json.loads(stored.document)
    for row, (power_kw, limit_kw, price) in zip(document["group_results"], steps, strict=True):
        row |= {"power_kw": power_kw, "limit_kw": limit_kw, "shadow_price_per_kwh": price}
    return replace(stored, document=json.dumps(document))


def test_a_session_counts_from_when_its_energy_was_stated(bench: Bench, peer: Caller) -> None:
    """Stated anew at ten with 6 kWh to go, what it got before is no part of them."""
    charged(bench, peer)
    bench.clock.instant = START + HOUR
    assert peer.put("/v1/sites/depot/sessions/S1", session(energy_kwh=6)).status_code == 200
    bench.clock.instant = START + 3 * HOUR
    publish(bench, plan(0, [(0, 2, 6.0)], [0.1, 0.1]))

    found = report(peer)

    assert (found["requested_kwh"], found["planned_kwh"], found["unmet_kwh"]) == (6.0, 6.0, 0.0)


def test_who_is_still_there_is_left_for_later(bench: Bench, peer: Caller) -> None:
    """A session belongs to the month in which it departs, once it has."""
    charged(bench, peer)
    bench.clock.instant = START + HOUR

    found = report(peer)

    assert (found["sessions"], found["planned_kwh"], found["alternatives"]) == (0, 0.0, [])


def test_another_month(bench: Bench, peer: Caller) -> None:
    """What departed in March is not in February's report; what deletion may have taken is told; April has not begun."""
    charged(bench, peer)
    bench.clock.instant = START + timedelta(days=65)

    february = report(peer, params={"month": "2026-02"})

    assert february["sessions"] == 0
    assert february["end"] == "2026-02-28T23:00:00Z"
    assert "62 days" in february["notes"][0]
    assert "has not begun" in message(peer.get(REPORT, params={"month": "2026-07"}), 400)
    assert "month" in message(peer.get(REPORT, params={"month": "March"}), 400)


def test_it_is_the_peers_own(bench: Bench, peer: Caller) -> None:
    """Another peer's site is as if it were not there."""
    other = bench.add_peer("depot south")

    assert "no site" in message(other.get(REPORT), 404)
    assert bench.operator.get(REPORT).status_code == 200


def test_as_a_page(bench: Bench, peer: Caller) -> None:
    """A browser gets HTML that runs and loads nothing, with whatever is in an id as text."""
    charged(bench, peer)
    publish(bench, plan(0, [(1, 2, 5.0)], [0.4, 0.1]))

    answer = peer.get(REPORT, headers={"Accept": "text/html,application/xhtml+xml"})
    by_name = peer.get(REPORT, params={"format": "html"})

    assert answer.headers["content-type"].startswith("text/html")
    assert by_name.text == answer.text
    assert "0 of 1 sessions got what they asked for" in answer.text
    assert "uncontrolled" in answer.text
    assert "<script" not in answer.text
    assert "default-src 'none'" in answer.text


@pytest.mark.parametrize(
    ("rows", "peak_kw"),
    [
        ([], 0.0),
        ([(0, 900, 10.0)], 10.0),
        ([(450, 1350, 10.0)], 5.0),
        ([(0, 900, 10.0), (600, 900, 9.0)], 13.0),
        ([(0, 900, 4.0), (900, 1800, 4.0), (900, 1800, 3.0)], 7.0),
        ([(899, 901, 900.0)], 1.0),
    ],
)
def test_the_highest_quarter_of_an_hour(rows: list[tuple[float, float, float]], peak_kw: float) -> None:
    """10 kW over half of two quarters are 5 kW in each; 9 kW over a third of one are 3 kW on top of 10."""
    start_s, end_s, power_kw = np.array(rows, dtype=np.float64).reshape(-1, 3).T

    assert quarter_hour_peak_kw(start_s, end_s, power_kw) == pytest.approx(peak_kw)
