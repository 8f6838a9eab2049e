"""The parts of the benchmark, by name, and the file that holds what they measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import again
from benchmarks.full.cases import Case
from benchmarks.full.comparisons import libraries, planners, solvers
from benchmarks.full.ladder import ladder
from benchmarks.full.memory import memory
from benchmarks.full.startup import startup
from optimizer.bench.machine import machine

Document = dict[str, object]
Chosen = Callable[[str], bool]

RESULTS = Path("build/benchmark-full.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the benchmark.

    Args:
        title: What it measures.
        measure: Given which cases are wanted, one document for each, with its name as ``case``.
    """

    title: str
    measure: Callable[[Chosen], Iterator[Document]]


def _of_cases(
    measure: Callable[[Callable[[Case], bool]], Iterator[Document]],
) -> Callable[[Chosen], Iterator[Document]]:
    return lambda chosen: measure(lambda case: chosen(case.name))


PARTS: Mapping[str, Part] = {
    "startup": Part(title="Start-up", measure=startup),
    "memory": Part(title="Memory", measure=memory),
    "ladder": Part(title="Phases over sizes", measure=ladder),
    "again": Part(title="The same site again", measure=again.part),
    "libraries": Part(title="Modelling libraries on the same program", measure=_of_cases(libraries)),
    "planners": Part(title="Planners on the same day", measure=_of_cases(planners)),
    "solvers": Part(title="Solvers", measure=_of_cases(solvers)),
}


class Results:
    """What was measured, on file: parts by name, cases by name within them; a case measured again replaces itself.

    Args:
        path: JSON file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parts: dict[str, dict[str, Document]] = {}
        if path.exists():
            self._parts = json.loads(path.read_text(encoding="utf-8"))["parts"]

    def add(self, part: str, document: Document) -> None:
        """Keep one case, and write the file, so that an interrupted run has lost nothing."""
        known = self._parts.setdefault(part, {})
        known[str(document["case"])] = {**document, "machine": machine()}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps({"parts": self._parts}, indent=1) + "\n", encoding="utf-8")

    def of(self, part: str) -> list[Document]:
        """Cases of a part, in the order in which they were first measured."""
        return list(self._parts.get(part, {}).values())
