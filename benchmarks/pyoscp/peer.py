"""pyoscp as a live counterparty, in an environment of its own: takes commands on standard input, one a line.

    python peer.py ACTOR TOKEN   ACTOR is fp, cp or co; TOKEN is the first that it accepts

    START URL TOKEN              register there; takes effect with the next TICK
    SEND METHOD PATH [BODY]      call every registered peer
    TICK                         run the background work: handshakes to acknowledge, heartbeats, registrations
    SEEN                         what its handlers were called with
    PEERS                        what it knows of its peers, by the token they present

Answers each with one line of JSON; the first line is its own base URL.
"""

import json
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from flask import Flask, request
from oscp import createBlueprint
from oscp.RegistrationManager import RegistrationDictMan, createOscpHeader
from werkzeug.serving import make_server

actor, first_token = sys.argv[1:3]
seen: list[dict[str, Any]] = []
calls: list[dict[str, Any]] = []


class Recorder:
    """Stands in for the business behind pyoscp: keeps what it is called with."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        if not name.startswith("handle"):
            raise AttributeError(name)
        return lambda payload, *_: seen.append({"call": name, "payload": payload})


app = Flask(__name__)
server = make_server("127.0.0.1", 0, app, threaded=True)
base_url = f"http://127.0.0.1:{server.port}/oscp/{actor}/2.0"
endpoints = Path(tempfile.mkdtemp()) / "endpoints.json"
registrations = RegistrationDictMan([{"version": "2.0", "base_url": base_url}], filename=str(endpoints))
# Its threads read and write one file, and a read amid a write finds half of it.
file_lock = threading.RLock()


def one_at_a_time(work: Callable[..., Any]) -> Callable[..., Any]:
    """The same, for one thread at a time."""

    def locked(*arguments: object) -> Any:  # noqa: ANN401 - JSON
        with file_lock:
            return work(*arguments)

    return locked


registrations.readJson = one_at_a_time(registrations.readJson)
registrations.writeJson = one_at_a_time(registrations.writeJson)
registrations._updateService(first_token, None, None)  # noqa: SLF001 - as its own examples do
managers = ("capacityprovider", "capacityoptimizer", "flexibilityprovider", "energyprovider", "pricemanager")
app.register_blueprint(
    createBlueprint({name: Recorder() for name in managers} | {"registrationmanager": registrations}, actor=actor)
)


def remember() -> None:
    """Keep what came in, whatever pyoscp makes of it."""
    calls.append({"method": request.method, "path": request.path, "correlated": "X-Correlation-ID" in request.headers})


def start(url: str, token: str) -> None:
    """Register with the next tick, under a token of our own."""
    known = registrations.readJson()
    known["token-of-pyoscp"] = {"register": {"token": token, "base_url": url}, "should_register": True}
    registrations.writeJson(known)


def send(method: str, path: str, body: str = "null") -> list[int]:
    """Call every registered peer; what they answered."""
    statuses = []
    for entry in registrations.readJson().values():
        peer = entry["register"]
        if peer["base_url"]:
            headers = createOscpHeader(peer["token"])
            answer = requests.request(
                method, peer["base_url"] + path, headers=headers, json=json.loads(body), timeout=60
            )
            statuses.append(answer.status_code)
    return statuses


if actor != "co":  # its speed is measured
    app.before_request(remember)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdout.write(f"{json.dumps(base_url)}\n")
sys.stdout.flush()
commands: dict[str, Callable[..., Any]] = {
    "START": start,
    "SEND": send,
    "TICK": registrations._background_job,  # noqa: SLF001 - its thread runs it every five seconds
    "SEEN": lambda: {"handled": seen, "calls": calls},
    "PEERS": registrations.readJson,
}
for line in sys.stdin:
    command, *words = line.rstrip("\n").split(" ", 3)
    sys.stdout.write(f"{json.dumps(commands[command](*words))}\n")
    sys.stdout.flush()
