"""The page of a batch: totals by hand, hostile names as text, and drawn in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from models.errors import InputError
from optimizer.cli import app
from optimizer.report import render_batch_summary
from optimizer.scenario_io.batch_figures import ScenarioFigures, read_figures
from tests.optimizer.batch.sources import write_folders

FIRST = date(2019, 7, 1)
HOSTILE = "<script>alert(1)</script>"


def figures(site_id: str = "depot", day: int = 0, **values: Any) -> ScenarioFigures:
    """10 of 12 kWh at 0.5 a kWh with a peak of 20 kW; one of three sessions goes short."""
    known: dict[str, Any] = {
        "scenario": f"{site_id}/{day}",
        "site_id": site_id,
        "day": FIRST + timedelta(days=day),
        "status": "optimal",
        "error": "",
        "currency": "EUR",
        "sessions": 3,
        "sessions_short": 1,
        "requested_energy_kwh": 12.0,
        "delivered_energy_kwh": 10.0,
        "unmet_energy_kwh": 2.0,
        "unreachable_energy_kwh": 0.0,
        "energy_cost": 5.0,
        "peak_import_kw": 20.0,
        "minutes_over_limit": 0.0,
        "seconds_total": 0.1,
    }
    return ScenarioFigures(**(known | values))


def failed(**values: Any) -> ScenarioFigures:
    """A scenario without a plan."""
    nothing = dict.fromkeys(("requested_energy_kwh", "delivered_energy_kwh", "unmet_energy_kwh", "energy_cost"), 0.0)
    return figures(status="failed", currency="", sessions=0, sessions_short=0, peak_import_kw=0.0, **nothing | values)


def drawn(page: str) -> dict[str, Any]:
    """The figures that the charts are drawn from."""
    found = re.search(r'<script type="application/json" id="plan">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_totals_and_days() -> None:
    """Two days of a site and one of another: costs and unmet energy add up, of powers the highest counts, and a day
    without a plan is a gap.
    """
    found = [figures(), figures(day=1, peak_import_kw=30.0), figures("yard", 1, scenario="yard/1")]

    page = render_batch_summary(found, title="Batch")

    data = drawn(page)
    assert data["days"] == ["2019-07-01", "2019-07-02"]
    assert [site["name"] for site in data["sites"]] == ["depot", "yard"]
    assert data["sites"][0] == {"name": "depot", "cost": [5.0, 5.0], "unmet": [2.0, 2.0], "peak": [20.0, 30.0]}
    assert data["sites"][1]["unmet"] == [None, 2.0]
    assert "3 of 3 scenarios have a plan, and 6 kWh are not served" in page
    assert ">15.00 <span>EUR" in page
    assert "0.5000 EUR per kWh" in page
    assert "3 of 9 sessions short" in page


def test_failures_are_told_and_count_for_nothing() -> None:
    """Why, in the words of the table; also where nobody knows the site."""
    page = render_batch_summary(
        [figures(), failed(day=1, error="row 3: too much"), replace(failed(scenario="x", site_id=""), day=None)],
        title="Batch",
    )

    assert "1 of 3 scenarios has a plan" in page
    assert "2 failed" in page
    assert "row 3: too much" in page
    assert drawn(page)["days"] == ["2019-07-01"]


def test_several_currencies_are_not_added_up() -> None:
    """There is no chart of costs, and each site is told in its own."""
    page = render_batch_summary([figures(), figures("yard", currency="USD")], title="Batch")

    assert 'data-chart="cost"' not in page
    assert "5.00 EUR + 5.00 USD" in page


def test_many_sites_are_summed() -> None:
    """Eleven have a colour of their own, the other nine are one."""
    page = render_batch_summary([figures(f"site-{number:02}") for number in range(20)], title="Batch")

    sites = drawn(page)["sites"]
    assert len(sites) == 12
    assert (sites[-1]["name"], sites[-1]["unmet"]) == ("9 more sites", [18.0])


def test_names_are_text() -> None:
    """Whatever is in a name or an error runs nowhere."""
    found = [figures(HOSTILE), failed(scenario=HOSTILE, error=HOSTILE)]

    page = render_batch_summary(found, title=HOSTILE)

    assert HOSTILE not in page
    assert page.count("<script") == 3


def test_nothing_at_all() -> None:
    """A batch in which nothing could be read has a page."""
    assert "0 of 1 scenario has a plan" in render_batch_summary([failed(day=0)], title="Batch")


def test_the_command_writes_it(tmp_path: Path) -> None:
    """Of a batch of folders, one of them broken, with the figures of its tables; written anew when it is resumed."""
    write_folders(tmp_path / "source", ["one", "two", "three"], broken=["two"])
    arguments = ["batch", str(tmp_path / "source"), "--out", str(tmp_path / "out"), "--workers", "1", "--quiet"]
    arguments += ["--strategy", "llf"]

    assert CliRunner().invoke(app, arguments).exit_code == 4

    page = tmp_path / "out" / "summary.html"
    read = read_figures(tmp_path / "out")
    assert page.read_text(encoding="utf-8") == render_batch_summary(read, title="Batch out")
    assert [one.failed for one in read].count(True) == 1
    page.unlink()
    CliRunner().invoke(app, [*arguments, "--resume"])
    assert page.exists()


def test_what_is_no_batch(tmp_path: Path) -> None:
    """The error names the folder."""
    with pytest.raises(InputError, match="cannot be read"):
        read_figures(tmp_path)


def test_a_browser_draws_it(tmp_path: Path) -> None:
    """Three charts, under the policy of the page."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium here: install the package chromium to run this test")
    found = [replace(figures(day=day), energy_cost=float(day)) for day in range(5)]
    path = tmp_path / "summary.html"
    path.write_text(render_batch_summary(found, title="Batch"), encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]

    done = subprocess.run(
        [*command, "--virtual-time-budget=20000", "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    assert done.stdout.count('data-drawn="yes"') == 3
