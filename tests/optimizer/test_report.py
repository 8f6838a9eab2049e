"""The report: one page that needs nothing else, runs nothing it is given, and says who goes short and why."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from models.domain import (
    CapacityGroup,
    Charger,
    ChargingSession,
    FloatArray,
    GroupResult,
    Schedule,
    ScheduleStatus,
    SessionResult,
    Site,
    StageResult,
    TimeGrid,
)
from models.errors import InputError
from optimizer.report import draw_chart, render_report

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2024, 5, 13, 12, tzinfo=BERLIN)
QUARTER = timedelta(minutes=15)
HOSTILE = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page(HTMLParser):
    """The parts of a page a browser would act on."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.text = ""
        self.rows: list[str] = []
        self._inside = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag if tag in ("script", "style") else ""
        self.text += "" if tag in ("b", "span") else " "
        if tag == "tr":
            self.rows.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append(data)
        elif self._inside == "style":
            self.styles.append(data)
        else:
            self.text += data
            if self.rows:
                self.rows[-1] += f" {data}"

    @property
    def words(self) -> str:
        """The text with every run of white space as one space."""
        return " ".join(self.text.split())

    @property
    def figures(self) -> dict[str, Any]:
        """What the charts draw."""
        figures: dict[str, Any] = json.loads(self.scripts[0])
        return figures


def make_grid(start: datetime = NOON, *, steps: int = 8) -> TimeGrid:
    """Quarters of an hour from noon."""
    end = start.astimezone(UTC) + steps * QUARTER
    return TimeGrid.build(start, end, raster=QUARTER, time_zone=start.tzinfo or UTC)


def make_result(
    session_id: str, grid: TimeGrid, *, delivered: float, unmet: float = 0.0, unreachable: float = 0.0, reason: str = ""
) -> SessionResult:
    """A session at its own charger over the whole window."""
    session = ChargingSession(
        session_id=session_id,
        charger_id=f"at {session_id}",
        arrival=grid.start,
        departure=grid.end,
        energy_kwh=delivered + unmet + unreachable,
    )
    return SessionResult(
        session=session,
        delivered_energy_kwh=delivered,
        unmet_energy_kwh=unmet,
        unreachable_energy_kwh=unreachable,
        reason=reason,
    )


def make_schedule(
    results: Iterable[SessionResult],
    power_kw: FloatArray,
    grid: TimeGrid,
    *,
    limits_kw: Mapping[str, float] = {"garage": 20.0},
    status: ScheduleStatus = ScheduleStatus.OPTIMAL,
    shadow_price: float = 0.3,
) -> Schedule:
    """Sessions that draw (S, T) kW, all behind each of the groups."""
    total_kw = power_kw.sum(axis=0)
    session_index, step_index = np.nonzero(power_kw)

    def group(group_id: str, limit_kw: float) -> GroupResult:
        limit = np.full(grid.steps, limit_kw)
        return GroupResult(
            group_id=group_id,
            power_kw=total_kw,
            limit_kw=limit,
            shadow_price_per_kwh=np.where(total_kw >= limit, shadow_price, 0.0 * shadow_price),
        )

    return Schedule(
        grid=grid,
        sessions=tuple(results),
        session_index=session_index,
        step_index=step_index,
        start_s=grid.edges_s[step_index],
        end_s=grid.edges_s[step_index + 1],
        power_kw=power_kw[session_index, step_index],
        groups=tuple(group(*item) for item in limits_kw.items()),
        price_per_kwh=np.full(grid.steps, 0.25),
        energy_cost=7.5,
        peak_import_kw=float(total_kw.max(initial=0.0)),
        status=status,
        strategy="optimal",
        stages=(StageResult(name="unmet_energy", value=3.0, proved=True),),
        notes=("charger C9 is double-booked",),
        seconds={"solve": 0.012},
    )


def make_site(schedule: Schedule) -> Site:
    """The schedule's groups, one below the other, with a charger for each session on the last."""
    ids = [group.group_id for group in schedule.groups]
    parents = [None, *ids]
    chargers = dict.fromkeys(result.session.charger_id for result in schedule.sessions)
    return Site(
        site_id="depot",
        groups=tuple(CapacityGroup(group_id=g, parent_id=p) for g, p in zip(ids, parents, strict=False)),
        chargers=tuple(Charger(charger_id=c, group_id=ids[-1], max_power_kw=22.0) for c in chargers),
        time_zone=BERLIN,
    )


