"""The same real day over the wire: a server, a flexibility provider that calls it, and what each OPTIMUM changed."""

from __future__ import annotations

import csv
import json
import secrets
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from api.server import serving
from api.settings import Settings
from benchmarks.cases import DEMO_FOLDER
from benchmarks.flexibility_provider import FlexibilityProvider, Optimum
from benchmarks.live_server import Operator
from models.units import energy_at_power_kwh, mean_power_kw, seconds_to_hours

STEP = timedelta(minutes=30)
HOUR = timedelta(hours=1)
CUT_KW = 40.0
ANNOUNCED_HOUR, CUT_HOURS = 13.0, (13.5, 16.0)
"""Local time of the day at which the capacity is cut, and for how long."""
NUMBERS = ("energy_kwh", "max_power_kw", "priority", "import_price_per_kwh", "export_price_per_kwh")
SAME_KWH = 0.5
PATIENCE_S = 300.0


class Block(NamedTuple):
    """A block of an OPTIMUM: mean power over some time, kW."""

    start: datetime
    end: datetime
    power_kw: float

    @property
    def energy_kwh(self) -> float:
        """Its energy, kWh."""
        return energy_at_power_kwh(self.power_kw, hours=(self.end - self.start) / HOUR)

    def holds(self, instant: datetime) -> bool:
        """Whether an instant is part of it."""
        return self.start <= instant < self.end


class SimulatedClock:
    """Shows what it is set to."""

    def __init__(self, instant: datetime) -> None:
        self.instant = instant

    def now(self) -> datetime:
        """The present instant, in UTC."""
        return self.instant.astimezone(UTC)


