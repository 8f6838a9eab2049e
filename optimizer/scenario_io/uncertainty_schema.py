"""What uncertainty.json holds, field by field, and the way to the domain."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from models.domain.uncertainty import MAX_SURPRISES, DepartureErrors, Surprise, Uncertainty
from optimizer.scenario_io.fields import SiteEntry


class SurpriseEntry(SiteEntry):
    """One way in which the future may differ from what is believed."""

    probability: float = Field(gt=0, le=1, allow_inf_nan=False, description="How likely it is")
    departure_level: float | None = Field(
        default=None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Quantile of the departure errors at which all vehicles leave; null: as believed",
    )
    capacity_share: float = Field(
        default=1.0, ge=0, le=1, allow_inf_nan=False, description="What is left of every group's limit"
    )

    def to_domain(self) -> Surprise:
        """The surprise."""
        return Surprise(
            probability=self.probability,
            departure_level=self.departure_level,
            capacity_share=self.capacity_share,
        )


class UncertaintyFile(SiteEntry):
    """uncertainty.json: what a plan is to be prepared for."""

    model_config = ConfigDict(frozen=True, extra="allow", validate_by_name=True, validate_by_alias=True)

    schema_version: Literal[1] = Field(alias="schema", description="Version of this format")
    departure_error_hours: tuple[float, ...] | None = Field(
        default=None,
        min_length=2,
        max_length=1_000,
        description="Real departure less stated one, h: quantiles at evenly spread levels from 0 to 1, in order",
    )
    own_departure_error_hours: dict[str, tuple[float, ...]] = Field(
        default_factory=dict, description="The same of single sessions, by id, where more is known of them"
    )
    surprises: tuple[SurpriseEntry, ...] = Field(
        default=(),
        max_length=MAX_SURPRISES,
        description="What may come, the rest of the probability as believed; without any, each kWh is weighed by how "
        "likely the vehicle is still there",
    )

    def to_domain(self) -> Uncertainty:
        """The uncertainty.

        Raises:
            InputError: The errors are not in order, or missing, or probabilities exceed 1 together.
        """
        hours = self.departure_error_hours
        return Uncertainty(
            surprises=tuple(surprise.to_domain() for surprise in self.surprises),
            departure_errors=None if hours is None else DepartureErrors(hours=hours),
            own_departure_errors={
                session_id: DepartureErrors(hours=own) for session_id, own in self.own_departure_error_hours.items()
            },
        )
