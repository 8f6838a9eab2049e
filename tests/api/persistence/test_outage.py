"""The database goes away, or its disk is full: nothing is acknowledged or half there, and it recovers by itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from api.persistence import Database
from tests.api.databases import Postgresql
from tests.api.oscp.bench import Bench, Caller, block, forecast_body, message_of, running

PATH = "/update_group_capacity_forecast"
MANY = 200
"""Messages of half a page each: more than the disk of these tests holds."""


@contextmanager
def served(folder: Path, url: str | None = None) -> Iterator[tuple[Bench, Caller, str]]:
    """A server, a peer of it, and its site."""
    settings: dict[str, Any] = {} if url is None else {"database_url": url}
    with running(folder, **settings) as bench:
        peer = bench.add_peer()
        yield bench, peer, bench.add_site(peer)


def test_postgresql_goes_away_and_comes_back(postgresql: Postgresql, tmp_path: Path) -> None:
    """503 with Retry-After while it is away, to messages and to the operator; the same request is taken afterwards."""
    url = postgresql.empty()
    with closing(Database(url)) as database:
        database.migrate()
    with served(tmp_path, url) as (bench, peer, site_id):
        assert peer.send(PATH, forecast_body(block(1.0)), request_id="before").status_code == 204
        postgresql.stop()
        try:
            away = [peer.send(PATH, forecast_body(block(2.0)), request_id="during") for _ in range(3)]
            ready = bench.client.get("/readyz")
            alive = bench.client.get("/healthz")
        finally:
            postgresql.start()
        back = peer.send(PATH, forecast_body(block(2.0)), request_id="during")

        assert {answer.status_code for answer in away} == {503}
        assert all(int(answer.headers["Retry-After"]) > 0 for answer in away)
        assert "not available" in message_of(away[0])
        assert "host" not in message_of(away[0])
        assert (ready.status_code, alive.status_code) == (503, 200)
        assert back.status_code == 204
        assert [event.request_id for event in bench.events(site_id)] == ["before", "during"]


def test_a_full_disk_takes_nothing_and_spoils_nothing(folder: Path) -> None:
    """503 for what does not fit; every message that was answered 204 is there, and no other; with room it goes on."""
    with served(folder) as (bench, peer, site_id):
        with bench.context.database._writer.connect() as connection:
            # The database's own way of being full: it fails with the same error as a disk.
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 10}")
        blocks = [block(float(number)) for number in range(20)]
        sent = {
            f"message-{number}": peer.send(PATH, forecast_body(*blocks), request_id=f"message-{number}")
            for number in range(MANY)
        }
        taken = [request_id for request_id, answer in sent.items() if answer.status_code == 204]
        refused = [answer for answer in sent.values() if answer.status_code != 204]
        stored = [event.request_id for event in bench.events(site_id)]
        with bench.context.database._writer.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
        after = peer.send(PATH, forecast_body(*blocks), request_id="after")

        assert {answer.status_code for answer in refused} == {503}
        assert all("Retry-After" in answer.headers for answer in refused)
        assert stored == taken
        assert after.status_code == 204
    with closing(sqlite3.connect(folder / "state.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_database_that_is_locked_for_long_is_not_waited_for_without_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program holds the file: 503 after the time that SQLite waits, and then as if nothing had been."""
    monkeypatch.setattr("api.persistence.database.BUSY_TIMEOUT_S", 0)
    with served(folder) as (_, peer, _site_id), closing(sqlite3.connect(folder / "state.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        locked = peer.send(PATH, forecast_body())
        other.rollback()

        assert locked.status_code == 503
        assert peer.send(PATH, forecast_body()).status_code == 204


def test_a_restart_continues_where_it_was(folder: Path) -> None:
    """What was acknowledged before a stop is there, and a repetition of it is still one."""
    with served(folder) as (bench, peer, site_id):
        peer.send(PATH, forecast_body(), request_id="before")
    with running(folder) as bench:
        again = Caller(bench, peer.peer_id, peer.token).send(PATH, forecast_body(), request_id="before")

        assert again.status_code == 204
        assert [event.request_id for event in bench.events(site_id)] == ["before"]