class Day:
    """The day of a scenario folder, played step by step.

    Args:
        folder: Site, sessions, prices and the capacity announced the day before.
        clock: Of the server.
        operator: Calls its REST API.
        provider: Calls its OSCP endpoint.
    """

    def __init__(self, folder: Path, clock: SimulatedClock, operator: Operator, provider: FlexibilityProvider) -> None:
        self._folder = folder
        self._site = json.loads((folder / "site.json").read_text(encoding="utf-8"))
        self._sessions = _rows(folder / "sessions.csv")
        self._clock = clock
        self._operator = operator
        self._provider = provider
        self._path = f"/v1/sites/{self._site['site_id']}"
        self._told: set[str] = set()
        self.delivered_kwh: dict[str, float] = {}
        self.power_kw: dict[datetime, float] = {}

    def play(self, table: Table) -> None:
        """Play it, with a row for each OPTIMUM."""
        arrivals = [datetime.fromisoformat(row["arrival"]) for row in self._sessions]
        end = max(datetime.fromisoformat(row["departure"]) for row in self._sessions)
        midnight = min(arrivals).replace(hour=0, minute=0, second=0, microsecond=0)
        self._begin(midnight)
        known: list[Block] = []
        instant = midnight + (min(arrivals) - midnight) // STEP * STEP
        while instant < end:
            for event in self._step(instant, midnight):
                count = len(self._provider.optima)
                self._wait_until_planned(instant)
                for optimum in self._provider.optima[count:]:
                    blocks = _blocks(optimum)
                    table.add_row(f"{instant:%H:%M}", event, *_change(known, blocks, instant))
                    known = blocks
            instant += STEP
        self._charge(instant)

    @property
    def requested_kwh(self) -> float:
        """What all cars wanted."""
        return sum(float(row["energy_kwh"]) for row in self._sessions)

    def _begin(self, midnight: datetime) -> None:
        """Register, and tell of the site, its prices, and the capacity announced for the day."""
        self._clock.instant = midnight
        invited = self._operator.do("POST", "/v1/peers", {"name": "depot operator"})
        self._provider.register(invited["base_url"], invited["token"])
        self._operator.do("PUT", self._path, self._site | {"peer_id": invited["peer_id"]})
        self._operator.do("PUT", f"{self._path}/prices", _rows(self._folder / "prices.csv"))
        for message in json.loads((self._folder / "forecasts.json").read_text(encoding="utf-8")):
            self._send("/update_group_capacity_forecast", message)

    def _step(self, instant: datetime, midnight: datetime) -> Iterator[str]:
        """Let half an hour pass, and tell what it brought, one after the other."""
        before = self._clock.instant
        energy_kwh = self._charge(instant)
        self._send("/heartbeat", {"offline_mode_at": (instant + 3 * STEP).isoformat()})
        yield f"{energy_kwh:.0f} kWh measured"
        if instant == midnight + ANNOUNCED_HOUR * HOUR:
            self._cut(midnight)
            start, end = (_at(midnight, hour) for hour in CUT_HOURS)
            yield f"only {CUT_KW:.0f} kW from {start:%H:%M} to {end:%H:%M}"
        arrived = [row for row in self._sessions if before < datetime.fromisoformat(row["arrival"]) <= instant]
        self._told |= {row["session_id"] for row in arrived}
        if arrived:
            self._operator.do("POST", f"{self._path}/sessions", arrived)
            yield f"{len(arrived)} {'car' if len(arrived) == 1 else 'cars'} arrived"

    def _cut(self, midnight: datetime) -> None:
        start, end = (_at(midnight, hour) for hour in CUT_HOURS)
        block = {
            "capacity": CUT_KW,
            "phase": "ALL",
            "unit": "KW",
            "start_time": start.isoformat(),
            "end_time": end.isoformat(),
        }
        group_id = self._site["groups"][0]["group_id"]
        message = {"group_id": group_id, "type": "CONSUMPTION", "forecasted_blocks": [block]}
        self._send("/update_group_capacity_forecast", message)

    def _charge(self, until: datetime) -> float:
        """Every car takes what the plan in force gives it, and every charger tells what it delivered; kWh of all."""
        since, self._clock.instant = self._clock.instant, until
        if not self._told:
            return 0.0
        by_charger: dict[str, float] = defaultdict(float)
        for row in self._operator.do("GET", f"{self._path}/plan")["schedule"]:
            start = max(datetime.fromisoformat(row["start"]), since)
            end = min(datetime.fromisoformat(row["end"]), until)
            hours = seconds_to_hours(max(0.0, (end - start).total_seconds()))
            energy_kwh = energy_at_power_kwh(row["power_kw"], hours=hours)
            by_charger[row["charger_id"]] += energy_kwh
            before_kwh = self.delivered_kwh.get(row["session_id"], 0.0)
            self.delivered_kwh[row["session_id"]] = before_kwh + energy_kwh
        self._measure(by_charger, since, until)
        energy_kwh = sum(by_charger.values())
        self.power_kw[since] = mean_power_kw(energy_kwh, hours=(until - since) / HOUR)
        return energy_kwh

    def _measure(self, by_charger: Mapping[str, float], since: datetime, until: datetime) -> None:
        measurements = [
            {
                "asset_id": charger_id,
                "asset_category": "CHARGING",
                "energy_measurement": {
                    "value": energy_kwh,
                    "phase": "ALL",
                    "unit": "KWH",
                    "direction": "IMPORT",
                    "energy_type": "TOTAL",
                    "initial_measure_time": since.isoformat(),
                    "measure_time": until.isoformat(),
                },
            }
            for charger_id, energy_kwh in by_charger.items()
        ]
        if measurements:
            group_id = self._site["groups"][0]["group_id"]
            self._send("/update_asset_measurements", {"group_id": group_id, "measurements": measurements})

    def _send(self, path: str, body: object) -> None:
        status = self._provider.send(path, body)
        if status != httpx2.codes.NO_CONTENT:
            raise RuntimeError(f"POST {path} was answered {status}")

    def _wait_until_planned(self, instant: datetime) -> None:
        """Wait until the server has looked at all it was told, and its messages are delivered."""
        end_s = time.monotonic() + PATIENCE_S
        while not self._is_planned(site := self._operator.do("GET", self._path), instant):
            if time.monotonic() > end_s:
                looked = f"{site['attended_version']} of {site['version']} versions looked at, {site['last_error']!r}"
                raise RuntimeError(f"the server has not planned what it was told until {instant:%H:%M}: {looked}")
            time.sleep(0.02)

    def _is_planned(self, site: Mapping[str, Any], instant: datetime) -> bool:
        is_due = site["due_at"] is not None and datetime.fromisoformat(site["due_at"]) <= instant
        if is_due or site["attended_version"] < site["version"]:
            return False
        peer = self._operator.do("GET", f"/v1/peers/{site['peer_id']}")
        return all(message["state"] != "pending" for message in peer["outbox"])


