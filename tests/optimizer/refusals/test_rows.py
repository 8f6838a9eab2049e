"""Sessions and prices that are refused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

import optimizer.scenario_io.tables
from optimizer.scenario_io import MAX_STAY, load_scenario
from tests.builders import MORNING
from tests.optimizer.refusals.refused import assert_refused
from tests.optimizer.scenario_folder import HEADER, PRICE, PRICE_HEADER, ROW, write_csv


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
