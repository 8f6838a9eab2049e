"""Scenario folders: what is read, what is noted, what is refused and how the refusal reads."""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import optimizer.scenario_io.tables
from models.domain.capacity import CapacityKind, Phase
from models.domain.day import DriverStatement
from models.domain.group import CapacityGroup
from models.domain.scenario import Scenario
from models.domain.session import ChargingSession
from models.domain.tariff import EnergyTariff, PriceBlock
from models.errors import InputError
from models.oscp.v20 import UpdateGroupCapacityForecast, to_capacity_forecast
from optimizer.scenario_io import MAX_STAY, SiteFile, load_scenario, write_scenario
from tests.builders import MORNING, make_charger, make_message, make_scenario, make_session, make_site, make_tariff
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

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A valid scenario folder of one session."""
    return write_folder(tmp_path / "scenario")


class TestReading:
    def test_a_valid_folder_becomes_a_scenario_without_notes(self, folder: Path) -> None:
        """Two hours at C1 from 08:00 UTC, 10 kWh, no further limit, weight 1; nothing is odd."""
        loaded = load_scenario(folder)

        assert loaded.scenario.sessions == (make_session(),)
        assert loaded.scenario.site.time_zone == ZoneInfo("Europe/Amsterdam")
        assert loaded.scenario.site.charger("C1").phases is Phase.UNKNOWN
        assert loaded.scenario.tariff is None
        assert loaded.messages == ()
        assert loaded.notes == ()

    def test_a_table_without_rows_is_no_sessions(self, folder: Path) -> None:
        """A day on which nobody comes is a scenario."""
        write_csv(folder / "sessions.csv", HEADER)

        assert load_scenario(folder).scenario.sessions == ()

    def test_empty_optional_cells_are_absent(self, folder: Path) -> None:
        """An empty cell means what a missing column means: no further limit, weight 1."""
        write_csv(
            folder / "sessions.csv", HEADER + ",max_power_kw,priority", ROW + ",,", ROW.replace("S1", "S2") + ",7,3"
        )

        first, second = load_scenario(folder).scenario.sessions

        assert (first.max_power_kw, first.priority) == (None, 1.0)
        assert (second.max_power_kw, second.priority) == (7.0, 3.0)

    def test_a_request_of_zero_is_taken(self, folder: Path) -> None:
        """Real vehicles plug in full."""
        write_csv(folder / "sessions.csv", HEADER, ROW.removesuffix("10") + "0")

        assert load_scenario(folder).scenario.sessions[0].energy_kwh == 0.0

    @pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
    def test_byte_order_mark_and_line_ends_of_other_systems(self, folder: Path, newline: str) -> None:
        """Spreadsheets write a mark before UTF-8 and end lines their own way."""
        (folder / "sessions.csv").write_bytes(("\ufeff" + newline.join((HEADER, ROW)) + newline).encode())
        (folder / "site.json").write_bytes(b"\xef\xbb\xbf" + (folder / "site.json").read_bytes())

        assert load_scenario(folder).scenario.sessions == (make_session(),)

    def test_blanks_after_commas_and_blank_lines_mean_nothing(self, folder: Path) -> None:
        """Tables written by hand have both."""
        write_csv(folder / "sessions.csv", HEADER.replace(",", ", "), "", ROW.replace(",", ", "), "", "")

        assert load_scenario(folder).scenario.sessions == (make_session(),)

    def test_ids_are_text_whatever_they_look_like(self, folder: Path) -> None:
        """NA, 007 and 1e3 are ids like any other: nothing is taken for a missing value or a number."""
        names = ("NA", "007", "1e3", "null", 'a,b"c')
        rows = [ROW.replace("S1", '"a,b""c"' if "," in name else name) for name in names]
        write_csv(folder / "sessions.csv", HEADER, *rows)

        assert tuple(session.session_id for session in load_scenario(folder).scenario.sessions) == names

    @pytest.mark.parametrize("rows", [1, 7])
    def test_rows_do_not_depend_on_the_size_of_the_chunks(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, rows: int
    ) -> None:
        """A file is read piece by piece; 16 rows are the same in any pieces."""
        monkeypatch.setattr(optimizer.scenario_io.tables, "CHUNK_ROWS", rows)
        lines = [ROW.replace("S1", f"S{number}") for number in range(16)]
        write_csv(folder / "sessions.csv", HEADER, *lines)

        assert len(load_scenario(folder).scenario.sessions) == 16

    def test_prices_are_put_in_order(self, folder: Path) -> None:
        """Price rows may come in any order; an empty export price is unknown."""
        later = "2026-03-02T10:00:00+01:00,2026-03-02T11:00:00+01:00,0.30,0.05"
        write_csv(folder / "prices.csv", PRICE_HEADER + ",export_price_per_kwh", later, PRICE + ",")

        tariff = load_scenario(folder).scenario.tariff

        assert tariff is not None
        assert tariff.start_s.tolist() == [MORNING.timestamp(), MORNING.timestamp() + 3600]
        assert tariff.import_price_per_kwh.tolist() == [0.20, 0.30]
        assert math.isnan(tariff.export_price_per_kwh[0])
        assert tariff.export_price_per_kwh[1] == 0.05

    def test_forecasts_apply_in_the_order_of_the_file(self, folder: Path) -> None:
        """The later of two messages for one hour holds: 20 kW."""
        messages = [message_json(), message_json(blocks=[block_json(capacity=20)])]
        write_json(folder / "forecasts.json", messages)

        loaded = load_scenario(folder)

        (group_key,) = loaded.scenario.forecasts.series
        (block,) = loaded.scenario.forecasts.series[group_key]
        assert block.capacity_kw == 20.0
        assert [message.forecasted_blocks[0].capacity for message in loaded.messages] == [50.0, 20.0]

    def test_a_current_counts_at_the_voltage_of_the_site(self, folder: Path) -> None:
        """100 A on one conductor at 120 V are 12 kW."""
        write_json(folder / "site.json", site_json(nominal_voltage_v=120))
        blocks = [block_json(capacity=100, unit="A", phase="ONE")]
        write_json(folder / "forecasts.json", [message_json(blocks=blocks)])

        (blocks_read,) = load_scenario(folder).scenario.forecasts.series.values()

        assert blocks_read[0].capacity_kw == pytest.approx(12.0)

    def test_a_million_sessions(self, folder: Path) -> None:
        """They take seconds and less than 3 GB; the bound on time is wide, for machines that do other things too."""
        cells = "C1,2026-03-02T09:00:00+01:00,2026-03-02T11:00:00+01:00,10.125"
        write_csv(folder / "sessions.csv", HEADER, *(f"S{number},{cells}" for number in range(1_000_000)))
        code = (
            "import pathlib, resource, sys\n"
            "from optimizer.scenario_io import load_scenario\n"
            "print(len(load_scenario(pathlib.Path(sys.argv[1])).scenario.sessions))\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )

        run = subprocess.run(
            [sys.executable, "-c", code, str(folder)], check=True, cwd=ROOT, capture_output=True, text=True, timeout=120
        )

        count, peak_kb = map(int, run.stdout.split())
        assert count == 1_000_000
        assert peak_kb < 3_000_000

    def test_pandas_is_not_imported_until_a_table_is_read(self) -> None:
        """Programs that only share the schemas start fast."""
        code = "import sys, optimizer.scenario_io; sys.exit('pandas' in sys.modules)"

        assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


class TestRecordedDays:
    """What became known when."""

    def test_what_drivers_said(self, folder: Path) -> None:
        """Of two sessions one has a statement of both kinds, the other none: an empty cell says nothing."""
        other = ROW.replace("S1", "S2")
        write_csv(
            folder / "sessions.csv",
            f"{HEADER},estimated_departure,requested_kwh",
            f"{ROW},2026-03-02T10:30:00+01:00,7.5",
            f"{other},,",
        )

        statements = load_scenario(folder).day.statements

        said = DriverStatement(departure=datetime(2026, 3, 2, 9, 30, tzinfo=UTC), energy_kwh=7.5)
        assert dict(statements) == {"S1": said}

    def test_when_messages_came(self, folder: Path) -> None:
        """Without a time a message came with the one before it, the first all along; the past is not changed."""
        came = {"received_at": "2026-03-02T08:30:00Z"}
        cut = message_json(blocks=[block_json(capacity=20)]) | came
        write_json(folder / "forecasts.json", [message_json(), cut, message_json("main")])

        loaded = load_scenario(folder)

        half_past = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
        assert [received.received_at for received in loaded.day.messages] == [None, half_past, half_past]
        (blocks,) = loaded.scenario.forecasts.series.values()
        assert [(block.start.minute, block.capacity_kw) for block in blocks] == [(0, 50.0), (30, 50.0)]
        assert loaded.day.forecasts_at(MORNING.timestamp()).blocks("main", CapacityKind.CONSUMPTION)[0].end == (
            MORNING + timedelta(hours=1)
        )

    def test_when_prices_came(self, folder: Path) -> None:
        """The second hour's price came at noon of the day before; the first was known all along."""
        later = "2026-03-02T10:00:00+01:00,2026-03-02T11:00:00+01:00,0.30,2026-03-01T12:00:00Z"
        write_csv(folder / "prices.csv", f"{PRICE_HEADER},known_from", later, f"{PRICE},")

        day = load_scenario(folder).day

        noon_s = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
        before, after = day.tariff_at(noon_s - 1), day.tariff_at(noon_s)
        assert before is not None
        assert after is not None
        assert before.import_price_per_kwh.tolist() == [0.20]
        assert after.import_price_per_kwh.tolist() == [0.20, 0.30]

    def test_statements_are_written_and_read_back(self, tmp_path: Path) -> None:
        """Of two sessions one has a statement."""
        said = {"S1": DriverStatement(departure=MORNING + timedelta(minutes=10), energy_kwh=1.25)}
        scenario = make_scenario(sessions=[make_session(), make_session("S2")])
        write_scenario(tmp_path / "out", scenario, statements=said)

        day = load_scenario(tmp_path / "out").day

        assert dict(day.statements) == said
        assert day.scenario.sessions == scenario.sessions


