"""oscp-serve from outside: a process that starts, refuses, answers and stops."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from api import server
from api.settings import Settings

SERVE = [sys.executable, "-c", "import sys; from api.server import main; sys.exit(main())"]


def environment(**variables: str) -> dict[str, str]:
    """The environment of this process without settings of the server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OSCP_")} | variables


def refusal(tmp_path: Path, *arguments: str, **variables: str) -> str:
    """What the server says when it refuses to start."""
    done = subprocess.run(
        [*SERVE, *arguments],
        env=environment(**variables),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    return done.stderr


@contextmanager
def started(tmp_path: Path, *arguments: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process on a free port of the loopback, and its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [*SERVE, "--port", str(port), *arguments],
        env=environment(**variables),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_serving(process, url)
        yield process, url
    finally:
        process.kill()
        process.communicate()


def wait_until_serving(process: subprocess.Popen[str], url: str) -> None:
    """Ask for the health until it is answered; fail when the process ends."""
    while True:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=5) as answer:  # noqa: S310 - our own server
                assert answer.status == 200
                return
        except OSError:
            continue


class TestRefusals:
    """What stops the start, with the way out."""

    def test_no_operator_key(self, tmp_path: Path) -> None:
        """Without a key nobody could create a peer: the message says how to set one."""
        assert "export OSCP_OPERATOR_KEY=" in refusal(tmp_path)

    def test_an_empty_operator_key(self, tmp_path: Path) -> None:
        """A variable that is set to nothing is no key."""
        assert "export OSCP_OPERATOR_KEY=" in refusal(tmp_path, OSCP_OPERATOR_KEY=" ")

    def test_several_processes_on_sqlite(self, tmp_path: Path) -> None:
        """One process serves a SQLite file."""
        assert "needs PostgreSQL" in refusal(tmp_path, "--workers", "2", OSCP_OPERATOR_KEY="k" * 16)

    def test_a_port_that_is_taken(self, tmp_path: Path) -> None:
        """The message names address and port."""
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = str(other.getsockname()[1])

            assert f"127.0.0.1 port {port}" in refusal(tmp_path, "--port", port, OSCP_OPERATOR_KEY="k" * 16)

    def test_a_setting_out_of_bounds(self, tmp_path: Path) -> None:
        """The message names the option and the variable."""
        said = refusal(tmp_path, "--lease-s", "-1", OSCP_OPERATOR_KEY="k" * 16)

        assert "--lease-s (OSCP_LEASE_S)" in said

    def test_an_unknown_database(self, tmp_path: Path) -> None:
        """A database of another kind is refused before anything is served."""
        assert "mysql" in refusal(tmp_path, "--database-url", "mysql://x/y", OSCP_OPERATOR_KEY="k" * 16)


def test_a_demo_makes_up_its_key(tmp_path: Path) -> None:
    """``--demo`` prints the key of the run, which opens the API; another one does not."""
    with started(tmp_path, "--demo") as (process, url):
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]

    assert re.search(r"the operator's key of this run is \S{20,}", said)
    assert url


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told(tmp_path: Path, way: signal.Signals) -> None:
    """A stop ends every process of the server, says nothing alarming and leaves the database closed."""
    with started(tmp_path, OSCP_OPERATOR_KEY="k" * 16) as (process, _):
        process.send_signal(way)
        said = process.communicate(timeout=60)[1]

    assert process.returncode in (0, -way)
    assert "Traceback" not in said
    assert not (tmp_path / "capacity-optimizer.db-wal").exists()


def test_a_client_that_never_ends_its_head_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that only begin a request do not pile up."""
    monkeypatch.setattr(server, "HEADER_TIMEOUT_S", 0.05)
    settings = Settings.model_validate(
        {"port": 0, "database_url": f"sqlite:///{tmp_path}/state.db", "operator_key": "k" * 16}
    )

    with server.serving(settings) as url, socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as slow:
        slow.settimeout(30)
        slow.sendall(b"POST /oscp/co/2.0/heartbeat HTTP/1.1\r\nHost: x\r\nX-Slow")
        try:
            received = slow.recv(100)
        except ConnectionResetError:
            received = b""

    assert received == b""


def test_a_client_whose_head_has_no_end_is_cut_off(tmp_path: Path) -> None:
    """Headers are not kept without a limit: of ten megabytes only the first are taken."""
    settings = Settings.model_validate(
        {"port": 0, "database_url": f"sqlite:///{tmp_path}/state.db", "operator_key": "k" * 16}
    )
    line = b"X-Endless: " + b"x" * 10_000 + b"\r\n"

    with server.serving(settings) as url, socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as big:
        big.settimeout(30)
        try:
            big.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + line * 1000 + b"\r\n")
            received = big.recv(100)
        except (BrokenPipeError, ConnectionResetError):
            received = b""

    assert received == b""
