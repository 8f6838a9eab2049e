"""Tokens that are handed over."""

from __future__ import annotations

import secrets

import pytest

from api.tokens import new_token


def test_no_token_looks_like_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that begins with a hyphen is thrown away: ``program --flag TOKEN`` must not take it for another flag."""
    drawn = iter(["-begins", "-again", "fine-"])
    monkeypatch.setattr(secrets, "token_urlsafe", lambda _: next(drawn))

    assert new_token() == "fine-"
