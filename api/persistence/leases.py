"""Which sites need attention, which server holds them until when, and up to where they have been looked at."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, case, func, or_, select, update

from api.persistence.errors import LeaseLostError
from api.persistence.tables import site, site_content
from api.records import SiteLease

_FREE: dict[str, Any] = {"lease_token": None, "lease_owner": None, "lease_until": None}


class Leases:
    """Who plans which site, within a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def take_due(
        self, *, owner: str, now: datetime, lease_s: float, limit: int, site_ids: Sequence[str] | None = None
    ) -> Sequence[SiteLease]:
        """Take sites that need attention and that nobody holds: unattended versions first, then those due.

        A site needs attention when ``version > attended_version`` or ``due_at <= now``, its peer is known, and, after a
        failure, its pause is over. A lease that ended, or that ends later than now + 2 lease_s (the clock stepped
        back), is free. On PostgreSQL rows that another server is about to take are skipped.
        """
        rested = or_(site.c.retry_at.is_(None), site.c.retry_at <= now)
        unattended = site.c.version > site.c.attended_version
        waiting = and_(unattended, or_(rested, site.c.change_version > func.coalesce(site.c.failed_version, -1)))
        statement = (
            select(site.c.site_id, unattended.label("unattended"), site.c.updated_at, site.c.due_at)
            .where(
                or_(waiting, and_(site.c.due_at <= now, rested)),
                or_(
                    site.c.lease_until.is_(None),
                    site.c.lease_until <= now,
                    site.c.lease_until > now + timedelta(seconds=2 * lease_s),
                ),
            )
            .order_by(case((unattended, 0), else_=1), site.c.updated_at, site.c.site_id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        if site_ids is not None:
            statement = statement.where(site.c.site_id.in_(site_ids))
        until = now + timedelta(seconds=lease_s)
        leases = [
            SiteLease(site_id=row.site_id, token=secrets.token_hex(8), until=until, waited_s=_waited_s(row, now))
            for row in self._connection.execute(statement).all()
        ]
        for lease in leases:
            self._connection.execute(
                update(site)
                .where(site.c.site_id == lease.site_id)
                .values(lease_token=lease.token, lease_owner=owner, lease_until=until)
            )
        return leases

    def renew(self, lease: SiteLease, *, now: datetime, lease_s: float) -> SiteLease:
        """Hold a lease longer.

        Raises:
            LeaseLostError: It has passed to another server, or the site is gone.
        """
        until = now + timedelta(seconds=lease_s)
        self._change_leased(lease, lease_until=until)
        return SiteLease(site_id=lease.site_id, token=lease.token, until=until)

    def release(self, lease: SiteLease) -> None:
        """Hand a lease back at once; nothing happens when it is lost."""
        self._connection.execute(
            update(site).where(site.c.site_id == lease.site_id, site.c.lease_token == lease.token).values(**_FREE)
        )

    def release_all(self, owner: str) -> int:
        """Hand back every lease of a server that stops; how many there were."""
        return self._connection.execute(update(site).where(site.c.lease_owner == owner).values(**_FREE)).rowcount

    def attended(
        self,
        lease: SiteLease,
        *,
        version: int,
        snapshot: str,
        due_at: datetime | None,
        planned: bool,
    ) -> None:
        """Note up to where a site has been looked at, with the state up to there, and release the lease.

        Args:
            lease: Under which it was looked at.
            version: Up to where.
            snapshot: The state up to there, which takes the place of the events.
            due_at: When to plan again though nothing changes; None for never.
            planned: Whether the plan that knows that version was published in this transaction.

        Raises:
            LeaseLostError: The lease has passed to another server.
        """
        changes: dict[str, Any] = {"planned_version": version, "last_error": ""} if planned else {}
        self._change_leased(
            lease,
            attended_version=version,
            due_at=due_at,
            failed_version=None,
            retry_at=None,
            **_FREE,
            **changes,
        )
        self._connection.execute(
            update(site_content)
            .where(site_content.c.site_id == lease.site_id)
            .values(snapshot=snapshot, snapshot_version=version)
        )

    def failed(self, lease: SiteLease, *, error: str, retry_at: datetime) -> None:
        """Note that a site could not be planned, and release the lease; it waits until an instant or its next change.

        Raises:
            LeaseLostError: The lease has passed to another server.
        """
        self._change_leased(lease, last_error=error, retry_at=retry_at, failed_version=site.c.change_version, **_FREE)

    def oldest_unattended(self) -> datetime | None:
        """When the site was last changed that waits longest for the planner; None where none waits."""
        waiting = select(func.min(site.c.updated_at, type_=site.c.updated_at.type)).where(
            site.c.version > site.c.attended_version
        )
        found: datetime | None = self._connection.execute(waiting).scalar()
        return found

    def _change_leased(self, lease: SiteLease, **values: Any) -> None:  # noqa: ANN401 - columns
        statement = (
            update(site).where(site.c.site_id == lease.site_id, site.c.lease_token == lease.token).values(**values)
        )
        if not self._connection.execute(statement).rowcount:
            raise LeaseLostError(f"the lease of site {lease.site_id!r} has ended; another server may plan it")


def _waited_s(row: Row[Any], now: datetime) -> float:
    since: datetime = row.updated_at if row.unattended else row.due_at
    return max(0.0, (now - since).total_seconds())
