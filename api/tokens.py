"""Tokens that peers and the operator present: how they are made, and how they are kept without being known."""

from __future__ import annotations

import hashlib
import hmac
import secrets

TOKEN_BYTES = 32
"""43 characters of base64url: SolarNetwork stores at most 64 of them."""


def new_token() -> str:
    """A token nobody can guess, of 43 URL-safe characters.

    The first is no hyphen: a program that is given such a token as an argument would take it for an option.
    """
    while True:
        token = secrets.token_urlsafe(TOKEN_BYTES)
        if not token.startswith("-"):
            return token


def token_hash(token: str) -> str:
    """What is stored of a token we issued: 64 hexadecimal digits.

    SHA-256 without salt suffices, for a token is 256 random bits: there is no dictionary to look it up in.
    """
    return hashlib.sha256(token.encode()).hexdigest()


def is_same(token: str, expected: str) -> bool:
    """Whether two tokens are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(token.encode(), expected.encode())
