"""The message of OSCP 2.0 that says a forecast cannot be kept."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from models.oscp.v20.fields import MessageText, is_none
from models.oscp.v20.forecast import ForecastedBlocks


class GroupCapacityComplianceError(BaseModel):
    """A forecast cannot be kept; which one, only the header X-Correlation-ID tells.

    Args:
        message: Why.
        forecasted_blocks: The blocks that cannot be kept; None where they are not named.

    Source: OSCP 2.0 JSON schema group-capacity-compliance-error.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    message: MessageText
    forecasted_blocks: ForecastedBlocks | None = Field(default=None, exclude_if=is_none)
