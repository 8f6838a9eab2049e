"""Plans as charging profiles and tables: by hand, by the schemas of OCPP, and never above the plan."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ocpp.messages import Call, validate_payload

from models.domain.capacity import Phase
from models.domain.connection import Connection
from models.domain.group import CapacityGroup, Site
from models.errors import InputError
from optimizer import OptimizeOptions, optimize
from optimizer.exports import (
    MAX_PERIODS,
    ExportFormat,
    PlannedRows,
    ProfileOptions,
    RateUnit,
    csv_tables,
    ocpi_profiles,
    ocpp16_profiles,
    ocpp201_profiles,
    parquet_tables,
)
from optimizer.exports.folder import write_export
from optimizer.exports.periods import Period, periods_of
from optimizer.scenario_io import read_result, write_result
from optimizer.scenario_io.plan_document import to_plan_document
from tests.builders import (
    HOUR,
    MORNING,
    make_charger,
    make_forecast,
    make_scenario,
    make_schedule,
    make_session,
    make_site,
)
from tests.properties.strategies import Case, cases

NOTHING = np.zeros(0)
WATTS = ProfileOptions()
AMPERES = ProfileOptions(unit=RateUnit.A)


def planned(*rows: tuple[str, float, float, float], sessions: dict[str, str] | None = None) -> PlannedRows:
    """Rows of session, begin and end in hours after `MORNING`, and kW; two hours in all."""
    begin_s = MORNING.timestamp()
    return PlannedRows(
        begin_s=begin_s,
        end_s=begin_s + 7200,
        sessions={"S1": "C1"} if sessions is None else sessions,
        session_ids=[row[0] for row in rows],
        start_s=np.array([begin_s + 3600 * row[1] for row in rows]),
        until_s=np.array([begin_s + 3600 * row[2] for row in rows]),
        power_kw=np.array([row[3] for row in rows]),
    )


def limits_16(rows: PlannedRows, site: Site, options: ProfileOptions = WATTS) -> list[tuple[int, float]]:
    """Offset and limit of the first charger's periods."""
    request: Any = ocpp16_profiles(rows, site, options)[0]["request"]
    periods = request["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"]
    return [(period["startPeriod"], period["limit"]) for period in periods]