class TestNotes:
    def test_columns_and_fields_of_no_use_are_ignored_with_one_note_a_file(self, folder: Path) -> None:
        """Exports hold more than is needed."""
        write_csv(folder / "sessions.csv", HEADER + ",colour,,colour", ROW + ",red,,")
        write_json(folder / "site.json", site_json(source="survey", groups=[group_json("main", note="old")]))

        assert load_scenario(folder).notes == (
            "site.json: unknown fields are ignored: source, groups.note",
            "sessions.csv: columns of no use here are ignored: colour, (without a name), colour",
        )

    def test_a_long_list_of_ignored_columns_is_cut(self, folder: Path) -> None:
        """A note is a sentence: 20 of 25 names are enough."""
        write_csv(folder / "sessions.csv", HEADER + ",x" * 25, ROW + ",1" * 25)

        (note,) = load_scenario(folder).notes

        assert note.endswith(", x and 5 more")

    def test_overlapping_sessions_at_one_charger_are_counted(self, folder: Path) -> None:
        """S2 and S3 begin while S1 is there, S4 as S1 leaves, S5 elsewhere: two overlaps, the first S1 and S2."""
        chargers = [{"charger_id": name, "group_id": "main", "max_power_kw": 22} for name in ("C1", "C2")]
        write_json(folder / "site.json", site_json(chargers=chargers))
        day = "2026-03-02T{}:00:00Z"
        stays = [("S4", "C1", "12", "14"), ("S1", "C1", "08", "12"), ("S3", "C1", "11", "12")]
        stays += [("S2", "C1", "09", "10"), ("S5", "C2", "08", "12")]
        rows = [f"{name},{charger},{day.format(begin)},{day.format(end)},1" for name, charger, begin, end in stays]
        write_csv(folder / "sessions.csv", HEADER, *rows)

        (note,) = load_scenario(folder).notes

        assert "at the same charger: 2, the first 'S2' during 'S1' at charger 'C1'" in note

    def test_requests_beyond_the_stay_are_counted(self, folder: Path) -> None:
        """2 h at the charger's 22 kW are 44 kWh, at a vehicle's 5 kW 10: of 50 kWh each, 6 and 40 are out of reach."""
        row = ROW.removesuffix("10").replace("2026-03-02", "2026-03-0{day}").replace("S1", "S{day}")
        rows = (row.format(day=2) + "50,30", row.format(day=3) + "50,5", row.format(day=4) + "44,")
        write_csv(folder / "sessions.csv", HEADER + ",max_power_kw", *rows)

        (note,) = load_scenario(folder).notes

        assert "more than their stay allows: 2, by 46.000 kWh in all, the first 'S2'" in note

    def test_stays_of_days_are_counted(self, folder: Path) -> None:
        """More than 24 h is odd and real; exactly 24 h is not odd."""
        row = "{},C1,{}T08:00:00Z,{}T08:00:{}Z,10"
        rows = (row.format("S1", "2026-03-02", "2026-03-03", "00"), row.format("S2", "2026-03-05", "2026-03-06", "01"))
        write_csv(folder / "sessions.csv", HEADER, *rows)

        assert load_scenario(folder).notes == ("sessions that last more than 24 hours: 1, the first 'S2'",)


