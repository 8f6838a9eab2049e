"""The handshake messages of OSCP 2.0: what each side wants the other to send, and how often."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from models.oscp.v20.enums import MeasurementConfiguration
from models.oscp.v20.fields import is_none, null_as

MAX_HEARTBEAT_INTERVAL_S = 31_536_000
"""A year: keeps every instant that follows from it within the calendar."""


def _to_whole_seconds(value: object) -> object:
    # One peer writes 60.0; the schema allows 60.5, and a heartbeat that comes too early breaks no promise.
    return math.floor(value) if isinstance(value, float) and math.isfinite(value) else value


def _unique(configurations: tuple[MeasurementConfiguration, ...]) -> tuple[MeasurementConfiguration, ...]:
    if len(set(configurations)) < len(configurations):
        raise ValueError("a measurement configuration is listed twice")
    return configurations


HeartbeatInterval = Annotated[
    int, Field(strict=True, ge=1, le=MAX_HEARTBEAT_INTERVAL_S), BeforeValidator(_to_whole_seconds)
]


class RequiredBehaviour(BaseModel):
    """What its sender wants of the other side.

    Args:
        heartbeat_interval: Seconds between the heartbeats it wants to receive, a fraction cut off; None for no wish.
        measurement_configuration: How it wants measurements aggregated; empty for no wish. Peers leave it out; it is
            always written, for one peer refuses a message without it.

    Source: OSCP 2.0 JSON schema required-behaviour. That a heartbeat interval is whole when written is a decision:
    one peer refuses others.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    heartbeat_interval: HeartbeatInterval | None = Field(default=None, exclude_if=is_none)
    measurement_configuration: Annotated[
        tuple[MeasurementConfiguration, ...],
        Field(max_length=len(MeasurementConfiguration)),
        AfterValidator(_unique),
        null_as(()),
    ] = ()


class _HandshakeBody(BaseModel):
    """The body of both messages; peers leave out any part of it, or send the behaviour itself in its place."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    required_behaviour: Annotated[RequiredBehaviour, null_as(RequiredBehaviour())] = RequiredBehaviour()

    @model_validator(mode="before")
    @classmethod
    def _from_flat_body(cls, body: Any) -> Any:  # noqa: ANN401 - whatever the peer sent
        flat = isinstance(body, dict) and "required_behaviour" not in body and body.keys() & _BEHAVIOUR_FIELDS
        return {"required_behaviour": body} if flat else body


_BEHAVIOUR_FIELDS = RequiredBehaviour.model_fields.keys()


class Handshake(_HandshakeBody):
    """What its sender wants from now on; a later one replaces it.

    Source: OSCP 2.0 section 4.3.2 and JSON schema handshake; the flat body is that of oscp-go and oscp-sdk.
    """


class HandshakeAcknowledge(_HandshakeBody):
    """The answer to a `Handshake`, with the wishes of the other side.

    Source: OSCP 2.0 section 4.3.3 and JSON schema handshake-acknowledge.
    """
