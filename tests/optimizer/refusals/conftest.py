"""A scenario folder to spoil."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.optimizer.scenario_folder import write_folder

# What failed is told as it is of an assertion in a test.
pytest.register_assert_rewrite("tests.optimizer.refusals.refused")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A valid scenario folder of one session."""
    return write_folder(tmp_path / "scenario")
