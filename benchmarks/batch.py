"""Measure batches: one worker against two, processes against a Dask cluster, memory, and what a million costs."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import dask
import psutil
from distributed import LocalCluster

from benchmarks.figures import publish
from benchmarks.site_days import write_real_days, write_synthetic_days
from optimizer.bench.machine import PACKAGES, machine

RESULTS = Path("build/benchmark-batch.json")
COMMAND = (sys.executable, "-c", "from optimizer.cli import main; main()", "batch")
SAMPLE_EVERY_S = 0.1
SMALL_SESSIONS = 10
MEMORY_SIZES = (200, 2000)
DASK_SETTINGS = {"distributed.worker.profile.enabled": False, "distributed.admin.tick.interval": "500ms"}
MILLION = 1_000_000
PRICE_PER_CORE_HOUR_USD = 0.05
"""Assumption: about what the large clouds list for a general-purpose virtual core on demand; spot is a third of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One batch.

    Args:
        scenarios: How many were planned.
        seconds: From the first chunk sent to the last one written, s.
        wall_s: The same with the start of Python and of the workers, s.
        driver_mib: Largest resident memory of the command itself, MiB.
        worker_mib: Largest resident memory of a worker process, MiB.
    """

    scenarios: int
    seconds: float
    wall_s: float
    driver_mib: float
    worker_mib: float


def run(source: Path, *options: str) -> Run:
    """Plan a source with the command line, and watch its memory.

    Raises:
        RuntimeError: A scenario has no plan.
    """
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        command = [*COMMAND, str(source), "--out", f"{folder}/results", "--json", *options]
        process = subprocess.Popen(  # noqa: S603 - our own command
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        driver, worker = _watch(process)
        wall_s = time.perf_counter() - started
        output, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {output}")
    told = json.loads(output)
    return Run(scenarios=told["finished"], seconds=told["seconds"], wall_s=wall_s, driver_mib=driver, worker_mib=worker)


def _watch(process: subprocess.Popen[str]) -> tuple[float, float]:
    """The largest resident memory of a process and of any of its children until it ends, MiB."""
    driver = worker = 0.0
    seen = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            driver = max(driver, seen.memory_info().rss / 2**20)
            worker = max([worker, *(child.memory_info().rss / 2**20 for child in seen.children(recursive=True))])
        except psutil.Error:
            pass
        time.sleep(SAMPLE_EVERY_S)
    return driver, worker


@contextmanager
def cluster() -> Iterator[str]:
    """Two Dask workers of one thread on loopback, set as docs/batch.md says; yields the address of their scheduler."""
    with (
        dask.config.set(DASK_SETTINGS),
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=2, threads_per_worker=1, dashboard_address=":0", protocol="tcp://", host="127.0.0.1"
        ) as made,
    ):
        yield made.scheduler_address


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two ways to plan the same scenarios, measured in turn.

    Args:
        name: Which.
        seconds: Medians of both, s.
        ratio: Median of the ratios of the pairs: the first over the second.
        pairs: How many.
    """

    name: str
    seconds: tuple[float, float]
    ratio: float
    pairs: int


def compare(name: str, source: Path, one: tuple[str, ...], other: tuple[str, ...], *, pairs: int) -> Comparison:
    """Plan a source both ways, again and again, who is first changing, since a machine's speed drifts."""
    timed: list[tuple[float, float]] = []
    for turn in range(pairs):
        order = (one, other) if turn % 2 == 0 else (other, one)
        seconds = {options: run(source, *options).seconds for options in order}
        timed.append((seconds[one], seconds[other]))
        print(f"{name}: {seconds[one]:.1f} s and {seconds[other]:.1f} s", file=sys.stderr, flush=True)
    medians = (statistics.median(first for first, _ in timed), statistics.median(second for _, second in timed))
    return Comparison(name=name, seconds=medians, ratio=statistics.median(a / b for a, b in timed), pairs=pairs)


