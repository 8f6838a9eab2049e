"""Scenarios over real data: two garages, their sessions, two tariffs, and the optima known for them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd

from models.domain import (
    CapacityGroup,
    Charger,
    ChargingSession,
    Connection,
    DriverStatement,
    EnergyTariff,
    LineLimit,
    PriceBlock,
    Scenario,
    Site,
)
from models.oscp.v20 import (
    CapacityForecastType,
    ForecastedBlock,
    ForecastedBlockUnit,
    PhaseIndicator,
    UpdateGroupCapacityForecast,
)
from optimizer.options import COST_OBJECTIVE, PEAK_OBJECTIVE, LimitMode, LineForm, OptimizeOptions
from optimizer.scenario_io import write_scenario

DATA = Path(__file__).parent / "data"
DEMO_FOLDER = DATA / "jpl-2019-07-24"
TRANSFORMERS_KW = {"jpl": 195.0, "caltech": 150.0}
DUTCH_TIME = ZoneInfo("Europe/Amsterdam")
KWH_PER_MWH = 1000.0
WATTS_PER_KILOWATT = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceCase:
    """A scenario whose optimum is known.

    Args:
        name: Its name in reference_optima.csv.
        scenario: What is known.
        options: Window, raster and objective.
        cost: Known cost of the energy, currency.
        peak_kw: Known peak, kW.
        unmet_kwh: Known unserved energy, kWh.
    """

    name: str
    scenario: Scenario
    options: OptimizeOptions
    cost: float
    peak_kw: float
    unmet_kwh: float


def reference_cases() -> list[ReferenceCase]:
    """Every known optimum.

    Source: SciPy's HiGHS, see ``data/README.md``.
    """
    return [_reference_case(row) for _, row in pd.read_csv(DATA / "reference_optima.csv").iterrows()]


def _reference_case(row: pd.Series) -> ReferenceCase:
    garage = str(row["scenario"]).split("_", maxsplit=1)[0]
    start, end = datetime.fromisoformat(row["start"]), datetime.fromisoformat(row["end"])
    wall_clock = str(row["price"]).startswith("NL")
    scenario = garage_scenario(garage, start, end, limit_kw=float(row["cap_kw"]), dutch_prices=wall_clock)
    if not pd.isna(row["line_constraints"]):
        scenario = replace(scenario, site=with_lines(scenario.site, garage))
    return ReferenceCase(
        name=str(row["scenario"]),
        scenario=scenario,
        options=OptimizeOptions(
            start=start,
            end=end,
            raster=timedelta(minutes=int(row["step_min"])),
            objective=PEAK_OBJECTIVE if row["objective"] == "peak" else COST_OBJECTIVE,
            # What the known optima were computed with.
            line_form=LineForm.MAGNITUDE,
            current_mode=LimitMode.MEAN,
        ),
        cost=float(row["opt_cost"]),
        peak_kw=float(row["opt_peak_kw"]),
        unmet_kwh=float(row["shortfall_kwh"]),
    )


def garage_scenario(
    garage: str, start: datetime, end: datetime, *, limit_kw: float, dutch_prices: bool = False
) -> Scenario:
    """The sessions of a garage wholly inside a window, at one connection.

    Args:
        garage: ``jpl`` or ``caltech``.
        start: Begin of the window.
        end: End of the window.
        limit_kw: Limit of the connection, kW.
        dutch_prices: Dutch day-ahead prices by the hour of the wall clock instead of SCE TOU-EV-4.

    Returns:
        The scenario; sessions ask for what they really drew.
    """
    site = garage_site(garage, limit_kw, currency="EUR" if dutch_prices else "USD")
    sessions = tuple(s for s in garage_sessions(garage) if s.arrival >= start and s.departure <= end)
    zone = site.time_zone
    blocks = _dutch_blocks(start, end, zone) if dutch_prices else time_of_use_blocks(start, end, zone)
    return Scenario(site=site, sessions=sessions, tariff=EnergyTariff.from_blocks(blocks))


CONNECTIONS = {30.0: "L1-L2", -90.0: "L2-L3", 150.0: "L3-L1"}
"""By the angle of the voltage across a charger against that of L1."""
PRIMARY_WEIGHTS = {"A": (0.25, 0.0, -0.25), "B": (-0.25, 0.25, 0.0), "C": (0.0, -0.25, 0.25)}
"""Of transformers from 480 V delta to 208 V star, as the networks' files have it."""


