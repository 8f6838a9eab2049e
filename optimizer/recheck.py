"""Whether a result folder still holds what it states for its scenario."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from models.domain.scenario import Scenario
from models.domain.schedule import Costs, jain_index
from models.domain.time_grid import TimeGrid
from optimizer.misstatements import (
    decided_kw,
    misstated_assets,
    misstated_groups,
    misstated_violations,
    misstatements,
    stated_costs,
)
from optimizer.options import LimitMode, PilotMode, Strategy
from optimizer.planned_power import PlannedPower
from optimizer.scenario_io import WrittenResult
from optimizer.scenario_io.result_schemas import SummaryFile
from optimizer.verify import Certificate, certify

STATED_TOLERANCE = 1e-4
"""kW, kWh or currency: several figures were rounded on their way to the file."""


def recheck(scenario: Scenario, written: WrittenResult) -> Certificate:
    """Check a written plan, its totals, its sessions and its groups against the scenario.

    Args:
        scenario: What was asked and allowed.
        written: What the result folder says.

    Returns:
        What was found; `Certificate.require` raises if something does not hold.
    """
    by_id = {session.session_id: session for session in scenario.sessions}
    index_of = {row.session_id: index for index, row in enumerate(written.sessions)}
    plan = PlannedPower(
        grid=TimeGrid(edges_s=written.edges_s, time_zone=scenario.site.time_zone),
        sessions=tuple(by_id[row.session_id] for row in written.sessions),
        session_index=np.array([index_of[session_id] for session_id in written.session_ids], dtype=np.int64),
        start_s=written.start_s,
        end_s=written.end_s,
        power_kw=written.power_kw,
        asset_kw=decided_kw(scenario, ((asset.asset_id, asset.power_kw) for asset in written.assets)),
    )
    summary = written.summary
    found = certify(
        scenario,
        plan,
        limit_mode=LimitMode(summary.limits),
        current_mode=LimitMode(summary.currents),
        group_limits=summary.strategy != Strategy.UNCONTROLLED,
        stepless=summary.pilots is PilotMode.CONTINUOUS or summary.strategy == Strategy.UNCONTROLLED,
    )
    shares = [
        given_kwh / session.energy_kwh if session.energy_kwh > 0 else 1.0
        for session, given_kwh in zip(plan.sessions, found.delivered_energy_kwh.tolist(), strict=True)
    ]
    stated = [
        ("delivered energy", summary.delivered_energy_kwh, float(found.delivered_energy_kwh.sum())),
        ("unmet energy", summary.unmet_energy_kwh, float(found.unmet_energy_kwh.sum())),
        ("unreachable energy", summary.unreachable_energy_kwh, float(found.unreachable_energy_kwh.sum())),
        ("energy cost", summary.energy_cost, found.energy_cost),
        ("peak import", summary.peak_import_kw, found.peak_import_kw),
        ("lowest share", summary.lowest_share, min(shares, default=1.0)),
        (
            "Jain's index",
            summary.jain_index,
            jain_index([share for share, one in zip(shares, plan.sessions, strict=True) if one.energy_kwh > 0]),
        ),
        *stated_costs(_costs(summary), found.costs),
        ("number of sessions", float(summary.sessions), float(len(written.sessions))),
        ("number of steps", float(summary.steps), float(plan.grid.steps)),
    ]
    stated += [
        (f"delivered energy of session {row.session_id!r}", row.delivered_energy_kwh, energy_kwh)
        for row, energy_kwh in zip(written.sessions, found.delivered_energy_kwh.tolist(), strict=True)
    ]
    assets = [(one.asset_id, one.power_kw, one.stored_kwh) for one in written.assets]
    groups = [(group.group_id, group.power_kw) for group in written.groups]
    violations = (
        *found.violations,
        *misstatements(stated, tolerance=STATED_TOLERANCE),
        *misstated_assets(scenario, plan, assets),
        *misstated_groups(scenario, plan, groups, limit_mode=LimitMode(summary.limits)),
        *misstated_violations([entry.violation() for entry in summary.limit_violations], found.exceeded),
    )
    return replace(found, violations=violations)


def _costs(summary: SummaryFile) -> Costs:
    """The costs that a summary states."""
    return Costs(**{item.name: getattr(summary, item.name) for item in fields(Costs)})