def measure(folder: Path, *, real: int, synthetic: int, pairs: int) -> dict[str, object]:
    """Every measurement, as JSON values."""
    print("Writing the data sets", file=sys.stderr, flush=True)
    sessions = write_real_days(folder / "real", real)
    for size in MEMORY_SIZES:
        write_synthetic_days(folder / f"memory-{size}", size, sessions=SMALL_SESSIONS)
    write_synthetic_days(folder / "synthetic", synthetic, sessions=SMALL_SESSIONS)

    two = ("--workers", "2")
    scaling = [
        compare(f"1 and 2 workers, {backend}", folder / "real", (*one, *carrier), (*two, *carrier), pairs=pairs)
        for one in [("--workers", "1")]
        for backend in ("pyomo", "arrays")
        for carrier in [("--backend", backend)]
    ]
    with cluster() as address:
        dask = compare("Dask and processes", folder / "real", ("--cluster", address), two, pairs=pairs)
    memory = {size: run(folder / f"memory-{size}", *two, "--backend", "arrays") for size in MEMORY_SIZES}
    large = run(folder / "synthetic", *two, "--backend", "arrays")
    per_second = {name.rsplit(" ", maxsplit=1)[1]: real / seconds[0] for name, seconds in _times(scaling)}
    return {
        "environment": machine((*PACKAGES, "pyarrow", "distributed")),
        "real": {"scenarios": real, "sessions": sessions},
        "comparisons": [asdict(comparison) for comparison in (*scaling, dask)],
        "per_second_per_core": per_second,
        "million": {name: _million(rate) for name, rate in per_second.items()},
        "memory": {str(size): asdict(found) for size, found in memory.items()},
        "synthetic": asdict(large),
    }


def _times(comparisons: list[Comparison]) -> list[tuple[str, tuple[float, float]]]:
    return [(comparison.name, comparison.seconds) for comparison in comparisons]


def _million(per_second: float) -> dict[str, float]:
    """What a million site-days take on one core, and what they cost."""
    hours = MILLION / per_second / 3600
    return {"core_hours": hours, "usd": hours * PRICE_PER_CORE_HOUR_USD}


def markdown(measured: dict[str, object]) -> str:
    """The figures as the README has them."""
    document = json.loads(json.dumps(measured))
    real, environment = document["real"], document["environment"]
    lines = [
        f"{real['scenarios']} site-days of JPL and Caltech, {real['sessions']} sessions; {environment['cores']} cores.",
        "",
        "| what | first, s | second, s | first / second | pairs |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for found in document["comparisons"]:
        first, second = found["seconds"]
        lines.append(f"| {found['name']} | {first:.1f} | {second:.1f} | {found['ratio']:.2f} | {found['pairs']} |")
    lines += [
        "",
        "| back end | site-days per second and core | core hours for a million | USD |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, rate in document["per_second_per_core"].items():
        cost = document["million"][name]
        lines.append(f"| {name} | {rate:.1f} | {cost['core_hours']:.1f} | {cost['usd']:.2f} |")
    lines += [
        "",
        "| synthetic site-days | s | per second | command, MiB | a worker, MiB |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for found in (*document["memory"].values(), document["synthetic"]):
        lines.append(
            f"| {found['scenarios']} | {found['seconds']:.1f} | {found['scenarios'] / found['seconds']:.1f} "
            f"| {found['driver_mib']:.0f} | {found['worker_mib']:.0f} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Measure, print, write ``build/benchmark-batch.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=int, default=1000, help="site-days of the garages")
    parser.add_argument("--synthetic", type=int, default=10_000, help="synthetic site-days of the large run")
    parser.add_argument("--pairs", type=int, default=3, help="how often each comparison is repeated")
    parser.add_argument("--publish", action="store_true", help="put the figures into benchmarks/README.md")
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(folder), real=parsed.real, synthetic=parsed.synthetic, pairs=parsed.pairs)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    print(markdown(measured))
    if parsed.publish:
        publish(markdown(measured), "batch figures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
