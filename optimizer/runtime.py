"""Timing of phases, and keeping the garbage collector out of short bursts of allocation."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType


class Stopwatch:
    """Wall time of named phases; a phase entered twice adds up."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time until the block ends, whatever way it ends."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - started

    @property
    def seconds(self) -> Mapping[str, float]:
        """Seconds by phase, in the order of their first begin, and their sum as ``total``."""
        return MappingProxyType({**self._seconds, "total": sum(self._seconds.values())})


@contextmanager
def paused_garbage_collection() -> Iterator[None]:
    """Keep the collector from walking a growing model again and again; models hold hardly any cycles."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
