"""oscp-database: upgrade, roll back, back up and restore the state of a server."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from api.persistence import Database
from api.persistence.maintenance import backup as write_backup
from api.persistence.maintenance import restore as read_backup
from api.settings import DEFAULT_DATABASE
from models.errors import CapacityOptimizerError

app = typer.Typer(
    help="Upgrade, roll back, back up and restore the state of oscp-serve.", no_args_is_help=True, add_completion=False
)

DatabaseUrl = Annotated[
    str,
    typer.Option("--database-url", envvar="OSCP_DATABASE_URL", help="sqlite:///FILE or postgresql://USER@HOST/NAME"),
]


@app.command()
def current(database_url: DatabaseUrl = DEFAULT_DATABASE) -> None:
    """Print the revision of the tables, and the one that this program needs."""
    with closing(Database(database_url)) as database:
        _print_revision(database)


@app.command()
def upgrade(
    revision: Annotated[str, typer.Argument(help="Up to where")] = "head", database_url: DatabaseUrl = DEFAULT_DATABASE
) -> None:
    """Bring the tables to the newest revision; oscp-serve does so itself when it starts."""
    with closing(Database(database_url)) as database:
        database.migrate(revision)
        _print_revision(database)


@app.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="What the older program's `oscp-database current` says it needs")],
    database_url: DatabaseUrl = DEFAULT_DATABASE,
) -> None:
    """Take the tables back for an older program; stop the servers and back up first."""
    with closing(Database(database_url)) as database:
        database.migrate_back(revision)
        _print_revision(database)


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="A file that does not exist")],
    database_url: DatabaseUrl = DEFAULT_DATABASE,
) -> None:
    """Write a consistent copy of a SQLite database, in use or not, to a new file."""
    write_backup(database_url, target)
    print(f"{target} holds the backup")


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="A backup")], database_url: DatabaseUrl = DEFAULT_DATABASE
) -> None:
    """Put a backup in the place of a SQLite database; stop the server first."""
    read_backup(source, database_url)
    print(f"{database_url} holds what was in {source}")


def _print_revision(database: Database) -> None:
    present, needed = database.revision()
    print(f"the tables are at revision {present or 'none'}; this program needs {needed}")


def main() -> int:
    """Run oscp-database; its exit code."""
    try:
        app(standalone_mode=False)
    except CapacityOptimizerError as error:
        sys.stderr.write(f"oscp-database: {error}\n")
        return 2
    except typer.Exit as finished:
        return finished.exit_code
    return 0
