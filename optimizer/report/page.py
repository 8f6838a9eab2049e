"""One self-contained HTML page of a schedule: where the limit binds, who goes short and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from models.domain import Schedule, ScheduleStatus, SessionResult, Site
from optimizer.report.assets import assets_card
from optimizer.report.data import (
    STACKED_SESSIONS,
    TIMELINE_SESSIONS,
    chart_data,
    plain,
    timeline_sessions,
)
from optimizer.report.facts import (
    ENERGY_TOLERANCE_KWH,
    SHOWN_GROUPS,
    TO,
    GroupFacts,
    LineFacts,
    Outcome,
    counts_more_than_mean,
    critical_groups,
    group_facts,
    line_facts,
    number,
    outcome,
    shorten,
    shown_in_tree_order,
    worst_first,
)
from optimizer.report.frame import energy_meter, page_document, tile
from optimizer.report.words import (
    change_words,
    clock_change_words,
    count_words,
    current_words,
    fairness_words,
    headline,
    hours_words,
    limit_words,
    short_words,
    window_words,
)

OPEN_GROUPS = 3
SHORT_AT_ONCE = 30
LISTED_SESSIONS = 200
LISTED_NOTES = 50
LISTED_LINES = 40
REASON_LENGTH = 300
IMAGES = ("svg", "png")
LABELS = {Outcome.SERVED: "served", Outcome.UNREACHABLE: "unreachable", Outcome.SHORT: "short"}

STATUS_WORDS = {
    ScheduleStatus.OPTIMAL: ("Optimal", "proved: no plan within the limits is better"),
    ScheduleStatus.FEASIBLE: ("Stopped early", "time ran out before the plan was proved best"),
    ScheduleStatus.FALLBACK: ("Fallback", "the solver gave no plan in time; a rule of thumb made this one"),
    ScheduleStatus.HEURISTIC: ("Heuristic", "made by a rule of thumb, not optimized"),
    ScheduleStatus.ROLLED: ("Rolled", "what came of plans made anew again and again from what was known then"),
}


def render_report(schedule: Schedule, site: Site, *, title: str | None = None) -> str:
    """Draw a schedule as one HTML page that needs no network.

    The page carries Plotly's script, the figures, a style sheet for light and dark and wide and narrow screens, and a
    content security policy under which nothing else runs or loads.

    Args:
        schedule: The schedule.
        site: The site it is for.
        title: Heading; the site's name by default.

    Returns:
        The page.
    """
    facts = group_facts(schedule, site)
    shown = shown_in_tree_order(facts)
    data = {**chart_data(schedule, shown, next(iter(critical_groups(facts)), None)), "currency": plain(site.currency)}
    heading = title or f"Charging plan for {site.site_id}"
    body = f"""{_header(schedule, site, facts, heading)}
{_tiles(schedule, site, facts)}
{_violations_card(schedule)}
{_groups_card(schedule, facts, shown)}
{_lines_card(schedule)}
{_timeline_card(schedule, facts)}
{_short_card(schedule)}
{assets_card(schedule, site)}
{_notes_card(schedule)}
{_footer(schedule)}"""
    return page_document(heading, body, data, script="report.js")


def _header(schedule: Schedule, site: Site, facts: list[GroupFacts], heading: str) -> str:
    line = [
        window_words(schedule),
        count_words(len(schedule.sessions), "session"),
        count_words(len(site.chargers), "charger"),
        count_words(schedule.grid.steps, "step"),
        f"strategy {schedule.strategy}",
    ]
    change = clock_change_words(schedule)
    return f"""<header>
