"""The heartbeat message of OSCP 2.0: until when its sender counts as alive."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field

from models.oscp.v20.fields import WireInstant, is_none

MISSED_HEARTBEATS = 3
"""How many intervals a heartbeat holds. Source: decision; one peer promises 1 and flaps, others 2 and 3."""
SHORTEST_PROMISE = timedelta(seconds=30)
"""Source: decision."""


class Heartbeat(BaseModel):
    """Its sender may be taken as offline from ``offline_mode_at`` on, unless another heartbeat comes.

    Args:
        offline_mode_at: Required by the schema, None where a peer left it out: only `sent_at` makes one to send.

    Source: OSCP 2.0 JSON schema heartbeat.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    offline_mode_at: WireInstant | None = Field(default=None, exclude_if=is_none)

    @classmethod
    def sent_at(cls, now: datetime, *, interval_s: int) -> Heartbeat:
        """The heartbeat to send now, the next one being due after an interval."""
        return cls(offline_mode_at=offline_after(now, interval_s=interval_s))

    def offline_at(self, received_at: datetime, *, interval_s: int) -> datetime:
        """When its sender counts as offline: as it said, else as we would have said."""
        return self.offline_mode_at or offline_after(received_at, interval_s=interval_s)


def offline_after(heartbeat_at: datetime, *, interval_s: int) -> datetime:
    """Three intervals after a heartbeat, at least 30 s."""
    return heartbeat_at + max(timedelta(seconds=MISSED_HEARTBEATS * interval_s), SHORTEST_PROMISE)
