"""The forecast messages of OSCP 2.0: what is read is bounded, what is written every known peer can read."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.oscp.v20.enums import CapacityForecastType, ForecastedBlockUnit, PhaseIndicator
from models.oscp.v20.fields import Capacity, GroupId, WireInstant, to_wire_text

MAX_BLOCKS = 10_000
"""Most blocks of one message: more than a hundred days of quarters of an hour, where peers send one or two days."""


class ForecastedBlock(BaseModel):
    """One interval of a forecast; holds from ``start_time`` up to ``end_time``.

    Source: OSCP 2.0 JSON schema forecasted-block. That the end is after the start, in milliseconds, is a decision.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    capacity: Capacity
    phase: PhaseIndicator
    unit: ForecastedBlockUnit
    start_time: WireInstant
    end_time: WireInstant

    @model_validator(mode="after")
    def _end_after_start(self) -> ForecastedBlock:
        if self.end_time <= self.start_time:
            raise ValueError(
                f"end_time {to_wire_text(self.end_time)} is not after start_time {to_wire_text(self.start_time)}"
            )
        return self


ForecastedBlocks = Annotated[tuple[ForecastedBlock, ...], Field(min_length=1, max_length=MAX_BLOCKS)]


class GroupCapacityForecast(BaseModel):
    """Blocks of one type for one group; unordered, with gaps or overlaps, as peers like it.

    The body that `UpdateGroupCapacityForecast` and `AdjustGroupCapacityForecast` have in common.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    group_id: GroupId
    type: CapacityForecastType
    forecasted_blocks: ForecastedBlocks


class UpdateGroupCapacityForecast(GroupCapacityForecast):
    """What a group may draw or feed in, or, of type OPTIMUM, what it best would.

    Source: OSCP 2.0 section 4.4.1 and JSON schema update-group-capacity-forecast.
    """


class AdjustGroupCapacityForecast(GroupCapacityForecast):
    """A wish for another capacity; it promises nothing, an agreement comes as an `UpdateGroupCapacityForecast`.

    Source: OSCP 2.0 section 4.4.2 and JSON schema adjust-group-capacity-forecast.
    """
