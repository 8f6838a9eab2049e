"""Who may look at the page: the operator and registered peers, as long as their key or token is valid."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.cookies import SimpleCookie

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from starlette.testclient import TestClient

from api.app import create_app
from api.context import Context
from api.monitor.sign_in import ATTEMPTS, Attempts, TooManyAttemptsError
from api.persistence.tables import sign_in as sign_in_table
from api.records import PeerState, TokenKind
from api.routes import page as page_routes
from api.tokens import new_token, token_hash
from tests.api.page.bench import FROM_PAGE, PageBench, Person
from tests.api.rest.bench import OPERATOR_KEY, InlineSolver, message

OPEN = {"/", "/page/static/{name}", "/page/me", "/page/sign-in", "/page/sign-out"}
GUARDED = sorted(
    (method, route.path)  # type: ignore[attr-defined]
    for route in page_routes.router.routes
    for method in route.methods  # type: ignore[attr-defined]
    if route.path not in OPEN  # type: ignore[attr-defined]
)
QUERY = {"site": "depot", "key": "in:1:depot"}


@contextmanager
def another_server(page: PageBench, **settings: object) -> Iterator[Person]:
    """Whoever looks at another server process on the same database, with other settings."""
    known = page.bench.context
    context = Context(
        settings=known.settings.model_copy(update=settings),
        clock=known.clock,
        database=known.database,
        metrics=known.metrics,
        owner="another",
        base_url=known.base_url,
    )
    yield Person(TestClient(create_app(context, loops=False, executor=InlineSolver()), raise_server_exceptions=False))


def cookie_of(person: Person) -> str:
    """The cookie a browser has."""
    return next(iter(person.client.cookies.values()))


class TestWhoGetsIn:
    """A key in exchange for a cookie."""

    @pytest.mark.parametrize(("method", "path"), GUARDED)
    def test_nobody_sees_anything_before(self, page: PageBench, method: str, path: str) -> None:
        """401 everywhere but at the page itself, its files and the sign-in."""
        answer = page.somebody().client.request(method, path, params=QUERY, headers=FROM_PAGE, json={})

        assert "sign in" in message(answer, 401)

    def test_the_operator_with_the_key(self, page: PageBench) -> None:
        """The operator sees everything, and the page knows who it is."""
        person = page.somebody()
        assert person.see("me") == {"name": None, "is_operator": False}

        assert person.sign_in(OPERATOR_KEY).json() == {"name": "Operator", "is_operator": True}
        assert person.see("me") == {"name": "Operator", "is_operator": True}

    def test_a_peer_with_its_token(self, page: PageBench) -> None:
        """It presents what it presents in OSCP."""
        assert page.person_of(page.peer).see("me") == {"name": "depot north", "is_operator": False}

    @pytest.mark.parametrize("key", ["wrong", OPERATOR_KEY[:-1], OPERATOR_KEY + "x", "'; DROP TABLE peer; --"])
    def test_nobody_else(self, page: PageBench, key: str) -> None:
        """403 for any other key, and no cookie."""
        person = page.somebody()

        assert "neither" in message(person.sign_in(key), 403)
        assert not person.client.cookies

    def test_not_with_what_is_for_a_registration(self, page: PageBench) -> None:
        """A TOKEN_A travels by mail: it registers a peer once, and shows nothing."""
        token = new_token()
        page.bench.write(
            lambda tx: tx.peers.add_token(page.peer.peer_id, token_hash(token), TokenKind.INITIAL, now=page.now)
        )

        message(page.somebody().sign_in(token), 403)

    def test_not_a_peer_that_is_not_registered(self, page: PageBench) -> None:
        """A peer whose registration is not through sees nothing."""
        peer = page.bench.add_peer("new one", state=PeerState.REPLYING)

        message(page.somebody().sign_in(peer.authorization.removeprefix("Token ")), 403)

    @pytest.mark.parametrize("body", [{}, {"key": ""}, {"key": 7}, {"key": "x" * 513}, {"key": "ü"}, []])
    def test_what_is_no_key_is_refused_and_not_repeated(self, page: PageBench, body: object) -> None:
        """400, and no error shows what was sent."""
        text = message(page.somebody().client.post("/page/sign-in", json=body, headers=FROM_PAGE), 400)

        assert "xxx" not in text


class TestTheCookie:
    """What the browser keeps."""

    def test_no_script_and_no_other_site_gets_it(self, page: PageBench) -> None:
        """HttpOnly, SameSite=strict, for the whole host; over plain http, as on a bench, without Secure."""
        header = page.somebody().sign_in(OPERATOR_KEY).headers["set-cookie"]
        morsel = next(iter(SimpleCookie(header).values()))

        assert (morsel["httponly"], morsel["samesite"], morsel["path"]) == (True, "strict", "/")
        assert not morsel["secure"]

    def test_it_is_secure_where_the_server_is_reached_by_https(self, page: PageBench) -> None:
        """Behind a proxy too: the public URL tells; and then no other host of the domain can set it."""
        with another_server(page, public_url="https://co.example.com") as person:
            header = person.sign_in(OPERATOR_KEY).headers["set-cookie"]

        assert header.startswith("__Host-")
        assert "Secure" in header

    def test_the_database_does_not_have_it(self, page: PageBench) -> None:
        """Neither the cookie nor its plain hash is stored: what is read there lets nobody in."""
        cookie = cookie_of(page.operator())
        stored = page.bench.read(lambda tx: tx.connection.execute(select(sign_in_table)).all())

        assert len(stored) == 1
        assert cookie not in str(stored)
        assert token_hash(cookie) not in str(stored)

    def test_a_made_up_cookie_lets_nobody_in(self, page: PageBench) -> None:
        """401."""
        person = page.somebody()
        person.client.cookies.set("oscp-page", new_token())

        message(person.get("overview"), 401)

    def test_it_survives_a_restart_and_works_at_every_server(self, page: PageBench) -> None:
        """Sign-ins are in the database."""
        cookie = cookie_of(page.operator())
        with another_server(page) as person:
            person.client.cookies.set("oscp-page", cookie)

            assert person.get("overview").status_code == 200


class TestTheEnd:
    """When a sign-in ends."""

    def test_signed_out(self, page: PageBench) -> None:
        """The cookie is worth nothing any more, wherever a copy of it is."""
        person = page.operator()
        copy = cookie_of(person)
        person.client.post("/page/sign-out", headers=FROM_PAGE, json={})
        thief = page.somebody()
        thief.client.cookies.set("oscp-page", copy)

        message(person.get("overview"), 401)
        message(thief.get("overview"), 401)

    def test_unused_for_a_day(self, page: PageBench) -> None:
        """It ends after 24 h without use, and lasts 24 h more from when it was used in its second half."""
        used, unused = page.operator(), page.operator()
        page.pass_time(13)
        assert used.get("overview").status_code == 200
        page.pass_time(12)

        assert used.get("overview").status_code == 200
        message(unused.get("overview"), 401)

    def test_the_peer_is_revoked(self, page: PageBench) -> None:
        """With the token everything ends that was made with it."""
        person = page.person_of(page.peer)
        page.bench.operator.delete(f"/v1/peers/{page.peer.peer_id}")

        message(person.get("overview"), 401)

    def test_the_token_is_replaced(self, page: PageBench) -> None:
        """It ends with the grace of the replaced token."""
        person = page.person_of(page.peer)
        token = new_token()
        until = page.now + timedelta(seconds=30)

        def replace_token(tx: object) -> None:
            peers = tx.peers  # type: ignore[attr-defined]
            peers.add_token(page.peer.peer_id, token_hash(token), TokenKind.OFFERED, now=page.now)
            peers.keep_only_token(page.peer.peer_id, token_hash(token), others_until=until)

        page.bench.write(replace_token)
        assert person.get("overview").status_code == 200
        page.pass_time(1 / 60)

        message(person.get("overview"), 401)

    def test_the_operators_key_is_changed(self, page: PageBench) -> None:
        """With the key all sign-ins end."""
        cookies = [cookie_of(page.operator()), cookie_of(page.person_of(page.peer))]
        with another_server(page, operator_key=SecretStr("another key")) as person:
            for cookie in cookies:
                person.client.cookies.set("oscp-page", cookie)

                message(person.get("overview"), 401)


class TestOtherSites:
    """What another site makes a browser send."""

    @pytest.mark.parametrize("path", ["sign-in", "sign-out", "what-if"])
    @pytest.mark.parametrize(
        "headers", [{}, FROM_PAGE | {"Sec-Fetch-Site": "cross-site"}, FROM_PAGE | {"Sec-Fetch-Site": "same-site"}]
    )
    def test_does_nothing(self, page: PageBench, path: str, headers: dict[str, str]) -> None:
        """403 without the page's own header, which no form can send, and where the browser names another origin."""
        person = page.operator()
        answer = person.client.post(
            f"/page/{path}", params={"site": "depot"}, headers=headers, json={"key": OPERATOR_KEY}
        )

        assert "only the page" in message(answer, 403)
        assert person.get("overview").status_code == 200

    def test_and_the_rest_api_takes_no_cookie(self, page: PageBench) -> None:
        """What changes sites and peers asks for a key in a header, which no other site knows."""
        person = page.operator()

        message(person.client.get("/v1/sites"), 401)


