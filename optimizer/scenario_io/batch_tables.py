"""What comes of a chunk of scenarios as Parquet: one table each for schedules, sessions, groups and figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.domain.pickling import reduced
from models.domain.scenario import Scenario
from models.domain.schedule import Schedule
from models.domain.time_grid import FloatArray
from optimizer.comparison import SHORT_KWH
from optimizer.scenario_io.batch_source import ScenarioKey
from optimizer.scenario_io.results import LIMIT_TOLERANCE_KW

FAILED = "failed"
"""Status of a scenario that has no plan."""
PHASES = ("read", "prepare", "build", "translate", "solve", "fallback", "extract", "verify")
MICROSECONDS_PER_SECOND = 1_000_000
COMPRESSION = "zstd"

_TEXT, _NUMBER, _COUNT, _INSTANT = pa.string(), pa.float64(), pa.int64(), pa.timestamp("us", tz="UTC")
_KEY = (("scenario", _TEXT), ("site_id", _TEXT), ("day", pa.date32()))

SCHEMAS: Mapping[str, pa.Schema] = MappingProxyType(
    {
        "schedule": pa.schema(
            [
                *_KEY,
                ("session_id", _TEXT),
                ("charger_id", _TEXT),
                ("start", _INSTANT),
                ("end", _INSTANT),
                ("power_kw", _NUMBER),
            ]
        ),
        "sessions": pa.schema(
            [
                *_KEY,
                ("session_id", _TEXT),
                ("charger_id", _TEXT),
                ("arrival", _INSTANT),
                ("departure", _INSTANT),
                ("priority", _NUMBER),
                ("requested_energy_kwh", _NUMBER),
                ("delivered_energy_kwh", _NUMBER),
                ("unmet_energy_kwh", _NUMBER),
                ("unreachable_energy_kwh", _NUMBER),
                ("reason", _TEXT),
            ]
        ),
        "groups": pa.schema(
            [
                *_KEY,
                ("group_id", _TEXT),
                ("start", _INSTANT),
                ("end", _INSTANT),
                ("power_kw", _NUMBER),
                ("limit_kw", _NUMBER),
                ("price_per_kwh", _NUMBER),
                ("shadow_price_per_kwh", _NUMBER),
            ]
        ),
        "summary": pa.schema(
            [
                *_KEY,
                ("status", _TEXT),
                ("error", _TEXT),
                ("error_type", _TEXT),
                ("strategy", _TEXT),
                ("currency", _TEXT),
                ("start", _INSTANT),
                ("end", _INSTANT),
                ("steps", _COUNT),
                ("sessions", _COUNT),
                ("sessions_short", _COUNT),
                ("requested_energy_kwh", _NUMBER),
                ("delivered_energy_kwh", _NUMBER),
                ("unmet_energy_kwh", _NUMBER),
                ("unreachable_energy_kwh", _NUMBER),
                ("energy_cost", _NUMBER),
                ("peak_import_kw", _NUMBER),
                ("minutes_over_limit", _NUMBER),
                *((f"seconds_{phase}", _NUMBER) for phase in PHASES),
                ("seconds_other", _NUMBER),
                ("seconds_total", _NUMBER),
                ("notes", pa.list_(_TEXT)),
            ]
        ),
    }
)
"""Columns of each table. ``scenario`` is unique in ``summary``, which has one row for each scenario tried."""
PLAN_TABLES = ("schedule", "sessions", "groups")
SUMMARY = "summary"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlannedScenario:
    """A scenario with its plan.

    Args:
        key: Which.
        scenario: What was known.
        schedule: The plan.
        notes: What looked odd when it was read.
        read_s: Time it took to read, s.
    """

    key: ScenarioKey
    scenario: Scenario
    schedule: Schedule
    notes: tuple[str, ...] = ()
    read_s: float = 0.0

    @property
    def site_id(self) -> str:
        """The site."""
        return self.scenario.site.site_id

    @property
    def day(self) -> date:
        """The day; that on which the plan begins, on the wall clock of the site, where the name tells none."""
        return self.key.day or self.schedule.grid.start.astimezone(self.scenario.site.time_zone).date()


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedScenario:
    """A scenario without a plan.

    Args:
        key: Which.
        error: What is wrong with it.
        error_type: Name of the exception's class.
        seconds: Time spent on it, s.
    """

    key: ScenarioKey
    error: str
    error_type: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkResult:
    """What comes of a chunk, ready to be written.

    Args:
        plans: A Parquet file for each table; empty where no scenario has a plan.
        failures: A Parquet file with the rows of ``summary`` of those without a plan; empty where there are none.
        statuses: How many scenarios ended with which status.
        first_failure: The first scenario without a plan and what is wrong with it; empty where there is none.
    """

    plans: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    failures: bytes = b""
    statuses: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    first_failure: str = ""

    def __reduce__(self) -> tuple[object, ...]:
        return reduced(self)

    @property
    def failed(self) -> int:
        """Scenarios without a plan."""
        return self.statuses.get(FAILED, 0)

    @property
    def planned(self) -> int:
        """Scenarios with a plan."""
        return sum(self.statuses.values()) - self.failed


def to_result(planned: Sequence[PlannedScenario], failed: Sequence[FailedScenario]) -> ChunkResult:
    """The tables of some scenarios, in their order."""
    plans: dict[str, bytes] = {}
    if planned:
        columns = {"schedule": _schedule, "sessions": _sessions, "groups": _groups}
        tables = {
            name: pa.concat_tables([_of(name, one, make(one)) for one in planned]) for name, make in columns.items()
        }
        tables[SUMMARY] = pa.Table.from_pylist([_figures(one) for one in planned], schema=SCHEMAS[SUMMARY])
        plans = {name: to_parquet(table) for name, table in tables.items()}
    return ChunkResult(
        plans=plans,
        failures=to_parquet(_failures(failed)) if failed else b"",
        statuses=dict(Counter([one.schedule.status.value for one in planned] + [FAILED] * len(failed))),
        first_failure=f"{failed[0].key.name}: {failed[0].error}" if failed else "",
    )


def to_parquet(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression=COMPRESSION)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def empty_part(name: str) -> bytes:
    """A table without rows: it lets a data set be read before anything is in it."""
    return to_parquet(SCHEMAS[name].empty_table())


def _of(name: str, one: PlannedScenario, columns: Sequence[pa.Array]) -> pa.Table:
    length = len(columns[0])
    keys = [
        pa.repeat(pa.scalar(value, kind), length)
        for value, (_, kind) in zip((one.key.name, one.site_id, one.day), _KEY, strict=True)
    ]
    return pa.Table.from_arrays([*keys, *columns], schema=SCHEMAS[name])


def _schedule(one: PlannedScenario) -> list[pa.Array]:
    schedule = one.schedule
    index = pa.array(schedule.session_index)
    return [
        pa.array([result.session.session_id for result in schedule.sessions], _TEXT).take(index),
        pa.array([result.session.charger_id for result in schedule.sessions], _TEXT).take(index),
        _instants(schedule.start_s),
        _instants(schedule.end_s),
        _numbers(schedule.power_kw),
    ]


def _sessions(one: PlannedScenario) -> list[pa.Array]:
    results = one.schedule.sessions
    sessions = [result.session for result in results]
    return [
        pa.array([session.session_id for session in sessions], _TEXT),
        pa.array([session.charger_id for session in sessions], _TEXT),
        _instants(np.array([session.arrival_s for session in sessions])),
        _instants(np.array([session.departure_s for session in sessions])),
        pa.array([session.priority for session in sessions], _NUMBER),
        pa.array([session.energy_kwh for session in sessions], _NUMBER),
        pa.array([result.delivered_energy_kwh for result in results], _NUMBER),
        pa.array([result.unmet_energy_kwh for result in results], _NUMBER),
        pa.array([result.unreachable_energy_kwh for result in results], _NUMBER),
        pa.array([result.reason for result in results], _TEXT),
    ]


def _groups(one: PlannedScenario) -> list[pa.Array]:
    schedule = one.schedule
    steps, groups = schedule.grid.steps, schedule.groups
    prices = np.full(steps, np.nan) if schedule.price_per_kwh is None else schedule.price_per_kwh
    ids = pa.array([group.group_id for group in groups], _TEXT)
    return [
        ids.take(pa.array(np.repeat(np.arange(len(groups)), steps))),
        _instants(np.tile(schedule.grid.edges_s[:-1], len(groups))),
        _instants(np.tile(schedule.grid.edges_s[1:], len(groups))),
        _numbers(np.concatenate([group.power_kw for group in groups])),
        _numbers(np.concatenate([group.limit_kw for group in groups])),
        _numbers(np.tile(prices, len(groups))),
        _numbers(np.concatenate([group.shadow_price_per_kwh for group in groups])),
    ]


def _figures(one: PlannedScenario) -> dict[str, object]:
    schedule = one.schedule
    seconds = {"read": one.read_s, **schedule.seconds}
    total_s = one.read_s + seconds.pop("total", 0.0)
    return {
        "scenario": one.key.name,
        "site_id": one.site_id,
        "day": one.day,
        "status": schedule.status.value,
        "strategy": schedule.strategy,
        "currency": one.scenario.site.currency,
        "start": schedule.grid.start,
        "end": schedule.grid.end,
        "steps": schedule.grid.steps,
        "sessions": len(schedule.sessions),
        "sessions_short": sum(result.unmet_energy_kwh > SHORT_KWH for result in schedule.sessions),
        "requested_energy_kwh": schedule.requested_energy_kwh,
        "delivered_energy_kwh": schedule.delivered_energy_kwh,
        "unmet_energy_kwh": schedule.unmet_energy_kwh,
        "unreachable_energy_kwh": schedule.unreachable_energy_kwh,
        "energy_cost": schedule.energy_cost,
        "peak_import_kw": schedule.peak_import_kw,
        "minutes_over_limit": schedule.minutes_over_limit(LIMIT_TOLERANCE_KW),
        **{f"seconds_{phase}": seconds.pop(phase, 0.0) for phase in PHASES},
        "seconds_other": sum(seconds.values()),
        "seconds_total": total_s,
        "notes": list(dict.fromkeys((*one.notes, *schedule.notes))),
    }


def _failures(failed: Sequence[FailedScenario]) -> pa.Table:
    rows = [
        {
            "scenario": one.key.name,
            "site_id": one.key.site_id,
            "day": one.key.day,
            "status": FAILED,
            "error": one.error,
            "error_type": one.error_type,
            "seconds_total": one.seconds,
        }
        for one in failed
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMAS[SUMMARY])


def _instants(epoch_s: FloatArray) -> pa.Array:
    return pa.array(np.round(epoch_s * MICROSECONDS_PER_SECOND).astype("datetime64[us]"), _INSTANT)


def _numbers(values: FloatArray) -> pa.Array:
    """Values as a column: null where there is none."""
    return pa.array(values, _NUMBER, mask=~np.isfinite(values))
