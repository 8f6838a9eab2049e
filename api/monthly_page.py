"""The report on a month as one HTML page without scripts, to look at, print and keep."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from api.monthly import Alternative, SessionOutcome, SiteReport
from api.monthly_capacity import CapacityUse
from optimizer.report import html_page, style_sheet

LISTED_SESSIONS = 50
UNKNOWN = "\N{EN DASH}"
NAMES = {"uncontrolled": "uncontrolled", "equal-share": "equal share"}
CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
OWN_STYLE = """
td.bars { width: 45%; } .meter { margin: 0; } td.figure { white-space: nowrap; } td.name { min-width: 6rem; }
th { text-align: left; } th.figure, td.figure { text-align: right; padding-right: 14px; }
td, th { vertical-align: middle; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; } td, th { padding: 4px 6px; }
tbody tr { border-top: 1px solid var(--grid); } .scroll { overflow-x: auto; }
@media print { .card, .tile { break-inside: avoid; } }
"""


def report_page(report: SiteReport) -> str:
    """Draw the report on a month.

    Args:
        report: Its figures.

    Returns:
        The page; it loads nothing and runs nothing.
    """
    zone = report.site.time_zone
    first, last = report.start.astimezone(zone), report.end.astimezone(zone)
    title = f"{report.site.site_id}, {first:%B %Y}"
    body = f"""<p class="eyebrow">{escape(title)}</p>
<h1>{escape(_headline(report))}</h1>
<p class="quiet">Sessions that departed from {first:%d %b %Y, %H:%M} to {last:%d %b %Y, %H:%M}</p>
{_tiles(report)}
{_comparison(report)}
{_capacity(report)}
{_days(report)}
{_short(report)}
{_notes(report)}"""
    return html_page(title, body, policy=CONTENT_SECURITY_POLICY, style=style_sheet() + OWN_STYLE)


def _headline(report: SiteReport) -> str:
    if not report.sessions:
        return "Nobody has charged"
    served = len(report.sessions) - len(report.short)
    text = f"{served:,} of {len(report.sessions):,} sessions got what they asked for"
    savings = [(report.saving(one), one) for one in report.alternatives]
    known = [(saving, one) for saving, one in savings if saving is not None]
    if known and known[0][0] > 0:
        saving, one = known[0]
        text += f", for {_money(report, saving)} less than {NAMES[one.strategy]}"
    return text


def _tiles(report: SiteReport) -> str:
    measured = report.measured_kwh
    tiles = [
        ("Energy planned", f"{report.planned_kwh:,.0f}", "kWh", f"of {report.requested_kwh:,.0f} kWh asked for", ""),
        ("Energy measured", UNKNOWN if measured is None else f"{measured:,.0f}", "kWh", _measured_words(report), ""),
        (
            "Cost of the plan",
            UNKNOWN if report.cost is None else f"{report.cost:,.2f}",
            report.site.currency,
            _price_words(report),
            "",
        ),
        ("Highest quarter-hour", f"{report.peak_kw:,.1f}", "kW", _peak_words(report), ""),
        (
            "Unmet energy",
            f"{report.unmet_kwh:,.1f}",
            "kWh",
            f"{len(report.short):,} sessions short",
            "short" if report.short else "",
        ),
        ("Plans in force", f"{report.plans:,}", "", "", ""),
    ]
    return '<div class="tiles">' + "".join(_tile(*tile) for tile in tiles) + "</div>"


def _tile(name: str, figure: str, unit: str, words: str, kind: str) -> str:
    return (
        f'<section class="tile {kind}"><h2>{escape(name)}</h2><p class="big">{escape(figure)} '
        f"<span>{escape(unit)}</span></p><small>{escape(words)}</small></section>"
    )


def _measured_words(report: SiteReport) -> str:
    count = sum(outcome.measured_kwh is not None for outcome in report.sessions)
    return f"at {count:,} of {len(report.sessions):,} sessions"


def _peak_words(report: SiteReport) -> str:
    if report.measured_peak_kw is None:
        return "mean, by plan; nothing was measured"
    return f"mean, by plan; {report.measured_peak_kw:,.1f} kW as measured"


def _price_words(report: SiteReport) -> str:
    if report.cost is None or not report.planned_kwh:
        return "without prices" if report.cost is None else ""
    return f"{report.cost / report.planned_kwh:,.3f} per kWh"


def _comparison(report: SiteReport) -> str:
    if not report.alternatives:
        return ""
    rows = [_row("the plans", _own_figures(report), ""), *(_alternative(report, one) for one in report.alternatives)]
    return f"""<section class="card"><h2>What else could have been</h2>