def with_lines(site: Site, garage: str, *, transformer_scale: float = 1.0) -> Site:
    """A garage with its chargers' connections, its panels as groups, and the windings of its transformers.

    Args:
        site: From `garage_site`: one group with all chargers.
        garage: ``jpl``, ``caltech`` or ``office001``.
        transformer_scale: What the limits of transformers are multiplied by.

    Returns:
        The site; every charger hangs on the smallest panel that carries it.

    Source: acnportal 0.3.3.
    """
    data = json.loads((DATA / f"site_{garage}.json").read_text(encoding="utf-8"))
    evses = {entry["id"]: entry for entry in data["evses"]}
    root = site.groups[0].group_id
    members: dict[str, set[str]] = {}
    limits_a: dict[str, float] = {}
    windings: list[LineLimit] = []
    for constraint in data["constraints"]:
        name, conductor = constraint["name"], constraint["name"][-1].upper()
        is_winding = name[:-1].endswith(("Secondary ", "Primary "))
        panel = re.sub(r" ?(I_[abc]|(Secondary|Primary) [ABC])$", "", name) or "Transformer"
        members.setdefault(panel, set()).update(constraint["coeffs"])
        limit_a = constraint["limit_a"] * (transformer_scale if is_winding else 1.0)
        if "Primary" in name:
            weights = PRIMARY_WEIGHTS[conductor]
            windings.append(LineLimit(line_limit_id=name, group_id=panel, limit_a=limit_a, weights=weights))
        else:
            limits_a[panel] = limit_a
    by_size = sorted(members, key=lambda panel: (len(members[panel]), panel))

    def feeder(chargers: set[str], panels: list[str]) -> str:
        return next((panel for panel in panels if chargers <= members[panel]), root)

    panels = tuple(
        CapacityGroup(
            group_id=panel,
            parent_id=feeder(members[panel], by_size[place + 1 :]),
            current_limit_a=(limits_a[panel],) * 3,
        )
        for place, panel in enumerate(by_size)
    )
    chargers = tuple(
        replace(
            charger,
            group_id=feeder({charger.charger_id}, by_size),
            connection=Connection(CONNECTIONS[evses[charger.charger_id]["phase_angle_deg"]]),
            voltage_v=evses[charger.charger_id]["voltage_v"],
        )
        if charger.charger_id in evses
        else charger
        for charger in site.chargers
    )
    return replace(site, groups=(*site.groups, *panels), chargers=chargers, line_limits=tuple(windings))


def garage_site(garage: str, limit_kw: float, *, currency: str = "USD") -> Site:
    """One group with all chargers of a garage. Source: acnportal 0.3.3."""
    data = json.loads((DATA / f"site_{garage}.json").read_text(encoding="utf-8"))
    chargers = {entry["id"]: float(entry["max_power_kw"]) for entry in data["evses"]}
    for session in garage_sessions(garage) if garage in TRANSFORMERS_KW else ():
        # One charger of the sessions is missing from the site's file.
        chargers.setdefault(session.charger_id, session.max_power_kw or 0.0)
    return Site(
        site_id=garage,
        groups=(CapacityGroup(group_id=garage, import_limit_kw=limit_kw),),
        chargers=tuple(
            Charger(charger_id=charger_id, group_id=garage, max_power_kw=power_kw)
            for charger_id, power_kw in sorted(chargers.items())
        ),
        time_zone=ZoneInfo(data["timezone"]),
        currency=currency,
        nominal_voltage_v=120.0,
    )


@cache
def garage_levels_kw(garage: str) -> dict[str, tuple[float, ...]]:
    """The powers that each charger of a garage can be set to besides none, kW. Source: acnportal 0.3.3."""
    data = json.loads((DATA / f"site_{garage}.json").read_text(encoding="utf-8"))
    return {
        evse["id"]: tuple(
            rate_a * evse["voltage_v"] / WATTS_PER_KILOWATT for rate_a in evse["allowable_rates_a"] if rate_a
        )
        for evse in data["evses"]
    }


@cache
def garage_table(garage: str) -> pd.DataFrame:
    """All sessions of a garage, May to August 2019, as they were recorded. Source: ACN-Data."""
    return pd.read_csv(DATA / f"sessions_{garage}_2019-05_08.csv.gz")


