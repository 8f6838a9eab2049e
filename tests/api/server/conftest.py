"""Databases of both kinds."""

from __future__ import annotations

from tests.api.databases import database_url_fixture, postgresql_fixture

__all__ = ["database_url_fixture", "postgresql_fixture"]
