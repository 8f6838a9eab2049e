"""A process that plans what it is asked to with one peer, and says how long it took.

A request is a line of JSON on standard input, an answer one on standard output. What the peer itself prints goes to
standard error. The first line says which versions answer.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Protocol

from benchmarks.peers.program import FloatArray, SharedDay, SharedProgram


class ProgramPeer(Protocol):
    """A module that solves a `SharedProgram`; the options are its own, such as which solver."""

    PACKAGES: tuple[str, ...]

    @staticmethod
    def solve(program: SharedProgram, options: dict[str, str]) -> FloatArray:
        """(C,), kWh, or an error where it found no optimum."""


class DayPeer(Protocol):
    """A module that plans a `SharedDay`."""

    PACKAGES: tuple[str, ...]

    @staticmethod
    def prepare(day: SharedDay) -> object:
        """The day in the planner's own terms, which is not timed."""

    @staticmethod
    def plan(prepared: object, options: dict[str, str]) -> FloatArray:
        """(S, T), kW."""


def answer(peer: object, request: dict[str, object]) -> dict[str, object]:
    """Do what a request asks for, and time it.

    Args:
        peer: A `ProgramPeer` or a `DayPeer`.
        request: ``program`` or ``day``, the path of a file; ``options`` of the peer.

    Returns:
        ``seconds``, ``objective`` (currency), ``violation`` (kWh or kW) and, of a day, ``unmet_kwh``.
    """
    options = {str(name): str(value) for name, value in dict(request.get("options") or {}).items()}  # type: ignore[call-overload]
    if "program" in request:
        program = SharedProgram.load(Path(str(request["program"])))
        solver: ProgramPeer = peer  # type: ignore[assignment]
        seconds, x = _timed(lambda: solver.solve(program, options))
        return {"seconds": seconds, "objective": program.objective(x), "violation": program.violation(x)}
    day = SharedDay.load(Path(str(request["day"])))
    planner: DayPeer = peer  # type: ignore[assignment]
    prepared = planner.prepare(day)
    seconds, power_kw = _timed(lambda: planner.plan(prepared, options))
    return {
        "seconds": seconds,
        "objective": day.objective(power_kw),
        "violation": day.violation(power_kw),
        "unmet_kwh": day.unmet_kwh(power_kw),
    }


def _timed(action: Callable[[], FloatArray]) -> tuple[float, FloatArray]:
    gc.collect()
    started = time.perf_counter()
    found = action()
    return time.perf_counter() - started, found


def versions(peer: object) -> dict[str, str]:
    """Of the packages that a peer names, as far as they are installed."""
    found = {}
    for name in getattr(peer, "PACKAGES", ()):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def serve(name: str, requests: IO[str], answers: IO[str]) -> None:
    """Answer requests with the peer of a module until they end; an error is an answer too."""
    peer = import_module(f"benchmarks.peers.{name}")
    _say(answers, {"versions": versions(peer)})
    for line in requests:
        try:
            _say(answers, answer(peer, json.loads(line)))
        except Exception as error:  # noqa: BLE001 - whatever a peer raises is what is to be told of it
            _say(answers, {"error": f"{type(error).__name__}: {error}"})


def _say(answers: IO[str], told: dict[str, object]) -> None:
    print(json.dumps(told), file=answers, flush=True)


def main() -> None:
    """Serve on standard input and output; what else is written to standard output goes to standard error."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        serve(sys.argv[1], sys.stdin, answers)


if __name__ == "__main__":
    main()
