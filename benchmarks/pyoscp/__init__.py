"""pyoscp from the package index, another implementation of OSCP 2.0, in an environment and a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
ENVIRONMENT = FOLDER.parents[1] / "build" / "pyoscp"


class UnavailableError(RuntimeError):
    """pyoscp cannot be had here."""


def python_with_pyoscp() -> Path:
    """An interpreter that has pyoscp, which wants older packages than others do; made on demand.

    Raises:
        UnavailableError: It cannot be made: there is no package index, say.
    """
    requirements = FOLDER / "requirements.txt"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()[:8]
    done = ENVIRONMENT / f"{sys.version_info.major}.{sys.version_info.minor}-{wanted}"
    python = done / "bin" / "python"
    if not python.exists():
        ENVIRONMENT.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=ENVIRONMENT))
        subprocess.run([sys.executable, "-m", "venv", made], check=True)  # noqa: S603 - our own interpreter
        pip = (made / "bin" / "python", "-m", "pip", "install", "-qq", "--disable-pip-version-check")
        installed = subprocess.run([*pip, "-r", requirements], capture_output=True, text=True, check=False)  # noqa: S603
        if installed.returncode:
            shutil.rmtree(made)
            raise UnavailableError(f"pyoscp cannot be installed: {installed.stderr.strip()[-300:]}")
        _put_in_place(made, done)
    return python


def _put_in_place(made: Path, done: Path) -> None:
    try:
        made.rename(done)
    except OSError:  # another process was first
        shutil.rmtree(made)


class Pyoscp:
    """pyoscp as flexibility or capacity provider."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.base_url: str = self._answer()

    def register_at(self, url: str, token: str) -> None:
        """Start a registration."""
        self._do(f"START {url} {token}")
        self.tick()

    def send(self, method: str, path: str, body: object = None) -> int:
        """Call its peer; the status of the answer."""
        statuses: list[int] = self._do(f"SEND {method} {path} {json.dumps(body)}")
        (status,) = statuses
        return status

    def tick(self) -> None:
        """Let it acknowledge handshakes, beat and register."""
        self._do("TICK")

    def handled(self, name: str) -> list[dict[str, Any]]:
        """What one of its handlers was called with."""
        return [entry["payload"] for entry in self._do("SEEN")["handled"] if entry["call"] == name]

    def calls(self, path: str) -> list[dict[str, Any]]:
        """The requests it got at a path."""
        return [call for call in self._do("SEEN")["calls"] if call["path"].endswith(path)]

    def peers(self) -> dict[str, dict[str, Any]]:
        """What it knows of registered peers, by the token they present."""
        return {token: peer for token, peer in self._do("PEERS").items() if peer["register"]["base_url"]}

    def _do(self, command: str) -> Any:  # noqa: ANN401 - JSON
        if self._process.stdin is None:
            raise RuntimeError("its standard input is not connected")
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:  # noqa: ANN401 - JSON
        line = "" if self._process.stdout is None else self._process.stdout.readline()
        if not line:
            raise RuntimeError("pyoscp has ended")
        return json.loads(line)


@contextmanager
def pyoscp(actor: str, token: str) -> Iterator[Pyoscp]:
    """A process of pyoscp as ``fp``, ``cp`` or ``co``, which accepts a first token."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    process = subprocess.Popen(  # noqa: S603 - what was installed above
        [python_with_pyoscp(), FOLDER / "peer.py", actor, token],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=variables,
    )
    with process:
        try:
            yield Pyoscp(process)
        finally:
            process.kill()
