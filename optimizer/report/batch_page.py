"""One self-contained HTML page of a batch: what its plans cost, miss and draw day by day, and what failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape

from optimizer.report.data import plain
from optimizer.report.facts import ENERGY_TOLERANCE_KWH, number, shorten
from optimizer.report.frame import energy_meter, page_document, tile
from optimizer.report.words import count_words
from optimizer.scenario_io.batch_figures import ScenarioFigures

NAMED_SITES = 12
"""Sites that have a colour of their own in a chart; the others are summed."""
LISTED_SITES = 200
LISTED_SHORT = 30
LISTED_FAILURES = 50
ERROR_LENGTH = 300
CHARTS = {"unmet": "Unmet energy", "peak": "Highest power", "cost": "Energy cost"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Total:
    """What some scenarios come to."""

    scenarios: int
    failed: int
    sessions: int
    short: int
    requested_kwh: float
    delivered_kwh: float
    unmet_kwh: float
    unreachable_kwh: float
    costs: Mapping[str, float]
    peak_kw: float
    minutes_over: float
    seconds: float

    @classmethod
    def of(cls, found: Sequence[ScenarioFigures]) -> _Total:
        planned = [one for one in found if not one.failed]
        costs: dict[str, float] = {}
        for one in planned:
            costs[one.currency] = costs.get(one.currency, 0.0) + one.energy_cost
        return cls(
            scenarios=len(found),
            failed=len(found) - len(planned),
            sessions=sum(one.sessions for one in planned),
            short=sum(one.sessions_short for one in planned),
            requested_kwh=sum(one.requested_energy_kwh for one in planned),
            delivered_kwh=sum(one.delivered_energy_kwh for one in planned),
            unmet_kwh=sum(one.unmet_energy_kwh for one in planned),
            unreachable_kwh=sum(one.unreachable_energy_kwh for one in planned),
            costs=costs,
            peak_kw=max((one.peak_import_kw for one in planned), default=0.0),
            minutes_over=sum(one.minutes_over_limit for one in planned),
            seconds=sum(one.seconds_total for one in found),
        )

    @property
    def cost_words(self) -> str:
        """The cost in each currency."""
        return " + ".join(f"{cost:,.2f} {currency}" for currency, cost in sorted(self.costs.items())) or "none"


def render_batch_summary(found: Sequence[ScenarioFigures], *, title: str) -> str:
    """Draw a batch as one HTML page that needs no network.

    Args:
        found: Every scenario that was tried.
        title: Heading, such as the name of the data set.
    """
    total = _Total.of(found)
    charts = _chart_data(found, total)
    body = f"""<header><p class="eyebrow">{escape(shorten(title))}</p>
