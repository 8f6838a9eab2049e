"""What requests and answers of the REST API hold, field by field, with units."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from api.profiles import PROFILES, AdjustReason, AdjustRequest, OptimumDelivery
from api.records import OutboxKind, OutboxMessage, OutboxState, Peer, PeerState
from models.domain import CapacityKind, Phase
from models.oscp.v20 import AdjustGroupCapacityForecast, UpdateGroupCapacityForecast
from optimizer.options import (
    DEFAULT_LINE_SIDES,
    MAX_LINE_SIDES,
    MAX_MINIMUM_RUN,
    MIN_LINE_SIDES,
    Fairness,
    LimitMode,
    LineForm,
    PilotMode,
    Strategy,
)
from optimizer.scenario_io import PriceRow, SessionRow, SiteFile
from optimizer.scenario_io.advice_document import AdviceFile
from optimizer.scenario_io.asset_schemas import AssetPowerRow, CarbonRow, TariffFile
from optimizer.scenario_io.documents import MAX_MESSAGES, MAX_ROWS
from optimizer.scenario_io.fields import ID_PATTERN, Id, Instant
from optimizer.scenario_io.result_schemas import (
    AssetRow,
    GroupRow,
    LineRow,
    ScheduleRow,
    SessionResultRow,
    SummaryFile,
)
from optimizer.scenario_io.why_document import WhyFile

MAX_URL_LENGTH = 2_048
MAX_TOKEN_LENGTH = 512
VISIBLE_ASCII = r"^[\x21-\x7e]+$"
"""What a header can carry; a line break in a token would begin a header of its own."""
MAX_HEARTBEAT_S = 86_400


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("must be a time zone of the IANA database, such as Europe/Amsterdam") from None
    return name


def _known_profile(name: str) -> str:
    if name not in PROFILES:
        raise ValueError(f"must be one of {', '.join(PROFILES)}")
    return name


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


TimeZone = Annotated[
    str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$"), AfterValidator(_known_zone)
]
ProfileName = Annotated[
    str, Field(max_length=64, json_schema_extra={"enum": sorted(PROFILES)}), AfterValidator(_known_profile)
]
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=ID_PATTERN)]
Token = Annotated[str, Field(min_length=1, max_length=MAX_TOKEN_LENGTH, pattern=VISIBLE_ASCII)]
Url = Annotated[str, Field(min_length=1, max_length=MAX_URL_LENGTH, pattern=VISIBLE_ASCII)]


class ProfileOverrides(BaseModel):
    """Settings of a profile that are different for one peer; those left out are as the profile has them."""

    # What is sent in the wrong place may be a token: no error shows it.
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    accept_bearer: bool | None = Field(default=None, description="Accept the scheme Bearer beside Token")
    require_request_id: bool | None = Field(default=None, description="Refuse a request without X-Request-ID")
    numeric_strings: bool | None = Field(default=None, description="Take a capacity that is a number in a text")
    naive_times: bool | None = Field(default=None, description="Take times without a zone, in the peer's time zone")
    naive_heartbeats: bool | None = Field(
        default=None, description="Write our heartbeats as YYYY-MM-DD HH:MM:SS in the peer's time zone"
    )
    acknowledge_path: str | None = Field(
        default=None,
        max_length=128,
        pattern=r"^/[A-Za-z0-9_./-]+$",
        description="Path below its base URL to which our HandshakeAcknowledge goes",
    )
    start_handshake: bool | None = Field(default=None, description="Start the handshake as soon as it is registered")
    heartbeat_interval_s: int | None = Field(
        default=None, ge=1, le=MAX_HEARTBEAT_S, description="Heartbeats we ask for, s between two"
    )
    optimum_delivery: OptimumDelivery | None = Field(default=None, description="How a plan reaches the peer")
    adjust_request: AdjustRequest | None = Field(
        default=None, description="Whether and how another capacity is asked for"
    )
    adjust_reason: AdjustReason | None = Field(
        default=None,
        description="Why it is: shortage: more, where somebody goes short; value: more where it is worth something, "
        "less where it is not needed",
    )
    delete_with_body: bool | None = Field(default=None, description="Send a Register with DELETE /register")
    ampere_all_per_conductor: bool | None = Field(
        default=None, description="A with phase ALL is the current of each of three conductors; else their sum"
    )
    registers: bool | None = Field(default=None, description="It takes part in the registration of OSCP")


class NewPeer(BaseModel):
    """A flexibility provider to let in."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    name: Name = Field(description="Your name for it, unique among the peers in use")
    profile: ProfileName = Field(default="standard", description="Which implementation of OSCP it runs")
    base_url: Url | None = Field(
        default=None,
        description="Where it serves OSCP 2.0, with role and version; given with `token`, we register there",
    )
    token: Token | None = Field(default=None, description="TOKEN_A that it issued to us; given with `base_url`")
    time_zone: TimeZone | None = Field(
        default=None, description="IANA zone of times it sends without one; absent for the server's setting"
    )
    overrides: ProfileOverrides = Field(
        default=ProfileOverrides(), description="Settings of the profile that are different for it"
    )

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.base_url is None) != (self.token is None):
            given, missing = ("base_url", "token") if self.token is None else ("token", "base_url")
            raise ValueError(
                f"{given} is given and {missing} is not; give both to register there, or none to be registered with"
            )
        return self


