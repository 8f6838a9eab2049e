"""Forecasts that are refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.optimizer.refusals.refused import assert_refused
from tests.optimizer.scenario_folder import block_json, message_json, write_json


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