class TestProfiles:
    def test_a_request_of_1_6(self) -> None:
        """10 kW for an hour, then a stop; absolute, in UTC, without an end after which anything would be allowed."""
        (found,) = ocpp16_profiles(planned(("S1", 0, 1, 10.0)), make_site(), WATTS)

        assert found == {
            "charger_id": "C1",
            "request": {
                "connectorId": 1,
                "csChargingProfiles": {
                    "chargingProfileId": 1,
                    "stackLevel": 0,
                    "chargingProfilePurpose": "TxDefaultProfile",
                    "chargingProfileKind": "Absolute",
                    "chargingSchedule": {
                        "startSchedule": "2026-03-02T08:00:00Z",
                        "chargingRateUnit": "W",
                        "chargingSchedulePeriod": [
                            {"startPeriod": 0, "limit": 10000.0},
                            {"startPeriod": 3600, "limit": 0.0},
                        ],
                    },
                },
            },
        }

    @pytest.mark.parametrize(
        ("phases", "conductors", "limit_a"),
        [(Phase.ALL, 3, 15.9), (Phase.TWO, 1, 47.8), (Phase.UNKNOWN, 3, 15.9)],
    )
    def test_amperes_of_each_phase(self, phases: Phase, conductors: int, limit_a: float) -> None:
        """11 kW at 230 V are 15.94 A on each of three phases, 47.83 A on one; cut, since rounded up it would be more.
        Where nobody knows the phases, the lower current is safe.
        """
        site = make_site(chargers=[make_charger(phases=phases)])

        request: Any = ocpp201_profiles(planned(("S1", 0, 2, 11.0)), site, AMPERES)[0]["request"]

        period = request["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"][0]
        assert period == {"startPeriod": 0, "limit": limit_a, "numberPhases": conductors}

    @pytest.mark.parametrize(
        ("connection", "voltage_v", "conductors", "limit_a"),
        [
            ("L1-N", None, 1, 47.8),
            ("L2-L3-L1", None, 3, 15.9),
            ("L1-L2-N", None, 2, 23.9),
            ("L1-L2", None, 1, 27.6),
            ("L1-L2", 208.0, 1, 52.8),
        ],
    )
    def test_amperes_of_connections(
        self, connection: str, voltage_v: float | None, conductors: int, limit_a: float
    ) -> None:
        """The same 11 kW on one line, three, and two; between two lines they are 27.61 A at 398 V, 52.88 A at 208 V."""
        site = make_site(chargers=[make_charger(connection=Connection(connection), voltage_v=voltage_v)])

        request: Any = ocpp201_profiles(planned(("S1", 0, 2, 11.0)), site, AMPERES)[0]["request"]

        period = request["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"][0]
        assert period == {"startPeriod": 0, "limit": limit_a, "numberPhases": conductors}

    def test_chargers_without_a_plan_are_stopped(self) -> None:
        """Every charger of the site has a profile; where nothing is planned it is a stop from the begin on."""
        site = make_site(chargers=[make_charger("C1"), make_charger("C2")])

        found = ocpp201_profiles(planned(("S1", 0, 1, 10.0)), site, WATTS)

        assert [entry["charger_id"] for entry in found] == ["C1", "C2"]
        request: Any = found[1]["request"]
        assert request["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"] == [
            {"startPeriod": 0, "limit": 0.0}
        ]

    def test_sessions_one_after_the_other_make_one_profile(self) -> None:
        """At one charger from eight to half past and from nine on, with a stop between."""
        rows = planned(("S1", 0, 0.5, 4.0), ("S2", 1, 2, 7.0), sessions={"S1": "C1", "S2": "C1"})

        assert limits_16(rows, make_site()) == [(0, 4000.0), (1800, 0.0), (3600, 7000.0), (7200, 0.0)]

    def test_equal_steps_are_one_period(self) -> None:
        """Four quarters of one power need no four periods."""
        rows = planned(*(("S1", quarter / 4, (quarter + 1) / 4, 5.0) for quarter in range(4)))

        assert limits_16(rows, make_site()) == [(0, 5000.0), (3600, 0.0)]

    def test_sessions_have_profiles_of_ocpi(self) -> None:
        """Also who gets nothing."""
        rows = planned(("S1", 0, 1, 10.0), sessions={"S1": "C1", "S2": "C1"})

        first, second = ocpi_profiles(rows, make_site(), WATTS)

        assert first == {
            "session_id": "S1",
            "charging_profile": {
                "start_date_time": "2026-03-02T08:00:00Z",
                "charging_rate_unit": "W",
                "charging_profile_period": [
                    {"start_period": 0, "limit": 10000.0},
                    {"start_period": 3600, "limit": 0.0},
                ],
            },
        }
        assert second["charging_profile"]["charging_profile_period"] == [{"start_period": 0, "limit": 0.0}]  # type: ignore[index]

    def test_the_hour_that_comes_twice_lasts_two_hours(self) -> None:
        """From 02:00 before the clocks go back to 03:00 after it: offsets count seconds, not the clock on the wall."""
        first = datetime(2026, 10, 25, 2, tzinfo=ZoneInfo("Europe/Amsterdam"))
        stay = make_session(arrival=first, departure=first.replace(hour=3), energy_kwh=40.0)
        scenario = make_scenario(
            sessions=[stay], site=make_site(groups=[CapacityGroup(group_id="main", import_limit_kw=20.0)])
        )

        rows = PlannedRows.of_schedule(optimize(scenario, OptimizeOptions(raster=HOUR)))

        assert limits_16(rows, scenario.site) == [(0, 20000.0), (7200, 0.0)]

    @pytest.mark.parametrize("most", [0, -1, MAX_PERIODS + 1])
    def test_numbers_of_periods_that_cannot_be(self, most: int) -> None:
        """At least one, at most what a message holds."""
        with pytest.raises(InputError, match=f"max_periods is {most}"):
            ProfileOptions(max_periods=most)


