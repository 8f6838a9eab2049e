"""The revisions of the tables, applied by Alembic on a connection that is passed in."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

FOLDER = Path(__file__).parent / "migrations"
LOCK = 0x05C9
"""Of PostgreSQL, held while tables are changed."""


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the tables up to a revision, within the connection's transaction."""
    _lock(connection)
    command.upgrade(_config(connection), revision)


def downgrade(connection: Connection, revision: str) -> None:
    """Take the tables back to a revision, within the connection's transaction."""
    _lock(connection)
    command.downgrade(_config(connection), revision)


def current(connection: Connection) -> str | None:
    """The revision of the tables; None where there are none."""
    return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """The newest revision there is."""
    return str(ScriptDirectory(str(FOLDER)).get_current_head())


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