class TestParquet:
    @pytest.mark.parametrize("as_text", [False, True])
    def test_parquet_reads_like_csv(self, folder: Path, as_text: bool) -> None:
        """Times may be instants or text, numbers are numbers, null and NaN in an optional column are absent."""
        (folder / "sessions.csv").unlink()
        frame = session_frame(max_power_kw=[math.nan], priority=[None], colour=["red"])
        if as_text:
            frame["arrival"] = frame["arrival"].map(pd.Timestamp.isoformat)
        frame.to_parquet(folder / "sessions.parquet")
        price = {"start": [MORNING], "end": [MORNING + timedelta(hours=1)], "import_price_per_kwh": [0.2]}
        pd.DataFrame(price).to_parquet(folder / "prices.parquet")

        loaded = load_scenario(folder)

        assert loaded.scenario.sessions == (make_session(),)
        assert type(loaded.scenario.sessions[0].arrival) is datetime
        assert loaded.notes == ("sessions.parquet: columns of no use here are ignored: colour",)
        assert loaded.scenario.tariff is not None
        assert loaded.scenario.tariff.start_s.tolist() == [MORNING.timestamp()]


IDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8)
EPOCH = datetime(1990, 1, 1, tzinfo=UTC)
INSTANTS = st.timedeltas(timedelta(0), timedelta(days=200 * 365)).map(lambda since: EPOCH + since)
KILOWATTS = st.floats(0, 1e6)
PRICES = st.floats(-1e6, 1e6)