<h1>{escape(_headline(total))}</h1>
<p class="quiet">{escape(_span(found))}</p></header>
{_tiles(found, total)}
{_charts_card(charts)}
{_sites_card(found)}
{_short_card(found)}
{_failures_card(found)}"""
    return page_document(title, body, charts, script="batch.js")


def _headline(total: _Total) -> str:
    planned = total.scenarios - total.failed
    verb = "has" if total.scenarios == 1 or planned == 1 else "have"
    text = f"{planned:,} of {count_words(total.scenarios, 'scenario')} {verb} a plan"
    if total.unmet_kwh > ENERGY_TOLERANCE_KWH:
        return f"{text}, and {number(total.unmet_kwh)} kWh are not served"
    return f"{text}, and everybody gets what the stay allows" if planned else text


def _span(found: Iterable[ScenarioFigures]) -> str:
    listed = list(found)
    days = sorted(one.day for one in listed if one.day is not None)
    sites = {one.site_id for one in listed if one.site_id}
    words = count_words(len(sites), "site")
    return f"{words}, {days[0]:%d %b %Y} to {days[-1]:%d %b %Y}" if days else words


def _tiles(found: Sequence[ScenarioFigures], total: _Total) -> str:
    share = f" ({total.delivered_kwh / total.requested_kwh:.0%})" if total.requested_kwh > 0 else ""
    highest = max((one for one in found if not one.failed), key=lambda one: one.peak_import_kw, default=None)
    tiles = [
        tile("Scenarios", f"{total.scenarios:,}", "", f"{total.failed:,} failed", kind="over" if total.failed else ""),
        tile("Energy cost", *_cost_figure(total)),
        tile(
            "Delivered",
            number(total.delivered_kwh),
            "kWh",
            f"of {number(total.requested_kwh)} kWh requested{share}",
            meter=energy_meter(total.delivered_kwh, total.unmet_kwh, total.unreachable_kwh),
        ),
        tile(
            "Unmet",
            number(total.unmet_kwh),
            "kWh",
            f"{total.short:,} of {count_words(total.sessions, 'session')} short",
            kind="short" if total.unmet_kwh > ENERGY_TOLERANCE_KWH else "",
        ),
        tile("Highest peak", number(total.peak_kw), "kW", "" if highest is None else _name(highest)),
        tile("Planning", number(total.seconds), "s", "of all workers together"),
    ]
    return f'<section class="tiles">{"".join(tiles)}</section>'


def _cost_figure(total: _Total) -> tuple[str, str, str]:
    if len(total.costs) == 1:
        ((currency, cost),) = total.costs.items()
        mean = f"{cost / total.delivered_kwh:.4f} {currency} per kWh" if total.delivered_kwh > 0 else "no energy"
        return f"{cost:,.2f}", currency, mean
    return ("none", "", "nothing was planned") if not total.costs else ("several", "", total.cost_words)


def _name(one: ScenarioFigures) -> str:
    return shorten(one.scenario) if one.day is None else f"{shorten(one.site_id)}, {one.day:%d %b %Y}"


def _chart_data(found: Sequence[ScenarioFigures], total: _Total) -> dict[str, object]:
    """By day, and for each site or all that have no colour of their own: cost, unmet energy, highest power."""
    placed = [one for one in found if not one.failed and one.day is not None]
    days = sorted({one.day for one in placed if one.day is not None})
    energy_kwh: dict[str, float] = {}
    for one in placed:
        energy_kwh[one.site_id] = energy_kwh.get(one.site_id, 0.0) + one.requested_energy_kwh
    ordered = sorted(energy_kwh, key=lambda site_id: (-energy_kwh[site_id], site_id))
    named = ordered if len(ordered) <= NAMED_SITES else ordered[: NAMED_SITES - 1]
    layers = [(plain(site_id), [one for one in placed if one.site_id == site_id]) for site_id in named]
    if len(named) < len(ordered):
        rest = set(ordered[len(named) :])
        layers.append((f"{len(rest):,} more sites", [one for one in placed if one.site_id in rest]))
    return {
        "days": [day.isoformat() for day in days],
        "currency": plain(next(iter(total.costs))) if len(total.costs) == 1 else "",
        "sites": [{"name": name, **_series(mine, days)} for name, mine in layers],
    }


def _series(found: Iterable[ScenarioFigures], days: Sequence[date]) -> dict[str, list[float | None]]:
    at = {day: place for place, day in enumerate(days)}
    cost, unmet, peak = ([0.0] * len(days) for _ in range(3))
    is_there = [False] * len(days)
    for one in found:
        if one.day is None:
            continue
        place = at[one.day]
        is_there[place] = True
        cost[place] += one.energy_cost
        unmet[place] += one.unmet_energy_kwh
        peak[place] = max(peak[place], one.peak_import_kw)
    return {
        name: [round(value, 3) if there else None for value, there in zip(values, is_there, strict=True)]
        for name, values in (("cost", cost), ("unmet", unmet), ("peak", peak))
    }


def _charts_card(charts: Mapping[str, object]) -> str:
    if not charts["days"]:
        return ""
    shown = {name: words for name, words in CHARTS.items() if name != "cost" or charts["currency"]}
    left_out = "" if charts["currency"] else " Costs in several currencies are not added up."
    parts = "".join(
        f'<h3>{words}</h3><div class="chart" data-chart="{name}" role="img" aria-label="{words} by day"></div>'
        for name, words in shown.items()
    )
    return f"""<section class="card"><h2>Day by day</h2>
