"""Encryption of the tokens that we hold for peers."""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from models.errors import InputError

ENCRYPTED = "fernet:"
PLAIN = "plain:"


class TokenCipher:
    """Encrypts with the first of some Fernet keys and decrypts with any; without keys it passes texts through.

    Args:
        keys: Separated by commas; None for none.

    Raises:
        InputError: A key is none.
    """

    def __init__(self, keys: str | None) -> None:
        parts = [part.strip() for part in (keys or "").split(",") if part.strip()]
        try:
            self._fernet = MultiFernet([Fernet(part) for part in parts]) if parts else None
        except ValueError:
            raise InputError(
                "OSCP_TOKEN_KEY holds what is no Fernet key of 32 bytes in base64url; make one with "
                "cryptography.fernet.Fernet.generate_key()"
            ) from None

    def encrypt(self, token: str) -> str:
        """What to store."""
        return PLAIN + token if self._fernet is None else ENCRYPTED + self._fernet.encrypt(token.encode()).decode()

    def decrypt(self, stored: str) -> str:
        """The token, of what was stored with or without encryption.

        Raises:
            InputError: It was encrypted with a key that is not among ours.
        """
        if stored.startswith(PLAIN):
            return stored.removeprefix(PLAIN)
        if self._fernet is None:
            raise InputError(
                "a stored token is encrypted, and OSCP_TOKEN_KEY is not set; set the key it was stored with"
            )
        try:
            return self._fernet.decrypt(stored.removeprefix(ENCRYPTED)).decode()
        except InvalidToken:
            raise InputError(
                "a stored token is encrypted with a key that OSCP_TOKEN_KEY does not hold; add it behind the new one"
            ) from None