<p class="eyebrow">{escape(heading)}</p>
<h1>{_unbroken(escape(headline(schedule, facts)))}</h1>
<p class="quiet">{escape(" · ".join(line))}</p>
<p class="quiet">{escape(change)}</p>
</header>"""


def _unbroken(markup: str) -> str:
    """Keep a period and a number with its unit on one line."""
    markup = re.sub(r"(\d) (kWh?|h)\b", r"\1&nbsp;\2", markup)
    return re.sub(rf"(\d+ [A-Z][a-z]+ )?\d\d:\d\d({TO}\d\d:\d\d)?", r'<span class="whole">\g<0></span>', markup)


def _tiles(schedule: Schedule, site: Site, facts: list[GroupFacts]) -> str:
    status, words = STATUS_WORDS[schedule.status]
    tiles = [
        tile("Status", status, "", words),
        _cost_tile(schedule, site),
        _delivered_tile(schedule),
        _unmet_tile(schedule),
        _unreachable_tile(schedule),
        _peak_tile(schedule, facts),
    ]
    return f'<section class="tiles">{"".join(tiles)}</section>'


def _cost_tile(schedule: Schedule, site: Site) -> str:
    if schedule.price_per_kwh is None:
        return tile("Energy cost", "none", "", "no prices were given")
    delivered_kwh = schedule.delivered_energy_kwh
    mean = f"{schedule.energy_cost / delivered_kwh:.4f} {site.currency} per kWh" if delivered_kwh > 0 else "no energy"
    return tile("Energy cost", f"{schedule.energy_cost:,.2f}", site.currency, mean)


def _delivered_tile(schedule: Schedule) -> str:
    requested_kwh = schedule.requested_energy_kwh
    delivered_kwh = schedule.delivered_energy_kwh
    share = f" ({delivered_kwh / requested_kwh:.0%})" if requested_kwh > 0 else ""
    meter = energy_meter(delivered_kwh, schedule.unmet_energy_kwh, schedule.unreachable_energy_kwh)
    return tile(
        "Delivered", number(delivered_kwh), "kWh", f"of {number(requested_kwh)} kWh requested{share}", meter=meter
    )


def _unmet_tile(schedule: Schedule) -> str:
    kind = "short" if schedule.unmet_energy_kwh > ENERGY_TOLERANCE_KWH else ""
    return tile("Unmet", number(schedule.unmet_energy_kwh), "kWh", short_words(schedule), kind=kind)


def _unreachable_tile(schedule: Schedule) -> str:
    brief = sum(result.unreachable_energy_kwh > ENERGY_TOLERANCE_KWH for result in schedule.sessions)
    note = f"{count_words(brief, 'stay')} too short for the request" if brief else "every stay is long enough"
    kind = "unreachable" if brief else ""
    return tile("Unreachable", number(schedule.unreachable_energy_kwh), "kWh", note, kind=kind)


def _peak_tile(schedule: Schedule, facts: list[GroupFacts]) -> str:
    roots = [group for group in facts if len(group.path) == 1]
    limit = limit_words(roots[0]) if len(roots) == 1 else ""
    if not limit:
        return tile("Peak", number(schedule.peak_import_kw), "kW", "the site as a whole has no limit")
    always = np.isfinite(roots[0].result.limit_kw).all()
    note, kind = f"limit {limit}{'' if always else ' for part of the time'}", ""
    if roots[0].exceeded.any():
        note, kind = f"{note}, exceeded for {hours_words(schedule, roots[0].exceeded)}", "over"
    elif roots[0].binding.any():
        note = f"{note}, at it for {hours_words(schedule, roots[0].binding)}"
    return tile("Peak", number(schedule.peak_import_kw), "kW", note, kind=kind)


LEGEND = {
    "served": "fully served",
    "short": "goes short",
    "unreachable": "stay too short",
    "window": "plugged in",
    "limit": "limit",
    "price": "price",
    "binds": "limit binds",
    "over": "limit exceeded",
}


def _legend(*keys: str) -> str:
    items = (f'<li><i class="{key}"></i>{LEGEND[key]}</li>' for key in keys)
    return f'<ul class="legend">{"".join(items)}</ul>'


def _shade_keys(groups: Iterable[GroupFacts]) -> list[str]:
    listed = list(groups)
    keys = ["binds"] if any(group.binding.any() for group in listed) else []
    return keys + (["over"] if any(group.exceeded.any() for group in listed) else [])


def _outcome_keys(schedule: Schedule) -> list[str]:
    present = {outcome(result) for result in schedule.sessions}
    return [LABELS[kind] for kind in (Outcome.SERVED, Outcome.SHORT, Outcome.UNREACHABLE) if kind in present]


def _groups_card(schedule: Schedule, facts: list[GroupFacts], shown: list[GroupFacts]) -> str:
    if not facts:
        return ""
    opened = {shown[0].path} | {group.path for group in critical_groups(facts)[:OPEN_GROUPS]}
    keys = [*_outcome_keys(schedule), "limit", *(["price"] if schedule.price_per_kwh is not None else [])]
    left_out = (
        f" Shown are {SHOWN_GROUPS} of {len(facts)} groups: roots, then those at their limit, then the busiest."
        if len(facts) > SHOWN_GROUPS
        else ""
    )
    counted = " The thin line is what the limit counts: all that may coincide." if _counts_more(schedule, shown) else ""
    crowded = f" Beyond {STACKED_SESSIONS} sessions the smaller ones are summed." if _is_crowded(shown) else ""
    sections = (
        _group_section(schedule, group, place, opened=group.path in opened) for place, group in enumerate(shown)
    )
    return f"""<section class="card"><h2>Power against the limit</h2>
