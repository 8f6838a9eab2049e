"""Every setting of the server, once: read from ``OSCP_*`` and from the command line, and passed down as arguments."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from optimizer.options import Fairness

DEFAULT_DATABASE = "sqlite:///capacity-optimizer.db"


def _without_slash(url: str | None) -> str | None:
    return url.rstrip("/") if url else None


def _split(text: object) -> object:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if isinstance(text, str) else text


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("must be a time zone of the IANA database, such as Europe/Amsterdam") from error
    return name


def _known_networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        try:
            ip_network(text)
        except ValueError as error:
            raise ValueError(f"{text!r} is neither an address nor a network such as 10.0.0.0/8") from error
    return texts


Seconds = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]


class Settings(BaseSettings):
    """Settings of oscp-serve; each is also the environment variable OSCP_ and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="OSCP_", extra="ignore", frozen=True)

    host: str = Field(default="127.0.0.1", description="Address to listen on")
    port: int = Field(default=8000, ge=0, le=65_535, description="Port to listen on; 0 takes a free one")
    workers: int = Field(default=1, ge=1, le=64, description="Server processes; more than one needs PostgreSQL")
    ssl_certfile: Path | None = Field(
        default=None, description="Certificate chain (PEM) to serve TLS with; a proxy in front does it when absent"
    )
    ssl_keyfile: Path | None = Field(default=None, description="Private key (PEM) of the certificate")
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_known_networks)] = (
        Field(
            default=(),
            description="Addresses or networks of proxies whose X-Forwarded-For and -Proto are believed, separated by "
            "commas",
        )
    )
    public_url: Annotated[str | None, AfterValidator(_without_slash)] = Field(
        default=None, description="URL under which peers reach this server; http://HOST:PORT when absent"
    )
    database_url: str = Field(
        default=DEFAULT_DATABASE,
        description="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME",
    )
    operator_key: SecretStr | None = Field(
        default=None,
        description="Key of the operator, sent as Authorization: Bearer KEY; better given as OSCP_OPERATOR_KEY",
    )
    token_key: SecretStr | None = Field(
        default=None,
        description="Fernet key that encrypts the tokens we hold for peers, or several separated by commas, the first "
        "for writing; without one they are stored as they are",
    )
    demo: bool = Field(default=False, description="Run without an operator key set: one is made up and printed")
    allow_insecure_callbacks: bool = Field(
        default=False, description="Call peers over http and at loopback and private addresses; for a test bench only"
    )
    callback_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
        default=(), description="Hosts of peers that may be called at private addresses, separated by commas"
    )
    naive_time_zone: Annotated[str, AfterValidator(_known_zone)] = Field(
        default="UTC",
        description="Time zone of times without one, for profiles that send such times and peers without their own",
    )

    max_body_bytes: int = Field(default=8_000_000, ge=1_000, description="Largest body of a request, bytes")
    body_timeout_s: Seconds = Field(default=20.0, description="Longest time a body may take to arrive, s")
    max_segments: int = Field(default=100, ge=1, description="Most segments of one message")
    segment_age_s: Seconds = Field(default=600.0, description="How long segments wait for the rest of their message, s")
    request_memory_s: Seconds = Field(
        default=900.0, description="How long an X-Request-ID is remembered to recognise a repetition, s"
    )
    token_grace_s: Seconds = Field(default=30.0, description="How long a replaced token stays valid, s")

    heartbeat_interval_s: int = Field(
        default=60, ge=1, le=86_400, description="Heartbeats asked of peers, s between two"
    )
    heartbeat_grace_s: Seconds = Field(default=30.0, description="Delay before a silent peer counts as offline, s")
    handshake_after_s: Seconds = Field(
        default=60.0, description="How long after registration we start the handshake when the peer has not, s"
    )
    reply_timeout_s: Seconds = Field(
        default=120.0, description="How long a registration we started waits for the peer's reply, s"
    )

    executor: str | None = Field(
        default=None,
        description="Address of a Dask scheduler (tcp://HOST:8786) to solve on; processes of our own when absent",
    )
    solver_processes: int = Field(default=1, ge=1, le=256, description="Processes that solve")
    solve_deadline_s: Seconds = Field(default=20.0, description="Longest time one plan may take, s")
    fairness: Fairness = Field(default=Fairness.TOTAL, description="Who goes short where not everybody can be served")
    why_limit_s: float = Field(
        default=1.0,
        ge=0,
        le=3600,
        description="Longest time to find what would have served those who go short, s; 0: plans do not say why",
    )
    lease_s: Seconds = Field(
        default=60.0, description="How long a server holds a site it plans without a sign of life, s"
    )
    horizon_hours: float = Field(default=48.0, gt=0, le=24 * 40, description="How far ahead is planned, h")
    step_minutes: float = Field(default=15.0, ge=1, le=60, description="Longest step of a plan, min")
    drift_kwh: float = Field(
        default=1.0,
        gt=0,
        description="Deviation of delivered or stored energy from the plan at which a site is planned anew, kWh",
    )
    drift_kw: float = Field(
        default=1.0, gt=0, description="Change of measured non-flexible power at which a site is planned anew, kW"
    )
    measurement_age_s: Seconds = Field(
        default=3600.0, description="Age from which measured generation is not counted on any more, s"
    )

    delivery_timeout_s: Seconds = Field(default=20.0, description="Longest time a request to a peer may take, s")
    give_up_after_hours: float = Field(
        default=24.0, gt=0, description="Age at which a message that no peer takes is given up, h"
    )
    max_backoff_s: Seconds = Field(default=300.0, description="Longest pause between two attempts to deliver, s")

    retention_days: float = Field(
        default=62.0,
        gt=0,
        description="Age at which messages, plans, deliveries and sessions are deleted, d; a report needs two months",
    )
    sign_in_hours: float = Field(
        default=24.0, gt=0, le=24 * 366, description="How long a sign-in to the page lasts without being used, h"
    )
    traces_url: str | None = Field(
        default=None,
        description="OpenTelemetry collector that traces go to (http://HOST:4318/v1/traces); none are made when absent",
    )
    json_logs: bool = Field(default=False, description="Write log lines as JSON")
    log_level: str = Field(
        default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least severe level that is logged"
    )

    @model_validator(mode="after")
    def _has_both_parts_of_tls(self) -> Self:
        if (self.ssl_certfile is None) != (self.ssl_keyfile is None):
            raise ValueError("ssl_certfile and ssl_keyfile belong together; give both, or neither")
        return self
