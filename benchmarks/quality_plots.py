"""Plots of the quality sweep: energy met over the capacity, and what is lost to wrong statements beside its price.

    python -m benchmarks.quality_plots build/quality/step build/quality/event

The figures are those that `benchmarks.quality` keeps, of the sweep and of the days.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "quality", "font.size": 9})

from matplotlib import pyplot as plt  # noqa: E402 - after the choice of the back end
from matplotlib.figure import Figure  # noqa: E402

PLOTS = Path(__file__).parent / "plots"
OVER_CAPACITY = {
    ("rolled", "true"): ("tab:blue", "-"),
    ("llf", "true"): ("tab:orange", "-"),
    ("rolled", "stated"): ("tab:blue", ":"),
    ("llf", "stated"): ("tab:orange", ":"),
    ("round-robin", ""): ("tab:green", "-."),
}
PERCENT = 100.0

Rows = dict[tuple[str, str], list[dict[str, float]]]
"""Figures of the days of each policy and what it was told."""


def figures(folder: Path) -> dict[tuple[str, str], Rows]:
    """Figures by garage and limit."""
    found: dict[tuple[str, str], Rows] = defaultdict(lambda: defaultdict(list))
    for path in sorted(folder.glob("*.json")):
        for row in json.loads(path.read_text(encoding="utf-8")):
            case, one = row["case"], row["figures"]
            limit = f"lines {case['limit_kw']:g}" if case["has_lines"] else f"{case['limit_kw']:g}"
            found[case["garage"], limit][one["policy"], row["told"]].append(one)
    return found


def met(rows: list[dict[str, float]]) -> float:
    """Energy met over the days, %."""
    delivered_kwh = sum(row["delivered_energy_kwh"] for row in rows)
    return PERCENT * delivered_kwh / (delivered_kwh + sum(row["unmet_energy_kwh"] for row in rows))


def price(rows: list[dict[str, float]]) -> float:
    """Cost of a kWh over the days, US cents."""
    return PERCENT * sum(row["energy_cost"] for row in rows) / sum(row["delivered_energy_kwh"] for row in rows)


def over_capacity(found: dict[tuple[str, str], Rows]) -> None:
    """Energy lost against foresight over the limit of the one connection, a panel for each garage."""
    figure, panels = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True)
    for panel, garage in zip(panels, ("jpl", "caltech"), strict=True):
        limits = sorted(float(limit) for name, limit in found if name == garage and not limit.startswith("lines"))
        for (policy, told), (color, style) in OVER_CAPACITY.items():
            places = [found[garage, f"{limit:g}"] for limit in limits]
            values = [met(rows["offline optimum", "all"]) - met(rows[policy, told]) for rows in places]
            panel.plot(limits, values, style, color=color, label=f"{policy} {told and f'({told})'}".strip(), marker=".")
        panel.set(title=garage, xlabel="connection, kW")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("points less than foresight")
    panels[1].legend(fontsize=7, loc="upper right")
    save(figure, "energy-lost.svg")


def lost_and_paid(found: dict[tuple[str, str], Rows]) -> None:
    """What each policy told stated departures loses against foresight, beside what it pays for a kWh."""
    places = [place for place in (("jpl", "100"), ("jpl", "150"), ("caltech", "30")) if place in found]
    figure, panels = plt.subplots(1, len(places), figsize=(3.2 * len(places), 3.2), squeeze=False)
    for panel, place in zip(panels[0], places, strict=True):
        rows = found[place]
        best = met(rows["offline optimum", "all"])
        for (policy, told), days in rows.items():
            if told in {"stated", ""} and policy != "uncontrolled" and "pilots" not in policy:
                is_ours = policy.startswith("rolled")
                at = best - met(days), price(days)
                panel.plot(*at, "o", color="tab:blue" if is_ours else "tab:orange")
                panel.annotate(
                    policy.removeprefix("rolled, "), at, fontsize=7, xytext=(3, 3), textcoords="offset points"
                )
        panel.axhline(price(rows["offline optimum", "all"]), color="black", linewidth=0.8, linestyle="--")
        panel.set(title=f"{place[0]}, {place[1]} kW", xlabel="points lost")
        panel.margins(x=0.25)
        panel.grid(alpha=0.3)
    panels[0][0].set_ylabel("US cents per kWh")
    save(figure, "lost-and-paid.svg")


def save(figure: Figure, name: str) -> None:
    """Write a figure as SVG without a date, so that the same figures give the same file."""
    PLOTS.mkdir(exist_ok=True)
    figure.tight_layout()
    figure.savefig(PLOTS / name, metadata={"Date": None})


if __name__ == "__main__":
    over_capacity(figures(Path(sys.argv[1])))
    lost_and_paid(figures(Path(sys.argv[2])))
