"""Who may do what: nobody without a key or token, a peer with what is its own, the operator everything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from api.routes import health, optimize, peers, sites
from api.routes.openapi import openapi_document
from tests.api.rest.bench import Bench, Caller, message, session

OPEN = {"/healthz", "/readyz"}
OPERATOR_ONLY = {"put_site", "delete_site", "metrics"}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of every route but those of OSCP."""
    app = FastAPI()
    for routes in (peers, sites, optimize, health):
        app.include_router(routes.router)
    for path, methods in openapi_document(app)["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


GUARDED = [
    pytest.param(method, path, operation, id=operation["operationId"])
    for method, path, operation in operations()
    if path not in OPEN
]


def body_of(operation: dict[str, Any]) -> object:
    """The first example of what is sent; None where nothing is."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return next(iter(content["examples"].values()))["value"] if content else None


def send(caller: Caller, method: str, path: str, operation: dict[str, Any], **ids: str) -> Any:
    """Send what the document has as an example."""
    values = {"site_id": "depot", "session_id": "S1", "peer_id": "depot-north"} | ids
    return caller.call(method, path.format(**values), body_of(operation))


@pytest.fixture
def owner(bench: Bench) -> Caller:
    """The peer of the site depot, which has a session, prices and a plan."""
    found = bench.add_peer()
    bench.add_site(found)
    found.post("/v1/sites/depot/sessions", [session()])
    bench.add_plan()
    return found


@pytest.mark.parametrize(("method", "path", "operation"), GUARDED)
class TestEveryRoute:
    """Of the document, none left out."""

    def test_a_stranger_is_refused(
        self, bench: Bench, owner: Caller, method: str, path: str, operation: dict[str, Any]
    ) -> None:
        """401 without a header; 403 with a token nobody issued, the operator's key cut, or the key as a token."""
        no_header = Caller(bench.client, "")
        cut = Caller(bench.client, bench.operator.authorization[:-1])
        token_as_key = Caller(bench.client, bench.operator.authorization.replace("Bearer", "Token"))
        before = bench.read(lambda tx: (tx.peers.all(), tx.sites.all(), tx.sites.sessions("depot")))

        message(send(no_header, method, path, operation), 401)
        for caller in (bench.stranger, cut, token_as_key):
            message(send(caller, method, path, operation), 403)
        assert bench.read(lambda tx: (tx.peers.all(), tx.sites.all(), tx.sites.sessions("depot"))) == before

    def test_a_revoked_peer_is_refused(
        self, bench: Bench, owner: Caller, method: str, path: str, operation: dict[str, Any]
    ) -> None:
        """403 from the moment on at which it was revoked."""
        bench.operator.delete(f"/v1/peers/{owner.peer_id}")

        message(send(owner, method, path, operation), 403)

    def test_another_peers_site_is_as_if_it_were_not_there(
        self, bench: Bench, owner: Caller, method: str, path: str, operation: dict[str, Any]
    ) -> None:
        """The answer about another's site is that about one that is not there, but for its name; the site stays as it
        was. What is for the operator is refused, whoever's it is.
        """
        other = bench.add_peer("depot south")
        before = bench.read(lambda tx: (tx.sites.all(), tx.sites.sessions("depot"), tx.sites.prices("depot")))

        foreign = send(other, method, path, operation)
        unknown = send(other, method, path, operation, site_id="nought", peer_id="nobody")

        assert foreign.status_code == unknown.status_code
        if operation["operationId"] in OPERATOR_ONLY or path.startswith("/v1/peers"):
            assert "only the operator" in message(foreign, 403)
        elif "{site_id}" in path:
            assert message(foreign, 404) == "there is no site 'depot'"
            assert message(unknown, 404) == "there is no site 'nought'"
            assert set(foreign.headers) == set(unknown.headers)
        else:
            assert "depot-north" not in foreign.text
            assert operation["operationId"] in {"list_sites", "optimize"}
        after = bench.read(lambda tx: (tx.sites.all(), tx.sites.sessions("depot"), tx.sites.prices("depot")))
        assert after == before


def test_a_peer_lists_its_own_sites(bench: Bench, owner: Caller) -> None:
    """The operator all."""
    other = bench.add_peer("depot south")
    bench.add_site(other, "south")

    assert [site["site_id"] for site in owner.get("/v1/sites").json()] == ["depot"]
    assert [site["site_id"] for site in other.get("/v1/sites").json()] == ["south"]
    assert [site["site_id"] for site in bench.operator.get("/v1/sites").json()] == ["depot", "south"]


def test_a_peer_reads_and_writes_what_is_its_own(bench: Bench, owner: Caller) -> None:
    """The site, its plan and capacities to read; sessions and prices to write too."""
    for end in ("", "/sessions", "/sessions/S1", "/prices", "/plan", "/forecasts"):
        assert owner.get(f"/v1/sites/depot{end}").status_code == 200, end
    assert owner.put("/v1/sites/depot/sessions/S2", session(session_id="S2")).status_code == 201
    assert owner.delete("/v1/sites/depot/sessions/S2").status_code == 204


def test_a_body_is_not_read_for_strangers(bench: Bench, owner: Caller) -> None:
    """Broken JSON of a stranger is answered with 403, and so is that about another's site with 404."""
    headers = {"Content-Type": "application/json"}
    other = bench.add_peer("depot south")

    message(bench.stranger.post("/v1/sites/depot/sessions", content=b"{", headers=headers), 403)
    message(other.post("/v1/sites/depot/sessions", content=b"{", headers=headers), 404)
    message(other.put("/v1/sites/depot", content=b"{", headers=headers), 403)


def test_nothing_is_redirected(bench: Bench) -> None:
    """A path with a slash too many is none: a redirect would lead to the host that the caller named."""
    answer = bench.operator.get("/v1/peers/", headers={"Host": "elsewhere.example"}, follow_redirects=False)

    assert "/v1/peers/" in message(answer, 404)
