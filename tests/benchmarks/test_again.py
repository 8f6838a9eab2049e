"""The benchmark of plans from what the last plan left."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import again
from optimizer import OptimizeOptions, optimize
from optimizer.bench.synthetic import scenario


def test_every_change_is_measured_with_both_back_ends_and_where_capacity_is_scarce(tmp_path: Path) -> None:
    """Six changes three ways, each with times above zero."""
    path = tmp_path / "again.json"

    assert again.main(["--sizes", "20", "--pairs", "1", "--out", str(path)]) == 0

    measured = json.loads(path.read_text(encoding="utf-8"))["measurements"]
    assert len(measured) == 18
    assert all(
        min(one["again_ms"], one["cold_ms"], one["again_solve_ms"], one["cold_solve_ms"]) > 0 for one in measured
    )


def test_plans_of_different_worth_stop_it() -> None:
    """One whose stages reach other values is no faster way to the same plan."""
    plan = optimize(scenario(20, seed=1), OptimizeOptions())
    worse = replace(plan, stages=tuple(replace(stage, value=stage.value + 1.0) for stage in plan.stages))

    with pytest.raises(AssertionError, match=r"stage unmet_energy reaches 1\.0 again and 0\.0 from scratch"):
        again._require_same(worse, plan)