<p class="quiet">One band for each session.{counted}{crowded}{left_out} Point at a band for its figures.
<span class="mouse">Drag to zoom, double-click to return.</span></p>
{_legend(*keys, *_shade_keys(shown))}
{"".join(sections)}
</section>"""


def _counts_more(schedule: Schedule, shown: list[GroupFacts]) -> bool:
    return any(counts_more_than_mean(schedule, group) for group in shown)


def _is_crowded(shown: list[GroupFacts]) -> bool:
    return any(group.members.size > STACKED_SESSIONS for group in shown)


def _group_section(schedule: Schedule, group: GroupFacts, place: int, *, opened: bool) -> str:
    name = escape(" \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} ".join(shorten(group_id) for group_id in group.path))
    short = sum(outcome(schedule.sessions[s]) is Outcome.SHORT for s in group.members.tolist())
    peak = f"peak {number(float(group.result.power_kw.max()))} kW"
    quiet = f"{peak} · {count_words(group.members.size, 'session')}"
    goes_short = f'<span class="badge short">{short:,} short</span>' if short else ""
    return f"""<details{" open" if opened else ""}>
<summary><b>{name}</b>{_limit_badge(schedule, group)}{goes_short}<span class="quiet">{quiet}</span></summary>
<div class="chart" data-chart="{place}" role="img" aria-label="Power of {name} over time"></div>
{_save_buttons(str(place))}
</details>"""


def _limit_badge(schedule: Schedule, group: GroupFacts) -> str:
    limit = f"{limit_words(group)} limit".strip()
    if group.exceeded.any():
        return f'<span class="badge over">{limit} exceeded for {hours_words(schedule, group.exceeded)}</span>'
    if group.binding.any():
        return f'<span class="badge binds">{limit} binds for {hours_words(schedule, group.binding)}</span>'
    return f'<span class="badge">{f"{limit} never binds" if limit_words(group) else "no limit"}</span>'


def _lines_card(schedule: Schedule) -> str:
    lines = line_facts(schedule)
    if not lines:
        return ""
    critical = sum(line.critical for line in lines)
    shown = lines[:LISTED_LINES]
    left_out = f" The first {LISTED_LINES} of {len(lines)} are listed." if len(lines) > LISTED_LINES else ""
    rows = "\n".join(_line_row(schedule, line) for line in shown)
    return f"""<section class="card"><h2>Currents against the limits of lines</h2>
<p class="quiet">{critical} of {count_words(len(lines), "line")} at the limit at some time, those that cost most first.
Currents are the most that can flow, whatever vehicles leave of what they may draw.{left_out}</p>
<div class="scroll"><table>
<thead><tr><th>Line</th><th class="figure">Limit</th><th class="figure">Highest current</th><th>At the limit</th></tr>
</thead>
<tbody>
{rows}
</tbody></table></div>
</section>"""


def _line_row(schedule: Schedule, line: LineFacts) -> str:
    highest_a = float(line.result.current_a.max(initial=0.0))
    name, place = escape(shorten(line.result.line_id)), escape(shorten(line.result.group_id))
    when = "never"
    if line.exceeded.any():
        when = f'<span class="badge over">exceeded for {hours_words(schedule, line.exceeded)}</span>'
    elif line.binding.any():
        when = f'<span class="badge binds">{hours_words(schedule, line.binding)}</span>'
    return f"""<tr><td class="name"><b>{name}</b><small>{place}</small></td>
<td class="figure" data-label="Limit">{current_words(line)}</td>
<td class="figure" data-label="Highest current">{number(highest_a)} A</td><td>{when}</td></tr>"""


def _timeline_card(schedule: Schedule, facts: list[GroupFacts]) -> str:
    if not schedule.sessions:
        return ""
    drawn = len(timeline_sessions(schedule))
    total = len(schedule.sessions)
    left_out = (
        f" Shown are {drawn} of {total:,} sessions: the worst served and an even sample of the others."
        if total > TIMELINE_SESSIONS
        else ""
    )
    critical = next(iter(critical_groups(facts)), None)
    shaded = f" Shaded where the limit of {shorten(critical.result.group_id)} holds power down." if critical else ""
    words = f"A row for each session, named by its charger; the thicker, the more power.{shaded}{left_out}"
    return f"""<section class="card"><h2>Who charges when</h2>
