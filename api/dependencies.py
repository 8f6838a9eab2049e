"""Who calls, and with what: the parts of a request that every route asks for."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

from fastapi import HTTPException, Request, Response, Security, status
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer

from api.context import Context
from api.records import Peer, TokenKind
from api.tokens import is_same, token_hash

TOKEN_SCHEME = "token"  # noqa: S105 - the name of a scheme, in small letters
BEARER_SCHEME = "bearer"
REMEMBERED = 10_000
REMEMBERED_S = 1.0

OSCP_TOKEN = APIKeyHeader(
    name="Authorization",
    scheme_name="token",
    description="`Token` and the token of the registration: `Authorization: Token 3q2...`",
    auto_error=False,
)
OPERATOR_KEY = HTTPBearer(
    scheme_name="operator",
    description="The operator's key, as set in `OSCP_OPERATOR_KEY`: `Authorization: Bearer <key>`",
    auto_error=False,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OscpCaller:
    """A peer that sends a message.

    Args:
        peer: Who it is.
        token_kind: What the token it presents is for.
        token_hash: That token, as it is stored.
    """

    peer: Peer
    token_kind: TokenKind
    token_hash: str


class TokenMemory:
    """Peers whose token was found lately, so that not every message of a busy one begins with a query."""

    def __init__(self) -> None:
        self._found: OrderedDict[str, tuple[float, OscpCaller]] = OrderedDict()

    def get(self, hashed: str) -> OscpCaller | None:
        """Who presents a token; None where it was not found lately."""
        found_s, caller = self._found.get(hashed, (-math.inf, None))
        return caller if time.monotonic() - found_s < REMEMBERED_S else None

    def keep(self, caller: OscpCaller) -> None:
        """Remember a token that was found just now; one that is remembered gets no older by it."""
        if self.get(caller.token_hash) is None:
            self._found[caller.token_hash] = (time.monotonic(), caller)
            self._found.move_to_end(caller.token_hash)
            if len(self._found) > REMEMBERED:
                self._found.popitem(last=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls the REST API.

    Args:
        peer: The peer; None for the operator.
    """

    peer: Peer | None

    @property
    def is_operator(self) -> bool:
        """Whether it is the operator, who may do everything."""
        return self.peer is None

    def may_see(self, peer_id: str) -> bool:
        """Whether what belongs to a peer is shown to it."""
        return self.peer is None or self.peer.peer_id == peer_id


async def context_of(request: Request) -> Context:
    """What the parts of the server share, for routes that ask for it; a plain function would run in a thread."""
    return get_context(request)


def get_context(request: Request) -> Context:
    """What the parts of the server share."""
    context: Context = request.app.state.context
    return context


async def oscp_caller(request: Request) -> OscpCaller:
    """The peer that sends a message, by its token, as it was a moment ago: whoever keeps the message looks again.

    Raises:
        HTTPException: 401 without a token in the right form, 403 where it is unknown, revoked or expired.
    """
    scheme, token = _credentials(request, "Token")
    known: TokenMemory = request.app.state.tokens
    hashed = token_hash(token)
    caller = known.get(hashed) or await _peer_of(request, token)
    if caller is None:
        _refuse_token()
    known.keep(caller)
    if scheme == BEARER_SCHEME and not caller.peer.profile.accept_bearer:
        _ask_for("Token", "the scheme of the header Authorization is not Token")
    return caller


async def rest_caller(
    request: Request,
    _key: Annotated[object, Security(OPERATOR_KEY)] = None,
    _header: Annotated[str | None, Security(OSCP_TOKEN)] = None,
) -> Caller:
    """Who calls the REST API: the operator by the key, a peer by its token with the scheme Token or Bearer.

    Raises:
        HTTPException: 401 without a key or token in the right form, 403 where it is none of ours.
    """
    scheme, token = _credentials(request, "Bearer")
    key = get_context(request).settings.operator_key
    if key is not None and scheme == BEARER_SCHEME and is_same(token, key.get_secret_value()):
        return Caller(peer=None)
    caller = await _peer_of(request, token)
    if caller is None:
        _refuse_token()
    return Caller(peer=caller.peer)


async def operator(
    request: Request,
    _key: Annotated[object, Security(OPERATOR_KEY)] = None,
) -> Caller:
    """The operator.

    Raises:
        HTTPException: 401 without a key in the right form, 403 for anybody else.
    """
    caller = await rest_caller(request)
    if not caller.is_operator:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "only the operator may do this; send the key of the operator")
    return caller


class AuthenticatedRoute(APIRoute):
    """A route of the REST API whose caller is known before a byte of the body is read; FastAPI reads the body first."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with that done first."""
        handle = super().get_route_handler()

        async def authenticate_and_handle(request: Request) -> Response:
            await rest_caller(request)
            return await handle(request)

        return authenticate_and_handle


def _credentials(request: Request, wanted_scheme: str) -> tuple[str, str]:
    """Scheme, in small letters, and token of the header Authorization."""
    headers = request.headers.getlist("authorization")
    if not headers:
        _ask_for(wanted_scheme, "the header Authorization is missing")
    scheme, _, token = headers[0].strip().partition(" ")
    if len(headers) > 1 or not token.strip() or scheme.lower() not in (TOKEN_SCHEME, BEARER_SCHEME):
        _ask_for(wanted_scheme, "the header Authorization is not a scheme, a space and a token")
    return scheme.lower(), token.strip()


async def _peer_of(request: Request, token: str) -> OscpCaller | None:
    hashed = token_hash(token)
    known: OscpCaller | None = getattr(request.state, "oscp_caller", None)
    if known is not None and known.token_hash == hashed:
        return known
    context = get_context(request)
    now = context.clock.now()
    found = await context.database.read(lambda tx: tx.peers.by_token(hashed, now=now))
    if found is None:
        return None
    request.state.oscp_caller = OscpCaller(peer=found[0], token_kind=found[1], token_hash=hashed)
    return request.state.oscp_caller  # type: ignore[no-any-return]


def _ask_for(scheme: str, reason: str) -> NoReturn:
    raise HTTPException(
        status.HTTP_401_UNAUTHORIZED,
        f"{reason}; send Authorization: {scheme} <token>",
        headers={"WWW-Authenticate": scheme},
    )


def _refuse_token() -> NoReturn:
    raise HTTPException(
        status.HTTP_403_FORBIDDEN, "the token is unknown, revoked or expired; present the one of the last registration"
    )
