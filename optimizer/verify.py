"""Whether a plan holds every limit and costs what it says: recomputed from the scenario, without solver or formulation.

Nothing here uses the arrays the plan was made from; only the domain's own reading of forecasts and prices is shared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.domain.scenario import Scenario
from models.domain.schedule import Costs, Schedule
from models.domain.time_grid import FloatArray, TimeGrid
from models.domain.violation import LimitViolation
from models.errors import VerificationError
from models.units import amperes_to_kilowatts
from optimizer.misstatements import (
    decided_kw,
    misstated_assets,
    misstated_groups,
    misstated_violations,
    misstatements,
    stated_costs,
)
from optimizer.options import LimitMode
from optimizer.planned_power import RELATIVE_TOLERANCE, TOLERANCE, PlannedPower
from optimizer.verify_assets import (
    SessionPlaces,
    asset_powers,
    asset_violations,
    costs_of,
    delivered_kwh,
    metered_kw,
    possible_kwh,
    vehicle_violations,
)
from optimizer.verify_currents import line_currents
from optimizer.verify_groups import group_loads, shared_chargers
from optimizer.verify_sessions import session_power_kw, session_violations


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Certificate:
    """What a plan was found to be.

    Args:
        violations: One sentence for each broken limit, the worst of its kind only; empty when the plan holds.
        delivered_energy_kwh: (S,), kWh.
        unmet_energy_kwh: (S,), kWh.
        unreachable_energy_kwh: (S,), kWh.
        energy_cost: Currency; zero without a tariff.
        costs: What else it costs, and what it moves.
        peak_import_kw: kW.
        smallest_margin_kw: How much the tightest limit leaves in its tightest step, kW; infinite without limits.
        exceeded: Where groups exceed a limit, whether a plan could avoid it or not.
    """

    violations: tuple[str, ...]
    delivered_energy_kwh: FloatArray
    unmet_energy_kwh: FloatArray
    unreachable_energy_kwh: FloatArray
    energy_cost: float
    costs: Costs
    peak_import_kw: float
    smallest_margin_kw: float
    exceeded: tuple[LimitViolation, ...]

    def require(self) -> Certificate:
        """The certificate itself.

        Raises:
            VerificationError: The plan breaks something.
        """
        if self.violations:
            raise VerificationError(self.violations)
        return self


def certify(
    scenario: Scenario,
    plan: PlannedPower,
    *,
    limit_mode: LimitMode,
    current_mode: LimitMode = LimitMode.INSTANTANEOUS,
    group_limits: bool = True,
    stepless: bool = False,
) -> Certificate:
    """Check a plan against a scenario.

    Args:
        scenario: What was asked and allowed.
        plan: What is planned.
        limit_mode: What a limit in kW, or a capacity provider's in A, holds down.
        current_mode: What a limit in A that the site states of its lines holds down.
        group_limits: Whether limits of groups and lines have to hold; the uncontrolled baseline ignores them.
        stepless: Whether chargers may be set to any power up to their most, whatever they say themselves.

    Returns:
        What was found; `Certificate.require` raises if something does not hold.
    """
    delivered = delivered_kwh(plan)
    requested = np.array([session.energy_kwh for session in plan.sessions], dtype=np.float64)
    power_kw = session_power_kw(scenario, plan, stepless=stepless)
    reachable = np.minimum(requested, possible_kwh(scenario, plan, power_kw))
    violations = [
        *session_violations(
            scenario, plan, delivered_kwh=delivered, reachable_kwh=reachable, power_kw=power_kw, stepless=stepless
        ),
        *vehicle_violations(scenario, plan),
        *asset_violations(scenario, plan.grid, plan.asset_kw),
    ]
    powers, where = asset_powers(scenario, plan.grid, plan.asset_kw), SessionPlaces.of(scenario, plan)
    margin_kw = np.inf
    exceeded: list[LimitViolation] = []
    held = list(shared_chargers(scenario, plan, limit_mode))
    for group in group_loads(scenario, plan, where, powers, limit_mode):
        exceeded += group.violations(plan.grid)
        if group_limits:
            held.append((group.label, group.load_kw, np.maximum(group.limit_kw, group.unavoidable_kw)))
    for name, load_kw, limit_kw in held:
        margin_kw = min(margin_kw, float((limit_kw - load_kw).min(initial=np.inf)))
        violations.extend(_limit_violation(plan.grid, name, load_kw, limit_kw, "kW"))
    if group_limits:
        voltage_v = scenario.site.nominal_voltage_v
        for name, current_a, limit_a in line_currents(
            scenario, plan, powers, limit_mode=limit_mode, current_mode=current_mode
        ):
            spare_a = float((limit_a - current_a).min(initial=np.inf))
            margin_kw = min(margin_kw, amperes_to_kilowatts(spare_a, voltage_v=voltage_v, conductors=1))
            violations.extend(_limit_violation(plan.grid, name, current_a, limit_a, "A"))
    net_kw = metered_kw(scenario, plan, where, powers)
    cost, costs = costs_of(scenario, plan, net_kw, plan.asset_kw)
    everything = np.ones(len(plan.sessions))
    site_kw = net_kw.sum(axis=0) if _has_meters(scenario, plan) else plan.load_kw(everything, limit_mode)
    return Certificate(
        violations=tuple(violations),
        delivered_energy_kwh=delivered,
        unmet_energy_kwh=np.maximum(reachable - delivered, 0.0),
        unreachable_energy_kwh=requested - reachable,
        energy_cost=cost,
        costs=costs,
        peak_import_kw=float(site_kw.max(initial=0.0)),
        smallest_margin_kw=margin_kw,
        exceeded=tuple(exceeded),
    )


def _has_meters(scenario: Scenario, plan: PlannedPower) -> bool:
    """Whether more than what sessions draw counts in the site's peak."""
    site = scenario.site
    return bool(site.assets) or any(session.discharge_power_kw > 0 for session in plan.sessions)