<p class="quiet">{escape(words)}</p>
{_legend("window", *_outcome_keys(schedule), *_shade_keys([critical] if critical else []))}
<div class="chart" data-chart="timeline" role="img" aria-label="Stay and charging times of each session"></div>
{_save_buttons("timeline")}
</section>"""


def _save_buttons(chart: str) -> str:
    buttons = (f'<button type="button" data-save="{kind}" data-of="{chart}">{kind.upper()}</button>' for kind in IMAGES)
    return f'<p class="save">Save as {" ".join(buttons)}</p>'


def _short_card(schedule: Schedule) -> str:
    worst = worst_first(schedule)
    if not worst:
        return ""
    first, rest = worst[:SHORT_AT_ONCE], worst[SHORT_AT_ONCE:LISTED_SESSIONS]
    left_out = f" The {LISTED_SESSIONS} worst of {len(worst):,} are listed." if len(worst) > LISTED_SESSIONS else ""
    more = f"<details><summary>{len(rest)} more</summary>{_short_table(schedule, rest)}</details>" if rest else ""
    return f"""<section class="card"><h2>Who goes short, and why</h2>
<p class="quiet">Worst first. Unmet: the stay allows it, the plan does not give it. Unreachable: no plan could.
All in kWh.{left_out} {escape(fairness_words(schedule))}</p>
{_short_table(schedule, first)}{more}
</section>"""


def _short_table(schedule: Schedule, positions: list[int]) -> str:
    rows = "\n".join(
        _short_row(schedule.sessions[s], change_words(schedule, schedule.sessions[s].session.session_id))
        for s in positions
    )
    return f"""<div class="scroll"><table>
<thead><tr><th>Session</th><th></th><th class="figure">Requested</th><th class="figure">Delivered</th>
<th class="figure">Unmet</th><th class="figure">Unreachable</th><th>Why</th></tr></thead>
<tbody>
{rows}
</tbody></table></div>"""


def _short_row(result: SessionResult, change: str) -> str:
    session = result.session
    meter = energy_meter(result.delivered_energy_kwh, result.unmet_energy_kwh, result.unreachable_energy_kwh)
    reason = escape(shorten(result.reason, REASON_LENGTH))
    served_with = f"<small>{_unbroken(escape(change))}</small>" if change else ""
    name, place = escape(shorten(session.session_id)), escape(shorten(session.charger_id))
    figures = [
        _figure("Requested", session.energy_kwh),
        _figure("Delivered", result.delivered_energy_kwh),
        _figure("Unmet", result.unmet_energy_kwh, "short"),
        _figure("Unreachable", result.unreachable_energy_kwh, "unreachable"),
    ]
    return f"""<tr><td class="name"><b>{name}</b><small>{place}</small></td><td class="bar">{meter}</td>
{"".join(figures)}
<td class="reason">{reason}{served_with}</td></tr>"""


def _figure(label: str, energy_kwh: float, kind: str = "") -> str:
    some = f" some {kind}" if kind and energy_kwh > ENERGY_TOLERANCE_KWH else ""
    return f'<td class="figure{some}" data-label="{label}">{energy_kwh:,.2f}</td>'


def _violations_card(schedule: Schedule) -> str:
    if not schedule.violations:
        return ""
    texts = _listed([violation.text for violation in schedule.violations], "more time")
    return f'<section class="card"><h2>Limits that this plan exceeds</h2>{texts}</section>'


def _notes_card(schedule: Schedule) -> str:
    if not schedule.notes:
        return ""
    return f'<section class="card"><h2>Notes</h2>{_listed(schedule.notes, "more note")}</section>'


def _listed(texts: Sequence[str], rest: str) -> str:
    """A list of sentences, the later ones of many counted only."""
    items = "".join(f"<li>{escape(shorten(text, REASON_LENGTH))}</li>" for text in texts[:LISTED_NOTES])
    hidden = len(texts) - LISTED_NOTES
    more = f'<p class="quiet">and {count_words(hidden, rest)}</p>' if hidden > 0 else ""
    return f'<ul class="notes">{items}</ul>{more}'


def _footer(schedule: Schedule) -> str:
    stages = [
        f"{stage.name.replace('_', ' ')} {stage.value:,.6g}{'' if stage.proved else ' (not proved)'}"
        for stage in schedule.stages
    ]
    seconds = [f"{phase} {value:.3f} s" for phase, value in schedule.seconds.items()]
    lines = [f"{name}: {' · '.join(parts)}" for name, parts in (("Stages", stages), ("Time", seconds)) if parts]
    paragraphs = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return f'<footer class="quiet">{paragraphs}</footer>'
