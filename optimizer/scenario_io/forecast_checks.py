"""Forecasts of capacity that must fit their site."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from models.domain.capacity import CapacityForecast
from models.domain.day import ReceivedForecast
from models.domain.group import Site
from models.errors import FileInputError, InputError
from models.oscp.v20 import UpdateGroupCapacityForecast, to_capacity_forecast
from optimizer.scenario_io.row_schemas import ReceivedMessage
from optimizer.scenario_io.rows import cell, did_you_mean
from optimizer.scenario_io.scenario_files import FORECASTS_FILE, SITE_FILE


def read_received(messages: Iterable[ReceivedMessage], site: Site) -> tuple[ReceivedForecast, ...]:
    """The forecasts of messages in the order of their arrival; one that says nothing of it came with the one before.

    Raises:
        FileInputError: A message is no forecast of the site, or came before the one above it.
    """
    found: list[ReceivedForecast] = []
    since: datetime | None = None
    for row, message in enumerate(messages, start=1):
        if message.received_at is not None and since is not None and message.received_at < since:
            raise FileInputError(
                FORECASTS_FILE,
                f"the message before it came at {cell(since, site.time_zone)}; put them in the order of their arrival",
                row=row,
                field="received_at",
                value=cell(message.received_at, site.time_zone),
            )
        since = message.received_at or since
        found.append(ReceivedForecast(forecast=read_forecast(message, row, site), received_at=since))
    return tuple(found)


def read_forecast(message: UpdateGroupCapacityForecast, row: int, site: Site) -> CapacityForecast:
    """The forecast of a message, whose row is named in errors.

    Raises:
        FileInputError: The site has no such group, or a block cannot be understood.
    """
    try:
        forecast = to_capacity_forecast(message, voltage_v=site.nominal_voltage_v)
    except InputError as error:
        raise FileInputError(FORECASTS_FILE, str(error), row=row, field="forecasted_blocks") from error
    if not site.has_group(forecast.group_id):
        known = [group.group_id for group in site.groups]
        reason = f"{SITE_FILE} has no such group{did_you_mean(forecast.group_id, known)}"
        raise FileInputError(FORECASTS_FILE, reason, row=row, field="group_id", value=forecast.group_id)
    return forecast
