"""The scenario as arrays: what every formulation, heuristic and check reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from models.domain.capacity import Phase
from models.domain.demand import DemandCharge
from models.domain.session import ChargingSession
from models.domain.time_grid import FloatArray, IntArray, TimeGrid
from models.domain.why import ReasonCode
from optimizer.arrays import sums_by
from optimizer.assets import VEHICLE_DISCHARGE, AssetArrays
from optimizer.limit_rows import LimitRows, rows_of_limits
from optimizer.lines import Line
from optimizer.options import Fairness
from optimizer.pilot_rules import PilotRules
from optimizer.recourse import Recourse


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CapacityLimit:
    """Something that holds down the power of some sessions together.

    Args:
        owner: The group, or the charger, whose limit it is.
        is_group: Whether the owner is a group.
        phase: The conductor it counts; ALL for all together.
        limit_kw: (T,), kW, infinite where it holds nothing down.
        share: (S,), how much of a session's power it counts: zero for those elsewhere.
        line: Index of the line whose limit it is, or a part of it; None where it is none of a line.
        every_moment: Whether it counts every moment, whatever others count.
        is_export: Whether it holds down what is fed in instead of what is drawn.
        others: What else it counts; None where sessions alone matter.
        connection_kw: What the connection itself allows, kW, of a limit that a capacity provider may have lowered.
        excess_kw: (T,), the most by which what nobody decides on may exceed it, kW; None where that may be all of it.
    """

    owner: str
    is_group: bool
    phase: Phase
    limit_kw: FloatArray
    share: FloatArray
    line: int | None = None
    every_moment: bool = False
    is_export: bool = False
    others: CountedAssets | None = None
    connection_kw: float = np.inf
    excess_kw: FloatArray | None = None

    @property
    def code(self) -> ReasonCode:
        """What it is to a session that it holds back."""
        if self.line is not None:
            return ReasonCode.LINE_LIMIT
        return ReasonCode.GROUP_LIMIT if self.is_group else ReasonCode.CHARGER_LIMIT

    @property
    def label(self) -> str:
        """Its name in messages."""
        if self.line is not None:
            return f"line {self.owner}"
        kind = f"{'group' if self.is_group else 'charger'} {self.owner}"
        if self.is_export:
            kind += " export"
        return kind if self.phase is Phase.ALL else f"{kind} phase {self.phase}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CountedAssets:
    """What a limit counts beside the power that sessions draw.

    Args:
        session_relief: (S,), how much room a session's power makes under a limit of what is fed in.
        share: (O,), how much of an owner's flow in the limit's direction it counts.
        relief: (O,), how much room a flow in the other direction makes.
        fixed_kw: (T,), what it counts that nobody decides on, kW, above zero where it is drawn.
    """

    session_relief: FloatArray
    share: FloatArray
    relief: FloatArray
    fixed_kw: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class CapacityProblem:
    """S sessions over T steps with K power columns: one for each pair of a session and a step in which it is present.

    Args:
        grid: The steps.
        sessions: (S,), by arrival and id, whatever the order of the scenario.
        max_power_kw: (S,), the lower of the charger's and the vehicle's limit, kW.
        reachable_energy_kwh: (S,), what is asked for, but no more than the stay allows, kWh.
        requested_energy_kwh: (S,), what is asked for, kWh.
        priority: (S,), weight of unmet energy.
        priority_class: (S,), rank before all weights, the lowest first.
        fairness: Who goes short.
        column_session: (K,), increasing.
        column_step: (K,), increasing within a session.
        column_start_s: (K,), begin of the presence within the step, seconds since the epoch.
        column_end_s: (K,), end of it.
        max_energy_kwh: (K,), power times presence, kWh, above zero.
        least_energy_kwh: (K,), what is drawn at the least, kWh; nothing where None.
        limit_weight: (K,), energy a limit counts per kWh: 1 for means; step length over presence where every moment
            counts.
        moment_weight: (K,), the latter in any case.
        lines: Everything that holds currents down; those that are linear are among the limits.
        curved_lines: Indices of the others, of whose polygons `optimizer.currents` adds to the limits what binds.
        line_sides: Sides of such a polygon.
        amperes_per_kw: Current of 1 kW on one conductor at the nominal voltage, A.
        counts_moments: Whether limits hold down every moment instead of the mean.
        limits: Everything that holds sessions down together; every group is there with phase ALL, limited or not.
        price_per_kwh: (T,), currency per kWh drawn; None without a tariff.
        export_price_per_kwh: (T,), currency per kWh fed in; None without a tariff.
        carbon_kg_per_kwh: (T,), kg per kWh drawn; None where nobody counts it.
        carbon_price_per_kg: Currency per kg.
        demand_charges: Prices on peaks.
        assets: What is beside plain charging; None where there is nothing.
        previous_energy_kwh: (K,), the plan in force, kWh; None without one.
        pilot_rules: Powers that sessions may be given; None where any will do.
        sessions_outside_window: How many sessions were left out because they are not wholly inside the window.
        notes: What was decided about odd input.
        moving_price_per_kwh: What a kWh must save to be moved against the plan in force, currency per kWh.
        recourses: What may come instead, over the same sessions; empty where what is stated is believed.
        presence: (K,), how likely the vehicle is still there, 0 to 1; None where what is stated is believed.
    """

    grid: TimeGrid
    sessions: tuple[ChargingSession, ...]
    max_power_kw: FloatArray
    reachable_energy_kwh: FloatArray
    requested_energy_kwh: FloatArray
    priority: FloatArray
    priority_class: IntArray
    fairness: Fairness
    column_session: IntArray
    column_step: IntArray
    column_start_s: FloatArray
    column_end_s: FloatArray
    max_energy_kwh: FloatArray
    limit_weight: FloatArray
    moment_weight: FloatArray
    lines: tuple[Line, ...]
    curved_lines: tuple[int, ...]
    line_sides: int
    amperes_per_kw: float
    limits: tuple[CapacityLimit, ...]
    price_per_kwh: FloatArray | None
    previous_energy_kwh: FloatArray | None
    pilot_rules: PilotRules | None
    sessions_outside_window: int
    notes: tuple[str, ...]
    moving_price_per_kwh: float = 0.0
    recourses: tuple[Recourse, ...] = ()
    presence: FloatArray | None = None
    counts_moments: bool = False
    export_price_per_kwh: FloatArray | None = None
    carbon_kg_per_kwh: FloatArray | None = None
    carbon_price_per_kg: float = 0.0
    demand_charges: tuple[DemandCharge, ...] = ()
    least_energy_kwh: FloatArray | None = None
    assets: AssetArrays | None = None

    @property
    def columns(self) -> int:
        """K, the number of pairs of a session and a step."""
        return self.column_session.size

    @cached_property
    def step_hours(self) -> FloatArray:
        """(T,), h."""
        return self.grid.step_hours

    @cached_property
    def first_column(self) -> IntArray:
        """(S + 1,), where a session's columns begin."""
        counts = np.bincount(self.column_session, minlength=len(self.sessions))
        return np.concatenate(([0], np.cumsum(counts)))

    @cached_property
    def import_cost_per_kwh(self) -> FloatArray | None:
        """(T,), what a kWh drawn counts, price and carbon together, currency per kWh; None where nothing is priced."""
        carbon = None
        if self.carbon_kg_per_kwh is not None and self.carbon_price_per_kg > 0:
            carbon = self.carbon_price_per_kg * self.carbon_kg_per_kwh
        if self.price_per_kwh is None:
            return carbon
        return self.price_per_kwh if carbon is None else self.price_per_kwh + carbon

    @cached_property
    def flow_step(self) -> IntArray:
        """(K + X,), the step of each power column and flow."""
        return self.column_step if self.assets is None else np.append(self.column_step, self.assets.flows.step)

    def with_flows(self, energy_kwh: FloatArray, flow_kwh: FloatArray | None) -> FloatArray:
        """Energies of all columns of limit rows, (K + X,), from those of sessions, (K,), and flows, (X,) or zero."""
        if self.assets is None:
            return energy_kwh
        return np.append(energy_kwh, np.zeros(self.assets.flows.count) if flow_kwh is None else flow_kwh)

    @property
    def most_flow_kwh(self) -> FloatArray | None:
        """(X,), upper bounds of flows, kWh; None without assets."""
        return None if self.assets is None else self.assets.flows.max_kwh

    @cached_property
    def limit_rows(self) -> LimitRows:
        """The rows of all limits, limit by limit and step by step."""
        return rows_of_limits(self)

    def held_for(self, hours: FloatArray) -> CapacityProblem:
        """The same limits over powers that are held for some hours of each column, (K,), h, and not for all of it.

        Where every moment counts, such a power counts as if for the whole step, and makes no room.
        """
        moment_weight = self.step_hours[self.column_step] / hours
        limit_weight = moment_weight if self.counts_moments else self.limit_weight
        return replace(self, moment_weight=moment_weight, limit_weight=limit_weight)

    def weight_of(self, *, every_moment: bool) -> FloatArray:
        """(K,), energy counted per kWh."""
        return self.moment_weight if every_moment else self.limit_weight

    def columns_of(self, sessions: IntArray) -> IntArray:
        """All columns of some sessions, in order."""
        first = self.first_column[sessions]
        counts = self.first_column[sessions + 1] - first
        offset: IntArray = np.repeat(first - (np.cumsum(counts) - counts), counts)
        return np.arange(offset.size) + offset

    def delivered_kwh(self, energy_kwh: FloatArray, flow_kwh: FloatArray | None = None) -> FloatArray:
        """Energy of each session, (S,), kWh, from that of each column, (K,), and each flow, (X,).

        Of a vehicle that feeds in, what it would draw to be as full at the end:
        ``drawn - fed in / (charge_efficiency * discharge_efficiency)``.
        """
        delivered = sums_by(self.column_session, energy_kwh, len(self.sessions))
        if flow_kwh is None or self.assets is None:
            return delivered
        session, kwh_per_kwh = self.vehicle_discharge
        flows = self.assets.flows.of(VEHICLE_DISCHARGE)
        return delivered - sums_by(session, flow_kwh[flows] * kwh_per_kwh, delivered.size)

    @cached_property
    def vehicle_discharge(self) -> tuple[IntArray, FloatArray]:
        """Of each flow that vehicles feed in, the session, (D,), and what has to be drawn for a kWh of it, (D,)."""
        if self.assets is None:
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        stores = self.assets.stores
        feeds = (stores.session[stores.store] >= 0) & (stores.discharge_column >= 0)
        store = stores.store[feeds]
        return stores.session[store], 1.0 / (stores.charge_efficiency * stores.discharge_efficiency)[store]