def verify(
    scenario: Scenario,
    schedule: Schedule,
    *,
    limit_mode: LimitMode,
    current_mode: LimitMode = LimitMode.INSTANTANEOUS,
    group_limits: bool = True,
    stepless: bool = False,
) -> Certificate:
    """Check a schedule, and that it states its energies, cost, peak and groups correctly.

    Args:
        scenario: What was asked and allowed.
        schedule: The plan.
        limit_mode: How power is counted.
        current_mode: How currents of lines are counted.
        group_limits: Whether the limits of groups and lines hold.
        stepless: Whether chargers may be set to any power up to their most, whatever they say themselves.

    Raises:
        VerificationError: Something does not hold; the message names what, by how much and when.
    """
    plan = PlannedPower(
        grid=schedule.grid,
        sessions=tuple(result.session for result in schedule.sessions),
        session_index=schedule.session_index,
        start_s=schedule.start_s,
        end_s=schedule.end_s,
        power_kw=schedule.power_kw,
        asset_kw=decided_kw(scenario, ((asset.asset_id, asset.power_kw) for asset in schedule.assets)),
    )
    found = certify(
        scenario,
        plan,
        limit_mode=limit_mode,
        current_mode=current_mode,
        group_limits=group_limits,
        stepless=stepless,
    ).require()
    totals = (
        ("delivered energy", schedule.delivered_energy_kwh, float(found.delivered_energy_kwh.sum())),
        ("unmet energy", schedule.unmet_energy_kwh, float(found.unmet_energy_kwh.sum())),
        ("unreachable energy", schedule.unreachable_energy_kwh, float(found.unreachable_energy_kwh.sum())),
        ("energy cost", schedule.energy_cost, found.energy_cost),
        ("peak import", schedule.peak_import_kw, found.peak_import_kw),
        *stated_costs(schedule.costs or found.costs, found.costs),
    )
    groups = tuple((group.group_id, group.power_kw) for group in schedule.groups)
    violations = (
        *misstatements(totals),
        *_misstated_sessions(schedule, found),
        *misstated_assets(scenario, plan, ((one.asset_id, one.power_kw, one.stored_kwh) for one in schedule.assets)),
        *misstated_groups(scenario, plan, groups, limit_mode=limit_mode),
        *(misstated_violations(schedule.violations, found.exceeded) if group_limits else ()),
    )
    if violations:
        raise VerificationError(violations)
    return found


def _misstated_sessions(schedule: Schedule, found: Certificate) -> list[str]:
    stated = np.array(
        [
            (result.delivered_energy_kwh, result.unmet_energy_kwh, result.unreachable_energy_kwh)
            for result in schedule.sessions
        ]
    ).reshape(-1, 3)
    texts: list[str] = []
    for name, claim, recomputed in zip(
        ("delivered", "unmet", "unreachable"),
        stated.T,
        (found.delivered_energy_kwh, found.unmet_energy_kwh, found.unreachable_energy_kwh),
        strict=True,
    ):
        if claim.size:
            worst = int(np.argmax(np.abs(claim - recomputed)))
            label = f"{name} energy of session {schedule.sessions[worst].session.session_id!r}"
            texts += misstatements([(label, float(claim[worst]), float(recomputed[worst]))])
    return texts


def _limit_violation(grid: TimeGrid, name: str, load: FloatArray, limit: FloatArray, unit: str) -> list[str]:
    excess = load - limit
    worst = int(np.argmax(excess))
    if excess[worst] <= TOLERANCE + RELATIVE_TOLERANCE * limit[worst]:
        return []
    count = int((excess > TOLERANCE).sum())
    since = grid.instant(float(grid.edges_s[worst])).isoformat()
    found, allowed = f"{load[worst]:.6f} {unit}", f"{limit[worst]:.6f} {unit}"
    return [f"{name}: {found} from {since} exceeds the limit of {allowed} (in {count} steps)"]