<p class="quiet">The same sessions under the limits and prices that the plans knew, all known from the start</p>
<div class="scroll"><table><thead><tr><th>Strategy</th><th class="figure">Energy kWh</th>
<th class="figure">Cost {escape(report.site.currency)}</th><th class="figure">Highest kW</th>
<th class="figure">Over a limit</th><th class="figure">Saved by the plans</th></tr></thead>
<tbody>{"".join(rows)}</tbody></table></div></section>"""


def _own_figures(report: SiteReport) -> list[str]:
    cost = UNKNOWN if report.cost is None else f"{report.cost:,.2f}"
    return [f"{report.planned_kwh:,.0f}", cost, f"{report.peak_kw:,.1f}", "never"]


def _alternative(report: SiteReport, one: Alternative) -> str:
    saving = report.saving(one)
    over = f"{one.minutes_over_limit / 60:,.1f} h" if one.minutes_over_limit else "never"
    cost = UNKNOWN if one.cost is None else f"{one.cost:,.2f}"
    figures = [f"{one.energy_kwh:,.0f}", cost, f"{one.peak_kw:,.1f}", over]
    return _row(NAMES[one.strategy], figures, "" if saving is None else _money(report, saving))


def _row(name: str, figures: Iterable[str], saved: str) -> str:
    cells = "".join(f'<td class="figure">{escape(figure)}</td>' for figure in (*figures, saved))
    return f'<tr><td class="name"><b>{escape(name)}</b></td>{cells}</tr>'


def _capacity(report: SiteReport) -> str:
    if not report.capacity:
        return ""
    rows = "".join(_capacity_row(use) for use in report.capacity)
    return f"""<section class="card"><h2>What capacity was worth</h2>
<p class="quiet">By the plans in force: a kW that was worth much is one to ask for, one that was never used one to hand
back. Unserved energy counts 10 per kWh.</p>
<div class="scroll"><table><thead><tr><th>Group</th><th class="figure">Limit used in full</th>
<th class="figure">A further kW was worth, {escape(report.site.currency)}</th><th class="figure">Highest kW</th>
<th class="figure">Never used kW</th><th class="figure">Unused kWh</th></tr></thead>
<tbody>{rows}</tbody></table></div></section>"""


def _capacity_row(use: CapacityUse) -> str:
    full = f"{use.full_hours:,.1f} of {use.limited_hours:,.0f} h" if use.full_hours else "never"
    worth = UNKNOWN if use.worth_per_kw is None else f"{use.worth_per_kw:,.2f}"
    figures = [full, worth, f"{use.highest_kw:,.1f}", f"{use.never_used_kw:,.1f}", f"{use.unused_kwh:,.0f}"]
    cells = "".join(f'<td class="figure">{escape(figure)}</td>' for figure in figures)
    return f'<tr><td class="name"><b>{escape(use.group_id)}</b></td>{cells}</tr>'


def _days(report: SiteReport) -> str:
    days = report.days
    if not days:
        return ""
    highest_kwh = max(day.planned_kwh + day.unmet_kwh for day in days) or 1.0
    rows = "".join(
        f'<tr><td class="name">{day.day:%a %d}</td><td class="bars">'
        f"{_meter(day.planned_kwh / highest_kwh, day.unmet_kwh / highest_kwh)}</td>"
        f'<td class="figure">{day.sessions:,}</td><td class="figure">{day.planned_kwh:,.1f}</td>'
        f'<td class="figure">{day.unmet_kwh:,.1f}</td>'
        f'<td class="figure">{UNKNOWN if day.cost is None else f"{day.cost:,.2f}"}</td></tr>'
        for day in days
    )
    return f"""<section class="card"><h2>Day by day</h2>
<ul class="legend"><li><i class="served"></i>planned</li><li><i class="short"></i>unmet</li></ul>
<div class="scroll"><table><thead><tr><th>Departure</th><th></th><th class="figure">Sessions</th>
<th class="figure">Planned kWh</th><th class="figure">Unmet kWh</th>
<th class="figure">Cost {escape(report.site.currency)}</th></tr></thead>
<tbody>{rows}</tbody></table></div></section>"""


def _meter(served: float, short: float) -> str:
    return (
        f'<div class="meter"><i class="served" style="width:{100 * served:.1f}%"></i>'
        f'<i class="short" style="width:{100 * short:.1f}%"></i></div>'
    )


def _short(report: SiteReport) -> str:
    if not report.short:
        return ""
    rows = "".join(_short_row(report, outcome) for outcome in report.short[:LISTED_SESSIONS])
    hidden = len(report.short) - LISTED_SESSIONS
    more = f'<p class="quiet">and {hidden:,} more</p>' if hidden > 0 else ""
    return f"""<section class="card"><h2>Sessions that went short</h2>
<div class="scroll"><table><thead><tr><th>Session</th><th>Charger</th><th>Departure</th>
<th class="figure">Asked kWh</th><th class="figure">Planned kWh</th><th class="figure">Measured kWh</th>
<th class="figure">Unmet kWh</th></tr></thead><tbody>{rows}</tbody></table></div>{more}</section>"""


def _short_row(report: SiteReport, outcome: SessionOutcome) -> str:
    session = outcome.session
    texts = [
        session.session_id,
        session.charger_id,
        f"{session.departure.astimezone(report.site.time_zone):%d %b %H:%M}",
    ]
    measured = UNKNOWN if outcome.measured_kwh is None else f"{outcome.measured_kwh:,.2f}"
    figures = [f"{session.energy_kwh:,.2f}", f"{outcome.planned_kwh:,.2f}", measured, f"{outcome.unmet_kwh:,.2f}"]
    names = "".join(f"<td>{escape(text)}</td>" for text in texts)
    return "<tr>" + names + "".join(f'<td class="figure">{figure}</td>' for figure in figures) + "</tr>"


def _notes(report: SiteReport) -> str:
    if not report.notes:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
    return f'<section class="card"><h2>Notes</h2><ul class="notes">{items}</ul></section>'


def _money(report: SiteReport, amount: float) -> str:
    return f"{amount:,.2f} {report.site.currency}"
