"""A server of ours in this process, and what is said to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr

from api.server import serving
from api.settings import Settings
from benchmarks.live_server import Operator

T = TypeVar("T")

KEY = "the-key-of-the-operator"
PATIENCE_S = 120.0
CO = "/oscp/co/2.0"


class Bench(Operator):
    """The operator of a server of ours, which runs in this process."""

    def __init__(self, url: str) -> None:
        super().__init__(url, KEY)
        self.base_url = f"{url}{CO}"

    def peer(self, peer_id: str) -> dict[str, Any]:
        """What is known of a peer."""
        found: dict[str, Any] = self.do("GET", f"/v1/peers/{peer_id}")
        return found

    def put_site(self, peer_id: str, *, arrival: datetime, energy_kwh: float = 20.0) -> None:
        """The site depot: one charger of 22 kW behind 50 kW, and a car that stays for four hours."""
        site = {
            "schema": 1,
            "site_id": "depot",
            "peer_id": peer_id,
            "currency": "EUR",
            "time_zone": "Europe/Amsterdam",
            "groups": [{"group_id": "g1", "import_limit_kw": 50.0}],
            "chargers": [{"charger_id": "C1", "group_id": "g1", "max_power_kw": 22.0}],
        }
        session = {
            "session_id": "S1",
            "charger_id": "C1",
            "arrival": arrival.isoformat(),
            "departure": (arrival + timedelta(hours=4)).isoformat(),
            "energy_kwh": energy_kwh,
        }
        self.do("PUT", "/v1/sites/depot", site)
        self.do("POST", "/v1/sites/depot/sessions", [session])


@contextmanager
def our_server(folder: Path, **settings: Any) -> Iterator[Bench]:
    """A server on a free port that keeps its state in a folder."""
    made = Settings(
        port=0,
        database_url=f"sqlite:///{folder / 'state.db'}",
        operator_key=SecretStr(KEY),
        allow_insecure_callbacks=True,
        **settings,
    )
    with serving(made) as url, closing(Bench(url)) as operator:
        yield operator


def until(found: Callable[[], T], what: str) -> T:
    """What is found in the end; it must be true."""
    end_s = time.monotonic() + PATIENCE_S
    while not (value := found()):
        assert time.monotonic() < end_s, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.05)
    return value


def this_hour() -> datetime:
    """The begin of the hour."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def forecast(*capacities_kw: float, kind: str = "CONSUMPTION", unit: str = "KW") -> Mapping[str, Any]:
    """A message about group g1: capacities of one hour each, the first is this one."""
    start = this_hour()
    hour = timedelta(hours=1)
    blocks = [
        {
            "capacity": capacity,
            "phase": "ALL",
            "unit": unit,
            "start_time": (start + index * hour).isoformat(),
            "end_time": (start + (index + 1) * hour).isoformat(),
        }
        for index, capacity in enumerate(capacities_kw)
    ]
    return {"group_id": "g1", "type": kind, "forecasted_blocks": blocks}
