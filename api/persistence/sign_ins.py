"""Who is signed in to the page."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, insert, or_, select, update

from api.persistence.tables import sign_in, token
from api.records import SignIn, TokenKind


class SignIns:
    """Stored sign-ins, within a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, cookie_hash: str, token_hash: str | None, *, expires_at: datetime) -> None:
        """Let whoever has a cookie in: a peer as long as its token is valid, or, for None, the operator."""
        self._connection.execute(
            insert(sign_in).values(cookie_hash=cookie_hash, token_hash=token_hash, expires_at=expires_at)
        )

    def find(self, cookie_hash: str, *, now: datetime) -> SignIn | None:
        """Who has a cookie; None where nobody has, it has expired, or the peer's token is not valid any more."""
        statement = (
            select(sign_in, token.c.peer_id, token.c.kind, token.c.expires_at.label("token_expires_at"))
            .outerjoin(token, token.c.token_hash == sign_in.c.token_hash)
            .where(
                sign_in.c.cookie_hash == cookie_hash,
                sign_in.c.expires_at > now,
                or_(
                    sign_in.c.token_hash.is_(None),
                    (token.c.kind == TokenKind.CURRENT) & or_(token.c.expires_at.is_(None), token.c.expires_at > now),
                ),
            )
        )
        row = self._connection.execute(statement).one_or_none()
        return None if row is None else SignIn(peer_id=row.peer_id, expires_at=row.expires_at)

    def extend(self, cookie_hash: str, *, expires_at: datetime) -> None:
        """Let a sign-in last longer."""
        self._connection.execute(
            update(sign_in).where(sign_in.c.cookie_hash == cookie_hash).values(expires_at=expires_at)
        )

    def end(self, cookie_hash: str) -> None:
        """Sign out; nothing happens where nobody has the cookie."""
        self._connection.execute(delete(sign_in).where(sign_in.c.cookie_hash == cookie_hash))
