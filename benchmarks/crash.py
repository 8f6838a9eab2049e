"""Kill the server again and again while messages come in, and count what it acknowledged and lost: nothing, once each.

One site for each group; a forecast states a capacity of its own, which the plan uses up, so that an OPTIMUM names the
forecast it answers. What was not acknowledged is sent again, under its id and word for word, as a peer does it: it may
have been stored all the same.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import create_engine, text

from api.server import run
from api.settings import Settings
from benchmarks.flexibility_provider import FlexibilityProvider
from benchmarks.live_server import DATABASES, Operator, database, free_port, is_healthy

FORECAST_PATH = "/update_group_capacity_forecast"
OPERATOR_KEY = "crash-test-operator-key"
PEER_TOKEN = "crash-test-token-of-the-peer"  # noqa: S105 - of a peer that lives in this process
GROUPS = 8
SENDERS = 4
LONGEST_LIFE_S = 6.0
CHARGER_KW = 100_000.0
ENERGY_KWH = 1e6
SETTLE_S = 120.0
PAUSES_S = (0.0, 0.3)
"""Between the messages of a sender, life by life: without a pause the state changes faster than it can be planned."""
SAME_KW = 0.0005
"""Half of the difference between two forecasts."""
# A process that has imported everything once: to start a server anew is to fork.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["api.server"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A forecast.

    Args:
        group_id: Of which group.
        capacity_kw: Unlike any other's, kW.
        start: First instant of its only block.
    """

    group_id: str
    capacity_kw: float
    start: datetime

    def message(self) -> dict[str, Any]:
        """It, as it goes out, however often."""
        block = {
            "capacity": self.capacity_kw,
            "phase": "ALL",
            "unit": "KW",
            "start_time": self.start.isoformat(timespec="milliseconds"),
            "end_time": (self.start + timedelta(hours=30)).isoformat(timespec="milliseconds"),
        }
        return {"group_id": self.group_id, "type": "CONSUMPTION", "forecasted_blocks": [block]}


