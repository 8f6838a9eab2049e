"""The revisions of the tables, applied by Alembic on a connection that is passed in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

from api.persistence.errors import UnknownRevisionError
from models.errors import InputError

FOLDER = Path(__file__).parent / "migrations"
LOCK = 0x05C9
"""Of PostgreSQL, held while tables are changed."""


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the tables up to a revision, within the connection's transaction.

    Raises:
        UnknownRevisionError: They are at a revision of a newer program.
        InputError: There is no such revision above.
    """
    _lock(connection)
    with _explained(connection, revision):
        command.upgrade(_config(connection), revision)


def downgrade(connection: Connection, revision: str) -> None:
    """Take the tables back to a revision, within the connection's transaction.

    Args:
        connection: Of the database.
        revision: One of `known`, or ``base`` for no tables at all.

    Raises:
        UnknownRevisionError: They are at a revision of a newer program.
        InputError: There is no such revision below.
    """
    _lock(connection)
    with _explained(connection, revision):
        command.downgrade(_config(connection), revision)


def current(connection: Connection) -> str | None:
    """The revision of the tables; None where there are none."""
    return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """The newest revision there is."""
    return known()[-1]


def known() -> list[str]:
    """Every revision of this program, the oldest first."""
    return [script.revision for script in ScriptDirectory(str(FOLDER)).walk_revisions()][::-1]


def require_known(connection: Connection) -> None:
    """Let pass tables of this program or an older one, and none at all.

    Raises:
        UnknownRevisionError: They are of a newer one.
    """
    present, revisions = current(connection), known()
    if present is not None and present not in revisions:
        raise UnknownRevisionError(
            f"the tables are at revision {present!r} of a newer program, this one knows {', '.join(revisions)}; "
            f"start the newer one, or take them back with its oscp-database downgrade {revisions[-1]}"
        )


@contextmanager
def _explained(connection: Connection, wanted: str) -> Iterator[None]:
    """Say in our words why Alembic cannot go somewhere."""
    require_known(connection)
    try:
        yield
    except CommandError as error:
        present = current(connection)
        where = f"from revision {present!r}" if present else "without tables"
        raise InputError(f"cannot go {where} to {wanted!r}; choose one of {', '.join(known())}") from error


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
