"""Processes of peers, asked in turn."""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress

from benchmarks.full.environments import ROOT, UnavailableError, python_of

START_TIMEOUT_S = 180.0
"""Some peers take a quarter of a minute to be imported."""

Answer = Mapping[str, object]


class TooSlowError(Exception):
    """A peer did not answer in time; its process is gone."""


class Worker:
    """A process that runs `benchmarks.peers.worker` in the environment of a peer.

    Args:
        module: Which peer, a module of `benchmarks.peers`.
        environment: Its environment, of `benchmarks.full.environments`.

    Raises:
        UnavailableError: The environment cannot be made, or the peer cannot be imported.
    """

    def __init__(self, module: str, environment: str) -> None:
        # A file and no pipe, which would be full at some time.
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - it lives as long as the process
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            [python_of(environment), "-m", "benchmarks.peers.worker", module],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        try:
            self.versions = self._answer(START_TIMEOUT_S)["versions"]
        except (TooSlowError, EOFError) as error:
            self._process.kill()
            self._process.wait()
            self._said.seek(0)
            lines = [line for line in self._said.read().splitlines() if line.strip()]
            self.close()
            raise UnavailableError(lines[-1] if lines else str(error)) from error

    def ask(self, request: Mapping[str, object], *, timeout_s: float) -> Answer:
        """What it answers.

        Raises:
            TooSlowError: It took longer; the process was ended.
            EOFError: The process ended by itself.
        """
        stdin = self._process.stdin
        if stdin is None or self._process.poll() is not None:
            raise EOFError("the process has ended")
        print(json.dumps(request), file=stdin, flush=True)
        try:
            return self._answer(timeout_s)
        except TooSlowError:
            self.close()
            raise

    def _answer(self, timeout_s: float) -> Answer:
        stdout = self._process.stdout
        if stdout is None:
            raise EOFError("the process has no output")
        # Answers are a line each, asked for one by one: none is left in the buffer when the next is waited for.
        ready, _, _ = select.select([stdout], [], [], timeout_s)
        if not ready:
            raise TooSlowError(f"no answer within {timeout_s:g} s")
        line = stdout.readline()
        if not line:
            raise EOFError(f"the process ended with {self._process.wait()}")
        told: Answer = json.loads(line)
        return told

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process and drop what it has said."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._said):
            if stream is not None:
                # What could not be sent to a process that has ended is of no use any more.
                with suppress(BrokenPipeError):
                    stream.close()
