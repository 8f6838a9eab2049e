"""A server on an empty database for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from api.app import create_app
from api.context import Context
from api.metrics import Metrics
from api.persistence import Database
from api.settings import Settings
from tests.api.rest.bench import BASE_URL, OPERATOR_KEY, Bench, FixedClock, InlineSolver


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with tables and nothing in them."""
    path = tmp_path_factory.mktemp("rest") / "empty.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.close()
    return path


@pytest.fixture
def settings(empty_database: Path, tmp_path: Path) -> Settings:
    """Settings of a server on a copy of the empty database."""
    path = tmp_path / "state.db"
    shutil.copy(empty_database, path)
    return Settings(operator_key=SecretStr(OPERATOR_KEY), database_url=f"sqlite:///{path}")


@pytest.fixture
def bench(settings: Settings) -> Iterator[Bench]:
    """A server without loops."""
    with serving(settings.database_url) as made:
        yield made


@contextmanager
def serving(database_url: str) -> Iterator[Bench]:
    """A server without loops on a database."""
    settings = Settings(operator_key=SecretStr(OPERATOR_KEY), database_url=database_url)
    clock, solver = FixedClock(), InlineSolver()
    database = Database(settings.database_url)
    context = Context(
        settings=settings, clock=clock, database=database, metrics=Metrics(), owner="test", base_url=BASE_URL
    )
    app = create_app(context, loops=False, executor=solver)
    try:
        with TestClient(app, raise_server_exceptions=False) as client:
            yield Bench(context=context, client=client, clock=clock, solver=solver)
    finally:
        database.close()
