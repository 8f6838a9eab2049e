"""Scenario folders that are refused: every message names file, row, field and value."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path

import pytest

import optimizer.scenario_io.tables
from models.errors import FileInputError, InputError
from optimizer.scenario_io import MAX_STAY, load_scenario
from tests.builders import MORNING
from tests.optimizer.scenario_folder import (
    HEADER,
    PRICE,
    PRICE_HEADER,
    ROW,
    block_json,
    group_json,
    message_json,
    session_frame,
    site_json,
    write_csv,
    write_folder,
    write_json,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A valid scenario folder of one session."""
    return write_folder(tmp_path / "scenario")


def assert_refused(
    folder: Path, file: str, *, row: int | None = None, field: str | None = None, value: str | None = None, why: str
) -> None:
    """Loading fails, and the message says where, what was found and why."""
    with pytest.raises(FileInputError) as caught:
        load_scenario(folder)

    message = str(caught.value)
    assert message.startswith(file)
    assert why in message
    assert caught.value.row == row
    assert (caught.value.field or None) == field
    if row is not None:
        assert f", row {row}" in message
    if field is not None:
        assert f", field {field}" in message
    if value is None:
        assert caught.value.value is None
    else:
        assert f", value {value!r}" in message


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


def session_row(**cells: str) -> str:
    """The valid row with some cells replaced, and the columns of those that come on top."""
    row = dict(zip(HEADER.split(","), ROW.split(","), strict=True)) | cells
    return ",".join(row) + "\n" + ",".join(row.values()) + "\n"


