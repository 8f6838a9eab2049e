"""What each known implementation of OSCP does differently: one table, read wherever a peer is served or called.

Source of every entry: the implementations themselves, as observed on the wire or read in their public source.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class OptimumDelivery(StrEnum):
    """How a plan reaches a peer."""

    UPDATE = "update"
    """UpdateGroupCapacityForecast of type OPTIMUM, as the standard has it."""
    ADJUST = "adjust"
    """AdjustGroupCapacityForecast of type OPTIMUM, for a peer that refuses the former from a Capacity Optimizer."""
    NONE = "none"
    """Not by OSCP: the peer fetches the plan from the REST API."""


class AdjustRequest(StrEnum):
    """Whether and how another capacity is asked for."""

    NEVER = "never"
    BLOCKS = "blocks"
    """The blocks that are short, as they were stated."""
    WHOLE_DAY = "whole_day"
    """All whole hours of the local day, as Taipower's ELMO requires."""


class AdjustReason(StrEnum):
    """Why another capacity is asked for."""

    SHORTAGE = "shortage"
    """Somebody goes short: what the group would draw if only its connections limited it."""
    VALUE = "value"
    """The capacity advice: more where it is worth something, less where it is not needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerProfile:
    """How to speak with one implementation; the defaults are the standard.

    Args:
        name: Name of the profile.
        accept_bearer: Whether the scheme Bearer is accepted beside Token.
        require_request_id: Whether a request without X-Request-ID is refused.
        numeric_strings: Whether a capacity may be a number in a text.
        naive_times: Whether times without a zone are read, in the peer's time zone.
        naive_heartbeats: Whether our heartbeats are written as ``YYYY-MM-DD HH:MM:SS`` in the peer's time zone.
        acknowledge_path: Path of a HandshakeAcknowledge we send.
        start_handshake: Whether we start the handshake as soon as the peer is registered, instead of waiting for one.
        heartbeat_interval_s: Heartbeats we ask for, s; None for the server's setting.
        optimum_delivery: How a plan reaches the peer.
        adjust_request: Whether and how we ask for another capacity.
        adjust_reason: Why we do.
        delete_with_body: Whether DELETE /register carries a Register.
        ampere_all_per_conductor: Whether A with phase ALL is the current of each of three conductors; else their sum.
        registers: Whether the peer takes part in the registration; one that does not keeps the tokens it was given.
    """

    name: str
    accept_bearer: bool = False
    require_request_id: bool = True
    numeric_strings: bool = False
    naive_times: bool = False
    naive_heartbeats: bool = False
    acknowledge_path: str = "/handshake_acknowledge"
    start_handshake: bool = False
    heartbeat_interval_s: int | None = None
    optimum_delivery: OptimumDelivery = OptimumDelivery.UPDATE
    adjust_request: AdjustRequest = AdjustRequest.NEVER
    adjust_reason: AdjustReason = AdjustReason.SHORTAGE
    delete_with_body: bool = False
    ampere_all_per_conductor: bool = True
    registers: bool = True


STANDARD = PeerProfile(name="standard")

PROFILES = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            STANDARD,
            # Answers 403 to an OPTIMUM from a Capacity Optimizer, takes its AdjustGroupCapacityForecast, never starts
            # a handshake, and beats once a minute however short the interval.
            PeerProfile(
                name="solarnetwork",
                require_request_id=False,
                start_handshake=True,
                heartbeat_interval_s=60,
                optimum_delivery=OptimumDelivery.ADJUST,
                adjust_request=AdjustRequest.BLOCKS,
            ),
            # Spells the path its own way, reads and writes heartbeats in naive local time, and never acknowledges a
            # handshake that has no interval.
            PeerProfile(
                name="pyoscp",
                require_request_id=False,
                naive_times=True,
                naive_heartbeats=True,
                acknowledge_path="/handshake_acknowledgment",
                start_handshake=True,
                heartbeat_interval_s=60,
            ),
            # Behind it stands a provider that takes requests of 24 whole hours of one day, and sends no heartbeats.
            PeerProfile(name="elmo", adjust_request=AdjustRequest.WHOLE_DAY),
            PeerProfile(
                name="oscp-sdk",
                accept_bearer=True,
                numeric_strings=True,
                delete_with_body=True,
            ),
            # OAuth and static headers in place of a registration.
            PeerProfile(name="vector", accept_bearer=True, registers=False),
        )
    }
)
