"""A Dask cluster of two real worker processes on loopback: the same results, whoever is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from models.errors import InputError
from optimizer import OptimizeOptions, Strategy
from optimizer.batch_run import BatchProgress, run_batch
from optimizer.executors import Workers
from tests.optimizer.batch.sources import comparable, plan_all, read_tables, write_partitions

distributed = pytest.importorskip("distributed")
HEURISTIC = OptimizeOptions(strategy=Strategy.LEAST_LAXITY)
"""Without a solver, whose import takes longer than all that is planned here."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two workers of one thread each."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, protocol="tcp://", host="127.0.0.1"
    ) as made:
        yield made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Forty scenarios in a place that the workers are not told."""
    return write_partitions(tmp_path / "s", days=20, sites=("a", "b"), parquet=True)


def test_a_worker_killed_in_the_middle(cluster: Any, source: Path, tmp_path: Path) -> None:
    """One of two workers is killed without warning: nothing is lost, nothing is there twice, and all is as planned by
    one process.
    """
    victims = [worker.process.pid for worker in cluster.workers.values()]
    killed: list[int] = []

    def kill_one(progress: BatchProgress) -> None:
        if progress.finished >= 5 and not killed:
            os.kill(victims[0], signal.SIGKILL)
            killed.append(victims[0])

    workers = Workers(cluster=cluster.scheduler_address, options=HEURISTIC)
    outcome = run_batch(source, tmp_path / "r", HEURISTIC, workers, chunk_size=1, on_progress=kill_one)
    plan_all(source, tmp_path / "whole", chunk_size=40, options=HEURISTIC)

    assert killed
    assert outcome.statuses == {"heuristic": 40}
    after, whole = comparable(read_tables(tmp_path / "r")), comparable(read_tables(tmp_path / "whole"))
    for name, table in whole.items():
        pd.testing.assert_frame_equal(after[name], table)


@pytest.mark.parametrize("which", [0, 1])
def test_one_worker_with_another_version_is_refused(cluster: Any, which: int) -> None:
    """Every worker is asked, and not only who happens to answer."""

    def set_version(answer: str | None) -> None:
        import importlib.metadata  # noqa: PLC0415 - in the worker

        import optimizer.executors  # noqa: PLC0415

        real = importlib.metadata.version
        vars(optimizer.executors)["version"] = real if answer is None else lambda name: answer

    workers = Workers(cluster=cluster.scheduler_address, options=HEURISTIC)
    workers.start()
    try:
        with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
            address = sorted(client.nthreads())[which]
            client.run(set_version, "98.0", workers=[address])
            try:
                with pytest.raises(InputError, match=r"have version 98\.0 of this program"):
                    workers.check()
            finally:
                client.run(set_version, None, workers=[address])
            workers.check()
    finally:
        workers.close()


def test_another_version_is_refused(
    cluster: Any, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers with another version would plan otherwise: both versions are named, and nothing is written."""
    monkeypatch.setattr("optimizer.executors.version", lambda name: "99.0")

    with pytest.raises(InputError, match=r"have version .* here is 99\.0"):
        run_batch(source, tmp_path / "r", OptimizeOptions(), Workers(cluster=cluster.scheduler_address))
    assert not (tmp_path / "r").exists()
