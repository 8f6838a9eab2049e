"""Sites, their sessions and prices, and what was said about them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, case, delete, insert, literal_column, select, update
from sqlalchemy.exc import IntegrityError

from api.persistence.ciphers import TokenCipher
from api.persistence.errors import ConflictError, NotFoundError
from api.persistence.frequent import FrequentStatement
from api.persistence.peers import Peers
from api.persistence.plans import Plans
from api.persistence.tables import charging_session, event, outbox, site, site_content, site_group
from api.records import Event, EventKind, OutboxState, SiteWork, StoredSession, StoredSite

_BUMP = FrequentStatement(
    update(site)
    .where(site.c.site_id == bindparam("of"))
    .values(
        version=site.c.version + 1,
        change_version=case(
            (bindparam("asks") == literal_column("1"), site.c.version + 1), else_=site.c.change_version
        ),
        limit_version=case(
            (bindparam("limits") == literal_column("1"), site.c.version + 1), else_=site.c.limit_version
        ),
        updated_at=bindparam("now", type_=site.c.updated_at.type),
    )
    .returning(site.c.version)
)
_APPEND = FrequentStatement(insert(event).values({column.name: bindparam(column.name) for column in event.columns}))
_SITE = select(site, site_content.c.document).join(site_content, site_content.c.site_id == site.c.site_id)


class Sites:
    """Stored sites, within a transaction."""

    def __init__(self, connection: Connection, cipher: TokenCipher) -> None:
        self._connection = connection
        self._peers = Peers(connection, cipher)
        self._plans = Plans(connection)

    def put(self, site_id: str, peer_id: str, document: str, group_ids: Sequence[str], *, now: datetime) -> bool:
        """Create or replace a site; sessions, prices and forecasts stay.

        Returns:
            Whether it is new.

        Raises:
            NotFoundError: There is no such peer.
            ConflictError: The peer has another site with one of the groups, or the site belongs to another peer.
        """
        self._peers.get(peer_id)
        known = self._find(site_id, lock=True)
        if known is None:
            self._insert(site_id, peer_id, document, now=now)
        elif known.peer_id != peer_id:
            raise ConflictError(f"site {site_id!r} belongs to peer {known.peer_id!r}; delete it there first")
        elif known.document == document:
            return False
        else:
            self._connection.execute(
                update(site_content).where(site_content.c.site_id == site_id).values(document=document)
            )
            self._bump(site_id, asks=True, limits=True, now=now)
        self._put_groups(site_id, peer_id, group_ids)
        return known is None

    def get(self, site_id: str) -> StoredSite:
        """One site.

        Raises:
            NotFoundError: There is none of that id.
        """
        found = self._find(site_id)
        if found is None:
            raise _no_site(site_id)
        return found

    def all(self, *, peer_id: str | None = None) -> Sequence[StoredSite]:
        """Every site, or those of one peer, in order of id."""
        statement = _SITE.order_by(site.c.site_id)
        if peer_id is not None:
            statement = statement.where(site.c.peer_id == peer_id)
        return [_to_site(row) for row in self._connection.execute(statement)]

    def delete(self, site_id: str) -> None:
        """Delete a site with all that was said of it; its messages that wait to go out are superseded.

        Raises:
            NotFoundError: There is none of that id.
        """
        if not self._connection.execute(delete(site).where(site.c.site_id == site_id)).rowcount:
            raise _no_site(site_id)
        self._connection.execute(
            update(outbox)
            .where(outbox.c.site_id == site_id, outbox.c.state == OutboxState.PENDING)
            .values(state=OutboxState.SUPERSEDED, finished_at=outbox.c.created_at)
        )

    def append_event(
        self, site_id: str, kind: EventKind, group_id: str, *, request_id: str, body: str, now: datetime
    ) -> int:
        """Keep a message of a peer, which makes a version of the site.

        A forecast asks for a new plan and changes a limit; measurements ask only for a look.

        Returns:
            The version.

        Raises:
            NotFoundError: There is no such site.
        """
        is_forecast = kind is EventKind.FORECAST
        version = self._bump(site_id, asks=is_forecast, limits=is_forecast, now=now)
        _APPEND.run(
            self._connection,
            site_id=site_id,
            version=version,
            kind=str(kind),
            group_id=group_id,
            received_at=now,
            request_id=request_id,
            body=body,
        )
        return version

    def put_sessions(self, site_id: str, sessions: Sequence[tuple[str, str, float]], *, now: datetime) -> int:
        """Create or replace sessions, given as (id, document, energy_kwh), in one version.

        A session whose energy is what was stated before keeps the instant at which it was stated: stated again, it is
        the same request, of which part may have been delivered meanwhile.

        Returns:
            The version; the present one where nothing changed.

        Raises:
            NotFoundError: There is no such site.
        """
        present = self._lock(site_id)
        known = {row.session_id: row for row in self._connection.execute(_sessions_of(site_id))}
        changed = [entry for entry in sessions if entry[0] not in known or known[entry[0]].document != entry[1]]
        if not changed:
            return present
        gone = [session_id for session_id, _, _ in changed if session_id in known]
        self._delete_sessions(site_id, gone)
        self._connection.execute(
            insert(charging_session),
            [
                {
                    "site_id": site_id,
                    "session_id": session_id,
                    "document": document,
                    "energy_kwh": energy_kwh,
                    "departure": datetime.fromisoformat(json.loads(document)["departure"]),
                    "stated_at": _stated_at(known.get(session_id), energy_kwh, now),
                }
                for session_id, document, energy_kwh in changed
            ],
        )
        return self._bump(site_id, asks=True, limits=False, now=now)

    def sessions(self, site_id: str) -> Sequence[StoredSession]:
        """Every stored session of a site, in order of id."""
        rows = self._connection.execute(_sessions_of(site_id).order_by(charging_session.c.session_id))
        return [_to_session(row) for row in rows]

    def departed(self, site_id: str, start: datetime, end: datetime) -> Sequence[StoredSession]:
        """Sessions of a site that departed within a time, in order of departure."""
        chosen = _sessions_of(site_id).where(charging_session.c.departure > start, charging_session.c.departure <= end)
        rows = self._connection.execute(chosen.order_by(charging_session.c.departure, charging_session.c.session_id))
        return [_to_session(row) for row in rows]

    def measurements(self, site_id: str, start: datetime, end: datetime) -> Sequence[Event]:
        """Messages with measurements of a site that came within a time, in order of version."""
        chosen = select(event).where(
            event.c.site_id == site_id,
            event.c.kind != EventKind.FORECAST,
            event.c.received_at >= start,
            event.c.received_at < end,
        )
        return [_to_event(row) for row in self._connection.execute(chosen.order_by(event.c.version))]

    def session(self, site_id: str, session_id: str) -> StoredSession:
        """One session.

        Raises:
            NotFoundError: The site has none of that id.
        """
        statement = _sessions_of(site_id).where(charging_session.c.session_id == session_id)
        row = self._connection.execute(statement).one_or_none()
        if row is None:
            raise NotFoundError(f"site {site_id!r} has no session {session_id!r}")
        return _to_session(row)

    def delete_session(self, site_id: str, session_id: str, *, now: datetime) -> int:
        """Delete a session, which makes a version.

        Raises:
            NotFoundError: The site has none of that id.
        """
        self._lock(site_id)
        if not self._delete_sessions(site_id, [session_id]):
            raise NotFoundError(f"site {site_id!r} has no session {session_id!r}")
        return self._bump(site_id, asks=True, limits=False, now=now)

    def put_prices(self, site_id: str, document: str | None, *, now: datetime) -> int:
        """Replace the prices of a site, which makes a version; None takes them away.

        Raises:
            NotFoundError: There is no such site.
        """
        present = self._lock(site_id)
        if self.prices(site_id) == document:
            return present
        self._connection.execute(update(site_content).where(site_content.c.site_id == site_id).values(prices=document))
        return self._bump(site_id, asks=True, limits=False, now=now)

    def prices(self, site_id: str) -> str | None:
        """The prices of a site as JSON; None where there are none.

        Raises:
            NotFoundError: There is no such site.
        """
        row = self._connection.execute(
            select(site_content.c.prices).where(site_content.c.site_id == site_id)
        ).one_or_none()
        if row is None:
            raise _no_site(site_id)
        prices: str | None = row.prices
        return prices

    def load(self, site_id: str, *, now: datetime) -> SiteWork:
        """All that is known of a site, read at one instant.

        Raises:
            NotFoundError: There is none of that id.
        """
        # First: where statements see different states, what came after the version just read is left for the next time.
        found = self.get(site_id)
        content = self._connection.execute(select(site_content).where(site_content.c.site_id == site_id)).one()
        present = _sessions_of(site_id).where(charging_session.c.departure > now)
        sessions = self._connection.execute(present.order_by(charging_session.c.session_id))
        return SiteWork(
            site=found,
            peer=self._peers.get(found.peer_id),
            sessions=tuple(_to_session(row) for row in sessions),
            prices=content.prices,
            snapshot=content.snapshot,
            events=self._events_between(site_id, content.snapshot_version, found.version),
            plan=self._plans.in_force(site_id),
        )

    def _find(self, site_id: str, *, lock: bool = False) -> StoredSite | None:
        statement = _SITE.where(site.c.site_id == site_id)
        if lock:
            statement = statement.with_for_update(of=site)
        row = self._connection.execute(statement).one_or_none()
        return None if row is None else _to_site(row)

    def _lock(self, site_id: str) -> int:
        """Hold back other writers of a site until the transaction ends; its version."""
        statement = select(site.c.version).where(site.c.site_id == site_id).with_for_update()
        version: int | None = self._connection.execute(statement).scalar()
        if version is None:
            raise _no_site(site_id)
        return version

    def _insert(self, site_id: str, peer_id: str, document: str, *, now: datetime) -> None:
        versions = dict.fromkeys(("version", "change_version", "limit_version"), 1)
        self._connection.execute(
            insert(site).values(
                site_id=site_id,
                peer_id=peer_id,
                updated_at=now,
                attended_version=0,
                planned_version=0,
                last_error="",
                **versions,
            )
        )
        self._connection.execute(insert(site_content).values(site_id=site_id, document=document, snapshot_version=0))

    def _put_groups(self, site_id: str, peer_id: str, group_ids: Sequence[str]) -> None:
        self._connection.execute(delete(site_group).where(site_group.c.site_id == site_id))
        entries = [{"peer_id": peer_id, "group_id": group_id, "site_id": site_id} for group_id in group_ids]
        try:
            with self._connection.begin_nested():
                self._connection.execute(insert(site_group), entries)
        except IntegrityError:
            taken = select(site_group.c.group_id, site_group.c.site_id).where(
                site_group.c.peer_id == peer_id, site_group.c.group_id.in_(group_ids)
            )
            other = self._connection.execute(taken).first()
            where = f"group {other.group_id!r} is part of site {other.site_id!r}" if other else "a group is taken"
            raise ConflictError(f"{where}; a group of a peer belongs to one site") from None

    def _bump(self, site_id: str, *, asks: bool, limits: bool, now: datetime) -> int:
        """Make a version; the row's lock orders the versions of a site as their transactions commit."""
        row = _BUMP.run(self._connection, of=site_id, asks=int(asks), limits=int(limits), now=now).fetchone()
        if row is None:
            raise _no_site(site_id)
        version: int = row[0]
        return version

    def _delete_sessions(self, site_id: str, session_ids: Sequence[str]) -> int:
        if not session_ids:
            return 0
        statement = delete(charging_session).where(
            charging_session.c.site_id == site_id, charging_session.c.session_id == bindparam("gone")
        )
        return self._connection.execute(statement, [{"gone": session_id} for session_id in session_ids]).rowcount

    def _events_between(self, site_id: str, after: int, until: int) -> tuple[Event, ...]:
        rows = self._connection.execute(
            select(event)
            .where(event.c.site_id == site_id, event.c.version > after, event.c.version <= until)
            .order_by(event.c.version)
        )
        return tuple(map(_to_event, rows))


