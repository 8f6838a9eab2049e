"""The OpenAPI document holds: a stranger can use it, and whatever is sent, the answer is one it tells of."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from api.app import ROUTERS, create_app
from api.context import Context
from api.metrics import Metrics
from api.persistence import Database, Transaction
from api.records import Peer, PeerState, TokenKind
from api.routes.examples import PEER_ID as EXAMPLE_PEER
from api.routes.openapi import openapi_document
from api.settings import Settings
from api.tokens import token_hash
from optimizer.scenario_io import SessionRow, SiteFile
from tests.api.rest.bench import (
    BASE_URL,
    OPERATOR_KEY,
    PEER_URL,
    Bench,
    FixedClock,
    InlineSolver,
    make_plan,
    message,
    session,
)
from tests.builders import make_session, make_site

OSCP = "/oscp/"
PEER_TOKEN = "token-of-the-fuzzed-peer"
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
KNOWN = {"site_id": "depot", "session_id": "S1", "peer_id": "fuzzed"}
SERVER_ERROR = 500
NO_VERSION = 501
"""What OSCP asks for where there is no version in common."""
EXAMPLES = 30
OPEN = {"/healthz", "/readyz"}
DESCRIBED = (
    "Peer",
    "View",
    "Overrides",
    "Details",
    "Status",
    "Stored",
    "Options",
    "Request",
    "Readiness",
    "SiteInput",
    "SessionInput",
)


@pytest.fixture(scope="module")
def server(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FastAPI, Context]]:
    """A server that many requests are thrown at, without waiting for any of them to be safe on the disk."""
    path = tmp_path_factory.mktemp("fuzzed") / "state.db"
    shutil.copy(empty_database, path)
    database = Database(f"sqlite:///{path}")
    context = Context(
        settings=Settings(operator_key=SecretStr(OPERATOR_KEY), solve_deadline_s=2),
        clock=FixedClock(),
        database=database,
        metrics=Metrics(),
        owner="test",
        base_url=BASE_URL,
    )
    yield create_app(context, loops=False, executor=InlineSolver()), context
    database.close()


@pytest.fixture(scope="module")
def document(server: tuple[FastAPI, Context]) -> dict[str, Any]:
    """The document as a client gets it."""
    answer = TestClient(server[0]).get("/openapi.json", headers={"Authorization": f"Bearer {OPERATOR_KEY}"})
    return json.loads(answer.content)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def api_schema(server: tuple[FastAPI, Context], document: dict[str, Any]) -> Any:
    """What schemathesis makes of the document."""
    config = schemathesis.Config()
    config.projects.default.generation.modes = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
    loaded = schemathesis.openapi.from_dict(document, config=config)
    loaded.app = server[0]
    return loaded


def openapi_of_routes() -> dict[str, Any]:
    """The document of all routes, without a server."""
    app = FastAPI()
    for router in ROUTERS:
        app.include_router(router)
    return openapi_document(app)


def operations() -> list[str]:
    """The id of every operation."""
    paths = openapi_of_routes()["paths"].values()
    return sorted(operation["operationId"] for path in paths for operation in path.values())


@pytest.mark.parametrize("operation_id", operations())
def test_every_answer_is_documented(operation_id: str, api_schema: Any, server: tuple[FastAPI, Context]) -> None:
    """No request, valid or not, makes a server error, or an answer of a status, type, header or form that is not told
    of. Half of the requests are about the site, session and peer that are there.
    """
    _, context = server
    operation = api_schema.find_operation_by_id(operation_id)
    is_oscp = operation.path.startswith(OSCP)
    headers = {"Authorization": f"Token {PEER_TOKEN}" if is_oscp else f"Bearer {OPERATOR_KEY}"}
    cases = st.one_of([operation.as_strategy(generation_mode=mode) for mode in GenerationMode])

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(case=cases, aimed=st.booleans())
    def send(case: Any, aimed: bool) -> None:
        _make_up(context)
        if aimed:
            case.path_parameters |= {name: value for name, value in KNOWN.items() if name in case.path_parameters}
        response = case.call(headers=headers)
        assert response.status_code < SERVER_ERROR or response.status_code == NO_VERSION, response.text
        case.validate_response(response, checks=CHECKS)

    send()


def _make_up(context: Context) -> None:
    """Have a registered peer with a site again, whatever the last request did to them."""
    now = context.clock.now()

    def make(tx: Transaction) -> None:
        known = {peer.peer_id for peer in tx.peers.all()}
        if "fuzzed" not in known:
            tx.peers.add(
                Peer(
                    peer_id="fuzzed",
                    name="fuzzed",
                    profile_name="oscp-sdk",
                    overrides={"require_request_id": False},
                    state=PeerState.REGISTERED,
                    base_url=PEER_URL,
                    outbound_token="the-token-we-hold",
                    created_at=now,
                )
            )
        if tx.peers.by_token(token_hash(PEER_TOKEN), now=now) is None:
            tx.peers.add_token("fuzzed", token_hash(PEER_TOKEN), TokenKind.CURRENT, now=now)
            tx.peers.update("fuzzed", state=PeerState.REGISTERED, outbound_token="the-token-we-hold")
        if not any(site.site_id == "depot" for site in tx.sites.all()):
            site = SiteFile.from_domain(make_site(site_id="depot"))
            tx.sites.put("depot", "fuzzed", site.model_dump_json(by_alias=True), ["main"], now=now)
            tx.sites.put_sessions(
                "depot", [("S1", SessionRow.from_domain(make_session()).model_dump_json(), 10)], now=now
            )
            tx.plans.add(make_plan("depot"))

    context.database.write_now(make)


class TestDocument:
    """What a stranger reads."""

    def test_every_operation_says_what_it_does(self, document: dict[str, Any]) -> None:
        """A summary, a tag that is explained, an id, and the errors that it may answer with."""
        explained = {tag["name"] for tag in document["tags"]}

        for path, method, operation in _all_operations(document):
            name = f"{method} {path}"
            assert operation["summary"], name
            assert set(operation["tags"]) <= explained, name
            assert "422" not in operation["responses"], name
            if path not in OPEN:
                assert {"400", "401", "403", "408", "413", "503"} <= operation["responses"].keys(), name
                assert operation["security"], name
            if "requestBody" in operation:
                assert "415" in operation["responses"], name
            if "{" in path and operation["operationId"] != "put_site":
                assert "404" in operation["responses"], name

    def test_every_field_of_the_rest_api_is_described(self, document: dict[str, Any]) -> None:
        """And a power, energy, price or duration with its unit."""
        units = {"_kw": "kW", "_kwh": "kWh", "_s": "s", "_v": "V", "_minutes": "min", "price_per_kwh": "per kWh"}
        silent = []
        for name, schema in document["components"]["schemas"].items():
            if not name.removesuffix("-Input").endswith(DESCRIBED):
                continue
            for field, described in schema.get("properties", {}).items():
                text = described.get("description", "")
                unit = next((unit for end, unit in units.items() if field.endswith(end)), "")
                if not text or unit not in text:
                    silent.append(f"{name}.{field}")

        assert silent == []

    def test_every_reference_leads_somewhere(self, document: dict[str, Any]) -> None:
        """The schemas of bodies, which FastAPI does not know of, are there too."""
        named = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))

        assert named <= document["components"]["schemas"].keys()

    def test_what_is_sent_needs_no_defaults(self, document: dict[str, Any]) -> None:
        """Of a session five fields suffice; an answer has all."""
        schemas = document["components"]["schemas"]

        assert set(schemas["SessionRow-Input"]["required"]) == set(session())
        assert "peer_id" in schemas["SiteInput-Input"]["required"] if "SiteInput-Input" in schemas else True

    def test_every_answer_has_an_example_that_holds(self, document: dict[str, Any]) -> None:
        """An example that breaks its own schema misleads."""
        for path, method, operation in _all_operations(document):
            for code, response in operation["responses"].items():
                for media in response.get("content", {}).values():
                    if path.startswith(OSCP) or media.get("schema", {}).get("format") == "binary":
                        continue
                    assert "example" in media, f"{method} {path} {code}"
                    if "schema" in media:
                        schema = media["schema"] | {"components": document["components"]}
                        jsonschema_rs.validator_for(schema).validate(media["example"])

    def test_every_example_of_a_body_is_taken(self, document: dict[str, Any], bench: Bench) -> None:
        """What a stranger copies works."""
        peer = bench.add_peer(peer_id=EXAMPLE_PEER)
        bench.add_site(peer, chargers=[charger("C1"), charger("C2")])
        sent = 0
        for path, method, operation in _all_operations(document):
            if path.startswith(OSCP) or "requestBody" not in operation:
                continue
            where = path.format(site_id="depot", session_id="S1")
            for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
                answer = bench.operator.call(method.upper(), where, example["value"])
                assert answer.status_code in (200, 201), f"{method} {path}: {answer.text}"
                sent += 1

        assert sent == 7


class TestAccess:
    """Who may read it."""

    def test_it_is_for_callers_only(self, bench: Bench) -> None:
        """The operator and peers; nobody else."""
        assert bench.operator.get("/openapi.json").status_code == 200
        assert bench.add_peer().get("/openapi.json").status_code == 200
        message(bench.stranger.get("/openapi.json"), 403)
        message(bench.client.get("/openapi.json"), 401)

    def test_a_demonstration_shows_it(self, bench: Bench) -> None:
        """Where there is no operator yet."""
        open_settings = bench.context.settings.model_copy(update={"demo": True})
        shown = Context(
            settings=open_settings,
            clock=bench.clock,
            database=bench.context.database,
            metrics=Metrics(),
            owner="test",
            base_url=BASE_URL,
        )

        assert (
            TestClient(create_app(shown, loops=False, executor=InlineSolver())).get("/openapi.json").status_code == 200
        )

    @pytest.mark.parametrize("path", ["/docs", "/redoc"])
    def test_there_are_no_pages_that_load_from_elsewhere(self, bench: Bench, path: str) -> None:
        """They would not work without the internet, and would tell others who looks."""
        message(bench.operator.get(path), 404)


def _all_operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def charger(charger_id: str) -> dict[str, Any]:
    """A charger of the group main."""
    return {"charger_id": charger_id, "group_id": "main", "max_power_kw": 22}
