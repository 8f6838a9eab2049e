"""The outbox as it is stored: in order per lane, superseded by what is newer, tried again, given up visibly."""

from __future__ import annotations

from datetime import timedelta

from api.persistence import Database, Transaction
from api.records import NewMessage, OutboxMessage, OutboxState, PeerState
from tests.api.persistence.stored import NOW, SECOND, make_optimum, make_peer

LEASE_S = 50.0


def put(database: Database, *messages: NewMessage, state: PeerState = PeerState.REGISTERED) -> None:
    """A peer, and messages that wait for it, one after the other."""

    def add(tx: Transaction) -> None:
        if not tx.peers.all():
            tx.peers.add(make_peer(state=state))
        for message in messages:
            tx.outbox.add([message], now=NOW)

    database.write_now(add)


def due(database: Database, *, owner: str = "one", seconds: float = 0.0) -> list[OutboxMessage]:
    """What a server gets to deliver, some seconds on."""
    now = NOW + seconds * SECOND
    return list(database.write_now(lambda tx: tx.outbox.lease_due(owner=owner, now=now, lease_s=LEASE_S, limit=10)))


def states(database: Database) -> list[tuple[str, OutboxState]]:
    """What became of every message, the oldest first."""
    found = database.read_now(lambda tx: tx.outbox.of_peer("north", limit=100))
    return [(entry.message.request_id, entry.state) for entry in reversed(found)]


def ids(messages: list[OutboxMessage]) -> list[str]:
    """Their X-Request-IDs."""
    return [entry.message.request_id for entry in messages]


def test_a_newer_plan_takes_the_place_of_what_waits(database: Database) -> None:
    """Of the same group; another group's stays."""
    put(database, make_optimum(1), make_optimum(2, group_id="b"), make_optimum(3))

    assert states(database) == [
        ("optimum-1", OutboxState.SUPERSEDED),
        ("optimum-2", OutboxState.PENDING),
        ("optimum-3", OutboxState.PENDING),
    ]
    assert ids(due(database)) == ["optimum-2", "optimum-3"]


def test_what_is_under_way_goes_first(database: Database) -> None:
    """A newer plan of the group waits until the older one is through: the peer gets them in order."""
    put(database, make_optimum(1))
    [first] = due(database)
    put(database, make_optimum(2))

    assert due(database, owner="two") == []
    database.write_now(lambda tx: tx.outbox.delivered(first.outbox_id, now=NOW))
    assert ids(due(database, owner="two")) == ["optimum-2"]


def test_what_failed_is_not_tried_again_where_a_newer_plan_waits(database: Database) -> None:
    """It is superseded, and the newer one goes out at once."""
    put(database, make_optimum(1))
    [first] = due(database)
    put(database, make_optimum(2))
    database.write_now(
        lambda tx: tx.outbox.retry(first.outbox_id, error="503", next_attempt_at=NOW + timedelta(hours=1))
    )

    assert states(database)[0] == ("optimum-1", OutboxState.SUPERSEDED)
    assert ids(due(database)) == ["optimum-2"]


def test_what_failed_waits_and_keeps_its_id(database: Database) -> None:
    """Ten seconds, one attempt counted; the peer recognises it by its X-Request-ID."""
    put(database, make_optimum(1))
    [first] = due(database)
    database.write_now(lambda tx: tx.outbox.retry(first.outbox_id, error="503", next_attempt_at=NOW + 10 * SECOND))

    assert due(database, seconds=9) == []
    [again] = due(database, seconds=10)
    assert (again.message.request_id, again.attempts, again.last_error) == ("optimum-1", 1, "503")


def test_what_was_given_up_is_seen_and_blocks_nobody(database: Database) -> None:
    """The error stays with it; the next one of its lane goes out."""
    put(database, make_optimum(1))
    [first] = due(database)
    put(database, make_optimum(2))
    database.write_now(lambda tx: tx.outbox.gave_up(first.outbox_id, error="400 no", now=NOW))

    assert states(database)[0] == ("optimum-1", OutboxState.GIVEN_UP)
    assert ids(due(database)) == ["optimum-2"]


def test_a_dead_server_holds_back_nothing(database: Database) -> None:
    """After its lease another server delivers what it took."""
    put(database, make_optimum(1))
    due(database, owner="dead")

    assert due(database, owner="two", seconds=LEASE_S - 1) == []
    assert ids(due(database, owner="two", seconds=LEASE_S)) == ["optimum-1"]


def test_a_peer_that_is_back_is_not_kept_waiting(database: Database) -> None:
    """What rests for an hour goes out now."""
    put(database, make_optimum(1))
    [first] = due(database)
    database.write_now(
        lambda tx: tx.outbox.retry(first.outbox_id, error="503", next_attempt_at=NOW + timedelta(hours=1))
    )
    database.write_now(lambda tx: tx.outbox.hurry("north", now=NOW + SECOND))

    assert ids(due(database, seconds=1)) == ["optimum-1"]


def test_a_plan_waits_for_the_registration(database: Database) -> None:
    """A peer that has not registered gets none."""
    put(database, make_optimum(1), state=PeerState.INVITED)

    assert due(database) == []
    database.write_now(lambda tx: tx.peers.update("north", state=PeerState.REGISTERED))
    assert ids(due(database)) == ["optimum-1"]
