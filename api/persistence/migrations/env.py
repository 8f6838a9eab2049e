"""Runs migrations on the connection that `api.persistence.migration` passes in."""

from __future__ import annotations

from alembic import context

from api.persistence.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
