"""A depot on a server whose planner runs when a test says so, and solves in the test's own process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from api.advice import Advise, in_short
from api.drafting import Draft, Task, drafted
from api.executor import SolveExecutor
from api.persistence import Transaction
from api.planner import Planner
from api.records import OutboxKind, OutboxMessage, StoredPlan, StoredSite
from models.domain import CapacityGroup, LimitCounts, Scenario, Schedule
from models.domain.asset import Storage
from optimizer import OptimizeOptions, optimize
from optimizer.scenario_io import SiteFile
from tests.api.oscp.bench import Bench, Caller
from tests.builders import make_charger, make_site

HOUR = timedelta(hours=1)


@dataclass
class InlineExecutor(SolveExecutor):
    """Solves at once, and notes what; a test may do something in between."""

    solved: list[tuple[Scenario, OptimizeOptions]] = field(default_factory=list)
    meanwhile: Callable[[], None] | None = None
    fail_with: Exception | None = None
    advise_with: Advise = in_short

    @property
    def places(self) -> int:
        """As many as anybody wants."""
        return 1

    async def draft(self, task: Task) -> Draft:
        """What comes of it."""
        return drafted(task, self._optimum, self.advise_with)

    def _optimum(self, scenario: Scenario, options: OptimizeOptions) -> Schedule:
        if self.fail_with is not None:
            raise self.fail_with
        schedule = optimize(scenario, options)
        self.solved.append((scenario, options))
        if self.meanwhile is not None:
            act, self.meanwhile = self.meanwhile, None
            act()
        return schedule


@dataclass
class PlanningBench:
    """A depot of one peer, ``main`` unless told, with chargers C1 to C3 of 22 kW."""

    bench: Bench
    peer: Caller
    executor: InlineExecutor
    site_id: str = "depot"

    @classmethod
    def make(
        cls, bench: Bench, profile: str = "standard", *, overrides: dict[str, Any] | None = None, **site: Any
    ) -> PlanningBench:
        """The depot, and nobody charging."""
        made = cls(bench=bench, peer=bench.add_peer(profile, overrides=overrides or {}), executor=InlineExecutor())
        made.put_site(**site)
        return made

    @property
    def now(self) -> datetime:
        """What the clock shows."""
        return self.bench.clock.now()

    def put_site(
        self,
        *,
        import_limit_kw: float | None = 100.0,
        limit_counts: LimitCounts = LimitCounts.FLEXIBLE,
        time_zone: str = "Europe/Amsterdam",
        storages: Sequence[Storage] = (),
    ) -> None:
        """Create or replace the depot."""
        group = CapacityGroup(group_id="main", import_limit_kw=import_limit_kw, limit_counts=limit_counts)
        chargers = [make_charger(f"C{number}") for number in (1, 2, 3)]
        site = make_site(
            site_id=self.site_id, groups=[group], chargers=chargers, time_zone=time_zone, storages=storages
        )
        document = SiteFile.from_domain(site).model_dump_json(by_alias=True)
        now = self.now
        self.bench.context.database.write_now(
            lambda tx: tx.sites.put(self.site_id, self.peer.peer_id, document, ["main"], now=now)
        )

    def put_session(
        self,
        session_id: str = "S1",
        *,
        charger_id: str = "C1",
        arrival: datetime | None = None,
        hours: float = 4.0,
        energy_kwh: float = 20.0,
    ) -> None:
        """A session that arrives now, unless told."""
        begin = self.now if arrival is None else arrival
        row = {
            "session_id": session_id,
            "charger_id": charger_id,
            "arrival": begin.isoformat(),
            "departure": (begin + hours * HOUR).isoformat(),
            "energy_kwh": energy_kwh,
        }
        now = self.now
        self.bench.context.database.write_now(
            lambda tx: tx.sites.put_sessions(self.site_id, [(session_id, json.dumps(row), energy_kwh)], now=now)
        )

    def put_prices(self, *blocks: tuple[datetime, datetime, float], export: bool = False) -> None:
        """Prices per kWh; with export a kWh fed in earns as much."""
        rows = [
            {"start": start.isoformat(), "end": end.isoformat(), "import_price_per_kwh": price}
            | ({"export_price_per_kwh": price} if export else {})
            for start, end, price in blocks
        ]
        now = self.now
        self.bench.context.database.write_now(lambda tx: tx.sites.put_prices(self.site_id, json.dumps(rows), now=now))

    def forecast(
        self,
        *capacities_kw: float,
        kind: str = "CONSUMPTION",
        start: datetime | None = None,
        hours: float = 1.0,
        unit: str = "KW",
        request_id: str = "made up",
    ) -> None:
        """Capacities one after the other from now on, unless told."""
        begin = self.now if start is None else start
        blocks = [
            {
                "capacity": capacity,
                "phase": "ALL",
                "unit": unit,
                "start_time": (begin + index * hours * HOUR).isoformat(),
                "end_time": (begin + (index + 1) * hours * HOUR).isoformat(),
            }
            for index, capacity in enumerate(capacities_kw)
        ]
        body = {"group_id": "main", "type": kind, "forecasted_blocks": blocks}
        answer = self.peer.send("/update_group_capacity_forecast", body, request_id=request_id)
        assert answer.status_code == 204, answer.text

    def measure(
        self,
        asset_id: str,
        *,
        energy_kwh: float | None = None,
        power_kw: float | None = None,
        stored_kwh: float | None = None,
        category: str = "CHARGING",
        since: datetime | None = None,
        at: datetime | None = None,
        direction: str = "IMPORT",
    ) -> None:
        """The energy of an asset since an instant, its power, or what is stored in it, now unless told."""
        asset: dict[str, Any] = {"asset_id": asset_id, "asset_category": category}
        measured_at = (at or self.now).isoformat()
        if energy_kwh is not None:
            asset["energy_measurement"] = {
                "value": energy_kwh,
                "phase": "ALL",
                "unit": "KWH",
                "direction": direction,
                "measure_time": measured_at,
            } | ({} if since is None else {"initial_measure_time": since.isoformat()})
        for value, unit in ((power_kw, "KW"), (stored_kwh, "KWH")):
            if value is not None:
                asset["instantaneous_measurement"] = {
                    "value": value,
                    "phase": "ALL",
                    "unit": unit,
                    "measure_time": measured_at,
                }
        answer = self.peer.send("/update_asset_measurements", {"group_id": "main", "measurements": [asset]})
        assert answer.status_code == 204, answer.text

    def run(self) -> int:
        """Plan whatever is due, until nothing is; how many plans were solved."""
        before = len(self.executor.solved)
        asyncio.run(self._run())
        return len(self.executor.solved) - before

    def plan(self) -> dict[str, Any]:
        """The plan in force."""
        found = self.stored_plan()
        assert found is not None
        document: dict[str, Any] = json.loads(found.document)
        return document

    def stored_plan(self) -> StoredPlan | None:
        """The plan in force as it is stored."""
        return self.bench.context.database.read_now(lambda tx: tx.plans.in_force(self.site_id))

    def stored_site(self) -> StoredSite:
        """The depot as it is stored."""
        return self.bench.context.database.read_now(lambda tx: tx.sites.get(self.site_id))

    def power_kw(self, session_id: str, at: datetime) -> float:
        """What the plan in force gives a session at an instant."""
        return sum(
            float(row["power_kw"])
            for row in self.plan()["schedule"]
            if row["session_id"] == session_id
            and datetime.fromisoformat(row["start"]) <= at < datetime.fromisoformat(row["end"])
        )

    def asset_kw(self, asset_id: str) -> list[float]:
        """Power of an asset in each step of the plan in force."""
        return [row["power_kw"] for row in self.plan()["asset_results"] if row["asset_id"] == asset_id]

    def stored_kwh(self, asset_id: str) -> list[float]:
        """What the plan in force has in an asset at the end of each step."""
        return [row["stored_kwh"] for row in self.plan()["asset_results"] if row["asset_id"] == asset_id]

    def waiting(self, *kinds: OutboxKind) -> Sequence[OutboxMessage]:
        """Messages to the peer that have not gone out."""
        return self.peer.outbox(*kinds)

    def optimum(self) -> list[dict[str, Any]]:
        """Blocks of the OPTIMUM that waits to go out."""
        (message,) = self.waiting(OutboxKind.OPTIMUM)
        blocks: list[dict[str, Any]] = json.loads(message.message.body or "{}")["forecasted_blocks"]
        return blocks

    def sent(self) -> None:
        """Take what waits as delivered."""
        now = self.now
        for entry in self.waiting():
            self.bench.context.database.write_now(partial(_deliver, outbox_id=entry.outbox_id, now=now))

    async def _run(self) -> None:
        planner = Planner(self.bench.context, self.executor)
        while await planner.take_due():
            await planner.settle()


def _deliver(tx: Transaction, *, outbox_id: int, now: datetime) -> None:
    tx.outbox.delivered(outbox_id, now=now)
