"""A server of ours and a counterparty in a process of its own, both on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pytest
from pydantic import SecretStr

from api.server import serving
from api.settings import Settings

T = TypeVar("T")

FOLDER = Path(__file__).parent
ENVIRONMENT = FOLDER.parents[1] / "build" / "pyoscp"
KEY = "the-key-of-the-operator"
PATIENCE_S = 30.0
CO = "/oscp/co/2.0"


def pyoscp_python() -> Path:
    """An interpreter that has pyoscp, which needs an older Flask than anybody else wants beside them."""
    requirements = FOLDER / "pyoscp-requirements.txt"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()[:8]
    done = ENVIRONMENT / f"{sys.version_info.major}.{sys.version_info.minor}-{wanted}"
    python = done / "bin" / "python"
    if not python.exists():
        ENVIRONMENT.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=ENVIRONMENT))
        subprocess.run([sys.executable, "-m", "venv", made], check=True)
        pip = (made / "bin" / "python", "-m", "pip", "install", "-qq", "--disable-pip-version-check")
        installed = subprocess.run([*pip, "-r", requirements], capture_output=True, text=True, check=False)
        if installed.returncode:
            shutil.rmtree(made)
            pytest.skip(f"pyoscp cannot be installed: {installed.stderr.strip()[-300:]}")
        _put_in_place(made, done)
    return python


def _put_in_place(made: Path, done: Path) -> None:
    try:
        made.rename(done)
    except OSError:  # another process was first
        shutil.rmtree(made)


class Pyoscp:
    """pyoscp as flexibility or capacity provider."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.base_url: str = self._answer()

    def register_at(self, url: str, token: str) -> None:
        """Start a registration."""
        self._do(f"START {url} {token}")
        self.tick()

    def send(self, method: str, path: str, body: object = None) -> int:
        """Call its peer; the status of the answer."""
        statuses: list[int] = self._do(f"SEND {method} {path} {json.dumps(body)}")
        assert len(statuses) == 1, "it has not exactly one peer"
        return statuses[0]

    def tick(self) -> None:
        """Let it acknowledge handshakes, beat and register."""
        self._do("TICK")

    def handled(self, name: str) -> list[dict[str, Any]]:
        """What one of its handlers was called with."""
        return [entry["payload"] for entry in self._do("SEEN")["handled"] if entry["call"] == name]

    def calls(self, path: str) -> list[dict[str, Any]]:
        """The requests it got at a path."""
        return [call for call in self._do("SEEN")["calls"] if call["path"].endswith(path)]

    def peers(self) -> dict[str, dict[str, Any]]:
        """What it knows of registered peers, by the token they present."""
        return {token: peer for token, peer in self._do("PEERS").items() if peer["register"]["base_url"]}

    def _do(self, command: str) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "it has ended"
        return json.loads(line)


@contextmanager
def pyoscp(actor: str, token: str) -> Iterator[Pyoscp]:
    """A process of pyoscp as ``fp`` or ``cp``, which accepts a first token."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    process = subprocess.Popen(
        [pyoscp_python(), FOLDER / "pyoscp_peer.py", actor, token],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=variables,
    )
    with process:
        try:
            yield Pyoscp(process)
        finally:
            process.kill()


class Operator:
    """The operator of a server of ours, which runs in this process."""

    def __init__(self, url: str) -> None:
        self.base_url = f"{url}{CO}"
        self._client = httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {KEY}"}, timeout=10)

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def do(self, method: str, path: str, body: object = None) -> Any:
        """Call the server; what it answered with."""
        answer = self._client.request(method, path, json=body)
        if answer.status_code == httpx2.codes.SERVICE_UNAVAILABLE:  # the tables are being made
            time.sleep(0.1)
            return self.do(method, path, body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

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
def our_server(folder: Path, **settings: Any) -> Iterator[Operator]:
    """A server on a free port that keeps its state in a folder."""
    made = Settings(
        port=0,
        database_url=f"sqlite:///{folder / 'state.db'}",
        operator_key=SecretStr(KEY),
        allow_insecure_callbacks=True,
        **settings,
    )
    with serving(made) as url:
        operator = Operator(url)
        try:
            yield operator
        finally:
            operator.close()


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
