"""Data sets of many site-days: the real garages behind several limits, and small synthetic sites."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import cache
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd

from benchmarks.cases import TRANSFORMERS_KW, garage_sessions, garage_site, time_of_use_blocks
from models.domain import ChargingSession, PriceBlock, Site
from optimizer.bench.synthetic import DAY, scenario
from optimizer.scenario_io import PriceRow, SessionRow, SiteFile

LIMIT_SHARES = (1.0, 0.85, 0.7, 0.6, 0.5)
"""Of what the transformers allow: the same day behind another connection is another scenario."""
WINDOW = timedelta(hours=30)
FIRST_DAY, LAST_DAY = date(2019, 5, 1), date(2019, 8, 31)


def write_real_days(root: Path, count: int) -> int:
    """Days of the garages of JPL and Caltech, May to August 2019, as Parquet partitioned by site and day.

    Args:
        root: Where; it must not exist.
        count: How many at most.

    Returns:
        How many sessions they have together.
    """
    sessions = 0
    zones = set()
    for site, day, stays in islice(_real_days(), count):
        folder = root / "sessions" / f"site_id={site.site_id}" / f"day={day}"
        folder.mkdir(parents=True)
        _frame(SessionRow.from_domain(stay).model_dump() for stay in stays).to_parquet(folder / "part-0.parquet")
        _write_site(root, site)
        sessions += len(stays)
        zones.add(site.time_zone)
    (root / "prices").mkdir()
    (zone,) = zones
    start = datetime.combine(FIRST_DAY, datetime.min.time(), zone)
    blocks = time_of_use_blocks(start, start + (LAST_DAY - FIRST_DAY) + 2 * WINDOW, zone)
    _frame(_price(block) for block in blocks).to_parquet(root / "prices" / "sce_tou_ev_4.parquet")
    return sessions


def write_synthetic_days(root: Path, count: int, *, sessions: int, sites: int = 10) -> None:
    """Random but repeatable days of small sites, as CSV partitioned by site and day.

    Args:
        root: Where; it must not exist.
        count: How many.
        sessions: Sessions of each.
        sites: Over how many sites they are spread.
    """
    for seed in range(count):
        site_id = f"synthetic-{seed % sites:03d}"
        made = scenario(sessions, seed=seed)
        offset = timedelta(days=seed // sites)
        day = (DAY + offset).date()
        if seed < sites:
            _write_site(root, replace(made.site, site_id=site_id))
        folder = root / "sessions" / f"site_id={site_id}" / f"day={day}"
        folder.mkdir(parents=True)
        stays = (
            replace(stay, arrival=stay.arrival + offset, departure=stay.departure + offset) for stay in made.sessions
        )
        lines = [
            f"{s.session_id},{s.charger_id},{s.arrival.isoformat()},{s.departure.isoformat()},{s.energy_kwh}"
            for s in stays
        ]
        (folder / "part-0.csv").write_text("\n".join((HEADER, *lines, "")), encoding="utf-8")
    _write_synthetic_prices(root, count // sites + 2)


HEADER = "session_id,charger_id,arrival,departure,energy_kwh"


def _write_synthetic_prices(root: Path, days: int) -> None:
    """One price curve for every day, in one file a day that all sites share."""
    tariff = scenario(1, seed=1).tariff
    if tariff is None:
        raise ValueError("a synthetic day has prices")
    for number in range(days):
        folder = root / "prices" / f"day={(DAY + timedelta(days=number)).date()}"
        folder.mkdir(parents=True)
        lines = [
            f"{datetime.fromtimestamp(start, DAY.tzinfo) + timedelta(days=number):%Y-%m-%dT%H:%M:%SZ},"
            f"{datetime.fromtimestamp(end, DAY.tzinfo) + timedelta(days=number):%Y-%m-%dT%H:%M:%SZ},{price}"
            for start, end, price in zip(
                tariff.start_s.tolist(), tariff.end_s.tolist(), tariff.import_price_per_kwh.tolist(), strict=True
            )
        ]
        (folder / "prices.csv").write_text("\n".join(("start,end,import_price_per_kwh", *lines, "")), encoding="utf-8")


def _real_days() -> Iterator[tuple[Site, date, list[ChargingSession]]]:
    for share in LIMIT_SHARES:
        for garage, transformers_kw in TRANSFORMERS_KW.items():
            limit_kw = round(share * transformers_kw, 1)
            site = replace(garage_site(garage, limit_kw), site_id=f"{garage}-{limit_kw:g}kW")
            for day, stays in _sessions_by_day(garage, site.time_zone).items():
                yield site, day, stays


@cache
def _sessions_by_day(garage: str, zone: ZoneInfo) -> dict[date, list[ChargingSession]]:
    """Sessions by the day of their arrival; some stay over night, one in a hundred stays on and is left out."""
    found: dict[date, list[ChargingSession]] = {}
    for stay in garage_sessions(garage):
        day = stay.arrival.astimezone(zone).date()
        if stay.departure <= datetime.combine(day, datetime.min.time(), zone) + WINDOW:
            found.setdefault(day, []).append(stay)
    return dict(sorted(found.items()))


def _write_site(root: Path, site: Site) -> None:
    path = root / "sites" / f"site_id={site.site_id}" / "site.json"
    if not path.exists():
        path.parent.mkdir(parents=True)
        path.write_text(SiteFile.from_domain(site).model_dump_json(by_alias=True), encoding="utf-8")


def _price(block: PriceBlock) -> dict[str, object]:
    return PriceRow(start=block.start, end=block.end, import_price_per_kwh=block.import_price_per_kwh).model_dump()


def _frame(rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows)).dropna(axis="columns", how="all")