@st.composite
def sessions(draw: st.DrawFn, charger_ids: list[str]) -> list[ChargingSession]:
    """Sessions of different ids at some chargers."""
    drawn = []
    for session_id in draw(st.lists(IDS, unique=True, max_size=5)):
        arrival = draw(INSTANTS)
        drawn.append(
            make_session(
                session_id,
                charger_id=draw(st.sampled_from(charger_ids)),
                arrival=arrival,
                departure=arrival + draw(st.timedeltas(timedelta(microseconds=1), MAX_STAY)),
                energy_kwh=draw(st.floats(0, 1e6)),
                max_power_kw=draw(st.none() | KILOWATTS),
                priority=draw(st.floats(1e-6, 1e6)),
            )
        )
    return drawn


@st.composite
def tariffs(draw: st.DrawFn) -> EnergyTariff:
    """Prices without overlap."""
    edges = sorted(draw(st.lists(INSTANTS, unique=True, min_size=2, max_size=6)))
    return EnergyTariff.from_blocks(
        PriceBlock(
            start=start,
            end=end,
            import_price_per_kwh=draw(PRICES),
            export_price_per_kwh=draw(st.none() | PRICES),
        )
        for start, end in pairwise(edges)
    )


@st.composite
def scenarios(draw: st.DrawFn) -> tuple[Scenario, list[UpdateGroupCapacityForecast]]:
    """A scenario and the messages its forecasts come from."""
    group_ids = draw(st.lists(IDS, unique=True, min_size=1, max_size=4))
    groups = [
        CapacityGroup(
            group_id=group_id,
            parent_id=draw(st.none() | st.sampled_from(group_ids[:at])) if at else None,
            import_limit_kw=draw(st.none() | KILOWATTS),
            export_limit_kw=draw(st.none() | KILOWATTS),
        )
        for at, group_id in enumerate(group_ids)
    ]
    charger_ids = draw(st.lists(IDS, unique=True, min_size=1, max_size=4))
    chargers = [
        make_charger(
            charger_id,
            group_id=draw(st.sampled_from(group_ids)),
            max_power_kw=draw(KILOWATTS),
            phases=draw(st.sampled_from(Phase)),
        )
        for charger_id in charger_ids
    ]
    site = make_site(
        site_id=draw(IDS),
        groups=groups,
        chargers=chargers,
        time_zone=draw(st.sampled_from(["UTC", "Europe/Amsterdam", "America/Los_Angeles", "Asia/Kathmandu"])),
        currency=draw(st.text("ABCXYZ", min_size=3, max_size=3)),
        nominal_voltage_v=draw(st.floats(1, 1000)),
    )
    messages = [
        make_message([draw(KILOWATTS), draw(KILOWATTS)], group_id=draw(st.sampled_from(group_ids)))
        for _ in range(draw(st.integers(0, 3)))
    ]
    scenario = make_scenario(
        site=site,
        sessions=draw(sessions(charger_ids)),
        tariff=draw(st.none() | tariffs()),
        forecasts=[to_capacity_forecast(message, voltage_v=site.nominal_voltage_v) for message in messages],
    )
    return scenario, messages


