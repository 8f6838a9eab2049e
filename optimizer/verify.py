"""Whether a plan holds every limit and costs what it says: recomputed from the scenario, without solver or formulation.

Nothing here uses the arrays the plan was made from; only the domain's own reading of forecasts and prices is shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.domain.capacity import EXPORT_KINDS, IMPORT_KINDS, SINGLE_PHASES, Phase
from models.domain.group import CapacityGroup
from models.domain.scenario import Scenario
from models.domain.schedule import Costs, Schedule
from models.domain.time_grid import BoolArray, FloatArray, IntArray, TimeGrid
from models.domain.violation import LimitViolation, violations_of
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
from optimizer.planned_power import RELATIVE_TOLERANCE, SECOND_TOLERANCE, TOLERANCE, PlannedPower, chargers_as_used
from optimizer.verify_assets import (
    AssetPower,
    SessionPlaces,
    asset_powers,
    asset_violations,
    costs_of,
    counted_kw,
    delivered_kwh,
    metered_kw,
    possible_kwh,
    row_loads_kw,
    row_weights,
    vehicle_violations,
)
from optimizer.verify_currents import line_currents


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
    power_kw = _session_power_kw(scenario, plan, stepless=stepless)
    reachable = np.minimum(requested, possible_kwh(scenario, plan, power_kw))
    violations = [
        *_membership(scenario, plan),
        *_divided_steps(scenario, plan.grid),
        *_presence(plan),
        *_energy_bounds(plan, delivered, reachable),
        *_power_bounds(scenario, plan, power_kw),
        *(() if stepless else _settings(scenario, plan)),
        *vehicle_violations(scenario, plan),
        *asset_violations(scenario, plan.grid, plan.asset_kw),
    ]
    powers, where = asset_powers(scenario, plan.grid, plan.asset_kw), SessionPlaces.of(scenario, plan)
    margin_kw = np.inf
    exceeded: list[LimitViolation] = []
    held = list(_shared_chargers(scenario, plan, limit_mode))
    for group in _group_loads(scenario, plan, where, powers, limit_mode):
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


def _membership(scenario: Scenario, plan: PlannedPower) -> list[str]:
    """Sessions that are not those asked for, listed twice, or left out although they lie in the window."""
    asked = {session.session_id: session for session in scenario.sessions}
    start_s, end_s = plan.grid.edges_s[[0, -1]]
    listed: set[str] = set()
    texts: list[str] = []
    for session in plan.sessions:
        if asked.get(session.session_id) != session:
            texts.append(f"session {session.session_id!r} is not the one that was asked for")
        if session.session_id in listed:
            texts.append(f"session {session.session_id!r} is listed twice")
        listed.add(session.session_id)
    texts += [
        f"session {session.session_id!r} lies inside the window and is not part of the plan"
        for session in scenario.sessions
        if session.session_id not in listed
        and session.arrival_s >= start_s - SECOND_TOLERANCE
        and session.departure_s <= end_s + SECOND_TOLERANCE
    ]
    return texts[:1]


def _divided_steps(scenario: Scenario, grid: TimeGrid) -> list[str]:
    """A step within which a limit or a price changes, so that neither would be counted rightly."""
    edges_s = scenario.edges_s(float(grid.edges_s[0]), float(grid.edges_s[-1]))
    inside_s = edges_s[(edges_s > grid.edges_s[0]) & (edges_s < grid.edges_s[-1])]
    after = np.searchsorted(grid.edges_s, inside_s)
    distance_s = np.minimum(grid.edges_s[after] - inside_s, inside_s - grid.edges_s[after - 1])
    return [
        f"a limit or price changes at {grid.instant(float(inside_s[index])).isoformat()}, within a step of the plan"
        for index in np.flatnonzero(distance_s > SECOND_TOLERANCE)[:1].tolist()
    ]


def _presence(plan: PlannedPower) -> list[str]:
    """Rows outside their session's stay, outside a step, empty, or two of one session in one step."""
    arrival_s, departure_s = plan.arrival_s[plan.session_index], plan.departure_s[plan.session_index]
    step = plan.step
    step_start_s, step_end_s = plan.grid.edges_s[step], plan.grid.edges_s[step + 1]
    checks = (
        (
            "lies outside the stay",
            (plan.start_s < arrival_s - SECOND_TOLERANCE) | (plan.end_s > departure_s + SECOND_TOLERANCE),
        ),
        (
            "lies outside a step",
            (plan.start_s < step_start_s - SECOND_TOLERANCE) | (plan.end_s > step_end_s + SECOND_TOLERANCE),
        ),
        ("has no length", plan.end_s <= plan.start_s),
        ("repeats a step", _repeated(plan.session_index * (plan.grid.steps + 1) + step)),
    )
    return [
        f"session {plan.sessions[int(plan.session_index[row])].session_id!r}: power planned from "
        f"{plan.grid.instant(float(plan.start_s[row])).isoformat()} {what}"
        for what, broken in checks
        for row in np.flatnonzero(broken)[:1].tolist()
    ]