@dataclass(slots=True)
class Outcome:
    """What became of everything that was sent.

    Args:
        kills: How often the server was killed.
        acknowledged: Messages answered 204.
        repeated: Messages sent again, for no answer had come.
        lost: Acknowledged messages that are not stored.
        doubled: Messages stored more than once.
        stale: Groups whose last OPTIMUM does not answer the newest forecast.
        optima: OPTIMUM messages delivered.
    """

    kills: int = 0
    acknowledged: int = 0
    repeated: int = 0
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
        longest_life_s: The latest of them, counted from when it serves, s.
    """

    def __init__(self, database_url: str, folder: Path, *, seed: int, longest_life_s: float = LONGEST_LIFE_S) -> None:
        self._longest_life_s = longest_life_s
        self._database_url = database_url
        self._log = folder / "server.log"
        self._random = random.Random(seed)  # noqa: S311 - moments, not secrets
        self._provider = FlexibilityProvider()
        self._port = free_port()
        self._numbers = itertools.count(1)
        self._acknowledged: set[str] = set()
        self._sent: dict[str, Sent] = {}
        self._unanswered: deque[str] = deque()
        self._repeated: set[str] = set()
        self._pause_s = 0.0

    def run(self, kills: int) -> Outcome:
        """Set up, kill, start again, and count at the end."""
        with closing(self._provider):
            with self._server():
                self._set_up()
            for life in range(kills):
                self._pause_s = PAUSES_S[life % len(PAUSES_S)]
                with self._server() as process:
                    self._send_until_killed(process, self._random.uniform(0.0, self._longest_life_s))
            with self._server():
                self._send_for(0.5)
                newest = self._wait_until_settled()
            return self._count(kills, newest)

    @contextmanager
    def _server(self) -> Iterator[ForkServerProcess]:
        """A server that serves, as a process that is killed in the end."""
        settings = Settings(
            port=self._port,
            database_url=self._database_url,
            operator_key=SecretStr(OPERATOR_KEY),
            allow_insecure_callbacks=True,
            max_backoff_s=1.0,
            lease_s=2.0,
        )
        process = FORKS.Process(target=_serve, args=(settings, self._log))
        process.start()
        try:
            while not is_healthy(self._port):
                if not process.is_alive():
                    raise RuntimeError(f"the server ended with code {process.exitcode}; see {self._log}")
                time.sleep(0.02)
            yield process
        finally:
            process.kill()
            process.join()

    def _set_up(self) -> None:
        now = datetime.now(UTC)
        session = {
            "session_id": "S1",
            "charger_id": "C1",
            "arrival": (now - timedelta(hours=1)).isoformat(),
            "departure": (now + timedelta(days=20)).isoformat(),
            "energy_kwh": ENERGY_KWH,
        }
        with closing(Operator(f"http://127.0.0.1:{self._port}", OPERATOR_KEY)) as operator:
            address = {"base_url": self._provider.url, "token": PEER_TOKEN}
            made = operator.do("POST", "/v1/peers", {"name": "crash", "profile": "vector"} | address)
            self._provider.admit(made["base_url"], made["token"])
            for index in range(GROUPS):
                site = {
                    "peer_id": made["peer_id"],
                    "time_zone": "UTC",
                    "currency": "EUR",
                    "groups": [{"group_id": f"group-{index}"}],
                    "chargers": [{"charger_id": "C1", "group_id": f"group-{index}", "max_power_kw": CHARGER_KW}],
                }
                operator.do("PUT", f"/v1/sites/site-{index}", site)
                operator.do("POST", f"/v1/sites/site-{index}/sessions", [session])

    def _send_until_killed(self, process: ForkServerProcess, life_s: float) -> None:
        killer = threading.Timer(life_s, process.kill)
        killer.start()
        self._send(process.is_alive)
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
        while going_on():
            request_id = self._next()
            try:
                status = self._provider.send(FORECAST_PATH, self._sent[request_id].message(), request_id=request_id)
            except OSError:
                status = None
            if status == HTTPStatus.NO_CONTENT:
                self._acknowledged.add(request_id)
            else:
                self._unanswered.append(request_id)
            time.sleep(self._pause_s)

    def _next(self) -> str:
        """The id of what goes out next: again what was not acknowledged, else something new."""
        with suppress(IndexError):
            request_id = self._unanswered.popleft()
            self._repeated.add(request_id)
            return request_id
        number = next(self._numbers)
        request_id = f"message-{number}"
        self._sent[request_id] = Sent(
            group_id=f"group-{number % GROUPS}",
            capacity_kw=1.0 + number / 1000,
            start=datetime.now(UTC) - timedelta(hours=1),
        )
        return request_id

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
        newest = {group_id: self._sent[request_id].capacity_kw for group_id, request_id in self._stored()}
        end_s = time.monotonic() + SETTLE_S
        while time.monotonic() < end_s and self._stale(newest):
            time.sleep(0.1)
        return newest

    def _stale(self, newest: dict[str, float]) -> list[str]:
        told = {optimum.group_id: optimum.blocks[0]["capacity"] for optimum in self._provider.optima}
        return [group_id for group_id, capacity in newest.items() if abs(told.get(group_id, -1.0) - capacity) > SAME_KW]

    def _count(self, kills: int, newest: dict[str, float]) -> Outcome:
        times = Counter(request_id for _, request_id in self._stored())
        return Outcome(
            kills=kills,
            acknowledged=len(self._acknowledged),
            repeated=len(self._repeated),
            lost=[request_id for request_id in self._acknowledged if not times[request_id]],
            doubled=[request_id for request_id, count in times.items() if count > 1],
            stale=self._stale(newest),
            optima=len(self._provider.optima),
        )


def _serve(settings: Settings, log: Path) -> None:
    """Serve until killed."""
    with log.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    run(settings)


def main(arguments: list[str] | None = None) -> int:
    """Print what was lost for each kind of database; 1 when anything was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300, help="how often the server is killed")
    parser.add_argument("--database", choices=DATABASES, action="append", help="both by default")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--longest-life", type=float, default=LONGEST_LIFE_S, help="until it is killed, s")
    chosen = parser.parse_args(arguments)
    clean = True
    for kind in chosen.database or DATABASES:
        folder = Path(tempfile.mkdtemp(prefix="crash-"))
        try:
            with database(kind, folder) as url:
                crashes = CrashRun(url, folder, seed=chosen.seed, longest_life_s=chosen.longest_life)
                outcome = crashes.run(chosen.kills)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        clean = clean and outcome.is_clean
        print(
            f"{kind}: {outcome.kills} kills, {outcome.acknowledged} messages acknowledged, "
            f"{outcome.repeated} sent again, {len(outcome.lost)} lost, {len(outcome.doubled)} doubled, "
            f"{len(outcome.stale)} groups stale, {outcome.optima} optima delivered"
        )
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
