"""CSV and Parquet files as validated rows; every error names file, row, field and value."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Generic, TypeVar

from pydantic import BaseModel, FailFast, TypeAdapter, ValidationError

from models.errors import FileInputError
from optimizer.scenario_io.fields import plain_name
from optimizer.scenario_io.files import check_text, first_problem
from optimizer.scenario_io.sent_files import AnyPath, open_binary, size_bytes

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

RowT = TypeVar("RowT", bound=BaseModel)

CHUNK_ROWS = 50_000
"""Rows held as text at once; it bounds the memory, the time does not depend on it."""
MAX_SHOWN = 200
"""Characters of a header that a message repeats."""
MAX_ROWS = 5_000_000
"""At about 0.5 kB a session this is what fits into the memory of a common machine."""
MIN_BYTES_FOR_THREADS = 1_000_000
"""To wake other threads takes longer than to read a smaller Parquet file."""

_Records = list[dict[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Generic[RowT]):
    """A file of rows of one kind.

    Args:
        path: The file; a name that ends in .parquet is Parquet, any other CSV.
        row_type: What each row must hold.
        columns: Names of the columns as the file has them.
    """

    path: AnyPath
    row_type: type[RowT]
    columns: tuple[str, ...]

    @classmethod
    def open(cls, path: AnyPath, row_type: type[RowT]) -> Table[RowT]:
        """Read the names of the columns.

        Raises:
            FileInputError: It is no such file, or a column is missing, there twice, or all but named like a known one.
        """
        columns = _parquet_columns(path) if _is_parquet(path) else _csv_columns(path)
        _check_columns(path.name, columns, row_type)
        return cls(path=path, row_type=row_type, columns=columns)

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.path.name

    @property
    def ignored_columns(self) -> tuple[str, ...]:
        """Columns that no field takes."""
        return tuple(name for name in self.columns if name not in self.row_type.model_fields)

    def rows(self) -> Iterator[tuple[int, RowT]]:
        """Every row with its index, for `error`; blank lines are passed over.

        Raises:
            FileInputError: A row does not hold what it must; the message names row, field and value.
        """
        # The row type is known at run time only, which type checkers do not follow.
        rows_type = Annotated[list[self.row_type], FailFast()]  # type: ignore[name-defined]
        adapter: TypeAdapter[list[RowT]] = TypeAdapter(rows_type)
        for indices, records in self._chunks():
            if indices and indices[-1] >= MAX_ROWS:
                raise FileInputError(self.name, f"it has more than {MAX_ROWS} rows; split it")
            try:
                rows = adapter.validate_python(records)
            except ValidationError as error:
                raise self._invalid(indices, error) from error
            yield from zip(indices, rows, strict=True)

    def error(self, index: int, reason: str, *, field: str | None = None, value: object = None) -> FileInputError:
        """An error about the row of an index."""
        return FileInputError(self.name, reason, row=self.row_number(index), field=field, value=value)

    def row_number(self, index: int) -> int:
        """Line of a CSV file (the header is line 1), number of a Parquet record (the first is 1)."""
        return index + 1 if _is_parquet(self.path) else _line_of_record(self.path, index + 1)

    def _chunks(self) -> Iterator[tuple[Sequence[int], _Records]]:
        wanted = {name: at for at, name in enumerate(self.columns) if name in self.row_type.model_fields}
        return _parquet_chunks(self.path, wanted) if _is_parquet(self.path) else _csv_chunks(self.path, self, wanted)

    def _invalid(self, indices: Sequence[int], error: ValidationError) -> FileInputError:
        problem = first_problem(error)
        at = problem.location[0]
        if not isinstance(at, int):
            raise TypeError(f"unexpected location {problem.location}") from error
        empty = "it is null or NaN; fill it" if _is_parquet(self.path) else "the cell is empty; fill it"
        reason = empty if problem.kind == "missing" else problem.reason
        return self.error(indices[at], reason, field=problem.field, value=problem.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableParts(Generic[RowT]):
    """Files whose rows belong together.

    Args:
        parts: The files, at least one.
    """

    parts: tuple[Table[RowT], ...]

    @property
    def name(self) -> str:
        """Name of the first file."""
        return self.parts[0].name

    @property
    def ignored_columns(self) -> tuple[str, ...]:
        """Columns that no field takes."""
        return tuple(dict.fromkeys(column for part in self.parts for column in part.ignored_columns))

    def rows(self) -> Iterator[tuple[int, RowT]]:
        """Every row of every file with an index for `error`.

        Raises:
            FileInputError: A row does not hold what it must; the message names file, row, field and value.
        """
        for at, part in enumerate(self.parts):
            for index, row in part.rows():
                yield index * len(self.parts) + at, row

    def error(self, index: int, reason: str, *, field: str | None = None, value: object = None) -> FileInputError:
        """An error about the row of an index."""
        within, at = divmod(index, len(self.parts))
        return self.parts[at].error(within, reason, field=field, value=value)

    def row_number(self, index: int) -> int:
        """Number of the row in its file, as `Table.row_number`."""
        within, at = divmod(index, len(self.parts))
        return self.parts[at].row_number(within)


def _is_parquet(path: AnyPath) -> bool:
    return path.suffix == ".parquet"


def _check_columns(file: str, columns: tuple[str, ...], row_type: type[BaseModel]) -> None:
    for name, count in Counter(columns).items():
        if count > 1 and name in row_type.model_fields:
            raise FileInputError(file, f"the column is there {count} times; keep one", field=name)
    spelt = {plain_name(name): name for name in columns if name not in row_type.model_fields}
    for name, field in row_type.model_fields.items():
        if name in columns:
            continue
        if alike := spelt.get(plain_name(name)):
            # Were it ignored as unknown, a limit or a weight that somebody wrote down would be lost.
            raise FileInputError(file, f"the column must be called {name}; rename it", field=alike)
        if field.is_required():
            found = ", ".join(columns)[:MAX_SHOWN]
            hint = "; separate the columns by commas" if len(columns) == 1 and re.search(r"[;\t|]", found) else ""
            raise FileInputError(file, f"the column is missing{hint}; the file has: {found}", field=name)


def _csv_columns(path: AnyPath) -> tuple[str, ...]:
    check_text(path)
    try:
        with _open_text(path) as stream:
            header = next(csv.reader(stream, skipinitialspace=True))
    except UnicodeDecodeError as error:
        raise _not_utf8(path) from error
    except csv.Error as error:
        raise FileInputError(path.name, f"it is not a CSV file: {error}", row=1) from error
    if not any(header):
        raise FileInputError(path.name, "the first line must name the columns; it is blank", row=1)
    return tuple(name.strip() for name in header)


def _csv_chunks(path: AnyPath, table: Table[RowT], wanted: dict[str, int]) -> Iterator[tuple[Sequence[int], _Records]]:
    import pandas as pd  # noqa: PLC0415  it takes 0.5 s, and those who read no table need not wait

    try:
        with (
            open_binary(path) as stream,
            pd.read_csv(
                stream,
                header=0,
                names=[str(at) for at in range(len(table.columns))],  # pandas would rename columns of the same name
                dtype=str,
                keep_default_na=False,
                skip_blank_lines=False,  # else rows could not be counted
                skipinitialspace=True,
                encoding="utf-8-sig",
                chunksize=CHUNK_ROWS,
            ) as chunks,
        ):
            for chunk in chunks:
                if not isinstance(chunk.index, pd.RangeIndex):
                    # pandas takes the first cells for an index where the first row has more cells than the header.
                    raise table.error(0, _too_wide(len(table.columns) + chunk.index.nlevels, len(table.columns)))
                yield _text_records(chunk, chunk.index.start, wanted)
    except UnicodeDecodeError as error:
        raise _not_utf8(path) from error
    except pd.errors.ParserError as error:
        raise _not_parsed(table, str(error)) from error


def _text_records(chunk: pd.DataFrame, begin: int, wanted: dict[str, int]) -> tuple[Sequence[int], _Records]:
    cells = {name: chunk[str(at)].to_numpy(dtype=object).tolist() for name, at in wanted.items()}
    records = _records(cells)
    indices: Sequence[int] = range(begin, begin + len(records))
    if any("" in column for column in cells.values()):
        records = [{name: text for name, text in record.items() if text != ""} for record in records]
        kept = [at for at, record in enumerate(records) if record]
        indices, records = [indices[at] for at in kept], [records[at] for at in kept]
    return indices, records


def _records(cells: dict[str, list[object]]) -> _Records:
    return [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]


def _not_utf8(path: AnyPath) -> FileInputError:
    with open_binary(path) as stream:
        for line, text in enumerate(stream, start=1):
            try:
                text.decode()
            except UnicodeDecodeError as error:
                found = text[max(0, error.start - 20) : error.start + 20].decode("latin-1").strip()
                return FileInputError(path.name, "it is not UTF-8 text; save it as UTF-8", row=line, value=found)
    return FileInputError(path.name, "it is not UTF-8 text; save it as UTF-8")


def _not_parsed(table: Table[RowT], message: str) -> FileInputError:
    if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", message):
        expected, record, seen = (int(text) for text in found.groups())
        return table.error(record - 2, _too_wide(seen, expected))
    if found := re.search(r"EOF inside string starting at row (\d+)", message):
        return table.error(int(found[1]) - 1, "a quotation mark is opened and never closed")
    return FileInputError(table.name, f"it is not a CSV file: {message}")


def _too_wide(cells: int, columns: int) -> str:
    return f"the row has {cells} cells, the header {columns}; write decimals with a point, and quote texts with commas"


def _line_of_record(path: AnyPath, record: int) -> int:
    """Line on which a record begins, the header being record 0; quoted cells may hold line breaks."""
    try:
        with _open_text(path, errors="replace") as stream:
            reader = csv.reader(stream, skipinitialspace=True)
            for _ in range(record):
                next(reader)
            return reader.line_num + 1
    except (csv.Error, StopIteration):
        return record + 1


def _open_text(path: AnyPath, *, errors: str = "strict") -> io.TextIOWrapper:
    return io.TextIOWrapper(open_binary(path), encoding="utf-8-sig", errors=errors, newline="")


def _opened_parquet(path: AnyPath) -> pq.ParquetFile:
    """A Parquet file; without the machinery for data sets, which takes longer than the few rows of a day."""
    import pyarrow as pa  # noqa: PLC0415  slow to import
    import pyarrow.parquet as pq  # noqa: PLC0415

    source = path if isinstance(path, Path) else pa.BufferReader(path.read_bytes())
    return pq.ParquetFile(source, pre_buffer=_takes_threads(path))


def _takes_threads(path: AnyPath) -> bool:
    return size_bytes(path) > MIN_BYTES_FOR_THREADS


def _parquet_columns(path: AnyPath) -> tuple[str, ...]:
    from pyarrow import ArrowException  # noqa: PLC0415  slow to import

    try:
        with _opened_parquet(path) as file:
            return tuple(file.schema_arrow.names)
    except (ArrowException, OSError) as error:
        raise FileInputError(path.name, f"it is not a Parquet file: {error}") from error


def _parquet_chunks(path: AnyPath, wanted: dict[str, int]) -> Iterator[tuple[Sequence[int], _Records]]:
    from pyarrow import ArrowException  # noqa: PLC0415  slow to import

    try:
        # Not by way of pandas: for the few rows of a day that takes longer than all else that is done with them.
        with _opened_parquet(path) as file:
            table = file.read(columns=list(wanted), use_threads=_takes_threads(path))
    except (ArrowException, OSError) as error:
        raise FileInputError(path.name, f"it is not a Parquet file: {error}") from error
    for begin in range(0, table.num_rows, CHUNK_ROWS):
        chunk = table.slice(begin, CHUNK_ROWS)
        cells = {name: _values(chunk[name]) for name in wanted}
        records = _records(cells)
        if any(None in column for column in cells.values()):
            records = [{name: cell for name, cell in record.items() if cell is not None} for record in records]
        yield range(begin, begin + len(records)), records


def _values(column: pa.ChunkedArray) -> list[object]:
    """The column's values as plain Python objects, None where there is none."""
    import pyarrow as pa  # noqa: PLC0415  slow to import
    import pyarrow.compute as pc  # noqa: PLC0415

    if pa.types.is_timestamp(column.type):
        # Python's instants have microseconds, and one zone is as good as another for an instant that has any.
        zone = None if column.type.tz is None else "UTC"
        column = column.cast(pa.timestamp("us", tz=zone), safe=False)
    elif pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    values: list[object] = column.to_pylist()
    # A list or a record is no cell; as a text it is refused as what it is.
    return [None if value is None else str(value) for value in values] if pa.types.is_nested(column.type) else values