def _repeated(keys: IntArray) -> BoolArray:
    order = np.argsort(keys, kind="stable")
    repeated = np.zeros(keys.size, dtype=bool)
    repeated[order[1:]] = keys[order[1:]] == keys[order[:-1]]
    return repeated


def _power_bounds(scenario: Scenario, plan: PlannedPower, limit_kw: FloatArray) -> list[str]:
    below_zero = np.flatnonzero(~(plan.power_kw >= 0)).tolist()
    bad = [row for row in below_zero if not plan.power_kw[row] >= -_feeds_in_kw(scenario, plan, row)][:1]
    negative = [f"{_name(plan, plan.session_index[row])}: planned power is {plan.power_kw[row]} kW" for row in bad]
    worst = _worst_excess(plan.power_kw, limit_kw[plan.session_index])
    above = [
        f"{_name(plan, plan.session_index[row])}: planned {plan.power_kw[row]:.6f} kW, may draw "
        f"{limit_kw[plan.session_index[row]]:.6f} kW"
        for row in worst
    ]
    return [*negative, *above]


def _feeds_in_kw(scenario: Scenario, plan: PlannedPower, row: int) -> float:
    """What the session of a row may feed in, with the tolerance where it may at all, kW."""
    session = plan.sessions[int(plan.session_index[row])]
    most_kw = min(session.discharge_power_kw, scenario.site.charger(session.charger_id).max_power_kw)
    return most_kw + TOLERANCE if most_kw > 0 else 0.0


def _energy_bounds(plan: PlannedPower, delivered_kwh: FloatArray, reachable_kwh: FloatArray) -> list[str]:
    return [
        f"{_name(plan, index)}: planned {delivered_kwh[index]:.6f} kWh, can take {reachable_kwh[index]:.6f} kWh"
        for index in _worst_excess(delivered_kwh, reachable_kwh)
    ]


def _name(plan: PlannedPower, session: int) -> str:
    return f"session {plan.sessions[int(session)].session_id!r}"


def _worst_excess(actual: FloatArray, allowed: FloatArray) -> list[int]:
    """Index of the largest excess over what is allowed; empty where nothing exceeds it."""
    excess = actual - allowed
    worst = int(np.argmax(excess)) if excess.size else 0
    exceeded = excess.size and not excess[worst] <= TOLERANCE + RELATIVE_TOLERANCE * abs(allowed[worst])
    return [worst] if exceeded else []


def _session_power_kw(scenario: Scenario, plan: PlannedPower, *, stepless: bool) -> FloatArray:
    power_kw = []
    for session, charger in zip(plan.sessions, chargers_as_used(scenario, plan), strict=True):
        most_kw = (
            charger.max_power_kw if session.max_power_kw is None else min(charger.max_power_kw, session.max_power_kw)
        )
        power_kw.append(most_kw if stepless else charger.setting_kw(most_kw))
    return np.array(power_kw, dtype=np.float64)