class TestSessions:
    def assert_cell_refused(self, folder: Path, field: str, value: str, why: str) -> None:
        """A row with that cell is refused in line 2."""
        (folder / "sessions.csv").write_text(session_row(**{field: value}), encoding="utf-8")
        assert_refused(folder, "sessions.csv", row=2, field=field, value=value or None, why=why)

    @pytest.mark.parametrize(
        ("value", "why"),
        [
            ("-3", "greater than or equal to 0"),
            ("nan", "finite number"),
            ("inf", "finite number"),
            ("-inf", "finite number"),
            ("1e999", "finite number"),
            ("ten", "not a number"),
            ("10 kWh", "not a number"),
            ("1e7", "less than or equal to 1000000"),
            ("", "the cell is empty"),
        ],
    )
    def test_energy(self, folder: Path, value: str, why: str) -> None:
        """The energy asked for is a finite number of kWh, not negative and below a GWh."""
        self.assert_cell_refused(folder, "energy_kwh", value, why)

    @pytest.mark.parametrize(
        ("value", "why"), [("-1", "greater than or equal to 0"), ("nan", "finite"), ("22000000", "1000000")]
    )
    def test_max_power(self, folder: Path, value: str, why: str) -> None:
        """A vehicle's limit is a finite number of kW, not negative and below a GW."""
        self.assert_cell_refused(folder, "max_power_kw", value, why)

    @pytest.mark.parametrize(
        ("value", "why"),
        [("high", "not a number"), ("0", "greater than or equal to 0.000001"), ("-1", "greater"), ("inf", "finite")],
    )
    def test_priority(self, folder: Path, value: str, why: str) -> None:
        """A priority is a positive weight, not a word."""
        self.assert_cell_refused(folder, "priority", value, why)

    @pytest.mark.parametrize("field", ["arrival", "departure"])
    @pytest.mark.parametrize(
        ("value", "why"),
        [
            pytest.param("2026-03-02T09:30:00", "the time has no offset", id="naive"),
            pytest.param("2026-03-02", "ISO 8601 with an offset", id="date"),
            pytest.param("20260302", "ISO 8601 with an offset", id="digits"),
            pytest.param("1772442000", "ISO 8601 with an offset", id="epoch"),
            pytest.param("02/03/2026 09:30", "it is not a time", id="by locale"),
            pytest.param("2026-02-30T09:30:00Z", "it is not a time", id="no such day"),
            pytest.param("soon", "ISO 8601 with an offset", id="word"),
            pytest.param("0206-03-02T09:30:00Z", "the years 1970 to 2199", id="year"),
            pytest.param("", "the cell is empty", id="empty"),
        ],
    )
    def test_times(self, folder: Path, field: str, value: str, why: str) -> None:
        """A time is in ISO 8601 with an offset; nothing is guessed from digits or from the local time zone."""
        self.assert_cell_refused(folder, field, value, why)

    @pytest.mark.parametrize("value", ["2026-03-02T08:00:00+01:00", "2026-03-02T09:00:00+01:00"])
    def test_departure_before_or_at_arrival(self, folder: Path, value: str) -> None:
        """A session lasts some time; it arrives at 08:00 UTC."""
        self.assert_cell_refused(folder, "departure", value, "after the arrival 2026-03-02T09:00:00+01:00")

    def test_a_session_of_400_days(self, folder: Path) -> None:
        """From March 2026 to April 2027: a mistyped year."""
        self.assert_cell_refused(
            folder, "departure", "2027-04-06T09:00:00+01:00", "a stay of 400 days is longer than 31"
        )

    def test_the_longest_stay(self, folder: Path) -> None:
        """31 days to the second are taken, a second more is not."""
        write_csv(folder / "sessions.csv", HEADER, f"S1,C1,{MORNING.isoformat()},{(MORNING + MAX_STAY).isoformat()},1")
        assert len(load_scenario(folder).scenario.sessions) == 1

        later = (MORNING + MAX_STAY + timedelta(seconds=1)).isoformat()

        self.assert_cell_refused(folder, "departure", later.replace("2026-04-02T08", "2026-04-02T09"), "31 days")

    @pytest.mark.parametrize(
        ("value", "why"),
        [
            ("2026-03-02T09:00:00+01:00", "after the arrival 2026-03-02T09:00:00+01:00"),
            ("2027-04-06T09:00:00+01:00", "a stay of 400 days is longer than 31"),
            ("2026-03-02T11:00:00", "no offset"),
            ("noon", "it must be a time in ISO 8601"),
        ],
    )
    def test_stated_departure(self, folder: Path, value: str, why: str) -> None:
        """What a driver says is a departure too: after the arrival, and not next year."""
        self.assert_cell_refused(folder, "estimated_departure", value, why)

    @pytest.mark.parametrize(
        ("value", "why"), [("-1", "greater than or equal to 0"), ("nan", "finite"), ("all", "not a number")]
    )
    def test_stated_request(self, folder: Path, value: str, why: str) -> None:
        """A request is an energy too."""
        self.assert_cell_refused(folder, "requested_kwh", value, why)

    @pytest.mark.parametrize("column", ["Estimated_Departure", "requested_kWh"])
    def test_a_misspelt_statement(self, folder: Path, column: str) -> None:
        """Were it ignored, the driver's word would be lost."""
        write_csv(folder / "sessions.csv", f"{HEADER},{column}", ROW + ",5")

        assert_refused(folder, "sessions.csv", field=column, why="rename it")

    def test_unknown_charger(self, folder: Path) -> None:
        """Every session is at a charger of the site; a likely one is proposed."""
        self.assert_cell_refused(folder, "charger_id", "C01", "site.json has no such charger; did you mean 'C1'?")

    @pytest.mark.parametrize("value", ["S1 ", "S\t1", "S\x7f1"])
    def test_ids_that_look_like_others(self, folder: Path, value: str) -> None:
        """What cannot be seen must not tell two ids apart."""
        self.assert_cell_refused(folder, "session_id", value, "blank")

    def test_an_endless_id(self, folder: Path) -> None:
        """Ids have at most 128 characters."""
        (folder / "sessions.csv").write_text(session_row(session_id="x" * 129), encoding="utf-8")

        assert_refused(folder, "sessions.csv", row=2, field="session_id", value="x" * 80 + "…", why="128 characters")

    def test_duplicate_session(self, folder: Path) -> None:
        """An id stands for one session; both rows are named."""
        write_csv(folder / "sessions.csv", HEADER, ROW, ROW.replace("S1", "S2"), ROW)

        assert_refused(folder, "sessions.csv", row=4, field="session_id", value="S1", why="row 2 has the same id")

    def test_the_line_of_a_fault_in_a_later_piece(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file is read piece by piece, and lines count from its begin: 16 good rows follow the header."""
        monkeypatch.setattr(optimizer.scenario_io.tables, "CHUNK_ROWS", 7)
        lines = [ROW.replace("S1", f"S{number}") for number in range(16)]
        write_csv(folder / "sessions.csv", HEADER, *lines, ROW.removesuffix("10") + "-1")

        assert_refused(folder, "sessions.csv", row=18, field="energy_kwh", value="-1", why="greater than or equal to 0")

    def test_too_many_rows(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file that would not fit into memory is refused before it fills it."""
        monkeypatch.setattr(optimizer.scenario_io.tables, "MAX_ROWS", 2)
        write_csv(folder / "sessions.csv", HEADER, *(ROW.replace("S1", f"S{number}") for number in range(3)))

        assert_refused(folder, "sessions.csv", why="more than 2 rows")


class TestPrices:
    def test_overlapping_prices(self, folder: Path) -> None:
        """Each instant has one price; both rows are named, in whatever order they come."""
        later = "2026-03-02T09:59:00+01:00,2026-03-02T11:00:00+01:00,0.30"
        write_csv(folder / "prices.csv", PRICE_HEADER, later, PRICE)

        assert_refused(
            folder, "prices.csv", row=2, field="start", value="2026-03-02T09:59:00+01:00", why="overlaps that of row 3"
        )

    @pytest.mark.parametrize(
        ("old", "new", "field", "why"),
        [
            ("0.20", "nan", "import_price_per_kwh", "finite"),
            ("0.20", "cheap", "import_price_per_kwh", "not a number"),
            ("0.20", "1e7", "import_price_per_kwh", "less than or equal to 1000000"),
            ("2026-03-02T10:00:00+01:00", "2026-03-02T09:00:00+01:00", "end", "after the start"),
            ("2026-03-02T09:00:00+01:00", "2026-03-02T09:00:00", "start", "no offset"),
        ],
    )
    def test_bad_price_row(self, folder: Path, old: str, new: str, field: str, why: str) -> None:
        """A price is a finite number over an interval with offsets."""
        write_csv(folder / "prices.csv", PRICE_HEADER, PRICE.replace(old, new))

        assert_refused(folder, "prices.csv", row=2, field=field, value=new, why=why)

    def test_bad_time_of_a_price(self, folder: Path) -> None:
        """When a price came is a time with an offset."""
        write_csv(folder / "prices.csv", f"{PRICE_HEADER},known_from", f"{PRICE},13:00")

        assert_refused(folder, "prices.csv", row=2, field="known_from", value="13:00", why="ISO 8601")

    def test_a_negative_price_is_a_price(self, folder: Path) -> None:
        """Markets pay for consumption at times."""
        write_csv(folder / "prices.csv", PRICE_HEADER, PRICE.replace("0.20", "-0.05"))

        tariff = load_scenario(folder).scenario.tariff

        assert tariff is not None
        assert tariff.import_price_per_kwh.tolist() == [-0.05]

    def test_a_price_table_without_rows(self, folder: Path) -> None:
        """Prices that cover nothing are a mistake; no prices at all are a choice."""
        write_csv(folder / "prices.csv", PRICE_HEADER)

        assert_refused(folder, "prices.csv", why="it has no prices")


class TestSite:
    def assert_site_refused(
        self, folder: Path, site: object, *, row: int | None = None, field: str, value: str | None = None, why: str
    ) -> None:
        """A folder with that site.json is refused."""
        write_json(folder / "site.json", site)
        assert_refused(folder, "site.json", row=row, field=field, value=value, why=why)

    def test_bad_json(self, folder: Path) -> None:
        """Line and column of the fault are named."""
        (folder / "site.json").write_text('{\n  "schema": 1,\n  "site_id" "depot"\n}', encoding="utf-8")

        assert_refused(folder, "site.json", why="it is not valid JSON: expected `:` at line 3 column 13")

    @pytest.mark.parametrize(
        ("content", "why"),
        [(b"", "it is empty"), (b"\0\1", "it is binary"), (b"<html>", "a web page"), (b"[" * 1000, "not valid JSON")],
    )
    def test_not_json_at_all(self, folder: Path, content: bytes, why: str) -> None:
        """What a file is instead is said."""
        (folder / "site.json").write_bytes(content)

        assert_refused(folder, "site.json", why=why)

    @pytest.mark.parametrize("version", [0, 2, "1"])
    def test_another_schema(self, folder: Path, version: object) -> None:
        """A file of another version is refused before anything else is said of it."""
        site = site_json(schema=version, groups="changed")

        self.assert_site_refused(folder, site, field="schema", value=str(version), why="reads version 1")

    def test_without_a_schema(self, folder: Path) -> None:
        """So is one that does not say."""
        site = site_json()
        del site["schema"]

        self.assert_site_refused(folder, site, field="schema", why="it is missing")

    @pytest.mark.parametrize(
        ("field", "value", "why"),
        [
            ("time_zone", "Europe/Atlantis", "IANA database"),
            ("time_zone", "../../etc/passwd", "IANA database"),
            ("time_zone", "America", "IANA database"),
            ("currency", "euro", "at most 3 characters"),
            ("currency", "eur", "ISO 4217"),
            ("nominal_voltage_v", 0, "greater than or equal to 1"),
            ("nominal_voltage_v", "230", "not a number"),
            ("nominal_voltage_v", math.nan, "finite"),
            ("site_id", "", "at least 1 character"),
            ("groups", [], "at least 1 item"),
        ],
    )
    def test_bad_field(self, folder: Path, field: str, value: object, why: str) -> None:
        """Every field of a site is bounded."""
        shown = None if isinstance(value, list) else str(value)
        write_json(folder / "site.json", site_json(**{field: value}))

        with pytest.raises(FileInputError) as caught:
            load_scenario(folder)

        assert caught.value.field == field
        assert why in str(caught.value)
        assert shown is None or f"value {shown!r}" in str(caught.value)

    @pytest.mark.parametrize(
        ("field", "value", "why"),
        [
            ("import_limit_kw", -1, "greater than or equal to 0"),
            ("import_limit_kw", math.inf, "finite"),
            ("export_limit_kw", 2e6, "less than or equal to 1000000"),
            ("import_limit_kw", "100", "not a number"),
        ],
    )
    def test_bad_limit_of_a_group(self, folder: Path, field: str, value: object, why: str) -> None:
        """A limit is a finite number of kW, not negative and below a GW; the second group is row 2."""
        site = site_json(groups=[group_json("main"), group_json("row", "main", **{field: value})])

        self.assert_site_refused(folder, site, row=2, field=f"groups.{field}", value=str(value), why=why)

    @pytest.mark.parametrize("name", ["import_limit", "import_limit_kW", "import_limit_w", "importLimitKw"])
    def test_a_misspelt_limit_is_not_no_limit(self, folder: Path, name: str) -> None:
        """A limit may be left out where there is none, but a typing mistake cannot lift one."""
        group = group_json("main")
        group[name] = group.pop("import_limit_kw")

        self.assert_site_refused(
            folder,
            site_json(groups=[group]),
            row=1,
            field=f"groups.{name}",
            value="100",
            why="import_limit_kw; rename it",
        )

    def test_unknown_parent(self, folder: Path) -> None:
        """Every parent is a group of the site."""
        groups = [group_json("main"), group_json("row", "mian")]

        self.assert_site_refused(
            folder,
            site_json(groups=groups),
            row=2,
            field="groups.parent_id",
            value="mian",
            why="no such group; did you mean 'main'?",
        )

    def test_a_cycle_in_the_tree(self, folder: Path) -> None:
        """Groups form a tree; a cycle is shown whole. The first group that runs into it is row 1."""
        groups = [group_json("leaf", "a"), group_json("a", "b"), group_json("b", "a")]

        self.assert_site_refused(
            folder, site_json(groups=groups), row=1, field="groups.parent_id", value="a", why="a cycle: a -> b -> a"
        )

    def test_a_tree_too_deep(self, folder: Path) -> None:
        """A chain of groups ends somewhere; this one takes no time to refuse."""
        groups = [group_json("g0"), *(group_json(f"g{level}", f"g{level - 1}") for level in range(1, 200))]

        self.assert_site_refused(
            folder,
            site_json(groups=groups),
            row=101,
            field="groups.parent_id",
            value="g99",
            why="deeper than 100 levels",
        )

    def test_duplicate_group(self, folder: Path) -> None:
        """A group is listed once; both rows are named."""
        groups = [group_json("main"), group_json("main")]

        self.assert_site_refused(
            folder, site_json(groups=groups), row=2, field="groups.group_id", value="main", why="row 1 has the same id"
        )

    @pytest.mark.parametrize(
        ("field", "value", "why"),
        [
            ("charger_id", "C1", "row 1 has the same id"),
            ("group_id", "mane", "not listed; did you mean 'main'?"),
            ("max_power_kw", -1, "greater than or equal to 0"),
            ("max_power_kw", True, "not a number"),
            ("min_power_kw", -1, "greater than or equal to 0"),
            ("power_levels_kw", 2, "valid array"),
            ("phases", "FOUR", "'UNKNOWN', 'ONE', 'TWO', 'THREE' or 'ALL'"),
        ],
    )
    def test_bad_charger(self, folder: Path, field: str, value: object, why: str) -> None:
        """A charger is listed once, hangs on a group of the site and has a power; the second charger is row 2."""
        charger: dict[str, object] = {"charger_id": "C1", "group_id": "main", "max_power_kw": 22}
        site = site_json(chargers=[charger, charger | {"charger_id": "C2"} | {field: value}])

        self.assert_site_refused(folder, site, row=2, field=f"chargers.{field}", value=str(value), why=why)


class TestForecasts:
    def assert_forecast_refused(
        self, folder: Path, message: object, *, field: str, value: str | None = None, why: str
    ) -> None:
        """It is refused as the second message of the file."""
        write_json(folder / "forecasts.json", [message_json(), message])
        assert_refused(folder, "forecasts.json", row=2, field=field, value=value, why=why)

    def test_unknown_group(self, folder: Path) -> None:
        """A capacity belongs to a group of the site."""
        self.assert_forecast_refused(
            folder, message_json("mains"), field="group_id", value="mains", why="no such group; did you mean 'main'?"
        )

    @pytest.mark.parametrize(
        ("field", "value", "why"),
        [
            ("capacity", -1, "greater than or equal to 0"),
            ("capacity", math.nan, "finite"),
            ("unit", "MW", "'A', 'W', 'KW', 'WH' or 'KWH'"),
            ("phase", "FOUR", "'UNKNOWN', 'ONE'"),
            ("start_time", "2026-03-02T08:00:00", "no time zone"),
        ],
    )
    def test_bad_block(self, folder: Path, field: str, value: object, why: str) -> None:
        """The place of a fault in a message is shown as a path; the second block has index 1."""
        message = message_json(blocks=[block_json(), block_json(**{field: value})])

        self.assert_forecast_refused(folder, message, field=f"forecasted_blocks[1].{field}", value=str(value), why=why)

    def test_a_block_that_ends_before_it_begins(self, folder: Path) -> None:
        """A block lasts some time."""
        message = message_json(blocks=[block_json(end_time="2026-03-02T07:00:00Z")])

        self.assert_forecast_refused(folder, message, field="forecasted_blocks[0]", why="is not after start_time")

    def test_bad_time_of_arrival(self, folder: Path) -> None:
        """When a message came is a time with an offset."""
        message = message_json() | {"received_at": "2026-03-02T08:00:00"}

        self.assert_forecast_refused(
            folder, message, field="received_at", value="2026-03-02T08:00:00", why="the time has no offset"
        )

    def test_messages_out_of_order(self, folder: Path) -> None:
        """The order of the file is that of their arrival; a message without a time came with the one before it."""
        came = [{"received_at": f"2026-03-02T0{hour}:00:00Z"} for hour in (8, 7)]
        write_json(folder / "forecasts.json", [message_json() | came[0], message_json(), message_json() | came[1]])

        assert_refused(
            folder,
            "forecasts.json",
            row=3,
            field="received_at",
            value="2026-03-02T08:00:00+01:00",
            why="the message before it came at 2026-03-02T09:00:00+01:00",
        )

    def test_a_message_alone(self, folder: Path) -> None:
        """The file is a list of messages."""
        write_json(folder / "forecasts.json", message_json())

        assert_refused(folder, "forecasts.json", why="it must be a valid array")


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
