"""A scenario, and a result of it to read and to spoil."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.domain.scenario import Scenario
from optimizer.scenario_io import write_result
from tests.builders import make_scenario, make_schedule, make_tariff
from tests.optimizer.results.files import OPTIONS


@pytest.fixture
def scenario() -> Scenario:
    """The scenario that `make_schedule` is a plan of."""
    return make_scenario(tariff=make_tariff())


@pytest.fixture
def folder(tmp_path: Path, scenario: Scenario) -> Path:
    """A written result."""
    write_result(tmp_path / "out", make_schedule(), scenario, OPTIONS)
    return tmp_path / "out"