def garage_statements(garage: str) -> dict[str, DriverStatement]:
    """What the drivers of a garage said, by session."""
    return {
        str(row["session_id"]): DriverStatement(
            departure=datetime.fromisoformat(row["estimated_departure"]), energy_kwh=float(row["requested_kwh"])
        )
        for row in garage_table(garage).to_dict("records")
    }


@cache
def garage_sessions(garage: str) -> tuple[ChargingSession, ...]:
    """All sessions of a garage, May to August 2019."""
    return tuple(
        ChargingSession(
            session_id=str(row["session_id"]),
            charger_id=str(row["charger_id"]),
            arrival=datetime.fromisoformat(row["arrival"]),
            departure=datetime.fromisoformat(row["departure"]),
            energy_kwh=float(row["energy_kwh"]),
            max_power_kw=float(row["max_power_kw"]),
        )
        for row in garage_table(garage).to_dict("records")
    )


def time_of_use_blocks(start: datetime, end: datetime, zone: ZoneInfo) -> list[PriceBlock]:
    """SCE TOU-EV-4 over whole local days that cover a window. Source: acnportal 0.3.3."""
    tariff = json.loads((DATA / "tariff_sce_tou_ev_4.json").read_text(encoding="utf-8"))
    blocks = []
    day = start.astimezone(zone).date()
    while day <= end.astimezone(zone).date():
        schedule = next(entry for entry in tariff["schedule"] if _applies(entry, day))
        hours = [*schedule["times"], 24]
        for begin, until, price in zip(hours, hours[1:], schedule["tariffs"], strict=False):
            blocks.append(
                PriceBlock(start=_at(day, begin, zone), end=_at(day, until, zone), import_price_per_kwh=price)
            )
        day += timedelta(days=1)
    return blocks


def _applies(entry: dict[str, str], day: date) -> bool:
    weekend = day.isoweekday() > 5  # noqa: PLR2004 - Saturday is 6
    first, last, today = entry["effective_start"], entry["effective_end"], day.strftime("%m-%d")
    in_season = first <= today <= last if first <= last else today >= first or today <= last
    return in_season and entry["dow_mask"] == ("WEEKENDS" if weekend else "WEEKDAYS")


def _at(day: date, hour: int, zone: ZoneInfo) -> datetime:
    return datetime.combine(day + timedelta(days=hour // 24), datetime.min.time(), zone).replace(hour=hour % 24)


def _dutch_blocks(start: datetime, end: datetime, zone: ZoneInfo) -> list[PriceBlock]:
    """Dutch day-ahead prices, the hour of the Dutch wall clock taken as that of the site's."""
    table = pd.read_csv(DATA / "prices_nl_2018_2019_eur_per_mwh.csv.gz")
    instants = (datetime.fromisoformat(text).astimezone(DUTCH_TIME) for text in table["time_utc"])
    price_at = {i.replace(tzinfo=None): price for i, price in zip(instants, table["NL"], strict=True)}
    blocks = []
    hour = start
    while hour < end:
        price = price_at[hour.astimezone(zone).replace(tzinfo=None)]
        until = hour + timedelta(hours=1)
        blocks.append(PriceBlock(start=hour, end=until, import_price_per_kwh=float(price) / KWH_PER_MWH))
        hour = until
    return blocks


def write_demo_folder(folder: Path = DEMO_FOLDER) -> None:
    """JPL on 24 July 2019 behind its transformers, as a scenario folder."""
    zone = ZoneInfo("America/Los_Angeles")
    start = datetime(2019, 7, 24, tzinfo=zone)
    end = start + timedelta(hours=30)
    scenario = garage_scenario("jpl", start, end, limit_kw=TRANSFORMERS_KW["jpl"])
    message = UpdateGroupCapacityForecast(
        group_id="jpl",
        type=CapacityForecastType.CONSUMPTION,
        forecasted_blocks=tuple(
            ForecastedBlock(
                capacity=TRANSFORMERS_KW["jpl"],
                phase=PhaseIndicator.ALL,
                unit=ForecastedBlockUnit.KW,
                start_time=start + timedelta(hours=hour),
                end_time=start + timedelta(hours=hour + 1),
            )
            for hour in range(30)
        ),
    )
    said = garage_statements("jpl")
    statements = {session.session_id: said[session.session_id] for session in scenario.sessions}
    write_scenario(folder, scenario, [message], statements=statements)


if __name__ == "__main__":
    write_demo_folder()