class TestAttempts:
    """Whoever guesses has to wait."""

    def test_ten_failures_in_five_minutes(self, page: PageBench) -> None:
        """The eleventh is not looked at, though it were right; it says when to come back."""
        person = page.somebody()
        for _ in range(ATTEMPTS):
            message(person.sign_in("wrong"), 403)
        answer = person.sign_in(OPERATOR_KEY)

        assert "try again" in message(answer, 429)
        assert 1 <= int(answer.headers["retry-after"]) <= 301

    def test_others_may_go_on(self) -> None:
        """Only that address waits, or, of IPv6, that network of 64 bits."""
        attempts = Attempts()
        for last in range(ATTEMPTS):
            attempts.failed("192.0.2.7")
            attempts.failed(f"2001:db8::{last:x}")

        attempts.require_room("192.0.2.8")
        attempts.require_room("2001:db8:0:1::1")
        for address in ("192.0.2.7", "2001:db8::ffff"):
            with pytest.raises(TooManyAttemptsError):
                attempts.require_room(address)

    def test_success_counts_nothing(self, page: PageBench) -> None:
        """Who has the key may sign in as often as wanted."""
        for _ in range(ATTEMPTS + 2):
            page.operator()


class TestFiles:
    """The page and its parts."""

    def test_no_script_but_files_of_the_server_runs(self, page: PageBench) -> None:
        """The policy allows our own files alone, and the page has neither script nor style of its own."""
        answer = page.somebody().client.get("/")
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))

        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=|javascript:", answer.text)

    def test_nothing_is_fetched_from_elsewhere(self, page: PageBench) -> None:
        """No file names another host but as the name of a format."""
        assets = page_routes.PageState(page.bench.context).assets

        for name, asset in assets.items():
            hosts = set(re.findall(r"https?://([^/\"'\s)]+)", asset.content.decode()))
            assert hosts <= {"www.w3.org"}, name

    def test_every_file_the_page_asks_for_is_there(self, page: PageBench) -> None:
        """With its type, and told to be looked after each time, without being sent again."""
        client = page.somebody().client
        assets = page_routes.PageState(page.bench.context).assets
        asked = {
            name
            for asset in assets.values()
            for name in re.findall(r"(?:/page/static/|from \"\./)([a-z.]+)", asset.content.decode())
        }

        assert "app.js" in asked
        for name in asked:
            answer = client.get(f"/page/static/{name}")
            assert answer.status_code == 200, name
            assert answer.headers["x-content-type-options"] == "nosniff"
            again = client.get(f"/page/static/{name}", headers={"If-None-Match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")

    @pytest.mark.parametrize("name", ["nothing.js", "__init__.py", "..%2fapp.py", "%2e%2e/app.py"])
    def test_nothing_else_is(self, page: PageBench, name: str) -> None:
        """404 for any other file."""
        assert page.somebody().client.get(f"/page/static/{name}").status_code == 404

    def test_no_answer_with_data_is_kept(self, page: PageBench) -> None:
        """Neither by a proxy nor on the disk of a shared computer."""
        person = page.operator()

        for path in ("me", "overview", "peers", "log", "outbox"):
            assert person.get(path).headers["cache-control"] == "no-store", path