def _settings(scenario: Scenario, plan: PlannedPower) -> list[str]:
    """Powers that a charger cannot be set to, and rows that end before their step although others follow."""
    texts: list[str] = []
    for index, charger in enumerate(chargers_as_used(scenario, plan)):
        session = plan.sessions[index]
        if charger.is_stepless or session.discharge_power_kw > 0:
            continue
        rows = np.flatnonzero(plan.session_index == index)
        rows = rows[np.argsort(plan.start_s[rows], kind="stable")]
        for row in rows.tolist():
            power_kw = float(plan.power_kw[row])
            if abs(charger.setting_kw(power_kw + TOLERANCE) - power_kw) > 2 * TOLERANCE:
                texts.append(
                    f"{_name(plan, index)}: planned {power_kw:.6f} kW, which charger {session.charger_id!r} has no "
                    "setting for"
                )
                break
        whole_until_s = np.minimum(plan.grid.edges_s[plan.step[rows] + 1], session.departure_s)
        early = plan.end_s[rows[:-1]] < whole_until_s[:-1] - SECOND_TOLERANCE
        late = plan.start_s[rows] > np.maximum(plan.grid.edges_s[plan.step[rows]], session.arrival_s) + SECOND_TOLERANCE
        if early.any() or late.any():
            texts.append(f"{_name(plan, index)}: is switched within a step and not for the last time")
    return texts[:1]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _GroupLoad:
    """One limit of a group with its load.

    Args:
        group: The group.
        phase: Which conductor it counts.
        is_export: Which direction.
        load_kw: (T,), kW, in that direction.
        limit_kw: (T,), kW.
        unavoidable_kw: (T,), what no plan can do anything about, kW.
    """

    group: CapacityGroup
    phase: Phase
    is_export: bool
    load_kw: FloatArray
    limit_kw: FloatArray
    unavoidable_kw: FloatArray

    @property
    def label(self) -> str:
        name = f"group {self.group.group_id!r}" + (" export" if self.is_export else "")
        return name + ("" if self.phase is Phase.ALL else f" phase {self.phase}")

    def violations(self, grid: TimeGrid) -> Iterable[LimitViolation]:
        stated_kw = self.group.export_limit_kw if self.is_export else self.group.import_limit_kw
        return violations_of(
            grid,
            self.group.group_id,
            self.phase,
            is_export=self.is_export,
            load_kw=self.load_kw,
            limit_kw=self.limit_kw,
            connection_kw=np.inf if stated_kw is None or self.phase is not Phase.ALL else stated_kw,
        )


def _group_loads(
    scenario: Scenario,
    plan: PlannedPower,
    where: SessionPlaces,
    powers: Sequence[AssetPower],
    limit_mode: LimitMode,
) -> Iterable[_GroupLoad]:
    """Every limit of a group in kW with its load."""
    for group in scenario.site.groups:
        for export in (False, True) if scenario.can_feed_in else (False,):
            for phase in (Phase.ALL, *SINGLE_PHASES):
                limit_kw = _group_limit_kw(scenario, plan.grid, group.group_id, phase, export=export)
                if limit_kw is None:
                    continue
                weight = row_weights(scenario, plan, where, group.group_id, phase, export=export)
                load_kw = row_loads_kw(plan, weight, limit_mode, export=export)
                of_assets_kw, unavoidable_kw = counted_kw(
                    scenario, powers, group.group_id, phase, plan.grid.steps, export=export
                )
                yield _GroupLoad(
                    group=group,
                    phase=phase,
                    is_export=export,
                    load_kw=load_kw + of_assets_kw,
                    limit_kw=limit_kw,
                    unavoidable_kw=unavoidable_kw,
                )