class TestPeriods:
    def test_within_a_second_the_plan_is_never_exceeded(self) -> None:
        """A rise at 10.2 s begins at 11, a fall at 20.8 s at 20; what lasts less than a second falls away."""
        start_s, until_s = np.array([10.2, 30.1]), np.array([20.8, 30.9])

        found = periods_of(start_s, until_s, np.array([5.0, 9.0]), begin_s=0, max_periods=9)

        assert found == [Period(0, 0.0), Period(11, 5.0), Period(20, 0.0)]

    def test_too_many_are_put_together_where_least_is_lost(self) -> None:
        """10, 9, 2 and 0 kW for an hour each in three periods: 10 and 9 become 9, which loses 1 kWh; else it is 2."""
        start_s = np.array([0.0, 3600.0, 7200.0])

        found = periods_of(start_s, start_s + 3600.0, np.array([10.0, 9.0, 2.0]), begin_s=0, max_periods=3)

        assert found == [Period(0, 9.0), Period(7200, 2.0), Period(10800, 0.0)]

    def test_one_period_is_a_stop(self) -> None:
        """It would last for ever."""
        assert periods_of(np.zeros(1), np.ones(1), np.ones(1), begin_s=0, max_periods=1) == [Period(0, 0.0)]

    def test_nothing(self) -> None:
        """No rows: a stop."""
        assert periods_of(NOTHING, NOTHING, NOTHING, begin_s=0, max_periods=1) == [Period(0, 0.0)]

    @settings(max_examples=50)
    @given(st.lists(st.integers(0, 6), min_size=1, max_size=8), st.integers(2, 6))
    def test_no_way_of_putting_together_loses_less(self, powers_kw: list[int], most: int) -> None:
        """Against every way to cut the time into as many parts."""
        start_s = np.arange(len(powers_kw), dtype=np.float64)

        found = periods_of(start_s, start_s + 1.0, np.array(powers_kw, dtype=np.float64), begin_s=0, max_periods=most)

        assert len(found) <= most
        assert found[-1].power_kw == 0.0
        kept = sum(before.power_kw * (after.offset_s - before.offset_s) for before, after in pairwise(found))
        assert kept == pytest.approx(most_kept(powers_kw, most - 1))


def most_kept(powers_kw: list[int], parts: int) -> float:
    """The most energy in so many parts of constant power below the plan, by trying all."""
    if not powers_kw or parts == 0:
        return 0.0
    return max(
        min(powers_kw[:first]) * first + most_kept(powers_kw[first:], parts - 1)
        for first in range(1, len(powers_kw) + 1)
    )


class TestSchemas:
    """The JSON schemas of the Open Charge Alliance, as the package ocpp carries them."""

    @settings(max_examples=20)
    @given(cases(rasters=[15, 60]), st.sampled_from(list(RateUnit)), st.integers(1, 30))
    def test_every_request_is_valid_and_never_above_the_plan(self, case: Case, unit: RateUnit, most: int) -> None:
        """Both versions; the power of a profile is at no second above what is planned at that charger."""
        rows = PlannedRows.of_schedule(optimize(case.scenario, case.options))
        options = ProfileOptions(unit=unit, max_periods=most)
        ways: list[tuple[str, Callable[..., list[dict[str, Any]]]]] = [
            ("1.6", ocpp16_profiles),
            ("2.0.1", ocpp201_profiles),
        ]
        for version, profiles in ways:
            for entry in profiles(rows, case.site, options):
                asyncio.run(validate_payload(Call("1", "SetChargingProfile", entry["request"]), version))
                schedule = (
                    entry["request"]["csChargingProfiles"]["chargingSchedule"]
                    if version == "1.6"
                    else entry["request"]["chargingProfile"]["chargingSchedule"][0]
                )
                assert_below(schedule, rows, case.site, entry["charger_id"], unit)