class IssuedPeer(BaseModel):
    """What the peer has to be told, once: the token is not shown again."""

    model_config = ConfigDict(frozen=True)

    peer_id: str = Field(description="Our id of the peer")
    base_url: str = Field(description="Our base URL, to which the peer appends /register and the other paths")
    token: str | None = Field(
        description="What the peer presents: TOKEN_A for its Register, or, where it does not register, its token for "
        "all messages; null where we register with it"
    )


class PeerView(BaseModel):
    """A peer and how it is doing; no tokens."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    peer_id: str = Field(description="Our id of the peer")
    name: str = Field(description="The operator's name for it")
    profile: str = Field(description="Which implementation of OSCP it runs")
    overrides: dict[str, Any] = Field(description="Settings of the profile that are different for it")
    time_zone: str | None = Field(description="IANA zone of times it sends without one; null for the server's setting")
    state: PeerState = Field(description="How far its registration has come")
    base_url: str | None = Field(description="Where it is called; null while unknown")
    created_at: datetime = Field(description="When it was created")
    registered_at: datetime | None = Field(description="When its registration was last completed; null for never")
    handshake_at: datetime | None = Field(description="When it last took part in a handshake; null for never")
    heartbeat_interval_s: int | None = Field(description="Heartbeats it wants from us, s between two; null for none")
    next_heartbeat_at: datetime | None = Field(description="When we send the next one; null for never")
    last_heard_at: datetime | None = Field(description="When it last sent anything; null for never")
    offline_at: datetime | None = Field(description="From when it counts as offline; null without heartbeats")
    offline: bool = Field(description="Whether it was found to be offline")
    last_error: str = Field(description="What last went wrong in speaking with it; empty after a success")

    @classmethod
    def of(cls, peer: Peer) -> Self:
        """The view of a peer."""
        return cls(profile=peer.profile_name, **{name: getattr(peer, name) for name in _PEER_FIELDS})


_PEER_FIELDS = tuple(name for name in PeerView.model_fields if name != "profile")


class OutboxView(BaseModel):
    """A message to a peer, and what became of it."""

    model_config = ConfigDict(frozen=True)

    kind: OutboxKind = Field(description="What is sent")
    group_id: str | None = Field(description="The group it is about; null for none")
    state: OutboxState = Field(description="What became of it")
    created_at: datetime = Field(description="When it was put into the outbox")
    attempts: int = Field(description="How often it was tried")
    next_attempt_at: datetime = Field(description="When it is, or was, tried next")
    finished_at: datetime | None = Field(description="When it was delivered, superseded or given up")
    last_error: str = Field(description="Why the last attempt failed; empty where none did")

    @classmethod
    def of(cls, entry: OutboxMessage) -> Self:
        """The view of a message."""
        return cls(
            kind=entry.message.kind,
            group_id=entry.message.group_id,
            state=entry.state,
            created_at=entry.created_at,
            attempts=entry.attempts,
            next_attempt_at=entry.next_attempt_at,
            finished_at=entry.finished_at,
            last_error=entry.last_error,
        )


class PeerDetails(PeerView):
    """A peer with the newest messages to it."""

    outbox: list[OutboxView] = Field(default=[], description="The newest messages to it, the newest first")


class SiteInput(SiteFile):
    """site.json and whose site it is."""

    schema_version: Literal[1] = Field(default=1, alias="schema", description="Version of this format; may be left out")
    site_id: Id = Field(
        default="",
        description="Name of the site; may be left out, else the one of the path",
        json_schema_extra=_without_default,
    )
    peer_id: Id = Field(description="The peer whose site it is; nobody else but the operator sees it")


class SiteStatus(BaseModel):
    """How a site is doing."""

    model_config = ConfigDict(frozen=True)

    site_id: str = Field(description="Name of the site")
    peer_id: str = Field(description="The peer whose site it is")
    version: int = Field(description="Counts everything that was said about the site")
    attended_version: int = Field(description="Version up to which the planner has looked")
    planned_version: int = Field(description="Version of which the plan in force knows")
    updated_at: datetime = Field(description="When anything was last said about it")
    due_at: datetime | None = Field(description="When it is planned again though nothing changes; null for never")
    last_error: str = Field(description="Why the last attempt to plan failed; empty after a success")


class SiteView(SiteFile):
    """site.json, whose site it is, and how it is doing."""

    peer_id: str = Field(description="The peer whose site it is")
    version: int = Field(description="Counts everything that was said about the site")
    attended_version: int = Field(description="Version up to which the planner has looked")
    planned_version: int = Field(description="Version of which the plan in force knows")
    updated_at: datetime = Field(description="When anything was last said about it")
    due_at: datetime | None = Field(description="When it is planned again though nothing changes; null for never")
    last_error: str = Field(description="Why the last attempt to plan failed; empty after a success")
    notes: list[str] = Field(default=[], description="What of the request was taken as it is although it looks wrong")


class Stored(BaseModel):
    """What was stored."""

    model_config = ConfigDict(frozen=True)

    version: int = Field(description="The site's version that knows of it")
    stored: int = Field(description="Rows taken")
    notes: list[str] = Field(description="What was taken as it is although it looks wrong, one sentence each")


class SessionInput(SessionRow):
    """A row of sessions.csv whose id is that of the path."""

    session_id: Id = Field(
        default="",
        description="Unique within the site; may be left out, else the one of the path",
        json_schema_extra=_without_default,
    )


class SessionView(SessionRow):
    """A session as stored."""

    stated_at: datetime = Field(
        description="When its energy was last stated; energy measured after that reduces what it still needs"
    )


class BlockView(BaseModel):
    """A capacity over one interval."""

    model_config = ConfigDict(frozen=True)

    start: datetime = Field(description="First instant at which it holds")
    end: datetime = Field(description="First instant at which it does not hold any more")
    capacity_kw: float = Field(description="kW; of one conductor where the series names one, else of all together")


class SeriesView(BaseModel):
    """What holds of the capacity of one group: the newest of what was stated for each instant."""

    model_config = ConfigDict(frozen=True)

    group_id: str = Field(description="The group")
    type: CapacityKind = Field(description="What the capacities are, as in OSCP 2.0")
    phase: Phase = Field(description="The conductor they count; ALL for all together")
    blocks: list[BlockView] = Field(description="In order of time, none overlapping another, gaps where nothing holds")


class PlanDocument(SummaryFile):
    """A plan: its figures, the power of each session, and what each session and group get."""

    schedule: list[ScheduleRow] = Field(description="Power of each session, kW, over the intervals in which it draws")
    session_results: list[SessionResultRow] = Field(description="What each session asked for and gets")
    group_results: list[GroupRow] = Field(description="What each group draws and may draw in each step")
    line_results: list[LineRow] = Field(
        default=[], description="What each line with a limit in A carries and may carry in each step"
    )
    why: WhyFile | None = Field(
        default=None,
        description="What holds whom back, and what would have served who goes short; null where nobody asked",
    )
    asset_results: list[AssetRow] = Field(
        default=[], description="What each asset beside the chargers does in each step, and each vehicle with a state"
    )


class PlanView(PlanDocument):
    """The plan in force of a site."""

    plan_id: str = Field(description="Its id")
    version: int = Field(description="The site's version that it knows of")
    made_at: datetime = Field(description="When it was made")


class AdviceView(AdviceFile):
    """What another capacity of a site's groups is worth, block by block, in limits as they were stated."""

    version: int = Field(description="The site's version that it knows of")
    made_at: datetime = Field(description="When it was made")
    messages: list[AdjustGroupCapacityForecast] = Field(
        description="AdjustGroupCapacityForecast of OSCP 2.0 for each group of which anything is asked"
    )