def tariff_values(tariff: EnergyTariff | None) -> list[list[float]]:
    """Everything a tariff says, NaN as infinity so that it compares."""
    if tariff is None:
        return []
    columns = (tariff.start_s, tariff.end_s, tariff.import_price_per_kwh, tariff.export_price_per_kwh)
    return [np.nan_to_num(column, nan=np.inf).tolist() for column in columns]


class TestWriting:
    @given(scenarios())
    def test_what_is_written_is_read_back(self, drawn: tuple[Scenario, list[UpdateGroupCapacityForecast]]) -> None:
        """Ids, instants to the microsecond and every digit of every number survive."""
        scenario, messages = drawn
        with tempfile.TemporaryDirectory() as directory:
            folder = Path(directory) / "scenario"
            write_scenario(folder, scenario, messages)
            loaded = load_scenario(folder)

        assert loaded.scenario.sessions == scenario.sessions
        assert SiteFile.from_domain(loaded.scenario.site) == SiteFile.from_domain(scenario.site)
        assert tariff_values(loaded.scenario.tariff) == tariff_values(scenario.tariff)
        assert loaded.messages == tuple(messages)
        assert loaded.scenario.forecasts.series == scenario.forecasts.series

    def test_times_are_written_in_the_zone_of_the_site(self, tmp_path: Path) -> None:
        """08:00 UTC in March is 09:00 in Amsterdam; the second 02:30 of 25 October has the offset of winter."""
        night = make_session("S2", arrival=datetime(2026, 10, 25, 1, 30, tzinfo=UTC))
        write_scenario(tmp_path / "out", make_scenario(sessions=[make_session(), night], tariff=make_tariff()))

        text = (tmp_path / "out" / "sessions.csv").read_text(encoding="utf-8")

        assert "S1,C1,2026-03-02T09:00:00+01:00,2026-03-02T11:00:00+01:00,10.0,,1.0," in text
        assert "S2,C1,2026-10-25T02:30:00+01:00," in text
        assert load_scenario(tmp_path / "out").scenario.sessions == (make_session(), night)

    def test_a_folder_with_something_in_it_is_left_alone(self, folder: Path) -> None:
        """Writing a scenario never replaces anything."""
        before = sorted(folder.iterdir())

        with pytest.raises(InputError, match="is not empty: a scenario never replaces anything"):
            write_scenario(folder, make_scenario())

        assert sorted(folder.iterdir()) == before

    def test_what_could_not_be_read_back_is_not_written(self, tmp_path: Path) -> None:
        """A stay of 32 days would be refused by the reader; nothing is left behind."""
        session = make_session(departure=MORNING + timedelta(days=32))

        with pytest.raises(InputError, match=r"session 'S1' cannot be written: departure .* 32 days is longer than 31"):
            write_scenario(tmp_path / "out", make_scenario(sessions=[session]))

        assert list(tmp_path.iterdir()) == []
