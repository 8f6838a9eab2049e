"""Rows of a scenario wherever they were read from, and how messages name what is in them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from itertools import islice
from typing import Protocol, TypeVar

from models.errors import FileInputError

MAX_LISTED = 20
"""Names in one note."""
MAX_COMPARED = 5_000
"""Names among which one like a mistyped one is looked for; more would take longer than the hint is worth."""

RowT_co = TypeVar("RowT_co", covariant=True)


class Rows(Protocol[RowT_co]):
    """Validated rows of one kind, with the place of each for messages."""

    @property
    def name(self) -> str:
        """What they are read from."""

    def rows(self) -> Iterator[tuple[int, RowT_co]]:
        """Every row with its index.

        Raises:
            FileInputError: A row does not hold what it must.
        """

    def row_number(self, index: int) -> int:
        """The number by which a message names the row of an index."""

    def error(self, index: int, reason: str, *, field: str | None = None, value: object = None) -> FileInputError:
        """An error about the row of an index."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint at the known name most like a mistyped one; empty where none is."""
    alike = difflib.get_close_matches(name, list(islice(known, MAX_COMPARED)), n=1)
    return f"; did you mean {alike[0]!r}?" if alike else ""


def listed(names: Sequence[str]) -> str:
    """Some names in one text; of many, the first."""
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more


def cell(value: object, zone: tzinfo) -> object:
    """A value as a table shows it: an instant in local time."""
    return value.astimezone(zone).isoformat() if isinstance(value, datetime) else value
