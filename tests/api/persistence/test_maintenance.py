"""Old rows go, what counts stays; a backup holds everything and is put back whole or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from api import database_cli
from api.persistence import Database
from api.persistence.maintenance import backup, prune, restore
from api.records import TokenKind
from models.errors import InputError
from tests.api.oscp.bench import STORED_URL
from tests.api.persistence.stored import (
    NOW,
    add_sites,
    append,
    attend,
    lease,
    make_optimum,
    make_peer,
    make_stored_plan,
)

OLD = NOW - timedelta(days=40)
BEFORE = NOW - timedelta(days=30)


def count(database: Database, table: str) -> int:
    """Rows of a table."""
    return int(
        database.read_now(lambda tx: tx.connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608
    )


class TestPruning:
    """By age, in batches; nothing that a plan still needs."""

    def test_old_messages_go_once_the_state_includes_them(self, database: Database) -> None:
        """Of three old ones two were looked at: the third stays, however old, for no plan knows of it."""
        add_sites(database, "a")
        append(database, "a", now=OLD)
        append(database, "a", now=OLD)
        [held] = lease(database)
        append(database, "a", now=OLD)
        attend(database, held, 3)

        assert prune(database, before=BEFORE, requests_before=BEFORE) == 2
        left = database.read_now(lambda tx: tx.sites.load("a", now=NOW)).events
        assert [event.version for event in left] == [4]

    def test_the_plan_in_force_stays(self, database: Database) -> None:
        """Two old plans: the newer one still holds."""
        add_sites(database, "a")
        for number in (1, 2):
            database.write_now(lambda tx, n=number: tx.plans.add(make_stored_plan("a", n, made_at=OLD)))  # type: ignore[misc]

        assert prune(database, before=BEFORE, requests_before=BEFORE) == 1
        in_force = database.read_now(lambda tx: tx.plans.in_force("a"))
        assert in_force is not None
        assert in_force.version == 2

    def test_what_waits_to_go_out_stays(self, database: Database) -> None:
        """A finished delivery goes; one that waits is given up elsewhere, visibly."""
        database.write_now(lambda tx: tx.peers.add(make_peer()))
        database.write_now(lambda tx: tx.outbox.add([make_optimum(1), make_optimum(2, group_id="b")], now=OLD))
        first = database.read_now(lambda tx: tx.outbox.of_peer("north", limit=10))[-1]
        database.write_now(lambda tx: tx.outbox.delivered(first.outbox_id, now=OLD))

        assert prune(database, before=BEFORE, requests_before=BEFORE) == 1
        assert count(database, "outbox") == 1

    def test_traces_of_requests_and_expired_tokens_go(self, database: Database) -> None:
        """They are of use for minutes."""
        database.write_now(lambda tx: tx.peers.add(make_peer()))
        database.write_now(lambda tx: tx.peers.add_token("north", "old", TokenKind.CURRENT, now=OLD))
        database.write_now(lambda tx: tx.peers.add_token("north", "new", TokenKind.CURRENT, now=OLD))
        database.write_now(lambda tx: tx.peers.keep_only_token("north", "new", others_until=OLD))
        database.write_now(lambda tx: tx.inbox.is_repetition("north", "/p", "g", "r", "h", now=OLD, memory_s=900))

        assert prune(database, before=BEFORE, requests_before=BEFORE) == 2
        assert (count(database, "token"), count(database, "seen_request")) == (1, 0)

    def test_batches_end(self, database: Database) -> None:
        """Ten rows, three at a time."""
        database.write_now(lambda tx: tx.peers.add(make_peer()))
        for number in range(10):
            database.write_now(
                lambda tx, n=number: tx.inbox.is_repetition(  # type: ignore[misc]
                    "north", "/p", "g", str(n), "h", now=OLD, memory_s=900
                )
            )

        assert prune(database, before=BEFORE, requests_before=BEFORE, batch=3) == 10


class TestBackup:
    """Of a SQLite file, in use or not."""

    @pytest.fixture(name="url")
    def url_fixture(self, tmp_path: Path) -> Iterator[str]:
        """A database in use, with a site of one message."""
        url = STORED_URL.format(tmp_path / "state.db")
        with closing(Database(url)) as database:
            database.migrate()
            add_sites(database, "a")
            append(database, "a")
            yield url

    def test_it_holds_what_was_committed(self, url: str, tmp_path: Path) -> None:
        """While the server writes on; what comes later is not in it."""
        backup(url, tmp_path / "backup.db")
        with closing(Database(url)) as used:
            append(used, "a")

        with closing(Database(STORED_URL.format(tmp_path / "backup.db"))) as copy:
            assert copy.read_now(lambda tx: tx.sites.get("a")).version == 2

    def test_it_is_put_back(self, url: str, tmp_path: Path) -> None:
        """From the command line, on a machine that has nothing yet."""
        there = STORED_URL.format(tmp_path / "new.db")

        database_cli.app(["backup", str(tmp_path / "backup.db"), "--database-url", url], standalone_mode=False)
        database_cli.app(["restore", str(tmp_path / "backup.db"), "--database-url", there], standalone_mode=False)

        with closing(Database(there)) as restored:
            assert restored.read_now(lambda tx: tx.sites.get("a")).version == 2

    def test_it_replaces_nothing(self, url: str, tmp_path: Path) -> None:
        """A file that exists may be the last backup."""
        (tmp_path / "backup.db").write_text("precious")

        with pytest.raises(InputError, match="exists"):
            backup(url, tmp_path / "backup.db")
        assert (tmp_path / "backup.db").read_text() == "precious"

    def test_a_database_in_use_is_not_replaced(self, url: str, tmp_path: Path) -> None:
        """A server that runs would go on writing to a file that is not there any more."""
        backup(url, tmp_path / "backup.db")
        with closing(Database(url)) as used, pytest.raises(InputError, match="stop the server first"):
            used.write_now(lambda _: restore(tmp_path / "backup.db", url))

    def test_what_is_no_backup_is_refused(self, url: str, tmp_path: Path) -> None:
        """Cut off in the middle, or of another program: the database stays as it is."""
        backup(url, tmp_path / "backup.db")
        whole = (tmp_path / "backup.db").read_bytes()
        (tmp_path / "cut.db").write_bytes(whole[: len(whole) // 2])
        with closing(sqlite3.connect(tmp_path / "other.db")) as other:
            other.execute("CREATE TABLE another (program INTEGER)")

        for name in ("cut.db", "other.db", "missing.db"):
            with pytest.raises(InputError, match="backup"):
                restore(tmp_path / name, STORED_URL.format(tmp_path / "new.db"))
        assert not (tmp_path / "new.db").exists()

    def test_postgresql_has_its_own_tools(self, tmp_path: Path) -> None:
        """The message names them."""
        with pytest.raises(InputError, match="pg_dump"):
            backup("postgresql://user@host/name", tmp_path / "backup.db")
