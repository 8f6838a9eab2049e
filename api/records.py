"""What is stored, as plain values: what the database gives out and takes in."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from api.profiles import PROFILES, PeerProfile


class PeerState(StrEnum):
    """How far the registration with a peer has come."""

    INVITED = "invited"
    """Has a TOKEN_A from us, and has not used it yet."""
    STARTING = "starting"
    """We are to register there, or wait for the reply."""
    REPLYING = "replying"
    """Has registered here; our reply is on its way."""
    REGISTERED = "registered"
    UNREGISTERED = "unregistered"
    """Has unregistered, or was revoked; no token of the pair is valid any more."""
    FAILED = "failed"
    """The registration came to no end; the operator has to issue a new token."""


class TokenKind(StrEnum):
    """What a token we issued is for."""

    INITIAL = "initial"
    """TOKEN_A: for the peer's first Register."""
    OFFERED = "offered"
    """TOKEN_B: sent in a Register that we started; a Register that presents it is the reply."""
    CURRENT = "current"
    """What the peer presents once registered; after a replacement, the old one until its grace ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A flexibility provider.

    Args:
        peer_id: Ours.
        name: The operator's name for it, unique.
        profile_name: Key of `api.profiles.PROFILES`.
        overrides: Fields of the profile that are different for this peer.
        time_zone: IANA zone of times without one; None for the server's setting.
        state: How far its registration has come.
        base_url: What paths of messages to it are appended to; None while unknown.
        outbound_token: What we present to it; None while unknown.
        created_at: When the operator created it.
        registered_at: When its registration was last completed.
        heartbeat_interval_s: Heartbeats it wants from us, s; None for none.
        measurement_configuration: How it wants measurements aggregated.
        next_heartbeat_at: When we send the next one; None for never.
        handshake_due_at: When we start a handshake unless one has come; None for never.
        handshake_at: When it last sent a Handshake or acknowledged ours.
        last_heard_at: When it last sent anything.
        offline_at: From when it counts as offline; None while it has sent no heartbeat.
        offline: Whether it was found to be offline.
        last_error: What last went wrong in speaking with it; empty after a success.
    """

    peer_id: str
    name: str
    profile_name: str
    overrides: dict[str, Any] = field(default_factory=dict)
    time_zone: str | None = None
    state: PeerState
    base_url: str | None = None
    outbound_token: str | None = field(default=None, repr=False)
    created_at: datetime
    registered_at: datetime | None = None
    heartbeat_interval_s: int | None = None
    measurement_configuration: tuple[str, ...] = ()
    next_heartbeat_at: datetime | None = None
    handshake_due_at: datetime | None = None
    handshake_at: datetime | None = None
    last_heard_at: datetime | None = None
    offline_at: datetime | None = None
    offline: bool = False
    last_error: str = ""

    @property
    def profile(self) -> PeerProfile:
        """How to speak with it."""
        return replace(PROFILES[self.profile_name], **self.overrides)