def _group_limit_kw(
    scenario: Scenario, grid: TimeGrid, group_id: str, phase: Phase, *, export: bool
) -> FloatArray | None:
    """What a group may draw or feed in, (T,) kW; None where nothing limits it."""
    forecasts = scenario.forecasts
    group = next(group for group in scenario.site.groups if group.group_id == group_id)
    capacity_on = forecasts.export_capacity_on if export else forecasts.import_capacity_on
    static_kw = group.export_limit_kw if export else group.import_limit_kw
    capacity_kw = capacity_on(grid, group_id, phase)
    if phase is not Phase.ALL:
        return None if np.isnan(capacity_kw).all() else np.nan_to_num(capacity_kw, nan=np.inf)
    if static_kw is not None:
        capacity_kw = np.fmin(capacity_kw, static_kw)
    if forecasts.has_limits(group_id, EXPORT_KINDS if export else IMPORT_KINDS):
        limited = _limited_above(scenario, grid, group_id, export=export)
        capacity_kw = np.where(np.isnan(capacity_kw) & ~limited, 0.0, capacity_kw)
    return None if np.isnan(capacity_kw).all() else np.nan_to_num(capacity_kw, nan=np.inf)


def _limited_above(scenario: Scenario, grid: TimeGrid, group_id: str, *, export: bool) -> BoolArray:
    """In which steps a group's phases, or anything that feeds it, has a limit: (T,) of truth values."""
    forecasts = scenario.forecasts
    capacity_on = forecasts.export_capacity_on if export else forecasts.import_capacity_on
    limited = np.zeros(grid.steps, dtype=bool)
    for name in scenario.site.path(group_id):
        group = next(group for group in scenario.site.groups if group.group_id == name)
        limited |= (group.export_limit_kw if export else group.import_limit_kw) is not None
        for phase in (Phase.ALL, *SINGLE_PHASES):
            limited |= ~np.isnan(capacity_on(grid, name, phase))
    return limited


def _shared_chargers(
    scenario: Scenario, plan: PlannedPower, limit_mode: LimitMode
) -> Iterable[tuple[str, FloatArray, FloatArray]]:
    """Chargers at which sessions overlap, in the steps in which they do."""
    visits: dict[str, list[int]] = {}
    for index, session in enumerate(plan.sessions):
        visits.setdefault(session.charger_id, []).append(index)
    for charger_id, indices in ((name, found) for name, found in visits.items() if len(found) > 1):
        shared = np.zeros(plan.grid.steps, dtype=bool)
        stays = sorted((plan.sessions[i].arrival_s, plan.sessions[i].departure_s) for i in indices)
        busy_until_s = -np.inf
        for arrival_s, departure_s in stays:
            both_until_s = min(busy_until_s, departure_s)
            if arrival_s < both_until_s:
                shared |= (plan.grid.edges_s[:-1] < both_until_s) & (plan.grid.edges_s[1:] > arrival_s)
            busy_until_s = max(busy_until_s, departure_s)
        if shared.any():
            share = np.zeros(len(plan.sessions))
            share[indices] = 1.0
            limit_kw = np.where(shared, scenario.site.charger(charger_id).max_power_kw, np.inf)
            either_way = replace(plan, power_kw=np.abs(plan.power_kw))
            yield f"charger {charger_id!r}", either_way.load_kw(share, limit_mode), limit_kw


def _limit_violation(grid: TimeGrid, name: str, load: FloatArray, limit: FloatArray, unit: str) -> list[str]:
    excess = load - limit
    worst = int(np.argmax(excess))
    if excess[worst] <= TOLERANCE + RELATIVE_TOLERANCE * limit[worst]:
        return []
    count = int((excess > TOLERANCE).sum())
    since = grid.instant(float(grid.edges_s[worst])).isoformat()
    found, allowed = f"{load[worst]:.6f} {unit}", f"{limit[worst]:.6f} {unit}"
    return [f"{name}: {found} from {since} exceeds the limit of {allowed} (in {count} steps)"]