def three_sessions(*, status: ScheduleStatus = ScheduleStatus.OPTIMAL, limit_kw: float = 20.0) -> Schedule:
    """20 kW from 12:30 to 13:30, else 10 kW; two sessions miss 3 and 1 kWh, one asks for 5 kWh too much."""
    grid = make_grid()
    steady = np.array([10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0])
    noon_only = np.array([0.0, 0.0, 10.0, 10.0, 10.0, 10.0, 0.0, 0.0])
    results = (
        make_result("mild", grid, delivered=10.0, unmet=1.0, reason="garage is full 12:30 to 13:30"),
        make_result("brief", grid, delivered=20.0, unreachable=5.0, reason="the stay is too short"),
        make_result("worst", grid, delivered=0.0, unmet=3.0, reason="garage is full all along"),
    )
    power_kw = np.stack([noon_only, steady, np.zeros(8)])
    return make_schedule(results, power_kw, grid, status=status, limits_kw={"garage": limit_kw})


def crowd(count: int, *, steps: int = 8, short: int = 0) -> Schedule:
    """Sessions of 1 kW each in the first step, the first few of them short by 1 kWh."""
    grid = make_grid(steps=steps)
    power_kw = np.zeros((count, steps))
    power_kw[:, 0] = 1.0
    results = [
        make_result(f"s{position:04d}", grid, delivered=0.25, unmet=1.0 if position < short else 0.0, reason="full")
        for position in range(count)
    ]
    return make_schedule(results, power_kw, grid, limits_kw={"garage": 1e4})


def render(schedule: Schedule) -> Page:
    """The page of a schedule at the site made for it."""
    return Page(render_report(schedule, make_site(schedule)))


def test_page_needs_nothing_else() -> None:
    """No element refers to anything outside the page, and the browser is told to load nothing."""
    page = render(three_sessions())

    references = [attrs for _, attrs in page.tags if attrs.keys() & {"src", "href", "srcset", "action", "data"}]
    assert references == []
    assert not {tag for tag, _ in page.tags} & {"link", "img", "iframe", "object", "embed", "base", "form"}
    assert not any("url(" in style or "@import" in style for style in page.styles)
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "http" not in policy


def test_plotly_is_inside_once() -> None:
    """The page carries its figures, Plotly's script and the one that draws; 5 MB, not 10."""
    markup = render_report(three_sessions(), make_site(three_sessions()))

    assert len(Page(markup).scripts) == 3
    assert markup.count("plotly.js v") == 1
    assert len(markup) < 5.5e6


def hostile_schedule() -> Schedule:
    """Markup wherever a name or a text may come from outside."""
    grid = make_grid()
    results = [make_result(HOSTILE, grid, delivered=5.0, unmet=1.0, reason=HOSTILE)]
    schedule = make_schedule(results, np.full((1, 8), 2.5), grid, limits_kw={HOSTILE: 2.5})
    return replace(schedule, strategy=HOSTILE, notes=(HOSTILE,), seconds={HOSTILE: 1.0})


def test_hostile_names_are_text() -> None:
    """Markup in an id, a reason, a note or a title appears as it is and becomes no element of the page."""
    schedule = hostile_schedule()
    site = replace(make_site(schedule), site_id=HOSTILE, currency=HOSTILE)

    page = Page(render_report(schedule, site, title=HOSTILE))

    assert [tag for tag, _ in page.tags if tag in ("script", "img")] == ["script"] * 3
    assert not any("onerror" in attrs for _, attrs in page.tags)
    assert page.text.count(HOSTILE) >= 5
    assert page.figures["groups"][0]["stack"]["names"][0].startswith("&lt;script&gt;")


