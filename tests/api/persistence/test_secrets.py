"""Tokens at rest: those we issue as hashes, those we hold encrypted where a key is set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import create_engine, text

from api.persistence import Database, Transaction
from api.records import TokenKind
from api.tokens import new_token, token_hash
from models.errors import InputError
from tests.api.persistence.stored import NOW, make_peer

HELD = "the-token-we-hold-for-the-peer"
ANOTHER_KEY = "A" * 43 + "="


@contextmanager
def opened(url: str, key: str | None) -> Iterator[Database]:
    """A database with tables, opened with a key."""
    with closing(Database(url, token_key=key)) as database:
        database.migrate()
        yield database


def everything(url: str) -> str:
    """Every value in every table, as text."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.connect() as connection:
        rows = [
            str(tuple(row))
            for table in ("peer", "token", "outbox", "seen_request")
            for row in connection.execute(text(f"SELECT * FROM {table}"))  # noqa: S608 - our own names
        ]
    engine.dispose()
    return "\n".join(rows)


def test_an_issued_token_is_not_stored(database_url: str) -> None:
    """Whoever reads the database cannot present it; whoever presents it is known."""
    token = new_token()
    with opened(database_url, None) as database:
        database.write_now(lambda tx: tx.peers.add(make_peer()))
        database.write_now(lambda tx: tx.peers.add_token("north", token_hash(token), TokenKind.CURRENT, now=NOW))
        found = database.read_now(lambda tx: tx.peers.by_token(token_hash(token), now=NOW))

    assert token not in everything(database_url)
    assert found is not None
    assert found[0].peer_id == "north"


def test_a_held_token_is_encrypted_with_a_key(database_url: str) -> None:
    """It is not in the database as it is, and comes back as it was."""
    with opened(database_url, Fernet.generate_key().decode()) as database:
        database.write_now(lambda tx: tx.peers.add(make_peer(outbound_token=HELD)))
        peer = database.read_now(lambda tx: tx.peers.get("north"))

    assert HELD not in everything(database_url)
    assert peer.outbound_token == HELD
    assert HELD not in repr(peer)


def test_a_key_is_rotated(database_url: str) -> None:
    """The new one in front, the old one behind it: what the old one wrote is read, and the new one writes."""
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    with opened(database_url, old) as database:
        database.write_now(lambda tx: tx.peers.add(make_peer(outbound_token=HELD)))
    with opened(database_url, f"{new},{old}") as database:
        assert database.read_now(lambda tx: tx.peers.get("north")).outbound_token == HELD
        database.write_now(lambda tx: tx.peers.update("north", outbound_token="another"))
    with opened(database_url, new) as database:
        assert database.read_now(lambda tx: tx.peers.get("north")).outbound_token == "another"


def test_a_key_may_be_set_later(database_url: str) -> None:
    """What was stored without one is still read."""
    with opened(database_url, None) as database:
        database.write_now(lambda tx: tx.peers.add(make_peer(outbound_token=HELD)))
    with opened(database_url, Fernet.generate_key().decode()) as database:
        assert database.read_now(lambda tx: tx.peers.get("north")).outbound_token == HELD


@pytest.mark.parametrize("key", [None, ANOTHER_KEY], ids=["none", "another"])
def test_a_lost_key_is_said(database_url: str, key: str | None) -> None:
    """Without the key, or with another, the message says which setting is wrong."""
    with opened(database_url, Fernet.generate_key().decode()) as database:
        database.write_now(lambda tx: tx.peers.add(make_peer(outbound_token=HELD)))
    with opened(database_url, key) as database, pytest.raises(InputError, match="OSCP_TOKEN_KEY"):
        database.read_now(lambda tx: tx.peers.get("north"))


def test_a_key_that_is_none_is_refused(database_url: str) -> None:
    """Before anything is stored; the message does not repeat it."""
    with pytest.raises(InputError, match="OSCP_TOKEN_KEY") as refused:
        Database(database_url, token_key="not-a-key")

    assert "not-a-key" not in str(refused.value)


def test_a_replaced_token_ends_after_its_grace(database: Database) -> None:
    """30 s for requests in flight; the one that took its place stays."""
    until = NOW + timedelta(seconds=30)

    def rotate(tx: Transaction) -> None:
        peers = tx.peers
        peers.add(make_peer())
        peers.add_token("north", "old", TokenKind.CURRENT, now=NOW)
        peers.add_token("north", "new", TokenKind.CURRENT, now=NOW)
        peers.keep_only_token("north", "new", others_until=until)

    database.write_now(rotate)

    def is_known(name: str, seconds: float) -> bool:
        now = NOW + timedelta(seconds=seconds)
        return database.read_now(lambda tx: tx.peers.by_token(name, now=now)) is not None

    assert [is_known("old", 29), is_known("old", 30)] == [True, False]
    assert is_known("new", 1e6)