def _no_site(site_id: str) -> NotFoundError:
    return NotFoundError(f"there is no site {site_id!r}")


def _sessions_of(site_id: str) -> Any:  # noqa: ANN401 - a statement
    return select(charging_session).where(charging_session.c.site_id == site_id)


def _stated_at(known: Row[Any] | None, energy_kwh: float, now: datetime) -> datetime:
    if known is not None and known.energy_kwh == energy_kwh:
        stated_at: datetime = known.stated_at
        return stated_at
    return now


def _to_event(row: Row[Any]) -> Event:
    return Event(
        version=row.version,
        kind=EventKind(row.kind),
        group_id=row.group_id,
        received_at=row.received_at,
        request_id=row.request_id,
        body=row.body,
    )


def _to_session(row: Row[Any]) -> StoredSession:
    return StoredSession(session_id=row.session_id, document=row.document, stated_at=row.stated_at)


def _to_site(row: Row[Any]) -> StoredSite:
    return StoredSite(
        site_id=row.site_id,
        peer_id=row.peer_id,
        document=row.document,
        version=row.version,
        change_version=row.change_version,
        limit_version=row.limit_version,
        attended_version=row.attended_version,
        planned_version=row.planned_version,
        due_at=row.due_at,
        updated_at=row.updated_at,
        last_error=row.last_error,
    )