def assert_below(schedule: dict[str, Any], rows: PlannedRows, site: Site, charger_id: str, unit: RateUnit) -> None:
    """The power of a profile is nowhere above the plan's, and it ends with a stop."""
    periods = schedule["chargingSchedulePeriod"]
    begin_s = datetime.fromisoformat(schedule["startSchedule"]).timestamp()
    offsets_s = [period["startPeriod"] for period in periods]
    assert offsets_s[0] == 0
    assert offsets_s == sorted(set(offsets_s))
    assert periods[-1]["limit"] == 0
    for period, until_s in zip(periods[:-1], offsets_s[1:], strict=True):
        factor = 1.0 if unit is RateUnit.W else period["numberPhases"] * site.nominal_voltage_v
        for instant_s in (begin_s + period["startPeriod"], begin_s + until_s - 0.5):
            planned_kw = sum(
                power_kw
                for session_id, start_s, end_s, power_kw in zip(
                    rows.session_ids, rows.start_s.tolist(), rows.until_s.tolist(), rows.power_kw.tolist(), strict=True
                )
                if rows.sessions[session_id] == charger_id and start_s <= instant_s < end_s
            )
            assert period["limit"] * factor <= planned_kw * 1000 * (1 + 1e-6) + 1e-3


class TestTables:
    def test_csv(self) -> None:
        """The schedule as in schedule.csv; the chargers over the whole window."""
        found = csv_tables(planned(("S1", 0, 1, 10.0)), make_site())

        assert found["schedule"].decode() == (
            "session_id,charger_id,start,end,power_kw\nS1,C1,2026-03-02T09:00:00+01:00,2026-03-02T10:00:00+01:00,10.0\n"
        )
        assert found["chargers"].decode().splitlines()[1:] == [
            "C1,2026-03-02T09:00:00+01:00,2026-03-02T10:00:00+01:00,10.0",
            "C1,2026-03-02T10:00:00+01:00,2026-03-02T11:00:00+01:00,0.0",
        ]

    def test_parquet(self) -> None:
        """Typed: instants are instants, power is a number; also of a plan without rows."""
        frame = pd.read_parquet(io.BytesIO(parquet_tables(planned(("S1", 0, 1, 10.0)), make_site())["schedule"]))
        empty = pd.read_parquet(io.BytesIO(parquet_tables(planned(), make_site())["schedule"]))

        assert frame["start"].tolist() == [pd.Timestamp(MORNING)]
        assert frame["power_kw"].tolist() == [10.0]
        assert list(empty.columns) == list(frame.columns)
        assert empty.empty


class TestFolder:
    def test_a_result_in_every_form(self, tmp_path: Path) -> None:
        """Each takes the place of the one before, whole; the rows are those of the result and of the plan document."""
        scenario = make_scenario(forecasts=[make_forecast()])
        schedule = make_schedule()
        write_result(tmp_path / "r", schedule, scenario, OptimizeOptions())
        written = read_result(tmp_path / "r", scenario)

        for how in ExportFormat:
            names = write_export(tmp_path / "e", written, scenario.site, how, WATTS)
            assert sorted(path.name for path in (tmp_path / "e").iterdir()) == sorted(names)

        write_export(tmp_path / "e", written, scenario.site, ExportFormat.OCPP16, WATTS)
        found = json.loads((tmp_path / "e" / "ocpp16.json").read_text(encoding="utf-8"))
        document = json.loads(json.dumps(to_plan_document(schedule, scenario, OptimizeOptions())))
        assert found == ocpp16_profiles(PlannedRows.of_schedule(schedule), scenario.site, WATTS)
        assert found == ocpp16_profiles(PlannedRows.of_document(document), scenario.site, WATTS)

    def test_a_folder_of_something_else_stays(self, tmp_path: Path) -> None:
        """Nothing is lost to a mistyped name."""
        scenario = make_scenario()
        write_result(tmp_path / "r", replace(make_schedule(), why=None), scenario, OptimizeOptions())
        written = read_result(tmp_path / "r", scenario)

        with pytest.raises(InputError, match="no export has"):
            write_export(tmp_path / "r", written, scenario.site, ExportFormat.OCPI, WATTS)
        assert (tmp_path / "r" / "summary.json").is_file()
