"""What the pages of reports share: one file that loads nothing, with figures and the scripts that draw them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from html import escape
from importlib import resources


def style_sheet() -> str:
    """The style of a report, for light and dark and wide and narrow screens."""
    return _asset("report.css")


def page_document(heading: str, body: str, data: object, *, script: str) -> str:
    """A page that carries Plotly's script, its figures and a style sheet, and under whose policy nothing else runs.

    Args:
        heading: Its title, not yet escaped.
        body: What is in it, as HTML; each element with ``data-chart`` is drawn into.
        data: The figures, as JSON values; ``Charts.data`` of the script.
        script: Name of the file beside this one that draws, with what ``charts.js`` gives it.
    """
    from plotly.offline import get_plotlyjs  # noqa: PLC0415 - takes a second that other commands need not spend

    scripts = (get_plotlyjs(), _asset("charts.js") + _asset(script))
    carried = f"""<script type="application/json" id="plan">{json_text(data)}</script>
{"".join(f"<script>{one}</script>" for one in scripts)}
"""
    page = html_page(heading, body, policy=_content_security_policy(scripts), style=style_sheet(), carried=carried)
    return page.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate in an id must not spoil the file


def html_page(heading: str, body: str, *, policy: str, style: str, carried: str = "") -> str:
    """A page of its own.

    Args:
        heading: Its title, not yet escaped.
        body: What is in it, as HTML.
        policy: What it may load and run, as a Content-Security-Policy.
        style: Its style sheet.
        carried: What stands behind what is seen, as whole lines of HTML.
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(heading)}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
{carried}</body>
</html>
"""


def json_text(data: object) -> str:
    """JSON in which no tag can begin."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=False).replace("<", "\\u003c")


def tile(name: str, value: str, unit: str, note: str, *, kind: str = "", meter: str = "") -> str:
    """One figure with its name and what there is to know of it."""
    return f"""<div class="tile {kind}"><h2>{escape(name)}</h2>
<div class="big">{escape(value)} <span>{escape(unit)}</span></div>{meter}<small>{escape(note)}</small></div>"""


def energy_meter(served_kwh: float, unmet_kwh: float, unreachable_kwh: float) -> str:
    """A bar in the parts that were served, could have been and could not."""
    parts = {"served": served_kwh, "short": unmet_kwh, "unreachable": unreachable_kwh}
    total_kwh = sum(parts.values())
    if total_kwh <= 0:
        return ""
    spans = (
        f'<i class="{kind}" style="width:{100 * kwh / total_kwh:.2f}%"></i>' for kind, kwh in parts.items() if kwh > 0
    )
    return f'<div class="meter">{"".join(spans)}</div>'


def _asset(name: str) -> str:
    return resources.files("optimizer.report").joinpath(name).read_text(encoding="utf-8")


def _content_security_policy(scripts: Iterable[str]) -> str:
    """Run these scripts and no others, load nothing."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"
