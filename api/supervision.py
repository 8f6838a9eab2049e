"""Loops that run as long as the server does: started together, restarted when they fail, stopped in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

logger = logging.getLogger(__name__)

RESTART_PAUSE_S = 1.0


@dataclass(slots=True, eq=False)
class Loops:
    """Some endless coroutines by name.

    Args:
        failures: Why a loop that waits to be started again had failed; empty while all run.
    """

    failures: dict[str, str] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a loop from now on; when it fails it is logged and started again after a pause."""
        self._tasks[name] = asyncio.create_task(self._keep_running(name, run), name=name)

    @property
    def running(self) -> bool:
        """Whether every loop that was started runs."""
        return not self.failures and not any(task.done() for task in self._tasks.values())

    async def stop(self) -> None:
        """Cancel every loop and wait until all have ended."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()

    async def _keep_running(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        while True:
            forgive = asyncio.get_running_loop().call_later(RESTART_PAUSE_S, self.failures.pop, name, None)
            try:
                await run()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                self.failures[name] = f"{type(error).__name__}: {error}"
                logger.exception("loop=%s failed, starts again in %s s", name, RESTART_PAUSE_S)
            else:
                return
            finally:
                forgive.cancel()
            await asyncio.sleep(RESTART_PAUSE_S)
