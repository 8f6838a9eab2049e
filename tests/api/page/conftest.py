"""A server whose page is looked at."""

from __future__ import annotations

import pytest

from tests.api.page.bench import PageBench
from tests.api.rest.bench import Bench
from tests.api.rest.conftest import bench, empty_database, settings

__all__ = ["bench", "empty_database", "page_fixture", "settings"]


@pytest.fixture(name="page")
def page_fixture(bench: Bench) -> PageBench:
    """A depot of one peer with a charger of 22 kW behind 100 kW, and nobody charging."""
    return PageBench.make(bench)
