"""Calls to peers over HTTP: bounded in time and size, to addresses that may be called, without redirects."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpcore2

from api.callbacks import GuardedBackend, check_url
from api.settings import Settings
from models.errors import CapacityOptimizerError, InputError, shortened

MAX_ANSWER_BYTES = 65_536
MAX_CONNECTIONS = 200
KEPT_CONNECTIONS = 100
KEPT_S = 30.0
SHOWN_CHARACTERS = 200
USER_AGENT = "oscp-capacity-optimizer"


class PeerUnreachableError(CapacityOptimizerError):
    """A peer gave no answer, or must not be called; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a peer answered.

    Args:
        status: The HTTP status.
        message: An excerpt of the body for people, without tokens; empty after a success.
        retry_after_s: How long the peer asks to be left alone, s; None where it says nothing.
    """

    status: int
    message: str = ""
    retry_after_s: float | None = None

    @property
    def is_success(self) -> bool:
        """Any 2xx: the standard wants 204, and some peers answer 200."""
        return 200 <= self.status < 300  # noqa: PLR2004 - as HTTP has it


class OscpClient:
    """Calls peers; one for each server process.

    Args:
        settings: Timeout, and which addresses may be called.
        backend: Connects; with a guard against internal addresses when None.
    """

    def __init__(self, settings: Settings, *, backend: httpcore2.AsyncNetworkBackend | None = None) -> None:
        self._settings = settings
        self._pool = httpcore2.AsyncConnectionPool(
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=KEPT_CONNECTIONS,
            keepalive_expiry=KEPT_S,
            network_backend=backend or GuardedBackend(settings),
        )

    async def send(
        self,
        method: str,
        base_url: str,
        path: str,
        *,
        token: str,
        body: str | None,
        request_id: str,
        correlation_id: str = "",
    ) -> Answer:
        """Send one message.

        Args:
            method: POST, PUT or DELETE.
            base_url: Of the peer, without a slash at the end.
            path: Of the message, with one at its begin.
            token: What the peer gave us to present.
            body: JSON; None for none.
            request_id: Its X-Request-ID.
            correlation_id: X-Request-ID of the message it answers; empty for none.

        Returns:
            What the peer answered, whatever the status.

        Raises:
            PeerUnreachableError: There was no answer, or the URL must not be called.
        """
        headers = _headers(token, body, request_id, correlation_id)
        timeout_s = self._settings.delivery_timeout_s
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), timeout_s)
        try:
            check_url(base_url, self._settings)
            # The whole of it: a peer that sends a byte now and then would keep every single timeout.
            async with (
                asyncio.timeout(timeout_s),
                self._pool.stream(
                    method,
                    base_url + path,
                    headers=headers,
                    content=None if body is None else body.encode(),
                    extensions={"timeout": timeouts},
                ) as response,
            ):
                # Read whatever it says: a connection whose answer was not read to its end is not used again.
                excerpt = await _excerpt(response)
                is_success = 200 <= response.status < 300  # noqa: PLR2004
                return Answer(
                    status=response.status,
                    message="" if is_success else _shown(excerpt, secrets=(token,)),
                    retry_after_s=_retry_after_s(response),
                )
        except InputError as error:
            raise PeerUnreachableError(str(error)) from error
        except (httpcore2.TimeoutException, TimeoutError) as error:
            raise PeerUnreachableError(f"no answer within {timeout_s:g} s") from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol, OSError) as error:
            raise PeerUnreachableError(_masked(f"{type(error).__name__}: {error}", (token,))) from error

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


def _headers(token: str, body: str | None, request_id: str, correlation_id: str) -> list[tuple[str, str]]:
    headers = [
        ("Authorization", f"Token {token}"),
        ("X-Request-ID", request_id),
        ("User-Agent", USER_AGENT),
        ("Accept", "application/json"),
    ]
    if correlation_id:
        headers.append(("X-Correlation-ID", correlation_id))
    if body is not None:
        headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body.encode())))]
    return headers


async def _excerpt(response: httpcore2.Response) -> bytes:
    """The first part of a body: a peer that never ends one is cut off."""
    received = b""
    async for chunk in response.aiter_stream():
        received += chunk
        if len(received) >= MAX_ANSWER_BYTES:
            break
    return received[:MAX_ANSWER_BYTES]


def _shown(body: bytes, *, secrets: tuple[str, ...]) -> str:
    """What a body says, in one line: the message of an error, else the begin of whatever it is."""
    text = body.decode(errors="replace")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if isinstance(content, dict) and content.get("message"):
        text = str(content["message"])
    printable = "".join(character if character.isprintable() else " " for character in text)
    return shortened(" ".join(_masked(printable, secrets).split()), SHOWN_CHARACTERS)


def _masked(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _retry_after_s(response: httpcore2.Response) -> float | None:
    value = next((value for name, value in response.headers if name.lower() == b"retry-after"), b"").decode("latin-1")
    if value.strip().isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment - _date(response)).total_seconds()) if moment.tzinfo else None


def _date(response: httpcore2.Response) -> datetime:
    """When the peer answered, by its own clock; the epoch where it does not say."""
    value = next((value for name, value in response.headers if name.lower() == b"date"), b"").decode("latin-1")
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return datetime.fromtimestamp(0, tz=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
