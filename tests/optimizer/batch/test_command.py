"""``oscp-optimize batch`` as a user meets it: real processes, real signals, real exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from optimizer.cli import app
from optimizer.options import OptimizeOptions, Strategy
from tests.optimizer.batch.sources import comparable, plan_all, read_tables, write_folders, write_partitions
from tests.optimizer.scenario_folder import write_folder

COMMAND = """
import multiprocessing, os, signal
from optimizer.cli import main
from optimizer.scenario_io.batch_results import BatchResults

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what it starts in the background ignore it
add, added = BatchResults.add, 0

def add_and_more(self, result):
    global added
    add(self, result)
    added += 1
    if added == 5:
        {deed}

if __name__ == "__main__":
    BatchResults.add = add_and_more
    main()
"""
"""The command; something happens to it when the fifth chunk is written, far from begin and end on any machine."""
PATIENCE_S = 900
"""On a busy machine a process takes long to import what it needs."""
HEURISTIC = ("--strategy", "llf")
"""Without a solver, whose import takes longer than all that is planned here."""


def run(*arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    result = CliRunner().invoke(app, ["batch", *(str(argument) for argument in arguments)])
    return result.exit_code, result.stdout, result.stderr


def run_and(deed: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, with something that happens to it."""
    command = [sys.executable, "-c", COMMAND.format(deed=deed), "batch", *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Forty scenarios, far more than are under way at once."""
    return write_partitions(tmp_path / "s", days=20, sites=("a", "b"), parquet=True)


def test_one_failed_scenario_is_not_the_end(tmp_path: Path) -> None:
    """Two of three have a plan, one a row with its error: 4; put right and resumed: 0, and nothing is planned twice."""
    source = write_folders(tmp_path / "s", ["a", "b", "c"], broken=["b"])

    code, output, _ = run(source, "--out", tmp_path / "r", "--workers", "2", "--json", *HEURISTIC)
    told = json.loads(output)
    (source / "b" / "sessions.csv").write_bytes((source / "a" / "sessions.csv").read_bytes())
    again, text, _ = run(source, "--out", tmp_path / "r", "--workers", "1", "--resume", *HEURISTIC)

    assert (code, again) == (4, 0)
    assert (told["scenarios"], told["finished"], told["failed"]) == (3, 3, 1)
    assert told["statuses"] == {"failed": 1, "heuristic": 2}
    assert "done before   2" in text
    assert read_tables(tmp_path / "r")["summary"]["scenario"].tolist() == ["a", "b", "c"]


def test_killed_and_resumed(source: Path, tmp_path: Path) -> None:
    """Killed without warning in the middle and resumed: what an undisturbed run gives, each scenario once."""
    arguments = (source, "--out", tmp_path / "r", "--workers", "2", "--chunk", "1", "--quiet", "--resume", *HEURISTIC)
    killed = run_and("os.kill(os.getpid(), signal.SIGKILL)", *arguments)
    before = read_tables(tmp_path / "r")["summary"]["scenario"]
    resumed = run(*arguments)
    plan_all(source, tmp_path / "whole", chunk_size=40, options=OptimizeOptions(strategy=Strategy.LEAST_LAXITY))

    assert killed.returncode == -signal.SIGKILL
    assert before.is_unique
    assert len(before) == 5
    assert resumed == (0, "", "")
    after, whole = comparable(read_tables(tmp_path / "r")), comparable(read_tables(tmp_path / "whole"))
    for name, table in whole.items():
        pd.testing.assert_frame_equal(after[name], table)


def test_interrupted(source: Path, tmp_path: Path) -> None:
    """Ctrl-C ends it with 130 and one line that says how far it came; its workers end too, and what it wrote stays."""
    arguments = (source, "--out", tmp_path / "r", "--workers", "2", "--chunk", "1", *HEURISTIC)
    workers = "print(*(worker.pid for worker in multiprocessing.active_children()), flush=True)"
    ended = run_and(f"{workers}; os.kill(os.getpid(), signal.SIGINT)", *arguments)

    assert ended.returncode == 130
    assert ended.stderr.splitlines()[-1].startswith("interrupted with ")
    assert "Traceback" not in ended.stderr
    assert len(ended.stdout.split()) == 2
    assert _all_end([int(pid) for pid in ended.stdout.split()])
    planned = read_tables(tmp_path / "r")["summary"]["scenario"]
    assert planned.is_unique
    assert len(planned) == 5


def test_a_worker_that_is_killed(source: Path, tmp_path: Path) -> None:
    """The kernel kills a worker in the middle: another takes its place, and every scenario has its plan, once."""
    arguments = (source, "--out", tmp_path / "r", "--workers", "2", "--chunk", "1", "--json", *HEURISTIC)
    ended = run_and("os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)", *arguments)

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["statuses"] == {"heuristic": 40}
    assert read_tables(tmp_path / "r")["summary"]["scenario"].is_unique


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("--workers", "1", "--cluster", "tcp://127.0.0.1:9"), ("--workers", "--cluster")),
        (("--workers", "0"), ("--workers", "greater than or equal to 1")),
        (("--chunk", "0"), ("--chunk", "greater than or equal to 1")),
        (("--cluster", "tcp://127.0.0.1:9"), ("no Dask scheduler answers", "tcp://127.0.0.1:9")),
        (("--cluster", "127.0.0.1:9"), ("no Dask scheduler answers at 127.0.0.1:9", "protocol like tcp://")),
        (("--cluster", "nothing://there:9"), ("no Dask scheduler answers", "unknown address scheme")),
        (("--step-minutes", "0"), ("--step-minutes", "0")),
    ],
)
def test_bad_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], names: tuple[str, ...]
) -> None:
    """A bad option ends with 2, names the option or the place, and leaves nothing."""
    monkeypatch.setattr("optimizer.executors.ANSWER_WITHIN_S", 0.5)
    source = write_folders(tmp_path / "s", ["a"])

    code, _, error = run(source, "--out", tmp_path / "r", *arguments)

    assert code == 2
    assert all(name in error for name in names), error
    assert not (tmp_path / "r").exists()


def test_a_solver_that_is_not_there(tmp_path: Path) -> None:
    """It is told before anything is written, not as the error of every scenario."""
    source = write_folders(tmp_path / "s", ["a"])

    code, _, error = run(source, "--out", tmp_path / "r", "--workers", "1", "--solver", "nosuchsolver")

    assert code == 2
    assert "nosuchsolver" in error
    assert not (tmp_path / "r").exists()


class TestBadPlaces:
    def test_an_empty_source(self, tmp_path: Path) -> None:
        """A folder without scenarios is a mistake in its name."""
        (tmp_path / "s").mkdir()

        code, _, error = run(tmp_path / "s", "--out", tmp_path / "r")

        assert (code, "holds no scenario" in error) == (2, True)

    def test_a_single_scenario(self, tmp_path: Path) -> None:
        """It is told to use solve."""
        assert "use solve" in run(write_folder(tmp_path / "s"), "--out", tmp_path / "r")[2]

    def test_results_that_are_there(self, tmp_path: Path) -> None:
        """Without --resume a data set is not touched, and no worker is started."""
        source = write_folders(tmp_path / "s", ["a"])
        plan_all(source, tmp_path / "r")

        code, _, error = run(source, "--out", tmp_path / "r")

        assert (code, "--resume" in error) == (2, True)

    def test_results_below_a_file(self, tmp_path: Path) -> None:
        """What cannot be made is told before any worker is started."""
        source = write_folders(tmp_path / "s", ["a"])
        (tmp_path / "file").touch()

        code, _, error = run(source, "--out", tmp_path / "file" / "r")

        assert (code, f"nothing can be written to {str(tmp_path / 'file')!r}" in error) == (2, True)

    def test_results_where_nothing_can_be_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """So is a folder on a medium that takes nothing, the nearest one that is there being named."""
        source = write_folders(tmp_path / "s", ["a"])
        monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK)

        code, _, error = run(source, "--out", tmp_path / "new" / "r")

        assert (code, f"nothing can be written to {str(tmp_path)!r}" in error) == (2, True)
        assert not (tmp_path / "new").exists()


FULL = "os.fsync = lambda _: (_ for _ in ()).throw(OSError(28, 'No space left on device'))"


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """A line says where, and that what is there stays; once there is room, the rest is planned, nothing twice."""
    source = write_partitions(tmp_path / "s", days=10)
    arguments = (source, "--out", tmp_path / "r", "--workers", "2", "--chunk", "1")

    ended = run_and(FULL, *arguments, "--quiet")
    planned = read_tables(tmp_path / "r")["summary"]["scenario"]
    resumed = run(*arguments, "--resume", "--quiet")

    where = f"batch folder {str(tmp_path / 'r')!r} cannot be written to: No space left on device"
    told = ended.stderr.splitlines()[0]
    assert (ended.returncode, told) == (1, f"error: {where}; what is in it stays good, go on with --resume")
    assert len(planned) == 5
    assert resumed == (0, "", "")
    assert sorted(read_tables(tmp_path / "r")["summary"]["scenario"]) == sorted(
        f"site_id=depot/day=2026-03-{day:02}" for day in range(2, 12)
    )


def _all_end(pids: list[int]) -> bool:
    end_s = time.monotonic() + PATIENCE_S
    while any(_lives(pid) for pid in pids) and time.monotonic() < end_s:
        time.sleep(0.05)
    return not any(_lives(pid) for pid in pids)


def _lives(pid: int) -> bool:
    try:
        # One that has ended and that nobody waits for counts as ended.
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", maxsplit=1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_nothing_is_left_to_complain_about(tmp_path: Path) -> None:
    """Workers end by themselves when all is done, and give back what they took of the system."""
    source = write_folders(tmp_path / "source", ["a", "b"])

    done = run_and("pass", source, "--out", tmp_path / "out", "--workers", "2", "--quiet")

    assert (done.returncode, done.stderr) == (0, "")
