"""Who may look at the page: the operator by the key, a peer by its token, both then by a cookie.

A cookie is kept as its HMAC under the operator's key: whoever reads the database cannot sign in with what is there, and
all sign-ins end when the key is changed. A peer's also ends with the token it was made with.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import timedelta

from api.context import Context
from api.persistence import Transaction
from api.records import PeerState, SignIn, TokenKind
from api.tokens import is_same, new_token, token_hash
from models.errors import CapacityOptimizerError

ATTEMPTS = 10
"""Failures of one address within the window; more have to wait."""
WINDOW_S = 300.0
ADDRESSES = 10_000
"""Remembered; the one that failed longest ago is forgotten first."""
IPV6_NETWORK = 64
"""Bits that name a network: one host has all the addresses in it."""
MAX_KEY = 512


class SignInRefusedError(CapacityOptimizerError):
    """The key is neither the operator's nor a registered peer's token."""


class TooManyAttemptsError(CapacityOptimizerError):
    """An address failed too often.

    Args:
        wait_s: When it may try again, s.
    """

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"too many failed attempts; try again in {math.ceil(wait_s)} s")
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Somebody who is signed in.

    Args:
        peer_id: Whose sites and messages are shown; None for the operator, who sees all.
        name: What it is called.
    """

    peer_id: str | None
    name: str


class Attempts:
    """Counts failures by address in this process."""

    def __init__(self) -> None:
        self._failed_s: OrderedDict[str, deque[float]] = OrderedDict()

    def require_room(self, address: str) -> None:
        """Let an address try.

        Raises:
            TooManyAttemptsError: It failed too often lately.
        """
        failed_s = self._failed_s.get(_network(address), deque())
        while failed_s and time.monotonic() - failed_s[0] > WINDOW_S:
            failed_s.popleft()
        if len(failed_s) >= ATTEMPTS:
            raise TooManyAttemptsError(WINDOW_S - (time.monotonic() - failed_s[0]))

    def failed(self, address: str) -> None:
        """Note a failure."""
        network = _network(address)
        self._failed_s.setdefault(network, deque(maxlen=ATTEMPTS)).append(time.monotonic())
        self._failed_s.move_to_end(network)
        if len(self._failed_s) > ADDRESSES:
            self._failed_s.popitem(last=False)


async def sign_in(context: Context, key: str) -> tuple[str, Viewer]:
    """Let somebody in.

    Returns:
        The cookie, and who it is.

    Raises:
        SignInRefusedError: The key is nobody's. A TOKEN_A is for a registration only and lets nobody in.
    """
    operator_key = context.settings.operator_key
    hashed = token_hash(key)
    if operator_key is not None and is_same(key, operator_key.get_secret_value()):
        viewer, held = Viewer(peer_id=None, name="Operator"), None
    else:
        viewer, held = await _peer(context, hashed), hashed
    cookie = new_token()
    expires_at = context.clock.now() + _lifetime(context)
    await context.database.write(lambda tx: tx.sign_ins.add(_kept(context, cookie), held, expires_at=expires_at))
    return cookie, viewer


async def viewer_of(context: Context, cookie: str) -> Viewer | None:
    """Who has a cookie; None where it lets nobody in, any more or ever. One that is used lasts longer."""
    now = context.clock.now()
    kept = _kept(context, cookie)

    def read(tx: Transaction) -> tuple[SignIn, str] | None:
        found = tx.sign_ins.find(kept, now=now)
        if found is None:
            return None
        return found, "Operator" if found.peer_id is None else tx.peers.get(found.peer_id).name

    known = await context.database.read(read)
    if known is None:
        return None
    found, name = known
    if found.expires_at - now < _lifetime(context) / 2:
        expires_at = now + _lifetime(context)
        await context.database.write(lambda tx: tx.sign_ins.extend(kept, expires_at=expires_at))
    return Viewer(peer_id=found.peer_id, name=name)


async def sign_out(context: Context, cookie: str) -> None:
    """Let a cookie let nobody in any more."""
    kept = _kept(context, cookie)
    await context.database.write(lambda tx: tx.sign_ins.end(kept))


async def _peer(context: Context, hashed: str) -> Viewer:
    now = context.clock.now()
    found = await context.database.read(lambda tx: tx.peers.by_token(hashed, now=now))
    if found is None or found[1] is not TokenKind.CURRENT or found[0].state is not PeerState.REGISTERED:
        raise SignInRefusedError("this is neither the operator's key nor the token of a registered peer")
    return Viewer(peer_id=found[0].peer_id, name=found[0].name)


def _kept(context: Context, cookie: str) -> str:
    key = context.settings.operator_key
    secret = b"" if key is None else key.get_secret_value().encode()
    return hmac.new(secret, cookie.encode(), hashlib.sha256).hexdigest()


def _lifetime(context: Context) -> timedelta:
    return timedelta(hours=context.settings.sign_in_hours)


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, IPV6_NETWORK), strict=False))
    return address
