"""How long programs take to start: Python itself, version and help, and what a plan imports."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

Document = dict[str, object]

ROUNDS = 15
COMMAND = "import sys; from optimizer.cli import main; sys.argv = ['oscp-optimize', {!r}]; main()"
PROGRAMS = {
    "python -c pass": "pass",
    "oscp-optimize --version": COMMAND.format("--version"),
    "oscp-optimize --help": COMMAND.format("--help"),
    "import optimizer": "import optimizer",
    "import optimizer.engine": "import optimizer.engine",
    "import optimizer.optimum (Pyomo)": "import optimizer.optimum",
}
"""What is run, by name."""


def startup(chosen: Callable[[str], bool]) -> Iterator[Document]:
    """One document for each program; rounds in turn, since a machine's speed drifts."""
    names = [name for name in PROGRAMS if chosen(name)]
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name in names:
            started = time.perf_counter()
            command = [sys.executable, "-c", PROGRAMS[name]]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own
            seconds[name].append(time.perf_counter() - started)
    for name, found in seconds.items():
        yield {"case": name, "median_s": statistics.median(found), "least_s": min(found)}
