"""Published plans."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from api.persistence.tables import plan, site
from api.records import PlanFigures, StoredPlan

LEVEL = 1
"""Of compression: a plan is written far more often than read, and ten times smaller already."""


class Plans:
    """Stored plans, within a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, new: StoredPlan) -> None:
        """Publish a plan: it is in force from now on."""
        self._connection.execute(
            insert(plan).values(
                plan_id=new.plan_id,
                site_id=new.site_id,
                version=new.version,
                made_at=new.made_at,
                start=new.start,
                end=new.end,
                status=new.status,
                document=zlib.compress(new.document.encode(), LEVEL),
                unmet_kwh=new.unmet_kwh,
                gap=new.gap,
                limit_margin_kw=new.limit_margin_kw,
            )
        )

    def in_force(self, site_id: str) -> StoredPlan | None:
        """The newest plan of a site; None where there is none."""
        statement = select(plan).where(plan.c.site_id == site_id).order_by(plan.c.number.desc()).limit(1)
        row = self._connection.execute(statement).one_or_none()
        return None if row is None else _to_plan(row)

    def ids_of_site(self, site_id: str, *, since: datetime, limit: int) -> Sequence[str]:
        """Ids of the plans of a site made since an instant, the newest first; reads no plan."""
        statement = (
            select(plan.c.plan_id)
            .where(plan.c.site_id == site_id, plan.c.made_at >= since)
            .order_by(plan.c.number.desc())
            .limit(limit)
        )
        return self._connection.execute(statement).scalars().all()

    def get(self, plan_id: str) -> StoredPlan | None:
        """One plan; None where there is none of that id any more."""
        row = self._connection.execute(select(plan).where(plan.c.plan_id == plan_id)).one_or_none()
        return None if row is None else _to_plan(row)

    def figures(self) -> Sequence[PlanFigures]:
        """The plans in force in figures, in order of site."""
        # A look-up for each site: to group the plans of all would read every one that is kept.
        any_plan = plan.alias()
        newest = select(func.max(any_plan.c.number)).where(any_plan.c.site_id == site.c.site_id).scalar_subquery()
        columns = [plan.c[field.name] for field in fields(PlanFigures)]
        statement = select(*columns).select_from(site).join(plan, plan.c.number == newest).order_by(plan.c.site_id)
        return [PlanFigures(**row._mapping) for row in self._connection.execute(statement)]  # noqa: SLF001

    def in_force_between(self, site_id: str, start: datetime, end: datetime) -> Sequence[StoredPlan]:
        """Plans of a site that were in force at any instant of a time, in the order in which they were made."""
        own = plan.c.site_id == site_id
        first = select(func.max(plan.c.number)).where(own, plan.c.made_at <= start).scalar_subquery()
        statement = (
            select(plan)
            .where(own, plan.c.number >= func.coalesce(first, 0), plan.c.made_at < end)
            .order_by(plan.c.number)
        )
        return [_to_plan(row) for row in self._connection.execute(statement)]

    def of_site(self, site_id: str, *, since: datetime, limit: int) -> Sequence[StoredPlan]:
        """Plans of a site made since an instant, the newest first."""
        statement = (
            select(plan)
            .where(plan.c.site_id == site_id, plan.c.made_at >= since)
            .order_by(plan.c.number.desc())
            .limit(limit)
        )
        return [_to_plan(row) for row in self._connection.execute(statement)]


def _to_plan(row: Row[Any]) -> StoredPlan:
    return StoredPlan(
        plan_id=row.plan_id,
        site_id=row.site_id,
        version=row.version,
        made_at=row.made_at,
        start=row.start,
        end=row.end,
        status=row.status,
        document=zlib.decompress(row.document).decode(),
        unmet_kwh=row.unmet_kwh,
        gap=row.gap,
        limit_margin_kw=row.limit_margin_kw,
    )
