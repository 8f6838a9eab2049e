"""Folders, files and columns that are refused; every message names file, row, field and value."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from models.errors import FileInputError, InputError
from optimizer.scenario_io import load_scenario
from tests.builders import MORNING
from tests.optimizer.refusals.refused import assert_refused
from tests.optimizer.scenario_folder import HEADER, ROW, session_frame, write_csv


class TestFolders:
    def test_missing_folder(self, tmp_path: Path) -> None:
        """A folder that is not there is named."""
        with pytest.raises(InputError, match=r"nowhere' does not exist"):
            load_scenario(tmp_path / "nowhere")

    def test_a_file_for_a_folder(self, folder: Path) -> None:
        """So is a file in its place."""
        with pytest.raises(InputError, match=r"site\.json' is not a folder"):
            load_scenario(folder / "site.json")

    @pytest.mark.parametrize(("file", "why"), [("site.json", "no such file"), ("sessions.csv", "neither sessions.csv")])
    def test_missing_file(self, folder: Path, file: str, why: str) -> None:
        """A site and sessions are needed; prices and forecasts are not."""
        (folder / file).unlink()

        assert_refused(folder, file, why=why)

    @pytest.mark.parametrize("stem", ["sessions", "prices"])
    def test_the_same_table_twice(self, folder: Path, stem: str) -> None:
        """Which of sessions.csv and sessions.parquet holds must not be guessed."""
        write_csv(folder / f"{stem}.csv", HEADER)
        (folder / f"{stem}.parquet").write_bytes(b"PAR1")

        assert_refused(folder, f"{stem}.csv", why=f"there is {stem}.parquet as well")

    @pytest.mark.parametrize("file", ["site.json", "sessions.csv", "prices.csv", "forecasts.json"])
    def test_a_link_out_of_the_folder(self, folder: Path, file: str) -> None:
        """A scenario from somebody else must not read files beside it, nor files that do not exist yet."""
        (folder.parent / "secret").write_text("secret", encoding="utf-8")
        (folder / file).unlink(missing_ok=True)
        (folder / file).symlink_to("../secret")

        assert_refused(folder, file, why="leads out of the folder")

    def test_a_link_within_the_folder(self, folder: Path) -> None:
        """A link beside its target is harmless."""
        (folder / "sessions.csv").rename(folder / "monday.csv")
        (folder / "sessions.csv").symlink_to("monday.csv")

        assert len(load_scenario(folder).scenario.sessions) == 1

    def test_a_folder_for_a_file(self, folder: Path) -> None:
        """A folder called prices.csv is no table."""
        (folder / "prices.csv").mkdir()

        assert_refused(folder, "prices.csv", why="it is not a file")


class TestNotATable:
    @pytest.mark.parametrize(
        ("content", "why"),
        [
            pytest.param(b"", "it is empty", id="empty"),
            pytest.param(b"\xef\xbb\xbf \r\n", "it is empty", id="blank"),
            pytest.param(b"\x7fELF\x02\x01\x00\x00\x00", "it is binary", id="binary"),
            pytest.param(b"PK\x03\x04\x14\x00", "an Excel workbook", id="excel"),
            pytest.param(b"PAR1\x15\x04", "a Parquet file", id="parquet"),
            pytest.param(b"\x1f\x8b\x08", "compressed", id="gzip"),
            pytest.param(b"<!DOCTYPE html><html><body>Log in</body></html>", "a web page", id="html"),
            pytest.param(HEADER.encode("utf-16"), "UTF-16", id="utf-16"),
        ],
    )
    def test_not_csv_at_all(self, folder: Path, content: bytes, why: str) -> None:
        """What a file is instead of a table is said, as far as its first bytes tell."""
        (folder / "sessions.csv").write_bytes(content)

        assert_refused(folder, "sessions.csv", why=why)

    def test_wrong_encoding(self, folder: Path) -> None:
        """A file in Latin-1 is refused at the line of its first accent."""
        lines = (HEADER, ROW, ROW.replace("S1", "café"))
        (folder / "sessions.csv").write_bytes("\n".join(lines).encode("latin-1"))

        with pytest.raises(FileInputError, match=r"sessions\.csv, row 3, value 'café,.*: it is not UTF-8 text"):
            load_scenario(folder)

    def test_a_blank_first_line(self, folder: Path) -> None:
        """The header is the first line."""
        write_csv(folder / "sessions.csv", "", HEADER, ROW)

        assert_refused(folder, "sessions.csv", row=1, why="the first line must name the columns")

    def test_not_a_parquet_file(self, folder: Path) -> None:
        """A CSV file under the name of a Parquet file is refused."""
        (folder / "sessions.csv").rename(folder / "sessions.parquet")

        assert_refused(folder, "sessions.parquet", why="it is not a Parquet file")

    def test_a_quotation_mark_that_is_never_closed(self, folder: Path) -> None:
        """It would swallow the rest of the file; the line that opens it is named."""
        write_csv(folder / "sessions.csv", HEADER, ROW, ROW.replace("S1", '"S2'))

        assert_refused(folder, "sessions.csv", row=3, why="never closed")

    @pytest.mark.parametrize("good_rows", [0, 1])
    def test_a_row_with_more_cells_than_the_header(self, folder: Path, good_rows: int) -> None:
        """A decimal comma splits a number in two; no column may slip."""
        write_csv(folder / "sessions.csv", HEADER, *[ROW] * good_rows, ROW.replace("S1", "S2") + ",5")

        assert_refused(folder, "sessions.csv", row=2 + good_rows, why="the row has 6 cells, the header 5")

    def test_a_row_with_too_few_cells(self, folder: Path) -> None:
        """What a cut-off row lacks is an empty cell."""
        write_csv(folder / "sessions.csv", HEADER, ROW, "S2,C1,2026-03-02T09:00:00+01:00")

        assert_refused(folder, "sessions.csv", row=3, field="departure", why="the cell is empty")

    def test_a_line_break_in_a_quoted_cell_counts_as_a_line(self, folder: Path) -> None:
        """The row of a fault is the line an editor shows: header 1, S1 on 2 and 3, blank 4, S2 on 5."""
        write_csv(folder / "sessions.csv", HEADER + ",remark", ROW + ',"two\nlines"', "", ROW.replace("C1", "C9") + ",")

        assert_refused(folder, "sessions.csv", row=5, field="charger_id", value="C9", why="no such charger")


class TestColumns:
    @pytest.mark.parametrize("column", HEADER.split(","))
    def test_missing_column(self, folder: Path, column: str) -> None:
        """Each of the five columns is needed; the message lists those found."""
        write_csv(folder / "sessions.csv", ",".join(name for name in HEADER.split(",") if name != column))

        assert_refused(folder, "sessions.csv", field=column, why="the column is missing; the file has: ")

    def test_duplicated_column(self, folder: Path) -> None:
        """Which of two columns of one name holds must not be guessed."""
        write_csv(folder / "sessions.csv", HEADER + ",energy_kwh", ROW + ",11")

        assert_refused(folder, "sessions.csv", field="energy_kwh", why="the column is there 2 times")

    @pytest.mark.parametrize("separator", [";", "\t"])
    def test_other_separators(self, folder: Path, separator: str) -> None:
        """Some spreadsheets separate by semicolons or tabs; the message says what to use."""
        write_csv(folder / "sessions.csv", HEADER.replace(",", separator), ROW.replace(",", separator))

        assert_refused(folder, "sessions.csv", field="session_id", why="separate the columns by commas")

    @pytest.mark.parametrize("column", ["Priority", "max_power_kW", "Max Power kW"])
    def test_a_column_all_but_named_like_an_optional_one(self, folder: Path, column: str) -> None:
        """Were it ignored like any unknown column, a limit somebody wrote down would be lost."""
        write_csv(folder / "sessions.csv", f"{HEADER},{column}", ROW + ",5")

        assert_refused(folder, "sessions.csv", field=column, why="rename it")


class TestParquet:
    @pytest.mark.parametrize(
        ("column", "value", "why"),
        [
            ("energy_kwh", math.nan, "null or NaN"),
            ("energy_kwh", -1.0, "greater than or equal to 0"),
            ("arrival", MORNING.replace(tzinfo=None), "no offset"),
            ("arrival", 1772442000, "ISO 8601"),
            ("session_id", 7, "valid string"),
            ("charger_id", "C9", "no such charger"),
            ("energy_kwh", [1.0, 2.0], "not a number"),
        ],
    )
    def test_bad_value(self, folder: Path, column: str, value: object, why: str) -> None:
        """The same rules hold; a record counts from 1."""
        (folder / "sessions.csv").unlink()
        session_frame(**{column: [value]}).to_parquet(folder / "sessions.parquet")

        shown = None if "NaN" in why else "[1.0, 2.0]" if isinstance(value, list) else str(value)
        assert_refused(folder, "sessions.parquet", row=1, field=column, value=shown, why=why)

    def test_missing_column(self, folder: Path) -> None:
        """Each of the five columns is needed."""
        (folder / "sessions.csv").unlink()
        session_frame().drop(columns="energy_kwh").to_parquet(folder / "sessions.parquet")

        assert_refused(folder, "sessions.parquet", field="energy_kwh", why="the column is missing")