def _rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {name: float(value) if name in NUMBERS else value for name, value in row.items() if value}
            for row in csv.DictReader(file)
        ]


def _at(midnight: datetime, hour: float) -> datetime:
    return midnight + hour * HOUR


def _hour(instant: datetime) -> float:
    return instant.hour + instant.minute / 60


def _blocks(optimum: Optimum) -> list[Block]:
    return [
        Block(datetime.fromisoformat(one["start_time"]), datetime.fromisoformat(one["end_time"]), one["capacity"])
        for one in optimum.blocks
    ]


def _change(known: Sequence[Block], new: Sequence[Block], instant: datetime) -> tuple[str, str]:
    """The energy an OPTIMUM is for, and in which hours it is more or less than by the one before."""
    changes = [
        block._replace(power_kw=block.power_kw - next((old.power_kw for old in known if old.holds(block.start)), 0.0))
        for block in new
    ]
    runs = []
    for _, run in groupby((one for one in changes if abs(one.energy_kwh) > SAME_KWH), key=lambda one: one.power_kw > 0):
        blocks = list(run)
        start, end = (edge.astimezone(instant.tzinfo) for edge in (blocks[0].start, blocks[-1].end))
        runs.append(f"{sum(block.energy_kwh for block in blocks):+.0f} kWh {start:%H:%M}-{end:%H:%M}")
    return f"{sum(block.energy_kwh for block in new):.0f}", ", ".join(runs) or "less than half a kWh"


def main() -> int:
    """Play the day of the JPL garage against a server of its own on SQLite."""
    console = Console(width=None if sys.stdout.isatty() else 110)
    key = secrets.token_urlsafe(24)
    clock = SimulatedClock(datetime.now(UTC))
    console.print(
        "\nThe same day over the wire, with the capacity cut in the afternoon: each OPTIMUM and what it changed\n"
    )
    table = Table("time", "what happened", "kWh ahead", "what the OPTIMUM changed", box=None)
    with tempfile.TemporaryDirectory() as folder, closing(FlexibilityProvider()) as provider:
        settings = Settings(
            port=0,
            database_url=f"sqlite:///{folder}/state.db",
            operator_key=SecretStr(key),
            allow_insecure_callbacks=True,
            log_level="ERROR",
        )
        with serving(settings, clock) as url, closing(Operator(url, key)) as operator:
            day = Day(DEMO_FOLDER, clock, operator, provider)
            started_s = time.perf_counter()
            day.play(table)
            seconds = time.perf_counter() - started_s
        console.print(table)
        cut = [power_kw for start, power_kw in day.power_kw.items() if CUT_HOURS[0] <= _hour(start) < CUT_HOURS[1]]
        console.print(
            f"\n{len(provider.optima)} OPTIMUM messages in {seconds:.0f} s. The cars took "
            f"{sum(day.delivered_kwh.values()):.1f} of {day.requested_kwh:.1f} kWh; while {CUT_KW:.0f} kW were allowed "
            f"they drew {max(cut):.1f} kW at most."
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