<p class="quiet">One colour for each site. Point at a bar for its figures.{left_out}
<span class="mouse">Drag to zoom, double-click to return.</span></p>{parts}</section>"""


def _sites_card(found: Sequence[ScenarioFigures]) -> str:
    by_site: dict[str, list[ScenarioFigures]] = {}
    for one in found:
        by_site.setdefault(one.site_id, []).append(one)
    totals = sorted(
        ((site_id, _Total.of(mine)) for site_id, mine in by_site.items() if site_id),
        key=lambda entry: (-entry[1].unmet_kwh, -entry[1].requested_kwh, entry[0]),
    )
    if not totals:
        return ""
    rows = "".join(_site_row(site_id, total) for site_id, total in totals[:LISTED_SITES])
    heads = ("Scenarios", "Failed", "Cost", "Delivered kWh", "Unmet kWh", "Sessions short", "Peak kW", "Min over limit")
    return _table("Sites", "Site", heads, rows, len(totals) - LISTED_SITES)


def _site_row(site_id: str, total: _Total) -> str:
    figures = {
        "Scenarios": f"{total.scenarios:,}",
        "Failed": f"{total.failed:,}",
        "Cost": total.cost_words,
        "Delivered kWh": number(total.delivered_kwh),
        "Unmet kWh": number(total.unmet_kwh),
        "Sessions short": f"{total.short:,}",
        "Peak kW": number(total.peak_kw),
        "Min over limit": number(total.minutes_over),
    }
    return _row(site_id, figures)


def _short_card(found: Sequence[ScenarioFigures]) -> str:
    short = [one for one in found if one.unmet_energy_kwh > ENERGY_TOLERANCE_KWH]
    short.sort(key=lambda one: (-one.unmet_energy_kwh, one.scenario))
    if not short:
        return ""
    heads = ("Unmet kWh", "Sessions short", "Peak kW", "Status")
    rows = "".join(
        _row(
            one.scenario,
            {
                "Unmet kWh": number(one.unmet_energy_kwh),
                "Sessions short": f"{one.sessions_short:,} of {one.sessions:,}",
                "Peak kW": number(one.peak_import_kw),
                "Status": one.status,
            },
        )
        for one in short[:LISTED_SHORT]
    )
    return _table("Where most is missing", "Scenario", heads, rows, len(short) - LISTED_SHORT)


def _failures_card(found: Sequence[ScenarioFigures]) -> str:
    failed = [one for one in found if one.failed]
    if not failed:
        return ""
    rows = "".join(
        f'<tr><td class="name"><b>{escape(shorten(one.scenario))}</b></td>'
        f'<td class="reason">{escape(shorten(one.error, ERROR_LENGTH))}</td></tr>'
        for one in failed[:LISTED_FAILURES]
    )
    more = len(failed) - LISTED_FAILURES
    return f"""<section class="card"><h2>Failures</h2><div class="scroll"><table>
<thead><tr><th>Scenario</th><th>Why</th></tr></thead><tbody>{rows}</tbody></table></div>{_more(more)}</section>"""


def _table(title: str, first: str, heads: Iterable[str], rows: str, more: int) -> str:
    figures = "".join(f'<th class="figure">{head}</th>' for head in heads)
    return f"""<section class="card"><h2>{title}</h2><div class="scroll"><table>
<thead><tr><th>{first}</th>{figures}</tr></thead><tbody>{rows}</tbody></table></div>{_more(more)}</section>"""


def _row(name: str, figures: Mapping[str, str]) -> str:
    cells = "".join(f'<td class="figure" data-label="{head}">{escape(text)}</td>' for head, text in figures.items())
    return f'<tr><td class="name"><b>{escape(shorten(name))}</b></td>{cells}</tr>'


def _more(count: int) -> str:
    return f'<p class="quiet">and {count:,} more</p>' if count > 0 else ""
