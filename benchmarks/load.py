"""How many messages a second the server takes, and how soon a forecast is answered by an OPTIMUM.

Every message is durable before its 204. Beside it, in the same run, pyoscp as Capacity Optimizer takes the same
messages; it keeps them in memory and asks for no token.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from rich.console import Console
from rich.table import Table

from api.settings import Settings
from benchmarks.flexibility_provider import FlexibilityProvider
from benchmarks.live_server import DATABASES, Operator, database, free_port, server_process
from benchmarks.pyoscp import UnavailableError, pyoscp
from models.domain import CapacityForecast, CapacityForecasts, CapacityKind, Scenario
from models.domain.capacity import CapacityBlock
from optimizer import OptimizeOptions, optimize
from optimizer.scenario_io import SessionRow, SiteFile

OPERATOR_KEY = "load-test-operator-key"
PEER_TOKEN = "load-test-token-of-the-peer"  # noqa: S105 - of a peer that lives in this process
GROUPS = (1, 100, 1000)
CONNECTIONS = 64
HOURS = 24
SESSIONS = 20
CHARGER_KW = 22.0
FORECAST = "/update_group_capacity_forecast"
RESULTS = Path("build/load.json")
LIMIT_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Messages taken by several connections at once.

    Args:
        server: Whose.
        groups: About how many groups.
        per_second: Messages answered 204, 1/s.
        p50_ms: Median time to the 204, ms.
        p99_ms: 99 of 100 take no longer, ms.
    """

    server: str
    groups: int
    per_second: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Forecasts sent one at a time, each when the one before has been answered by an OPTIMUM.

    Args:
        server: Whose.
        groups: How many there are.
        optimize_p50_ms: The bare `optimizer.optimize` of the same scenario, in turn with the messages, ms.
        p50_ms: From sending the forecast to having its OPTIMUM, ms.
        p99_ms: The same, ms.
        all_seconds: From the first of one forecast for each group to the last OPTIMUM, s.
    """

    server: str
    groups: int
    optimize_p50_ms: float
    p50_ms: float
    p99_ms: float
    all_seconds: float


def forecast(group_id: str, number: int) -> dict[str, Any]:
    """A forecast of one day in hours, unlike any with another number."""
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    capacity_kw = 40.0 + number % 1000 / 100
    blocks = [
        {
            "capacity": capacity_kw + hour % 3,
            "phase": "ALL",
            "unit": "KW",
            "start_time": f"{start + timedelta(hours=hour):%Y-%m-%dT%H:%M:%S.000Z}",
            "end_time": f"{start + timedelta(hours=hour + 1):%Y-%m-%dT%H:%M:%S.000Z}",
        }
        for hour in range(HOURS)
    ]
    return {"group_id": group_id, "type": "CONSUMPTION", "forecasted_blocks": blocks}


class _Sender(asyncio.Protocol):
    """A connection that sends one message after the other, each when the one before was answered 204.

    It knows no more of HTTP than that: a client that does takes as much of the machine as the server that is measured.
    """

    def __init__(self, messages: Iterator[bytes], times_s: list[float], done: asyncio.Future[None]) -> None:
        self._messages = messages
        self._times_s = times_s
        self.done = done
        self._received = b""
        self._sent_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._received.endswith(b"\r\n\r\n"):
            return
        if not self._received.startswith(b"HTTP/1.1 204"):
            self.done.set_exception(RuntimeError(f"a message was answered {self._received[:200]!r}"))
            self._transport.close()
            return
        self._times_s.append(time.perf_counter() - self._sent_s)
        if b"\r\nconnection: close" not in self._received.lower():
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature of a protocol
        if not self.done.done():
            self.done.set_result(None)

    def _send(self) -> None:
        self._received = b""
        message = next(self._messages, None)
        if message is None:
            self._transport.close()
            return
        self._sent_s = time.perf_counter()
        self._transport.write(message)  # type: ignore[attr-defined]


def _same(sender: _Sender) -> _Sender:
    return sender


def take_times_s(url: str, token: str, groups: int, seconds: float, run: str) -> list[float]:
    """Send over several connections for a while; how long each message took to be answered 204, s.

    Raises:
        RuntimeError: A message was answered otherwise.
    """
    return asyncio.run(_take_times_s(url, token, groups, seconds, run))


async def _take_times_s(url: str, token: str, groups: int, seconds: float, run: str) -> list[float]:
    address = urlsplit(url)
    bodies = [json.dumps(forecast(f"group-{number % groups}", number)).encode() for number in range(max(groups, 100))]
    begin = (
        f"POST {address.path}{FORECAST} HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Token {token}\r\n"
        f"Content-Type: application/json\r\nX-Request-ID: {run}-"
    )
    end_s = time.perf_counter() + seconds

    def produced() -> Iterator[bytes]:
        for number in count():
            if time.perf_counter() > end_s:
                return
            body = bodies[number % len(bodies)]
            yield f"{begin}{number}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    messages = produced()
    times_s: list[float] = []

    async def keep_sending() -> None:
        loop = asyncio.get_running_loop()
        while time.perf_counter() < end_s:
            sender = _Sender(messages, times_s, loop.create_future())
            await loop.create_connection(partial(_same, sender), address.hostname or "", address.port or 80)
            await sender.done

    await asyncio.gather(*(keep_sending() for _ in range(CONNECTIONS)))
    return times_s


def accepted(server: str, url: str, token: str, groups: int, seconds: float) -> Accepted:
    """Measure how fast messages are taken; they are sent by a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as sender:
        sender.submit(take_times_s, url, token, groups, 0.5, "warm-up").result()
        times_s = sender.submit(take_times_s, url, token, groups, seconds, "run").result()
    p50_s, p99_s = np.quantile(times_s, [0.5, 0.99]).tolist()
    return Accepted(
        server=server,
        groups=groups,
        per_second=len(times_s) / seconds,
        p50_ms=p50_s * 1000,
        p99_ms=p99_s * 1000,
    )


