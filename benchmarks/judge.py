"""What acnportal's simulator says of a plan: its own network, its own chargers, its own vehicles, minute by minute."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.full.environments import python_of
from models.domain import Schedule

BENCHMARKS = Path(__file__).parent
VOLTAGE_V = 208.0
WATTS_PER_KILOWATT = 1000.0
SECONDS_PER_MINUTE = 60.0
SAME_KW = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What the simulator is to build.

    Args:
        site: ``jpl`` or ``caltech``.
        limit_kw: Of the one connection, or what the transformers of the site are scaled to together.
        has_lines: Whether it is the site's network with its panels and transformers instead of one connection.
    """

    site: str
    limit_kw: float
    has_lines: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A plan to be played.

    Args:
        schedule: What it gives each session.
        levels_kw: The powers that the plan was held to, by charger; None where it was free to choose any.
    """

    schedule: Schedule
    levels_kw: Mapping[str, Sequence[float]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the simulator found.

    Args:
        delivered_kwh: What vehicles took, kWh.
        energy_met: Share of what they would have taken, 0 to 1.
        sessions_served: Vehicles that were full when they left.
        peak_kw: Highest power of all chargers, kW.
        minutes_over: Minutes in which a line carried more than its limit.
        worst_excess: By how much at most, as a share of the limit.
        fullest_line: Its name.
    """

    delivered_kwh: float
    energy_met: float
    sessions_served: int
    peak_kw: float
    minutes_over: int
    worst_excess: float
    fullest_line: str


def judged(network: Network, replays: Sequence[Replay]) -> list[Verdict]:
    """Have acnportal's simulator play plans of one day.

    Instants are rounded to minutes, so that what is delivered differs by up to half a minute's worth at either end
    of a charge.

    Args:
        network: What to build.
        replays: Plans of the same sessions.

    Returns:
        One verdict for each.

    Raises:
        RuntimeError: The simulator failed; among other things it refuses a pilot that a charger does not have.
        UnavailableError: There is no environment with acnportal, and none could be made.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "day.json", Path(folder) / "verdicts.json"
        source.write_text(json.dumps(_day(network, replays)), encoding="utf-8")
        run = subprocess.run(  # noqa: S603 - our own script
            [python_of("acnportal"), str(BENCHMARKS / "acnsim_replay.py"), str(source), str(target)],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        if run.returncode:
            raise RuntimeError(f"acnportal's simulator failed: {run.stderr[-2000:]}")
        return [Verdict(**found) for found in json.loads(target.read_text(encoding="utf-8"))]


def _day(network: Network, replays: Sequence[Replay]) -> dict[str, object]:
    schedule = replays[0].schedule
    start_s = float(schedule.grid.edges_s[0])
    sessions = []
    for result in schedule.sessions:
        session = result.session
        arrival = _minute(session.arrival_s, start_s)
        sessions.append(
            {
                "session": session.session_id,
                "station": session.charger_id,
                "arrival": arrival,
                "departure": max(_minute(session.departure_s, start_s), arrival + 1),
                "energy_kwh": result.delivered_energy_kwh + result.unmet_energy_kwh,
                "max_power_kw": session.max_power_kw,
            }
        )
    return {
        "site": network.site,
        "limit_kw": network.limit_kw,
        "lines": network.has_lines,
        "start": schedule.grid.start.isoformat(),
        "minutes": _minute(float(schedule.grid.edges_s[-1]), start_s),
        "stations": sorted({result.session.charger_id for result in schedule.sessions}),
        "sessions": sessions,
        "replays": [
            {"stepless": replay.levels_kw is None, "rows": list(pilots(replay, start_s))} for replay in replays
        ],
    }


def pilots(replay: Replay, start_s: float) -> Iterator[tuple[str, int, int, float]]:
    """Charger, first minute, minute behind the last and pilot in ampere of every row of a plan.

    A row at a power between two levels is one that ended before its step did, at the higher of them.

    Args:
        replay: The plan.
        start_s: When minute 0 begins, seconds since the epoch.
    """
    schedule = replay.schedule
    rows = zip(
        schedule.session_index.tolist(),
        schedule.start_s.tolist(),
        schedule.end_s.tolist(),
        schedule.power_kw.tolist(),
        strict=True,
    )
    for index, begin_s, end_s, mean_kw in rows:
        charger_id = schedule.sessions[index].session.charger_id
        until_s, power_kw = end_s, mean_kw
        if replay.levels_kw is not None:
            power_kw = next(kw for kw in replay.levels_kw[charger_id] if kw >= mean_kw - SAME_KW)
            until_s = begin_s + (end_s - begin_s) * mean_kw / power_kw if power_kw > mean_kw + SAME_KW else end_s
        begin, end = _minute(begin_s, start_s), _minute(until_s, start_s)
        if end > begin and power_kw > SAME_KW:
            yield charger_id, begin, end, power_kw * WATTS_PER_KILOWATT / VOLTAGE_V


def _minute(instant_s: float, start_s: float) -> int:
    return round((instant_s - start_s) / SECONDS_PER_MINUTE)
