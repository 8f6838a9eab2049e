"""Capacity forecasts as a table, one row for each block, instead of OSCP messages in JSON."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from models.errors import FileInputError
from models.oscp.v20 import (
    CapacityForecastType,
    ForecastedBlock,
    ForecastedBlockUnit,
    PhaseIndicator,
    UpdateGroupCapacityForecast,
)
from models.oscp.v20.fields import MAX_CAPACITY
from models.oscp.v20.forecast import MAX_BLOCKS
from optimizer.scenario_io.fields import Id, Instant
from optimizer.scenario_io.rows import Rows


class ForecastRow(BaseModel):
    """A row of a table of forecasts: one block of an OSCP message UpdateGroupCapacityForecast."""

    model_config = ConfigDict(frozen=True)

    message: int = Field(default=1, ge=0, description="Number of the message; a higher one came later")
    group_id: Id = Field(description="The group")
    type: CapacityForecastType = Field(description="What the capacity is of, such as CONSUMPTION")
    capacity: float = Field(ge=0, le=MAX_CAPACITY, allow_inf_nan=False, description="In the unit beside it")
    phase: PhaseIndicator = Field(default=PhaseIndicator.ALL, description="Which conductor it is about")
    unit: ForecastedBlockUnit = Field(description="A, W, KW, WH or KWH")
    start_time: Instant = Field(description="First instant at which it holds, ISO 8601 with offset")
    end_time: Instant = Field(description="First instant at which it does not hold any more, ISO 8601 with offset")

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.end_time <= self.start_time:
            raise PydanticCustomError(
                "order", "Input should be after the {other}", {"field": "end_time", "other": "start_time"}
            )
        return self

    def to_block(self) -> ForecastedBlock:
        """The block of the message."""
        return ForecastedBlock(
            capacity=self.capacity,
            phase=self.phase,
            unit=self.unit,
            start_time=self.start_time,
            end_time=self.end_time,
        )


def to_messages(rows: Rows[ForecastRow]) -> tuple[UpdateGroupCapacityForecast, ...]:
    """The messages that the rows were taken from, in the order of their numbers, then of their first rows.

    Rows of the same message number, group and type are the blocks of one message.

    Raises:
        FileInputError: A row is no block, or a message has too many.
    """
    blocks: dict[tuple[int, str, CapacityForecastType], list[ForecastedBlock]] = {}
    for index, row in rows.rows():
        of_message = blocks.setdefault((row.message, row.group_id, row.type), [])
        of_message.append(row.to_block())
        if len(of_message) > MAX_BLOCKS:
            reason = f"the message has more than {MAX_BLOCKS} blocks; number messages apart in the column message"
            raise rows.error(index, reason, field="message", value=row.message)
    if not blocks:
        raise FileInputError(rows.name, "it has no forecasts; fill it, or remove it to plan without")
    ordered = sorted(blocks.items(), key=lambda item: item[0][0])
    return tuple(
        UpdateGroupCapacityForecast(group_id=group_id, type=kind, forecasted_blocks=tuple(found))
        for (_, group_id, kind), found in ordered
    )
