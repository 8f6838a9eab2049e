"""A server that calls a peer on the loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.oscp.bench import Bench
from tests.api.oscp.fixtures import bench_fixture, empty_database_fixture, folder_fixture
from tests.api.outbound.bench import FakePeer, OutboundBench, fake_peer

__all__ = ["bench_fixture", "empty_database_fixture", "folder_fixture"]


@pytest.fixture(name="fake")
def fake_fixture() -> Iterator[FakePeer]:
    """A peer that takes everything, unless told."""
    with fake_peer() as fake:
        yield fake


@pytest.fixture(name="outbound")
def outbound_fixture(bench: Bench, fake: FakePeer) -> OutboundBench:
    """A server that may call it."""
    return OutboundBench.make(bench, fake)