def test_hostile_json_ends_no_script() -> None:
    """The figures hold no character with which a tag could begin."""
    page = render(hostile_schedule())

    assert "<" not in page.scripts[0]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_browser_draws_and_runs_nothing_foreign(tmp_path: Path) -> None:
    """In a real browser both charts are drawn, three drawings each, and a script in an id has no effect."""
    schedule = hostile_schedule()
    path = tmp_path / "report.html"
    path.write_text(render_report(schedule, make_site(schedule), title="mine"), encoding="utf-8")

    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    finished = subprocess.run(
        [
            str(CHROMIUM),
            *options,
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=10000",
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    assert finished.stdout.count('class="main-svg"') == 6
    assert "<title>mine</title>" in finished.stdout


def test_no_sessions() -> None:
    """A site where nobody charges has a page that says so, without charts."""
    schedule = make_schedule([], np.zeros((0, 8)), make_grid())

    page = render(schedule)

    assert "No sessions: there is nothing to plan." in page.words
    assert not any("data-chart" in attrs for _, attrs in page.tags)


def test_headline_names_the_binding_limit() -> None:
    """The limit of 20 kW is reached from 12:30 to 13:30; 3 + 1 kWh stay unserved."""
    page = render(three_sessions())

    assert "The 20 kW limit binds 12:30\N{EN DASH}13:30; 4 kWh cannot be served." in page.words
    assert "20 kW limit binds for 1 h" in page.words
    assert page.figures["groups"][0]["binds"] == [[2, 6]]


def test_headline_promises_no_more_than_is_proved() -> None:
    """Only an optimal plan shows that energy cannot be served; a heuristic just does not."""
    page = render(three_sessions(status=ScheduleStatus.HEURISTIC))

    assert "4 kWh is not served" in page.words


def test_headline_names_a_broken_limit() -> None:
    """20 kW against a limit of 15 kW is 5 kW too much, from 12:30 to 13:30."""
    page = render(three_sessions(limit_kw=15.0))

    assert "The 15 kW limit is exceeded by up to 5 kW 12:30\N{EN DASH}13:30" in page.words
    assert page.figures["groups"][0]["over"] == [[2, 6]]


def test_headline_names_the_costliest_of_several_limits() -> None:
    """With two limits binding the one with the higher shadow price comes first, the other is counted."""
    grid = make_grid()
    results = [make_result("s", grid, delivered=20.0, unmet=1.0, reason="full")]
    schedule = make_schedule(results, np.full((1, 8), 10.0), grid, limits_kw={"root": 10.0, "row": 10.0})
    root, row = schedule.groups
    costly = replace(schedule, groups=(root, replace(row, shadow_price_per_kwh=np.full(8, 9.0))))

    page = render(costly)

    assert (
        "The 10 kW limit of row binds 12:00\N{EN DASH}14:00, 1 more limit binds; 1 kWh cannot be served." in page.words
    )


def test_no_limit_leaves_a_gap() -> None:
    """Where nothing limits the group there is no limit line, and nothing binds."""
    page = render(three_sessions(limit_kw=np.inf))

    assert page.figures["groups"][0]["limit"] is None
    assert page.figures["groups"][0]["binds"] == []
    assert "4 kWh cannot be served, although no limit binds." in page.words
    assert "the site as a whole has no limit" in page.words


def test_limit_part_of_the_time() -> None:
    """A limit that holds for the first hour only has no value afterwards."""
    schedule = three_sessions()
    limit_kw = np.where(np.arange(8) < 4, 20.0, np.inf)
    partly = replace(schedule, groups=(replace(schedule.groups[0], limit_kw=limit_kw),))

    page = render(partly)

    assert page.figures["groups"][0]["limit"] == [20.0] * 4 + [None] * 4
    assert "limit 20 kW for part of the time" in page.words


def test_no_shadow_price_without_a_solver() -> None:
    """A heuristic has no shadow prices, and the page draws none."""
    schedule = three_sessions(status=ScheduleStatus.HEURISTIC)
    group = replace(schedule.groups[0], shadow_price_per_kwh=np.full(8, np.nan))

    page = render(replace(schedule, groups=(group,)))

    assert page.figures["groups"][0]["shadow"] is None
    assert page.figures["groups"][0]["binds"] == [[2, 6]]


def test_short_sessions_are_listed_worst_first_with_reason() -> None:
    """Most unmet energy first, then what no plan could have served; each with its reason."""
    page = render(three_sessions())

    rows = [row.split() for row in page.rows[1:]]
    assert [row[0] for row in rows] == ["worst", "mild", "brief"]
    assert "garage is full all along" in page.rows[1]
    assert "the stay is too short" in page.rows[3]
    assert "2 of 3 sessions go short, 1 gets nothing" in page.words


def test_tiles_add_up() -> None:
    """30 of 39 kWh are delivered, 4 unmet, 5 unreachable; the energy costs 7.50 EUR."""
    words = render(three_sessions()).words

    assert "Delivered 30 kWh of 39 kWh requested (77%)" in words
    assert "Unmet 4 kWh" in words
    assert "Unreachable 5 kWh" in words
    assert "Energy cost 7.50 EUR" in words
    assert "Peak 20 kW limit 20 kW, at it for 1 h" in words


def test_stack_reaches_the_power_of_the_group() -> None:
    """In each step the highest layer ends where the group's power is."""
    group = render(three_sessions()).figures["groups"][0]
    stack = group["stack"]

    tops = np.zeros(8)
    np.maximum.at(tops, stack["step"], np.add(stack["base"], stack["power"]))
    assert tops.tolist() == group["power"]


def test_many_sessions_are_summed() -> None:
    """Of 150 sessions 60 are named in the stack, 90 summed; 100 have a row in the timeline, the short ones first."""
    page = render(crowd(150, short=40))

    names = page.figures["groups"][0]["stack"]["names"]
    rows = page.figures["timeline"]["rows"]
    assert len([name for name in names if "other session" not in name]) == 60
    assert sum(int(name.split()[0]) for name in names if "other session" in name) == 90
    assert len(rows) == 100
    assert sum(row["missing"] != "" for row in rows) == 40
    assert "Shown are 100 of 150 sessions" in page.words


def test_long_list_of_short_sessions_is_bounded() -> None:
    """Of 250 short sessions 200 are listed, and the page says so."""
    page = render(crowd(250, short=250))

    assert sum("full" in row for row in page.rows) == 200
    assert "The 200 worst of 250 are listed." in page.words


def test_large_plan_stays_small() -> None:
    """1,500 sessions over 3,000 steps make a page of less than 15 MB."""
    grid = make_grid(steps=3000)
    power_kw = np.zeros((1500, 3000))
    for position in range(1500):
        power_kw[position, 2 * position % 2900 :][:100] = 1.0 + position % 7
    results = [make_result(f"s{position}", grid, delivered=25.0, unmet=position % 2) for position in range(1500)]
    schedule = make_schedule(results, power_kw, grid, limits_kw={f"g{level}": 100.0 for level in range(14)})

    markup = render_report(schedule, make_site(schedule))

    assert len(markup.encode()) < 15e6
    assert "Shown are 12 of 14 groups" in Page(markup).words


def test_times_are_those_of_the_wall_clock() -> None:
    """Noon in Berlin stands at 12:00 on the axis and in words, with the zone beside it."""
    page = render(three_sessions())

    first_s = page.figures["edges"][0]
    assert datetime.fromtimestamp(first_s, tz=UTC).hour == 12
    assert page.figures["when"][0] == "12:00\N{EN DASH}12:15"
    assert "Europe/Berlin (UTC+02:00)" in page.words


def test_change_of_clocks_is_noted() -> None:
    """On 27 October 2024 the hour from 2 to 3 comes twice: the axis goes on evenly, the words say which."""
    grid = make_grid(datetime(2024, 10, 27, 1, tzinfo=BERLIN), steps=16)
    results = [make_result("s", grid, delivered=4.0)]

    page = render(make_schedule(results, np.full((1, 16), 1.0), grid))

    assert np.diff(page.figures["edges"]).tolist() == [900.0] * 16
    assert page.figures["when"][4] == "02:00 (UTC+02:00)\N{EN DASH}02:15 (UTC+02:00)"
    assert page.figures["when"][8] == "02:00 (UTC+01:00)\N{EN DASH}02:15 (UTC+01:00)"
    assert "The clocks change in this window" in page.words


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize(("chart", "kind", "begin"), [("timeline", "svg", b"<svg"), ("0", "png", b"\x89PNG\r\n")])
def test_a_chart_as_an_image(tmp_path: Path, chart: str, kind: str, begin: bytes) -> None:
    """The page's own drawing, as a file that can be used anywhere."""
    schedule = three_sessions()
    path = tmp_path / "report.html"
    path.write_text(render_report(schedule, make_site(schedule)), encoding="utf-8")

    image = draw_chart(path, chart, kind)

    assert image.startswith(begin)
    assert len(image) > 2000


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_chart_that_is_not_there(tmp_path: Path) -> None:
    """The message says which there are."""
    path = tmp_path / "report.html"
    path.write_text(render_report(three_sessions(), make_site(three_sessions())), encoding="utf-8")

    with pytest.raises(InputError, match="no chart '7'; choose timeline"):
        draw_chart(path, "7", "svg")


def test_no_report_or_no_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either is named, with the way out."""
    with pytest.raises(InputError, match="there is no report"):
        draw_chart(tmp_path / "report.html", "0", "svg")

    (tmp_path / "report.html").touch()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="install one of chromium"):
        draw_chart(tmp_path / "report.html", "0", "svg")
