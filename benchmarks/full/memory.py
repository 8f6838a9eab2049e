"""The most memory that one plan takes, each in a fresh process.

``python -m benchmarks.full.memory WAY SESSIONS`` plans once and prints it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.full.environments import ROOT

Document = dict[str, object]

SESSIONS = (2000, 20_000)
WAYS = ("scenario", "floor", "arrays", "pyomo")
"""The scenario alone, the floor, and whole plans with either back end."""
STATUS = Path("/proc/self/status")
KIB_PER_MIB = 1024


def peak_mib() -> float:
    """The largest resident set of this process so far, MiB.

    Not from getrusage, which counts what the parent had before this program was loaded. Source: proc(5), VmHWM.
    """
    line = next(line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / KIB_PER_MIB


def probe(way: str, sessions: int) -> float:
    """Plan once and say how much memory that took, MiB."""
    from benchmarks.floor import SAME_METHOD, solve_arrays  # noqa: PLC0415 - none imports more than it needs
    from benchmarks.full.shared import STAGES  # noqa: PLC0415
    from optimizer.bench.synthetic import scenario  # noqa: PLC0415
    from optimizer.engine import optimize  # noqa: PLC0415
    from optimizer.options import Backend, OptimizeOptions, SolverOptions  # noqa: PLC0415

    case = scenario(sessions, seed=1)
    if way == "floor":
        solve_arrays(case, OptimizeOptions(objective=STAGES), SAME_METHOD, scaled=True)
    elif way != "scenario":
        optimize(case, OptimizeOptions(objective=STAGES, solver=SolverOptions(backend=Backend(way))))
    return peak_mib()


def memory(chosen: Callable[[str], bool]) -> Iterator[Document]:
    """One document for each size."""
    for sessions in SESSIONS:
        name = f"{sessions:,} sessions"
        if chosen(name):
            found = {way: _measured(way, sessions) for way in WAYS}
            yield {
                "case": name,
                "mib": found,
                "over_floor": {way: mib / found["floor"] for way, mib in found.items()},
            }


def _measured(way: str, sessions: int) -> float:
    command = [sys.executable, "-m", "benchmarks.full.memory", way, str(sessions)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - our own
    return float(json.loads(done.stdout))


if __name__ == "__main__":
    print(json.dumps(probe(sys.argv[1], int(sys.argv[2]))))