class Depots:
    """Sites of one group each, at a server of ours, with cars that charge.

    Args:
        operator: Of the server.
        provider: Whose sites they are.
        groups: How many.
    """

    def __init__(self, operator: Operator, provider: FlexibilityProvider, groups: int) -> None:
        self._operator = operator
        self._provider = provider
        self._groups = groups
        self._numbers = count(1)

    def set_up(self) -> None:
        """Create peer, sites and sessions."""
        address = {"base_url": self._provider.url, "token": PEER_TOKEN}
        made = self._operator.do("POST", "/v1/peers", {"name": "load", "profile": "vector"} | address)
        self._provider.admit(made["base_url"], made["token"])
        for index in range(self._groups):
            self._operator.do("PUT", f"/v1/sites/site-{index}", _site(index) | {"peer_id": made["peer_id"]})
            self._operator.do("POST", f"/v1/sites/site-{index}/sessions", _sessions())

    def answered(self, server: str, repeats: int) -> Answered:
        """Measure how soon forecasts are answered."""
        self.all_answered_s()
        bare_s, waits_s = [], []
        for number in range(repeats):
            group = number % self._groups
            bare_s.append(_bare_s(group))
            waits_s.append(self._wait_s(group))
        p50_s, p99_s = np.quantile(waits_s, [0.5, 0.99]).tolist()
        return Answered(
            server=server,
            groups=self._groups,
            optimize_p50_ms=statistics.median(bare_s) * 1000,
            p50_ms=p50_s * 1000,
            p99_ms=p99_s * 1000,
            all_seconds=self.all_answered_s(),
        )

    def all_answered_s(self) -> float:
        """Send one forecast for each group as fast as possible; s until each has its OPTIMUM."""
        started_s = time.perf_counter()
        wanted = {self._send(group) for group in range(self._groups)}
        self._provider.wait_until(
            lambda: wanted <= {one.correlation_id for one in self._provider.optima},
            "OPTIMUM of every group",
            timeout_s=LIMIT_SECONDS + self._groups,
        )
        return time.perf_counter() - started_s

    def _wait_s(self, group: int) -> float:
        started_s = time.perf_counter()
        wanted = self._send(group)
        answer = self._provider.wait_until(
            lambda: [one for one in self._provider.optima[-5:] if one.correlation_id == wanted], f"OPTIMUM for {wanted}"
        )
        return answer[0].received_s - started_s

    def _send(self, group: int) -> str:
        number = next(self._numbers)
        request_id = f"{threading.get_native_id()}-{number}"
        status = self._provider.send(FORECAST, forecast(f"group-{group}", number), request_id=request_id)
        if status != HTTPStatus.NO_CONTENT:
            raise RuntimeError(f"a forecast was answered {status}")
        return request_id


def _site(index: int) -> dict[str, Any]:
    return {
        "site_id": f"site-{index}",
        "time_zone": "Europe/Amsterdam",
        "currency": "EUR",
        "groups": [{"group_id": f"group-{index}", "import_limit_kw": 60.0}],
        "chargers": [
            {"charger_id": f"C{number}", "group_id": f"group-{index}", "max_power_kw": CHARGER_KW}
            for number in range(SESSIONS)
        ],
    }


def _sessions() -> list[dict[str, Any]]:
    now = datetime.now(UTC).replace(microsecond=0)
    return [
        {
            "session_id": f"S{number}",
            "charger_id": f"C{number}",
            "arrival": (now - timedelta(hours=1)).isoformat(),
            "departure": (now + timedelta(hours=4 + number % 10)).isoformat(),
            "energy_kwh": 15.0 + number,
        }
        for number in range(SESSIONS)
    ]


