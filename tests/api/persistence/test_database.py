"""Writes: all or nothing, durable when they return, and many of them in one transaction."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect

from api.persistence import ConflictError, Database, DatabaseUnavailableError, Transaction, migration
from api.persistence.tables import metadata
from models.errors import InputError
from tests.api.databases import Postgresql
from tests.api.persistence.stored import make_peer

SERVERS = 4


def names(database: Database) -> list[str]:
    """Every peer by its id."""
    return [peer.peer_id for peer in database.read_now(lambda tx: tx.peers.all())]


def adding(peer_id: str) -> Callable[[Transaction], None]:
    """Work that adds a peer."""
    return lambda tx: tx.peers.add(make_peer(peer_id))


def test_the_migrations_make_the_tables(database: Database) -> None:
    """What the revisions add up to is what the program has in mind: no table, column or index more or less."""
    with database._writer.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)

    assert differences == []
    assert database.revision()[0] == database.revision()[1]


def test_the_migrations_can_be_taken_back(database: Database) -> None:
    """Back to nothing, and up again."""
    with database._writer.begin() as connection:
        migration.downgrade(connection, "base")
        left = set(inspect(connection).get_table_names())
    database.migrate()

    assert left == {"alembic_version"}
    assert names(database) == []


def test_servers_that_start_together_migrate_once(database_url: str) -> None:
    """Four on an empty database: each finds the newest revision afterwards."""
    servers = [Database(database_url) for _ in range(SERVERS)]
    threads = [threading.Thread(target=server.migrate) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    revisions = {server.revision() for server in servers}
    for server in servers:
        server.close()
    assert len(revisions) == 1
    assert len(set(revisions.pop())) == 1


def test_a_new_file_in_use_is_waited_for(tmp_path: Path) -> None:
    """Who opens it while another writes its first page is not refused."""
    file = tmp_path / "state.db"
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = threading.Timer(0.2, other.execute, ["COMMIT"])
        writing.start()
        try:
            with closing(Database(f"sqlite:///{file}")) as database:
                database.migrate()
                assert names(database) == []
        finally:
            writing.join()


def test_work_that_raises_does_nothing(database: Database) -> None:
    """What it had written is taken back, and the caller gets its error."""

    def half(tx: Transaction) -> None:
        tx.peers.add(make_peer("north"))
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        database.write_now(half)

    assert names(database) == []


def test_work_that_raises_undoes_nothing_of_others(database: Database) -> None:
    """Ten writes that wait together: two fail, one of them at the database; eight are there."""

    def failing(tx: Transaction) -> None:
        tx.peers.add(make_peer("failing"))
        raise ValueError("by itself")

    async def write_together() -> list[BaseException | None]:
        works = [adding(f"peer-{number}") for number in range(8)]
        works[4:4] = [failing, adding("peer-0")]
        return await asyncio.gather(*(database.write(work) for work in works), return_exceptions=True)

    results = asyncio.run(write_together())

    assert sorted(names(database)) == [f"peer-{number}" for number in range(8)]
    assert [type(result) for result in results if result is not None] == [ValueError, ConflictError]


def test_what_was_written_is_there_for_the_next(database_url: str) -> None:
    """Another server on the same database sees it as soon as the write returned."""
    first, second = Database(database_url), Database(database_url)
    with closing(first), closing(second):
        first.migrate()
        first.write_now(adding("north"))

        assert names(second) == ["north"]


def test_reads_see_one_state(database: Database) -> None:
    """What is written in the middle of a read is not part of it."""

    def look_twice(tx: Transaction) -> tuple[int, int]:
        before = len(tx.peers.all())
        database.write_now(adding("north"))
        return before, len(tx.peers.all())

    assert database.read_now(look_twice) == (0, 0)
    assert names(database) == ["north"]


def test_without_tables_it_is_not_available(database_url: str) -> None:
    """A server that was started a moment ago answers that it is not ready, not that it failed."""
    with closing(Database(database_url)) as database, pytest.raises(DatabaseUnavailableError):
        names(database)


def test_a_closed_database_takes_nothing(database_url: str) -> None:
    """Whoever comes late while the server stops is told to try again; closing twice is closing once."""
    database = Database(database_url)
    database.close()
    database.close()

    with pytest.raises(DatabaseUnavailableError, match="stopping"):
        database.write_now(adding("north"))


def test_sqlite_syncs_before_it_returns(tmp_path: Path) -> None:
    """WAL with FULL synchronisation: a commit survives a loss of power, not only of the process."""
    with closing(Database(f"sqlite:///{tmp_path}/state.db")) as database, database._writer.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")
        }

    assert found == {"journal_mode": "wal", "synchronous": 2}


def test_postgresql_syncs_before_it_returns(postgresql: Postgresql) -> None:
    """Nothing the server does switches it off."""
    with (
        closing(Database(postgresql.empty())) as database,
        database._writer.connect() as connection,
    ):
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


@pytest.mark.parametrize("url", ["mysql://user:hidden@host/name", "sqlite://", "no url at all", "sqlite:///:memory:"])
def test_another_database_is_refused(url: str) -> None:
    """The message says what to write, and does not repeat a password."""
    with pytest.raises(InputError, match="sqlite:///FILE") as refused:
        Database(url)

    assert "hidden" not in str(refused.value)


def test_postgresql_is_shared_and_sqlite_is_not(database: Database) -> None:
    """Several server processes need PostgreSQL."""
    dialect = create_engine(database._writer.url).dialect.name

    assert database.shared == (dialect == "postgresql")
