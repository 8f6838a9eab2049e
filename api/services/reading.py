"""A request of a peer as the services see it, and its body read as a message."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, to_json

from api.persistence import Transaction
from api.records import Peer, TokenKind
from api.settings import Settings
from models.errors import CapacityOptimizerError, InputError, shortened
from models.oscp.v20 import ReadingContext

THREAD_BYTES = 64_000
"""From this size on a body is read in a thread: a message of some MB takes longer than others may wait."""
SECRET_FIELDS = frozenset({"token", "key"})

MessageT = TypeVar("MessageT", bound=BaseModel)


class TokenRefusedError(CapacityOptimizerError):
    """The token is none of ours any more, or not one for this message."""


class UnservedVersionError(CapacityOptimizerError):
    """A peer and this server have no version of the protocol in common."""


REVOKED = "the token was revoked or has expired; present the one of the last registration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A request of a peer whose token was found.

    Args:
        peer: Who sent it.
        token_kind: What the token it presents is for.
        token_hash: That token, as it is stored.
        path: What it was sent to, below the base URL, in the spelling of the standard.
        request_id: Its X-Request-ID; empty for none.
        answer_id: What answers name: its X-Request-ID, or one made up where it has none.
        correlation_id: Its X-Correlation-ID; empty for none.
        segment: One-based index and count, where it is a part of a message.
        body: As it came.
    """

    peer: Peer
    token_kind: TokenKind
    token_hash: str
    path: str
    request_id: str
    answer_id: str
    correlation_id: str
    segment: tuple[int, int] | None
    body: bytes

    def caller(self, tx: Transaction, *, now: datetime) -> tuple[Peer, TokenKind]:
        """Who sent it and what its token is for, as of now: the token may have been revoked since it was read.

        Raises:
            TokenRefusedError: It is not valid any more.
        """
        found = tx.peers.by_token(self.token_hash, now=now)
        if found is None:
            raise TokenRefusedError(REVOKED)
        return found

    def sender(self, tx: Transaction, *, now: datetime) -> Peer:
        """Who sent it, where that is more than a registration.

        Raises:
            TokenRefusedError: The token is not valid any more, or only good for registering.
        """
        peer, kind = self.caller(tx, now=now)
        _require_registered(peer, kind)
        return peer

    def site_of(self, tx: Transaction, group_id: str, *, now: datetime) -> str | None:
        """Id of the sender's site that has a group; None where none has.

        Raises:
            TokenRefusedError: The token is not valid any more, or only good for registering.
        """
        holder = tx.peers.holder_of(self.token_hash, group_id, now=now)
        if holder is None or holder[0] != self.peer.peer_id:
            raise TokenRefusedError(REVOKED)
        _, kind, site_id = holder
        _require_registered(self.peer, kind)
        return site_id

    def is_repetition(self, tx: Transaction, *, group_id: str = "", now: datetime, memory_s: float) -> bool:
        """Whether the same request came before; never, where it has no X-Request-ID."""
        if not self.request_id:
            return False
        digest = hashlib.sha256(self.body).hexdigest()
        return tx.inbox.is_repetition(
            self.peer.peer_id, self.path, group_id, self.request_id, digest, now=now, memory_s=memory_s
        )


def _require_registered(peer: Peer, kind: TokenKind) -> None:
    if kind is TokenKind.INITIAL and peer.profile.registers:
        raise TokenRefusedError("this token is only good for POST /register; register first")


async def read_message(kind: type[MessageT], incoming: Incoming, settings: Settings) -> MessageT:
    """The body as a message; a long one is read in a thread.

    Raises:
        InputError: It is no such message; the text names field, value and limit, and no token.
    """
    context = reading_context(incoming.peer, settings)
    if len(incoming.body) > THREAD_BYTES:
        return await asyncio.to_thread(parsed, kind, incoming.body, context)
    return parsed(kind, incoming.body, context)


def reading_context(peer: Peer, settings: Settings) -> ReadingContext:
    """What a peer is let off."""
    context: ReadingContext = {"numeric_strings": peer.profile.numeric_strings}
    if peer.profile.naive_times:
        context["naive_time_zone"] = ZoneInfo(peer.time_zone or settings.naive_time_zone)
    return context


def parsed(kind: type[MessageT], body: bytes, context: ReadingContext) -> MessageT:
    """A body as a message.

    Raises:
        InputError: It is no such message.
    """
    try:
        return kind.model_validate_json(body, context=context)
    except ValidationError as error:
        # What a registration holds is not even shown where it holds it in the wrong place.
        has_input = not kind.model_config.get("hide_input_in_errors", False)
        problems = error.errors(include_url=False, include_context=False, include_input=has_input)
        raise InputError(described(problems)) from None


def described(problems: Sequence[ErrorDetails]) -> str:
    """What is wrong with an input: the first problem with field and value, and how many more there are.

    A value is shown where it is a plain one and no token; JSON objects may hold a token.
    """
    first = problems[0]
    field = ".".join(str(part) for part in first["loc"]) or "body"
    value: Any = first.get("input")
    is_plain = isinstance(value, str | int | float | bool) and first["loc"] not in ((), ("body",))
    shown = f" {shortened(str(value))!r}" if is_plain and SECRET_FIELDS.isdisjoint(map(str, first["loc"])) else ""
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{field}{shown}: {first['msg'].removeprefix('Value error, ')}{more}"


def exact_json(message: BaseModel) -> str:
    """A message as JSON with every digit of its numbers, which the wire format rounds."""
    return to_json(message.model_dump()).decode()
