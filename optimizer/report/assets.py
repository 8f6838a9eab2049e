"""What a report says of assets beside the chargers, and of costs beside the energy."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

import numpy as np

from models.domain import Schedule, Site
from models.domain.measurement import AssetCategory
from models.domain.schedule import AssetResult
from optimizer.report.facts import number, shorten

LISTED_ASSETS = 200
CATEGORY_WORDS = {
    AssetCategory.STORAGE: "storage",
    AssetCategory.GENERATION: "generation",
    AssetCategory.CONSUMPTION: "base load",
    AssetCategory.CHARGING: "vehicle",
}
SHOWN_COST = 0.005


def assets_card(schedule: Schedule, site: Site) -> str:
    """A table of assets and one of costs; empty where there is neither."""
    costs = "".join(_cost_rows(schedule, site))
    if not schedule.assets and not costs:
        return ""
    assets = "\n".join(_asset_row(schedule, asset) for asset in schedule.assets[:LISTED_ASSETS])
    hidden = len(schedule.assets) - LISTED_ASSETS
    more = f'<p class="quiet">and {hidden:,} more, in assets.csv</p>' if hidden > 0 else ""
    asset_table = f"""<div class="scroll"><table>
<thead><tr><th>Asset</th><th></th><th class="figure">Drawn kWh</th><th class="figure">Fed in kWh</th>
<th class="figure">Lowest kW</th><th class="figure">Highest kW</th><th>State</th></tr></thead>
<tbody>
{assets}
</tbody></table></div>{more}"""
    cost_table = f"""<div class="scroll"><table>
<thead><tr><th>Cost</th><th class="figure">{escape(site.currency)}</th><th></th></tr></thead>
<tbody>
{costs}
</tbody></table></div>"""
    return f"""<section class="card"><h2>Assets and costs</h2>
{asset_table if schedule.assets else ""}
{cost_table if costs else ""}
</section>"""


def _asset_row(schedule: Schedule, asset: AssetResult) -> str:
    energy_kwh = asset.power_kw * schedule.grid.step_hours
    figures = (
        ("Drawn kWh", float(np.maximum(energy_kwh, 0.0).sum())),
        ("Fed in kWh", float(np.maximum(-energy_kwh, 0.0).sum())),
        ("Lowest kW", float(asset.power_kw.min())),
        ("Highest kW", float(asset.power_kw.max())),
    )
    cells = "".join(f'<td class="figure" data-label="{label}">{number(value)}</td>' for label, value in figures)
    name, kind = escape(shorten(asset.asset_id)), CATEGORY_WORDS[asset.category]
    return (
        f'<tr><td class="name"><b>{name}</b><small>{kind}</small></td><td></td>{cells}'
        f'<td class="reason">{_state_words(asset)}</td></tr>'
    )


def _state_words(asset: AssetResult) -> str:
    if asset.stored_kwh is not None:
        known = asset.stored_kwh[np.isfinite(asset.stored_kwh)]
        words = (
            f"{number(float(known.min()))} to {number(float(known.max()))} kWh, {number(float(known[-1]))} at the end"
        )
        return words + (f", {number(asset.short_kwh)} kWh too few" if asset.short_kwh > SHOWN_COST else "")
    if asset.available_kw is not None:
        unused = asset.available_kw + asset.power_kw
        steps = np.count_nonzero(unused > SHOWN_COST)
        return f"curtailed in {steps:,} steps" if steps else "all used or fed in"
    return ""


def _cost_rows(schedule: Schedule, site: Site) -> Iterator[str]:
    costs = schedule.costs
    if costs is None:
        return
    lines = (
        ("Energy drawn", schedule.energy_cost + costs.export_revenue, f"{number(costs.import_energy_kwh)} kWh"),
        ("Energy fed in", -costs.export_revenue, f"{number(costs.export_energy_kwh)} kWh"),
        ("Wear of batteries", costs.wear_cost, ""),
        ("Peaks above those reached", costs.demand_cost, ""),
        (
            "Carbon dioxide",
            costs.carbon_cost,
            f"{number(costs.carbon_kg)} kg at {site.carbon_price_per_kg:g} {escape(site.currency)} per kg",
        ),
    )
    beside = lines[1:]
    if not costs.carbon_kg and not any(abs(value) >= SHOWN_COST for _, value, _ in beside):
        return
    shown = (*lines, ("Total", schedule.total_cost, ""))
    for name, value, words in shown:
        yield f'<tr><td>{name}</td><td class="figure">{value:,.2f}</td><td class="reason">{words}</td></tr>'