def _bare_s(group: int) -> float:
    """Time of planning such a site in this process, with the plan in force as the server has it, s."""
    settings = Settings()
    now = datetime.now(UTC).replace(microsecond=0)
    message = forecast(f"group-{group}", 0)
    blocks = tuple(
        CapacityBlock(
            start=datetime.fromisoformat(block["start_time"]),
            end=datetime.fromisoformat(block["end_time"]),
            capacity_kw=block["capacity"],
        )
        for block in message["forecasted_blocks"]
    )
    forecasts = CapacityForecasts.from_messages(
        [CapacityForecast(group_id=f"group-{group}", kind=CapacityKind.CONSUMPTION, blocks=blocks)]
    )
    site = SiteFile.model_validate_json(json.dumps(_site(group) | {"schema": 1})).to_domain()
    rows = [SessionRow.model_validate_json(json.dumps(row)).to_domain() for row in _sessions()]
    sessions = tuple(replace(row, arrival=now) for row in rows)
    scenario = Scenario(site=site, sessions=sessions, forecasts=forecasts)
    raster = timedelta(minutes=settings.step_minutes)
    options = OptimizeOptions(start=now, end=blocks[-1].end, raster=raster)
    again = replace(scenario, previous=optimize(scenario, options))
    started_s = time.perf_counter()
    optimize(again, options)
    return time.perf_counter() - started_s


@contextmanager
def depots(kind: str, groups: int) -> Iterator[tuple[Depots, FlexibilityProvider, str]]:
    """A server of ours on an empty database, with sites, and the provider they belong to; and the server's URL."""
    folder = Path(tempfile.mkdtemp(prefix="load-"))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    try:
        with (
            database(kind, folder) as database_url,
            server_process(database_url, folder / "server.log", operator_key=OPERATOR_KEY, port=port),
            closing(FlexibilityProvider()) as provider,
            closing(Operator(url, OPERATOR_KEY)) as operator,
        ):
            made = Depots(operator, provider, groups)
            made.set_up()
            yield made, provider, url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(
    kinds: Sequence[str], sizes: Sequence[int], *, seconds: float, repeats: int
) -> Iterator[Accepted | Answered]:
    """Measure one case after the other; pyoscp beside each of ours."""
    for groups in sizes:
        try:
            with pyoscp("co", "unused") as peer:
                yield accepted("pyoscp", peer.base_url, "unused", groups, seconds)
        except UnavailableError as error:
            sys.stderr.write(f"{error}\n")
        for kind in kinds:
            with depots(kind, groups) as (made, provider, _):
                yield made.answered(kind, repeats)
                yield accepted(kind, provider.base_url, provider.token, groups, seconds)


def main(arguments: list[str] | None = None) -> int:
    """Print the figures, and keep them in build/load.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=DATABASES, action="append", help="both by default")
    parser.add_argument("--groups", type=int, action="append", help=f"{', '.join(map(str, GROUPS))} by default")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long messages are sent in each case")
    parser.add_argument("--repeats", type=int, default=100, help="forecasts that are waited for in each case")
    chosen = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 120)
    results = []
    for result in measure(
        chosen.database or DATABASES, chosen.groups or GROUPS, seconds=chosen.seconds, repeats=chosen.repeats
    ):
        results.append(result)
        console.print(result)
    console.print(_accepted_table([one for one in results if isinstance(one, Accepted)]))
    console.print(_answered_table([one for one in results if isinstance(one, Answered)]))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([asdict(one) for one in results], indent=2), encoding="utf-8")
    return 0


def _accepted_table(results: Sequence[Accepted]) -> Table:
    table = Table("groups", "server", "messages/s", "over pyoscp", "p50 to 204 ms", "p99 to 204 ms", box=None)
    base = {one.groups: one.per_second for one in results if one.server == "pyoscp"}
    for one in results:
        ratio = f"{one.per_second / base[one.groups]:.1f}" if one.groups in base else "-"
        table.add_row(
            f"{one.groups}", one.server, f"{one.per_second:.0f}", ratio, f"{one.p50_ms:.1f}", f"{one.p99_ms:.1f}"
        )
    return table


def _answered_table(results: Sequence[Answered]) -> Table:
    table = Table("groups", "server", "optimize ms", "p50 to OPTIMUM ms", "p99 ms", "goal ms", "all groups s", box=None)
    for one in results:
        goal_ms = 2 * one.optimize_p50_ms + 50
        table.add_row(
            f"{one.groups}",
            one.server,
            f"{one.optimize_p50_ms:.1f}",
            f"{one.p50_ms:.1f}",
            f"{one.p99_ms:.1f}",
            f"{goal_ms:.0f}",
            f"{one.all_seconds:.1f}",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
