"""Servers that die under load: what was acknowledged is there, once, and every group is planned and told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from http import HTTPStatus
from pathlib import Path

import pytest

from benchmarks.crash import CrashRun
from benchmarks.flexibility_provider import FlexibilityProvider
from benchmarks.live_server import Operator, free_port, server_process
from benchmarks.load import FORECAST, Depots, forecast
from tests.api.databases import Postgresql

KILLS = 2
"""`python -m benchmarks.crash` kills hundreds of times."""
GROUPS = 4
KEY = "key-of-the-crash-tests"
OSCP = "http://127.0.0.1:{}/oscp/co/2.0"
SHORT_LEASES = ["--lease-s", "2", "--delivery-timeout-s", "1", "--max-backoff-s", "1"]


@pytest.fixture(name="provider")
def provider_fixture() -> Iterator[FlexibilityProvider]:
    """A flexibility provider that keeps what it is sent."""
    with closing(FlexibilityProvider()) as provider:
        yield provider


def test_nothing_acknowledged_is_lost(database_url: str, tmp_path: Path) -> None:
    """Killed while messages come in and started again: none lost, none twice, the newest of each group is answered."""
    outcome = CrashRun(database_url, tmp_path, seed=1).run(KILLS)

    assert (outcome.lost, outcome.doubled, outcome.stale) == ([], [], [])
    assert outcome.acknowledged > 0


def test_what_one_server_took_another_answers(
    postgresql: Postgresql, tmp_path: Path, provider: FlexibilityProvider
) -> None:
    """Two on one PostgreSQL: one is killed with all it took and had begun to plan; every group gets its OPTIMUM."""
    url, ports = postgresql.empty(), [free_port(), free_port()]
    with ExitStack() as running:
        first, _ = [
            running.enter_context(
                server_process(url, tmp_path / f"{port}.log", operator_key=KEY, port=port, arguments=SHORT_LEASES)
            )
            for port in ports
        ]
        operator = running.enter_context(closing(Operator(f"http://127.0.0.1:{ports[1]}", KEY)))
        Depots(operator, provider, GROUPS).set_up()
        provider.admit(OSCP.format(ports[0]), provider.token)
        wanted = {f"forecast-{number}" for number in range(GROUPS)}
        for number in range(GROUPS):
            status = provider.send(FORECAST, forecast(f"group-{number}", number), request_id=f"forecast-{number}")
            assert status == HTTPStatus.NO_CONTENT
        first.kill()

        provider.wait_until(
            lambda: wanted <= {optimum.correlation_id for optimum in provider.optima}, "OPTIMUM of every group"
        )
