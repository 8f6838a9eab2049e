"""Versions of sites, and leases on them: nothing is planned twice at once, and nothing is forgotten."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta

import pytest

from api.persistence import Database, LeaseLostError, NotFoundError, Transaction
from api.records import EventKind, SiteLease
from tests.api.databases import Postgresql
from tests.api.persistence.stored import LEASE_S, NOW, SECOND, add_sites, append, attend, lease

SERVERS = 4
MESSAGES = 25


def held(database: Database, *, owner: str = "one", seconds: float = 0.0) -> list[str]:
    """The sites that a server gets to plan, some seconds on."""
    return [one.site_id for one in lease(database, owner=owner, now=NOW + seconds * SECOND)]


def together(servers: list[Database], work: Callable[[Database], None]) -> None:
    """Let every server do the same at once."""
    threads = [threading.Thread(target=work, args=(server,)) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class TestVersions:
    """Every message of a site has a version of its own, in the order in which they were stored."""

    def test_messages_count_on(self, database: Database) -> None:
        """A new site is version 1, and each message adds one; other sites stay where they are."""
        add_sites(database, "a", "b")

        assert [append(database, "a") for _ in range(3)] == [2, 3, 4]
        assert append(database, "b") == 2
        work = database.read_now(lambda tx: tx.sites.load("a", now=NOW))
        assert [event.version for event in work.events] == [2, 3, 4]

    def test_measurements_ask_for_a_look_only(self, database: Database) -> None:
        """A forecast changes a limit; a measurement does not, and alone makes no plan."""
        add_sites(database, "a")
        append(database, "a")
        database.write_now(
            lambda tx: tx.sites.append_event("a", EventKind.ASSET_MEASUREMENTS, "a", request_id="r", body="{}", now=NOW)
        )

        site = database.read_now(lambda tx: tx.sites.get("a"))
        assert (site.version, site.change_version, site.limit_version) == (3, 2, 2)

    def test_servers_that_write_together_share_no_version(self, postgresql: Postgresql) -> None:
        """Four servers, 25 messages each: 100 versions, none twice, none left out."""
        url = postgresql.empty()
        servers = [Database(url) for _ in range(SERVERS)]
        servers[0].migrate()
        add_sites(servers[0], "a")
        made: list[int] = []

        together(servers, lambda server: made.extend(append(server, "a") for _ in range(MESSAGES)))

        events = servers[0].read_now(lambda tx: tx.sites.load("a", now=NOW)).events
        for server in servers:
            server.close()
        assert sorted(made) == list(range(2, 2 + SERVERS * MESSAGES))
        assert [event.version for event in events] == sorted(made)

    def test_a_request_that_comes_to_two_servers_is_taken_once(self, postgresql: Postgresql) -> None:
        """A peer that did not wait for the answer: of four at once one is new, three are repetitions."""
        url = postgresql.empty()
        servers = [Database(url) for _ in range(SERVERS)]
        servers[0].migrate()
        add_sites(servers[0], "a")
        repeated: list[bool] = []

        together(
            servers,
            lambda server: repeated.append(
                server.write_now(
                    lambda tx: tx.inbox.is_repetition("north", "/path", "a", "r", "hash", now=NOW, memory_s=60.0)
                )
            ),
        )

        for server in servers:
            server.close()
        assert Counter(repeated) == {False: 1, True: SERVERS - 1}

    def test_there_is_no_message_about_nothing(self, database: Database) -> None:
        """A site that was deleted meanwhile."""
        with pytest.raises(NotFoundError, match="'a'"):
            append(database, "a")


class TestLeases:
    """A site is planned by one server at a time."""

    def test_what_changed_is_due_until_it_was_attended(self, database: Database) -> None:
        """A change, a look, and then nothing until the next change."""
        add_sites(database, "a")

        [first] = lease(database)
        assert held(database, owner="two") == []
        attend(database, first, 1)
        assert held(database) == []
        append(database, "a")
        assert held(database) == ["a"]

    def test_a_change_during_the_look_is_not_forgotten(self, database: Database) -> None:
        """Version 2 came while version 1 was planned: the site is due again at once."""
        add_sites(database, "a")
        [first] = lease(database)
        append(database, "a")
        attend(database, first, 1)

        assert held(database) == ["a"]

    def test_it_is_due_at_its_moment_though_nothing_changes(self, database: Database) -> None:
        """The edge of a block, in 15 minutes."""
        add_sites(database, "a")
        [first] = lease(database)
        attend(database, first, 1, due_at=NOW + timedelta(minutes=15))

        assert held(database, seconds=899) == []
        assert held(database, seconds=900) == ["a"]

    def test_the_lease_of_a_dead_server_passes_on(self, database: Database) -> None:
        """After its time another server takes over, and what the first one still writes is refused."""
        add_sites(database, "a")
        [first] = lease(database)

        assert held(database, owner="two", seconds=LEASE_S - 1) == []
        assert held(database, owner="two", seconds=LEASE_S) == ["a"]
        with pytest.raises(LeaseLostError):
            attend(database, first, 1)

    def test_a_lease_is_held_by_signs_of_life(self, database: Database) -> None:
        """Renewed half way, it lasts half as long again."""
        add_sites(database, "a")
        [first] = lease(database)
        half = NOW + timedelta(seconds=LEASE_S / 2)
        database.write_now(lambda tx: tx.leases.renew(first, now=half, lease_s=LEASE_S))

        assert held(database, owner="two", seconds=LEASE_S) == []
        assert held(database, owner="two", seconds=1.5 * LEASE_S) == ["a"]

    def test_a_clock_that_steps_back_locks_nothing(self, database: Database) -> None:
        """A lease that ends in a day was taken before the clock was put right."""
        add_sites(database, "a")
        lease(database, now=NOW + timedelta(days=1))

        assert held(database) == ["a"]

    def test_a_server_that_stops_hands_back(self, database: Database) -> None:
        """All it held, and nothing of others."""
        add_sites(database, "a", "b")
        lease(database, owner="one", limit=1)
        lease(database, owner="two", limit=1)
        database.write_now(lambda tx: tx.leases.release_all("one"))

        assert held(database, owner="three") == ["a"]

    def test_a_failure_rests_until_its_pause_ends_or_something_changes(self, database: Database) -> None:
        """Not before ten seconds, unless a forecast comes."""
        add_sites(database, "a")
        [first] = lease(database)
        database.write_now(lambda tx: tx.leases.failed(first, error="no prices", retry_at=NOW + 10 * SECOND))

        assert held(database, seconds=9) == []
        append(database, "a")
        assert held(database, seconds=9) == ["a"]

    def test_servers_that_look_together_get_different_sites(self, postgresql: Postgresql) -> None:
        """Four servers, twenty sites: each site is leased once, and all are."""
        url = postgresql.empty()
        sites = [f"site-{number:02}" for number in range(20)]
        servers = [Database(url) for _ in range(SERVERS)]
        servers[0].migrate()
        add_sites(servers[0], *sites)
        leases: list[SiteLease] = []

        def take(server: Database) -> None:
            for _ in range(len(sites)):
                leases.extend(lease(server, owner=str(id(server)), limit=2))

        together(servers, take)

        for server in servers:
            server.close()
        assert sorted(one.site_id for one in leases) == sites

    def test_a_lease_that_is_being_taken_is_skipped_not_waited_for(self, postgresql: Postgresql) -> None:
        """SKIP LOCKED: while one server's transaction holds a site, another takes the next."""
        url = postgresql.empty()
        with closing(Database(url)) as one, closing(Database(url)) as two:
            one.migrate()
            add_sites(one, "a", "b")

            def take_and_look(tx: Transaction) -> list[str]:
                tx.leases.take_due(owner="one", now=NOW, lease_s=LEASE_S, limit=1)
                return held(two, owner="two")

            assert one.write_now(take_and_look) == ["b"]
