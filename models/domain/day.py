"""A day as it was, and what of it was known at each instant: for playing it again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType

import numpy as np

from models.domain.capacity import CapacityBlock, CapacityForecast, CapacityForecasts
from models.domain.pickling import reduced
from models.domain.scenario import Scenario
from models.domain.tariff import EnergyTariff
from models.domain.time_grid import FloatArray, require_aware
from models.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverStatement:
    """What a driver says on arrival; it may turn out wrong.

    Args:
        departure: When the driver means to leave; None where nothing was said.
        energy_kwh: What the driver asks for, kWh; None where nothing was said.

    Raises:
        InputError: The energy is negative or not finite, or the departure has no time zone.
    """

    departure: datetime | None = None
    energy_kwh: float | None = None

    def __post_init__(self) -> None:
        if self.departure is not None:
            require_aware(self.departure, "stated departure")
        if self.energy_kwh is not None and not (math.isfinite(self.energy_kwh) and self.energy_kwh >= 0):
            raise InputError(f"a stated energy is {self.energy_kwh} kWh; it must be finite and not negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedForecast:
    """A message, and when it came.

    Args:
        forecast: What it says.
        received_at: Before that nobody knew of it, and nothing it says held; None where it was known all along.
    """

    forecast: CapacityForecast
    received_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.received_at is not None:
            require_aware(self.received_at, "received_at")

    @property
    def received_s(self) -> float:
        """When it came, seconds since the epoch; minus infinity where it was known from the beginning."""
        return -math.inf if self.received_at is None else self.received_at.timestamp()

    def in_force(self) -> CapacityForecast | None:
        """What of it lies after its arrival; None where nothing does."""
        if self.received_at is None:
            return self.forecast
        since = self.received_at.astimezone(UTC)
        blocks = tuple(_from(block, since) for block in self.forecast.blocks if block.end > since)
        return replace(self.forecast, blocks=blocks) if blocks else None


def _from(block: CapacityBlock, since: datetime) -> CapacityBlock:
    return block if block.start >= since else replace(block, start=since)


def forecasts_in_force(messages: Iterable[ReceivedForecast]) -> CapacityForecasts:
    """What held at each instant: a message changes nothing before its arrival.

    Args:
        messages: In the order of their arrival.
    """
    held = (message.in_force() for message in messages)
    return CapacityForecasts.from_messages(forecast for forecast in held if forecast is not None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecordedDay:
    """What happened, and when it became known.

    Args:
        scenario: What happened: when vehicles really left, what they really took, all prices, and the limits that held.
        statements: What drivers said, by session; who is left out said nothing but the truth.
        messages: The forecasts in the order of their arrival.
        price_known_s: (B,), when each block of the tariff became known, seconds since the epoch, minus infinity for
            from the beginning; None where all were.

    Raises:
        InputError: A statement is of no session, or the messages are not in the order of their arrival.
    """

    scenario: Scenario
    statements: Mapping[str, DriverStatement] = field(default_factory=lambda: MappingProxyType({}))
    messages: tuple[ReceivedForecast, ...] = ()
    price_known_s: FloatArray | None = None

    def __reduce__(self) -> tuple[Callable[[], RecordedDay], tuple[()]]:
        return reduced(self)

    def __post_init__(self) -> None:
        unknown = self.statements.keys() - {session.session_id for session in self.scenario.sessions}
        if unknown:
            raise InputError(f"a driver's statement names the unknown session {min(unknown)!r}")
        received = [message.received_s for message in self.messages]
        if received != sorted(received):
            raise InputError("the forecasts are not in the order of their arrival; sort them by received_at")

    def forecasts_at(self, instant_s: float) -> CapacityForecasts:
        """What is known of capacities at an instant, seconds since the epoch.

        Where anything is ever said of a group, it has no capacity before the first of it holds: a gap never means
        unlimited.
        """
        known = forecasts_in_force(message for message in self.messages if message.received_s <= instant_s)
        ever = dict.fromkeys(self.scenario.forecasts.series, ())
        return CapacityForecasts(series=MappingProxyType({**ever, **known.series}))

    def tariff_at(self, instant_s: float) -> EnergyTariff | None:
        """The prices that are known at an instant, seconds since the epoch; None where none is."""
        tariff = self.scenario.tariff
        if tariff is None or self.price_known_s is None:
            return tariff
        known = self.price_known_s <= instant_s
        if not known.any():
            return None
        return EnergyTariff(
            start_s=tariff.start_s[known],
            end_s=tariff.end_s[known],
            import_price_per_kwh=tariff.import_price_per_kwh[known],
            export_price_per_kwh=tariff.export_price_per_kwh[known],
        )

    def news_s(self) -> FloatArray:
        """Every instant at which a forecast came, in order, seconds since the epoch."""
        received = np.array([message.received_s for message in self.messages])
        return np.unique(received[np.isfinite(received)])
