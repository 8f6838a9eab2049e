"""Ways to do the same thing, measured in turn, so that their ratios hold when the machine's speed drifts."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.full.environments import OURS, UnavailableError
from benchmarks.full.workers import Answer, TooSlowError, Worker

MOST_ROUNDS = 11
Run = Callable[[Mapping[str, object], float], Answer]
"""Given a request and a time limit, s, answer it as `benchmarks.peers.worker.answer` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A way to plan.

    Args:
        name: In tables.
        module: Of `benchmarks.peers`, in a process of its own.
        environment: Where that runs.
        options: Of the module.
        largest: Sessions above which it is not asked, since it would take minutes; None for no such limit.
    """

    name: str
    module: str
    environment: str = OURS
    options: Mapping[str, str] = field(default_factory=dict)
    largest: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """How one contestant did on one case.

    Args:
        name: Whose.
        rounds: How often it was timed.
        seconds: Median; None where it failed.
        over_first: Median of the ratios to the first contestant, round by round.
        objective: What its plan is worth.
        violation: By how much it breaks the worst bound or row.
        unmet_kwh: What it leaves unmet, of a day.
        failure: Why there is no figure.
    """

    name: str
    rounds: int = 0
    seconds: float | None = None
    over_first: float | None = None
    objective: float | None = None
    violation: float | None = None
    unmet_kwh: float | None = None
    failure: str | None = None


class Stable:
    """The processes of contestants, started when first asked and kept for the next case.

    Args:
        contestants: All.
    """

    def __init__(self, contestants: Sequence[Contestant]) -> None:
        self.contestants = tuple(contestants)
        self.versions: dict[str, object] = {}
        self.unavailable: dict[str, str] = {}
        self._workers: dict[str, Worker] = {}

    def run(self, contestant: Contestant, request: Mapping[str, object], timeout_s: float) -> Answer:
        """Ask a contestant; an error of its own is an answer with ``error``."""
        if contestant.name in self.unavailable:
            return {"error": self.unavailable[contestant.name]}
        try:
            worker = self._worker(contestant)
        except UnavailableError as error:
            self.unavailable[contestant.name] = str(error)
            return {"error": str(error)}
        try:
            return worker.ask({**request, "options": dict(contestant.options)}, timeout_s=timeout_s)
        except TooSlowError:
            return {"error": f"more than {timeout_s:g} s"}
        except EOFError as error:
            return {"error": str(error)}

    def _worker(self, contestant: Contestant) -> Worker:
        worker = self._workers.get(contestant.name)
        if worker is None or not worker.is_alive:
            if worker is not None:
                worker.close()
            worker = Worker(contestant.module, contestant.environment)
            self.versions[contestant.name] = worker.versions
            self._workers[contestant.name] = worker
        return worker

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers.values():
            worker.close()


def race(runs: Mapping[str, Callable[[], Answer]], *, budget_s: float) -> list[Timed]:
    """Run all in turn, again and again; the first is what the others are compared with.

    The first round warms up and counts only for those who took so long that there is no second.

    Args:
        runs: By name; each answers with ``seconds`` and more, or with ``error``.
        budget_s: Of each; who has used it up sits out.
    """
    answers: dict[str, list[Answer | None]] = {name: [] for name in runs}
    spent = dict.fromkeys(runs, 0.0)
    for turn in range(MOST_ROUNDS + 1):
        for name, run in runs.items():
            known = answers[name]
            if turn and (spent[name] > budget_s or known[0] is None or "error" in known[0]):
                known.append(None)
                continue
            answer = run()
            spent[name] += float(str(answer.get("seconds", 0.0)))
            known.append(answer)
    first = answers[next(iter(runs))]
    return [_timed(name, found, first) for name, found in answers.items()]


def _timed(name: str, answers: Sequence[Answer | None], first: Sequence[Answer | None]) -> Timed:
    failure = next((str(one["error"]) for one in answers if one is not None and "error" in one), None)
    if failure is not None:
        return Timed(name=name, failure=failure)
    later = [turn for turn, one in enumerate(answers) if turn and one is not None]
    turns = later or [0]
    seconds = {turn: _number(answers[turn], "seconds") for turn in turns}
    # Where the first sat out, or only warmed up, stands what it usually takes.
    warm = {turn: its for turn in range(1, len(first)) if (its := _number(first[turn], "seconds"))}
    usual = statistics.median(warm.values()) if warm else _number(first[0], "seconds")
    pairs = [(mine, warm.get(turn, usual)) for turn, mine in seconds.items()]
    ratios = [mine / its for mine, its in pairs if mine and its]
    return Timed(
        name=name,
        rounds=len(turns),
        seconds=statistics.median(value for value in seconds.values() if value is not None),
        over_first=statistics.median(ratios) if ratios else None,
        objective=_number(answers[0], "objective"),
        violation=_number(answers[0], "violation"),
        unmet_kwh=_number(answers[0], "unmet_kwh"),
    )


def _number(answer: Answer | None, name: str) -> float | None:
    value = None if answer is None else answer.get(name)
    return float(value) if isinstance(value, int | float) else None
