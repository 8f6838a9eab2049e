"""The bench as a fixture; a conftest of each folder that needs it imports it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.persistence import Database
from tests.api.oscp.bench import STORED_URL, Bench, Caller, running


@pytest.fixture(scope="session", name="empty_database")
def empty_database_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with tables and nothing in them, made once: a copy is faster."""
    path = tmp_path_factory.mktemp("empty") / "state.db"
    database = Database(STORED_URL.format(path))
    database.migrate()
    database.close()
    return path


@pytest.fixture(name="folder")
def folder_fixture(tmp_path: Path, empty_database: Path) -> Path:
    """A folder with a database of its own."""
    for part in empty_database.parent.iterdir():
        shutil.copy(part, tmp_path / part.name)
    return tmp_path


@pytest.fixture(name="bench")
def bench_fixture(folder: Path) -> Iterator[Bench]:
    """A server without loops."""
    with running(folder) as bench:
        yield bench


@pytest.fixture(name="peer")
def peer_fixture(bench: Bench) -> Caller:
    """A registered peer of the standard profile."""
    return bench.add_peer()
