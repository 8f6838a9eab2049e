"""A server that plans when it is told to."""

from __future__ import annotations

import pytest

from tests.api.oscp.bench import Bench
from tests.api.oscp.fixtures import bench_fixture, empty_database_fixture, folder_fixture
from tests.api.planning.bench import PlanningBench

__all__ = ["bench_fixture", "empty_database_fixture", "folder_fixture"]


@pytest.fixture(name="plans")
def plans_fixture(bench: Bench) -> PlanningBench:
    """A depot of 22 kW chargers with a planner that solves in this process."""
    return PlanningBench.make(bench)
