"""A Dask cluster of two real worker processes on loopback: the same results, whoever is killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", protocol="tcp://", host="127.0.0.1"
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


def test_a_cluster_without_workers(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing seems to happen, so a line says what is waited for; the first worker that comes is enough."""
    with distributed.LocalCluster(
        n_workers=0, threads_per_worker=1, processes=False, dashboard_address=":0", protocol="tcp://", host="127.0.0.1"
    ) as empty:
        workers = Workers(cluster=empty.scheduler_address, options=HEURISTIC, answer_within_s=1.0)
        workers.start()
        try:
            with ThreadPoolExecutor(1) as executor:
                checked = executor.submit(workers.check)
                while not _waiting(caplog) and not checked.done():
                    time.sleep(0.05)
                empty.scale(1)
                checked.result()
        finally:
            workers.close()

    told = f"cluster={empty.scheduler_address} workers=0 none has answered so far; waiting for one"
    assert _waiting(caplog) == [told]


def _waiting(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for message in caplog.messages if message.endswith("waiting for one")]


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
