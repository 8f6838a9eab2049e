"""The gate against slower plans: what counts as slower, and that the committed baseline has every case."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import check
from benchmarks.run import KINDS

BEFORE = {"a day": {"over_floor": 1.0, "all_stages": 2.0}}


@pytest.mark.parametrize(("now", "found"), [(0.5, []), (1.29, []), (1.31, ["over_floor"]), (3.0, ["over_floor"])])
def test_what_is_slower(now: float, found: list[str]) -> None:
    """A ratio that rose by more than the band, and no other."""
    compared = check.compare(BEFORE, {"a day": {"over_floor": now, "all_stages": 2.0}})

    assert [one.ratio for one in check.slower(compared, band=0.3)] == found


def test_a_case_that_the_baseline_lacks() -> None:
    """It is no pass."""
    with pytest.raises(KeyError, match="another day"):
        check.compare(BEFORE, {"another day": {"over_floor": 1.0}})


def test_the_committed_baseline_has_every_case() -> None:
    """With every ratio, above zero."""
    baseline = json.loads(check.BASELINE.read_text(encoding="utf-8"))

    assert set(baseline) == {check.name_of(kind, sessions) for kind in KINDS for sessions in check.SIZES}
    for case, values in baseline.items():
        assert set(values) == set(check.RATIOS), case
        assert min(values.values()) > 0, case


def test_the_command_fails_where_a_plan_became_slower(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A baseline that is twice as fast as anything can be: 1, with the case and the ratio by name."""
    names = [check.name_of(kind, 10) for kind in KINDS]
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps({name: dict.fromkeys(check.RATIOS, 0.01) for name in names}), encoding="utf-8")
    monkeypatch.setattr(check, "BASELINE", baseline)
    monkeypatch.setattr(check, "REPEATS", 1)

    assert check.main(["--sizes", "10"]) == 1
    told = capsys.readouterr().err
    assert "varied price, 10 sessions: over_floor rose from 0.01 to " in told