class EventKind(StrEnum):
    """What a peer told us of a site."""

    FORECAST = "forecast"
    """UpdateGroupCapacityForecast."""
    ASSET_MEASUREMENTS = "asset_measurements"
    GROUP_MEASUREMENTS = "group_measurements"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A message about one group of a site, in the order of its arrival.

    Args:
        version: The site's version it made; no two events of a site share one.
        kind: Which message.
        group_id: The group.
        received_at: When it came.
        request_id: Its X-Request-ID; empty where it had none.
        body: The validated message as JSON, as `models.oscp.v20` writes it (capacities with every digit).
    """

    version: int
    kind: EventKind
    group_id: str
    received_at: datetime
    request_id: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """A charging session as stated.

    Args:
        document: The row of sessions.csv as JSON.
        stated_at: When its energy was last stated; energy measured after that reduces what it still needs.
    """

    session_id: str
    document: str
    stated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSite:
    """A site of a peer.

    Args:
        site_id: Its id, unique on this server.
        peer_id: Whose it is; nobody else sees it.
        document: site.json as JSON.
        version: Counts everything that was said about the site; every message and change has one of its own.
        change_version: The last version that asks for a new plan.
        limit_version: The last version that changed a limit.
        attended_version: Up to where the planner has looked.
        planned_version: Up to where the published plan knows.
        due_at: When to plan again though nothing changes; None for never.
        updated_at: When anything was last said about it.
        last_error: Why the last attempt to plan failed; empty after a success.
    """

    site_id: str
    peer_id: str
    document: str
    version: int
    change_version: int
    limit_version: int
    attended_version: int
    planned_version: int
    due_at: datetime | None
    updated_at: datetime
    last_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteLease:
    """The right to plan a site, held by one server at a time.

    Args:
        site_id: The site.
        token: Names this lease; what is done under a lease that has passed to another is refused.
        until: When it ends unless renewed.
        waited_s: How long the site had waited for it, s: since its last change, or since it was due.
    """

    site_id: str
    token: str
    until: datetime
    waited_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteWork:
    """All that is known of a site, read at one instant.

    Args:
        site: The site.
        peer: Whose it is.
        sessions: Every session that has not departed, in order of id.
        prices: The rows of prices.csv as JSON, in order of time; None where none were given.
        snapshot: The state as `api.site_state` wrote it; None at first.
        events: What came after the snapshot, in order of version.
        plan: The plan in force; None where there is none.
    """

    site: StoredSite
    peer: Peer
    sessions: tuple[StoredSession, ...]
    prices: str | None
    snapshot: str | None
    events: tuple[Event, ...]
    plan: StoredPlan | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPlan:
    """A published plan.

    Args:
        plan_id: Its id.
        site_id: The site.
        version: The site's version it knows of.
        made_at: When it was made.
        start: First instant it covers.
        end: First instant it does not cover any more.
        status: As in `models.domain.ScheduleStatus`.
        document: Summary and schedule as JSON (see `optimizer.scenario_io.plan_document`).
        unmet_kwh: Energy that it leaves undelivered and could have been served, kWh.
        gap: How far it may be from the best plan, as a share; None where nothing is known of that.
        limit_margin_kw: Least distance from a limit, kW; None where nothing limits.
    """

    plan_id: str
    site_id: str
    version: int
    made_at: datetime
    start: datetime
    end: datetime
    status: str
    document: str
    unmet_kwh: float | None = None
    gap: float | None = None
    limit_margin_kw: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFigures:
    """The plan in force of a site in figures; None where it was made before they were noted, or nothing limits.

    Args:
        site_id: The site.
        made_at: When it was made.
        status: As in `models.domain.ScheduleStatus`.
        unmet_kwh: See `StoredPlan`.
        gap: See `StoredPlan`.
        limit_margin_kw: See `StoredPlan`.
    """

    site_id: str
    made_at: datetime
    status: str
    unmet_kwh: float | None
    gap: float | None
    limit_margin_kw: float | None


class OutboxKind(StrEnum):
    """What is sent to a peer."""

    REGISTER = "register"
    """A Register that we start."""
    REGISTER_REPLY = "register_reply"
    UNREGISTER = "unregister"
    HANDSHAKE = "handshake"
    HANDSHAKE_ACKNOWLEDGE = "handshake_acknowledge"
    OPTIMUM = "optimum"
    ADJUST = "adjust"


class OutboxState(StrEnum):
    """What became of a message to a peer."""

    PENDING = "pending"
    DELIVERED = "delivered"
    SUPERSEDED = "superseded"
    """A newer one took its place before it went out."""
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message to put into the outbox.

    Args:
        peer_id: Whom it is for.
        kind: What it is.
        lane: Messages of one peer and lane go out one after the other: "control", or kind and group.
        body: JSON; None where it is made when sent (a Register has a token, which is never stored).
        request_id: Its X-Request-ID, the same for every attempt.
        correlation_id: X-Request-ID of the message it answers; empty for none.
        site_id: The site it is about; None for none.
        group_id: The group it is about; None for none.
        plan_id: The plan it comes from; None for none.
        not_before: When it may go out first.
    """

    peer_id: str
    kind: OutboxKind
    lane: str
    body: str | None
    request_id: str
    correlation_id: str = ""
    site_id: str | None = None
    group_id: str | None = None
    plan_id: str | None = None
    not_before: datetime | None = None


CONTROL_LANE = "control"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxMessage:
    """A message in the outbox, with what became of it so far.

    Args:
        outbox_id: Increasing in the order of creation.
        message: What is sent.
        state: What became of it.
        created_at: When it was put there.
        attempts: How often it was tried.
        next_attempt_at: When it is tried next.
        finished_at: When it was delivered, superseded or given up.
        last_error: Why the last attempt failed.
    """

    outbox_id: int
    message: NewMessage
    state: OutboxState
    created_at: datetime
    attempts: int
    next_attempt_at: datetime
    finished_at: datetime | None
    last_error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of a message.

    Args:
        index: One-based.
        count: How many there are.
        request_id: X-Request-ID of the segment.
        correlation_id: Its X-Correlation-ID; empty for none.
        body: As it came.
    """

    index: int
    count: int
    request_id: str
    correlation_id: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """Somebody who is signed in to the page.

    Args:
        peer_id: The peer whose token was given; None for the operator.
        expires_at: When it ends unless it is used.
    """

    peer_id: str | None
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteStamp:
    """A text that is another one as soon as anything of a site is.

    Args:
        site_id: The site.
        peer_id: Whose it is.
        stamp: The text; it means nothing by itself.
    """

    site_id: str
    peer_id: str
    stamp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStamp:
    """The same of a peer and the messages to it."""

    peer_id: str
    stamp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    """A message about a group, without its body.

    Args:
        version: The site's version it made.
        kind: Which message.
        peer_id: Who sent it.
        site_id: The site.
        group_id: The group.
        received_at: When it came.
        request_id: Its X-Request-ID; empty where it had none.
        head: The first characters of its body.
        characters: How many it has.
    """

    version: int
    kind: EventKind
    peer_id: str
    site_id: str
    group_id: str
    received_at: datetime
    request_id: str
    head: str
    characters: int
