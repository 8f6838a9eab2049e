"""A server to send messages to."""

from __future__ import annotations

from tests.api.oscp.fixtures import bench_fixture, empty_database_fixture, folder_fixture, peer_fixture

__all__ = ["bench_fixture", "empty_database_fixture", "folder_fixture", "peer_fixture"]
