"""Plots of what was measured, as SVG with text as text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.full.tables import Axis, Compared

FOLDER = Path(__file__).parents[1] / "plots"
SIZE_INCHES = (7.5, 4.2)
COLOURS = ["#1f6feb", "#d1495b", "#2e8b57", "#b8860b", "#6f42c1", "#17becf", "#8c564b", "#e377c2", "#7f7f7f"]
OURS_COLOUR = "black"
DRAWN_PHASES = ("build", "translate", "solve", "verify", "total")
RUNG = re.compile(r"synthetic [\d,]+")
MARKERS = "osD^vP*Xhd<>"


def _style() -> AbstractContextManager[None]:
    return mpl.rc_context(
        {
            "axes.grid": True,
            "font.size": 9,
            "grid.color": "#dddddd",
            "legend.frameon": False,
            "savefig.bbox": "tight",
            "svg.fonttype": "none",
            # Without it every run would make another file of the same figures.
            "svg.hashsalt": "benchmark",
        }
    )


def growth_plot(axis: Axis, path: Path) -> None:
    """Time of each phase over one axis, a panel for each back end, both scales logarithmic."""
    with _style():
        figure = Figure(figsize=SIZE_INCHES)
        panels = figure.subplots(1, len(axis["growth"]), sharey=True, squeeze=False)[0]
        for panel, (backend, exponents) in zip(panels, axis["growth"].items(), strict=True):
            rungs = [rung for rung in axis["rungs"] if rung["backend"] == backend]
            for phase in DRAWN_PHASES:
                points = [(rung["extent"], 1e3 * rung["phase_seconds"][phase]) for rung in rungs]
                points = [(extent, ms) for extent, ms in points if ms > 0]
                exponent = exponents[phase]
                if points and exponent is not None:
                    colour = COLOURS[DRAWN_PHASES.index(phase)]
                    label = f"{phase}: size^{exponent:.2f}"
                    panel.plot(*zip(*points, strict=True), marker=".", color=colour, label=label)
            _logarithmic(panel, axis["case"], f"back end {backend}")
        panels[0].set_ylabel("ms")
        _save(figure, path)


def comparison_plot(cases: Sequence[Compared], path: Path, title: str) -> None:
    """Time of each contestant over the columns of the plain synthetic days, both scales logarithmic."""
    cases = [case for case in cases if RUNG.fullmatch(case["case"])]
    with _style():
        figure = Figure(figsize=SIZE_INCHES)
        panel = figure.subplots()
        names = dict.fromkeys(result["name"] for case in cases for result in case["results"])
        for index, name in enumerate(names):
            points = sorted(
                (case["columns"], 1e3 * result["seconds"])
                for case in cases
                for result in case["results"]
                if result["name"] == name and result["seconds"] is not None
            )
            if points:
                ours = name.startswith("our")
                panel.plot(
                    *zip(*points, strict=True),
                    marker=MARKERS[index % len(MARKERS)],
                    markersize=4,
                    color=OURS_COLOUR if ours else COLOURS[index % len(COLOURS)],
                    linewidth=1.6 if ours else 1.0,
                    label=name,
                )
        _logarithmic(panel, "columns", title)
        panel.set_ylabel("ms")
        panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        _save(figure, path)


def _logarithmic(panel: Axes, across: str, title: str) -> None:
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xlabel(across)
    panel.set_title(title)
    panel.legend()


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
