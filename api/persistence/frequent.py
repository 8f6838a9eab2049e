"""Statements that every message needs: compiled once, then run by the driver itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import ClauseElement

Converter = Callable[[Any], Any]


class FrequentStatement:
    """A statement without the path through SQLAlchemy, which takes ten times as long as SQLite for a row.

    It is run in the transaction of the connection, and fails with SQLAlchemy's errors.

    Args:
        clause: The statement; every bound value is named.
    """

    def __init__(self, clause: ClauseElement) -> None:
        self._clause = clause
        self._compiled: dict[str, tuple[str, Mapping[str, Any], list[tuple[str, Converter]], list[str] | None]] = {}

    def run(self, connection: Connection, **values: object) -> Any:  # noqa: ANN401 - a cursor of the driver
        """Run it.

        Args:
            connection: In a transaction.
            values: By name.

        Returns:
            The driver's cursor; its rows are tuples as the database gives them.

        Raises:
            DBAPIError: The database refused, or is gone.
        """
        dialect = connection.dialect
        if dialect.name not in self._compiled:
            self._compiled[dialect.name] = self._compile(dialect)
        text, constants, converters, order = self._compiled[dialect.name]
        named = {**constants, **values}
        for name, convert in converters:
            named[name] = convert(named[name])
        cursor = connection.connection.cursor()
        try:
            cursor.execute(text, named if order is None else [named[name] for name in order])
        except dialect.loaded_dbapi.Error as error:
            raise _wrapped(error, text, connection) from error
        return cursor

    def _compile(
        self, dialect: Dialect
    ) -> tuple[str, Mapping[str, Any], list[tuple[str, Converter]], list[str] | None]:
        compiled: Any = self._clause.compile(dialect=dialect)
        converters = [
            (name, convert)
            for name, bound in compiled.binds.items()
            if (convert := bound.type.dialect_impl(dialect).bind_processor(dialect)) is not None
        ]
        constants = {name: value for name, value in compiled.params.items() if value is not None}
        return str(compiled), constants, converters, compiled.positiontup if compiled.positional else None


def _wrapped(error: Exception, text: str, connection: Connection) -> BaseException:
    dialect = connection.dialect
    gone = dialect.is_disconnect(error, connection.connection, None)  # type: ignore[arg-type]
    if gone:
        connection.invalidate(error)
    return DBAPIError.instance(
        text,
        None,
        error,
        dialect.loaded_dbapi.Error,
        hide_parameters=True,
        connection_invalidated=gone,
        dialect=dialect,
    )
