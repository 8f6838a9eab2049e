"""Loops go on when one of them fails, and end when the server does."""

from __future__ import annotations

import asyncio

import pytest

from api import supervision
from api.supervision import Loops


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "RESTART_PAUSE_S", 0.0)


def test_a_loop_that_fails_starts_again() -> None:
    """An error of one moment does not end the planner for good."""
    runs: list[int] = []

    async def fails_once() -> None:
        runs.append(len(runs))
        if len(runs) == 1:
            raise OSError("disk gone")
        await asyncio.Event().wait()

    async def scenario() -> None:
        loops = Loops()
        loops.start("planner", fails_once)
        while len(runs) < 2:
            await asyncio.sleep(0)
        await loops.stop()

    asyncio.run(scenario())

    assert runs == [0, 1]


def test_a_failure_is_told_until_the_loop_has_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks whether the server is ready hears which loop does not run, and why."""
    monkeypatch.setattr(supervision, "RESTART_PAUSE_S", 3600.0)

    async def fails() -> None:
        raise OSError("disk gone")

    async def scenario() -> tuple[bool, dict[str, str]]:
        loops = Loops()
        loops.start("planner", fails)
        while not loops.failures:
            await asyncio.sleep(0)
        found = loops.running, dict(loops.failures)
        await loops.stop()
        return found

    assert asyncio.run(scenario()) == (False, {"planner": "OSError: disk gone"})


def test_a_failing_loop_leaves_the_others_alone() -> None:
    """Deliveries go on while the planner fails."""
    ticks: list[str] = []

    async def fails() -> None:
        ticks.append("failed")
        raise ValueError("no")

    async def goes_on() -> None:
        while True:
            ticks.append("went on")
            await asyncio.sleep(0)

    async def scenario() -> None:
        loops = Loops()
        loops.start("planner", fails)
        loops.start("delivery", goes_on)
        while ticks.count("failed") < 3:
            await asyncio.sleep(0)
        before = ticks.count("went on")
        while ticks.count("went on") < before + 3:
            await asyncio.sleep(0)
        await loops.stop()

    asyncio.run(scenario())


def test_stopping_waits_for_the_last_word() -> None:
    """What a loop does when it is cancelled is done before the server ends."""
    said: list[str] = []

    async def tidies_up() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            said.append("tidied up")

    async def scenario() -> None:
        loops = Loops()
        loops.start("planner", tidies_up)
        await asyncio.sleep(0)
        await loops.stop()

    asyncio.run(scenario())

    assert said == ["tidied up"]