class PlanOptions(BaseModel):
    """How to plan; what is left out is as in `oscp-optimize solve`."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    start: Instant | None = Field(
        default=None, description="Begin of the window, ISO 8601 with offset; absent for the first arrival"
    )
    end: Instant | None = Field(
        default=None, description="End of the window, ISO 8601 with offset; absent for the last departure"
    )
    step_minutes: float = Field(default=15.0, ge=1, le=60, allow_inf_nan=False, description="Longest step, min")
    limits: LimitMode = Field(
        default=LimitMode.MEAN, description="What a limit in kW holds down: the mean of a step, or every moment"
    )
    currents: LimitMode = Field(
        default=LimitMode.INSTANTANEOUS, description="What a limit in A of a line holds down: every moment, or the mean"
    )
    line_form: LineForm = Field(
        default=LineForm.POLYGON, description="How currents that differ in direction add up; both forms are safe"
    )
    line_sides: int = Field(
        default=DEFAULT_LINE_SIDES,
        ge=MIN_LINE_SIDES,
        le=MAX_LINE_SIDES,
        description="Sides of the polygon: more waste less of a line",
    )
    objective: Literal["cost", "peak"] = Field(
        default="cost", description="After least unmet energy: least cost, or lowest peak and then cost"
    )
    strategy: Strategy = Field(default=Strategy.OPTIMAL, description="The optimum, or a heuristic")
    pilots: PilotMode = Field(
        default=PilotMode.ROUNDED,
        description="Powers that chargers cannot be set to: planned all the same (continuous), rounded so that "
        "little is lost (rounded), or kept out of the program itself, which may take long (exact)",
    )
    minimum_run_minutes: float = Field(
        default=0.0,
        ge=0,
        le=MAX_MINIMUM_RUN / timedelta(minutes=1),
        allow_inf_nan=False,
        description="How long a session at a charger with a least power stays on once it was switched on, min",
    )
    fairness: Fairness = Field(
        default=Fairness.TOTAL,
        description="Who goes short: total: the most energy; max_min: equal shares of requests; proportional: equal "
        "energy by weight",
    )
    why: bool = Field(default=False, description="Say what holds whom back, and what would have served who goes short")


class OptimizeRequest(BaseModel):
    """A scenario: what a scenario folder holds, in one document."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    site: SiteFile = Field(description="site.json")
    sessions: Annotated[list[SessionRow], Field(max_length=MAX_ROWS)] = Field(description="Rows of sessions.csv")
    prices: Annotated[list[PriceRow], Field(min_length=1, max_length=MAX_ROWS)] | None = Field(
        default=None, description="Rows of prices.csv; absent to plan without prices"
    )
    forecasts: Annotated[list[UpdateGroupCapacityForecast], Field(max_length=MAX_MESSAGES)] | None = Field(
        default=None, description="Messages of OSCP 2.0 in the order of their arrival"
    )
    generation: Annotated[list[AssetPowerRow], Field(max_length=MAX_ROWS)] | None = Field(
        default=None, description="Rows of generation.csv; needed where the site has generators"
    )
    base_load: Annotated[list[AssetPowerRow], Field(max_length=MAX_ROWS)] | None = Field(
        default=None, description="Rows of base_load.csv; needed where the site has base loads"
    )
    carbon: Annotated[list[CarbonRow], Field(min_length=1, max_length=MAX_ROWS)] | None = Field(
        default=None, description="Rows of carbon.csv; absent where nobody counts carbon dioxide"
    )
    tariff: TariffFile | None = Field(default=None, description="tariff.json: prices that recur, and demand charges")
    options: PlanOptions = Field(default=PlanOptions(), description="How to plan")


class Readiness(BaseModel):
    """Whether requests can be served and plans made."""

    model_config = ConfigDict(frozen=True)

    ready: bool = Field(description="Whether every check passed")
    checks: dict[str, bool] = Field(description="Each check by name: database, migrations, executor, loops")
