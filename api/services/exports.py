"""Plans of sites in the words of others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from api.context import Context
from api.persistence import Transaction
from api.records import StoredPlan
from api.services import sites
from models.domain import Site
from models.errors import InputError
from optimizer.exports import (
    ExportFormat,
    PlannedRows,
    ProfileOptions,
    ocpi_profiles,
    ocpp16_profiles,
    ocpp201_profiles,
    parquet_tables,
)
from optimizer.scenario_io import SiteFile

PARQUET = "application/vnd.apache.parquet"
PROFILES = {
    ExportFormat.OCPP16: ocpp16_profiles,
    ExportFormat.OCPP201: ocpp201_profiles,
    ExportFormat.OCPI: ocpi_profiles,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A plan as some bytes.

    Args:
        content: The bytes.
        media_type: What they are.
    """

    content: bytes
    media_type: str


async def plan_and_site(context: Context, site_id: str, viewer: str | None) -> tuple[StoredPlan, Site]:
    """The plan in force and the site as it is now.

    Raises:
        NotFoundError: There is no such site that the viewer may see, or no plan; the message says why.
    """
    plan = await sites.plan(context, site_id, viewer)

    def read(tx: Transaction) -> str:
        return sites.visible_site(tx, site_id, viewer).document

    return plan, SiteFile.model_validate_json(await context.database.read(read)).to_domain()


def exported(plan: StoredPlan, site: Site, how: ExportFormat, options: ProfileOptions) -> Export:
    """A plan as profiles or Parquet.

    Raises:
        InputError: The site has lost a charger that the plan has; wait for the next plan.
    """
    document = json.loads(plan.document)
    rows = PlannedRows.of_document(document)
    _require_chargers(document, site)
    if how is ExportFormat.PARQUET:
        return Export(content=parquet_tables(rows, site)["schedule"], media_type=PARQUET)
    return Export(content=to_json(PROFILES[how](rows, site, options)), media_type="application/json")


def _require_chargers(document: Mapping[str, Any], site: Site) -> None:
    for row in document["session_results"]:
        if not site.has_charger(row["charger_id"]):
            raise InputError(
                f"the plan has charger {row['charger_id']!r}, which the site has no more; ask again after the next plan"
            )
