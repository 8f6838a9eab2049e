"""Databases of both kinds, and servers on them."""

from __future__ import annotations

from tests.api.databases import database_fixture, database_url_fixture, postgresql_fixture
from tests.api.oscp.fixtures import empty_database_fixture, folder_fixture

__all__ = [
    "database_fixture",
    "database_url_fixture",
    "empty_database_fixture",
    "folder_fixture",
    "postgresql_fixture",
]
