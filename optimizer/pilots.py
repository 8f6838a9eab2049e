"""Powers that chargers can really be set to: none, at least a minimum, or one of a list of levels.

A plan of the linear program asks for any power. Rounding each of its powers down afterwards loses the difference in
every step. Here what one step loses is made up for by the next: going forward in time, sessions that are behind the
plan are rounded up while the limits have room, those ahead of it down, and what is still missing in the end is put
where there is room.

A charger can be switched off at any moment. The last row of a session may therefore end before its step does, so that a
small rest of its need is served at a power that the charger has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from models.domain.group import SAME_POWER_KW
from models.domain.schedule import ScheduleStatus
from models.domain.time_grid import FloatArray, IntArray
from models.units import SECONDS_PER_HOUR
from optimizer.asset_formulation import vehicle_columns
from optimizer.currents import with_all_sides
from optimizer.extract import Outcome, flows_of
from optimizer.pilot_rules import NOTHING_KWH, PilotPlan, PilotRules
from optimizer.problem import CapacityProblem

SAME_HOURS = 1e-9
"""Times closer than that are equal."""

ROUNDING_KWH = 1e-10
"""What a limit may be exceeded by in adding up, far below what a check of the plan notices."""

ROUND_UP = 0.5
"""Share of the way to the next power from which a session is rounded up for its own sake."""

STAY_ON = 0.5
"""How much nearer to the next power a session counts that would have to be switched off otherwise."""


def settable(problem: CapacityProblem, outcome: Outcome) -> Outcome:
    """An outcome whose powers chargers can be set to; the outcome itself where any power will do.

    It keeps the values of its stages as bounds: no plan of real powers reaches less.
    """
    rules = problem.pilot_rules
    if rules is None or outcome.pilots is not None:
        return outcome
    return set_to(
        outcome, round_to_pilots(with_all_sides(problem), rules, outcome.energy_kwh, flows_of(problem, outcome))
    )


def set_to(outcome: Outcome, pilots: PilotPlan, flow_kwh: FloatArray | None = None) -> Outcome:
    """An outcome with powers that were rounded from it, and flows of assets beside those: its own where None."""
    is_same = bool((np.abs(pilots.energy_kwh - outcome.energy_kwh) <= NOTHING_KWH).all())
    if flow_kwh is not None and outcome.flow_kwh is not None:
        is_same = is_same and bool((np.abs(flow_kwh - outcome.flow_kwh) <= NOTHING_KWH).all())
        outcome = replace(outcome, flow_kwh=flow_kwh)
    status = ScheduleStatus.FEASIBLE if outcome.status is ScheduleStatus.OPTIMAL and not is_same else outcome.status
    return replace(outcome, pilots=pilots, is_rounded=not is_same, status=status)


def round_to_pilots(
    problem: CapacityProblem, rules: PilotRules, energy_kwh: FloatArray, flow_kwh: FloatArray | None = None
) -> PilotPlan:
    """Turn a plan of any powers into one of powers that chargers have, close to it and under the same limits.

    Args:
        problem: The scenario as arrays.
        rules: What powers there are.
        energy_kwh: (K,), kWh, a plan that holds every limit.
        flow_kwh: (X,), flows of assets beside it, which stay as they are, kWh; all zero where None.

    Returns:
        A plan that holds every limit of what is drawn, gives no session more than its need, and whose powers the rules
        allow. Under a limit of what is fed in it may draw less than the plan did.
    """
    rounding = _Rounding(problem, rules, energy_kwh, flow_kwh)
    for step in np.unique(problem.column_step).tolist():
        rounding.round_step(step)
    rounding.make_up()
    return PilotPlan(energy_kwh=rounding.energy_kwh, full_hours=rounding.full_hours, hours=rounding.hours)


def _followed(problem: CapacityProblem) -> Mapping[int, int]:
    """The battery of each session whose state is followed and which does not feed in."""
    if problem.assets is None:
        return {}
    feeding = set(problem.vehicle_discharge[0].tolist())
    return {one: store for one, store in problem.assets.stores.of_session.items() if one not in feeding}


class _Rounding:
    """The plan so far, and the room that limits still have."""

    def __init__(
        self, problem: CapacityProblem, rules: PilotRules, wanted_kwh: FloatArray, flow_kwh: FloatArray | None
    ) -> None:
        self.problem, self.rules = problem, rules
        self.session = problem.column_session
        self.store_of: Mapping[int, int] = _followed(problem)
        self.full_hours = (problem.column_end_s - problem.column_start_s) / SECONDS_PER_HOUR
        self.hours = self.full_hours.copy()
        self.counts_power = rules.counts_power
        self.energy_kwh = np.zeros(problem.columns)
        self.delivered_kwh = np.zeros(len(problem.sessions))
        self.wanted_kwh = problem.delivered_kwh(wanted_kwh)
        first = problem.first_column[self.session]
        running = np.concatenate(([0.0], np.cumsum(wanted_kwh)))
        self.due_kwh = np.maximum(running[1:] - running[first], 0.0)
        """(K,), what the plan has delivered to the session by the end of a column."""
        ability = np.concatenate(([0.0], np.cumsum(problem.max_energy_kwh)))
        self.later_kwh = ability[problem.first_column[self.session + 1]] - ability[1:]
        """(K,), what the session could still take in later columns."""
        self.run_hours = np.zeros(len(problem.sessions))
        """(S,), how long a session has been on without a break."""
        # Who feeds in is given any power: the plan stays as it is.
        as_planned = vehicle_columns(problem)
        self.energy_kwh[as_planned] = wanted_kwh[as_planned]
        self.delivered_kwh = problem.delivered_kwh(self.energy_kwh)
        self.by_step = np.argsort(problem.column_step, kind="stable")
        self.by_step = self.by_step[~np.isin(self.by_step, as_planned)]
        edges = np.arange(problem.grid.steps + 1)
        self.step_first = np.searchsorted(problem.column_step[self.by_step], edges)
        rows = problem.limit_rows
        self.room_kwh = rows.capacity_kwh - rows.load_kwh(problem.with_flows(self.energy_kwh, flow_kwh))
        entry_row = np.repeat(np.arange(rows.capacity_kwh.size), np.diff(rows.start))
        order = np.argsort(rows.column, kind="stable")
        order = order[rows.coefficient[order] > 0]
        self.entry_first = np.searchsorted(rows.column[order], np.arange(problem.columns + 1)).tolist()
        self.entry_row = entry_row[order]
        self.entry_coefficient = rows.coefficient[order]

    def round_step(self, step: int) -> None:
        """Give each session present in a step a power that it may have."""
        column = self.by_step[self.step_first[step] : self.step_first[step + 1]]
        session, hours = self.session[column], self.full_hours[column]
        need_kwh = self.problem.reachable_energy_kwh[session] - self.delivered_kwh[session]
        behind_kwh = self.due_kwh[column] - self.delivered_kwh[session]
        want_kwh = np.clip(np.minimum(behind_kwh, need_kwh), 0.0, self.problem.max_energy_kwh[column])
        urgency = np.where(want_kwh > NOTHING_KWH, (need_kwh - self.later_kwh[column]) / hours, -np.inf)
        low_kw = self.rules.at_most_kw(session, want_kwh / hours)
        run_hours = self.run_hours[session]
        stays = (run_hours > 0.0) & (run_hours < self.rules.minimum_run_hours - SAME_HOURS) & (need_kwh > NOTHING_KWH)
        least_kw = self.rules.above_kw(session, np.zeros(session.size))
        low_kw = np.where(stays & np.isfinite(least_kw), np.maximum(low_kw, least_kw), low_kw)
        for index in np.lexsort((column, -want_kwh, -urgency, ~stays)).tolist():
            self._give_what_fits(int(column[index]), float(low_kw[index]))
        self._round_up(column, want_kwh, behind_kwh)
        self.run_hours[session] = np.where(self.energy_kwh[column] > 0.0, run_hours + hours, 0.0)

    def _give_what_fits(self, column: int, power_kw: float) -> None:
        """The power, or the highest one below it for which there is room."""
        while power_kw > 0.0 and not self._set(column, power_kw):
            room_kw = self._room_kw(column)
            session = self.session[column : column + 1]
            lower_kw = float(self.rules.at_most_kw(session, np.array([min(room_kw, power_kw)]))[0])
            power_kw = lower_kw if lower_kw < power_kw else 0.0

    def _round_up(self, column: IntArray, want_kwh: FloatArray, behind_kwh: FloatArray) -> None:
        """Raise powers where a session is nearer to the next one, and further ones until all together keep up."""
        session, hours = self.session[column], self.full_hours[column]
        given_kwh = self.energy_kwh[column]
        higher_kw = self.rules.above_kw(session, given_kwh / hours)
        need_kwh = self.problem.reachable_energy_kwh[session] - self.delivered_kwh[session] + given_kwh
        possible = higher_kw <= self.rules.maximum_kw[session] + SAME_POWER_KW
        higher_kwh = np.where(possible, np.minimum(np.where(possible, higher_kw, 0.0) * hours, need_kwh), given_kwh)
        gain_kwh = higher_kwh - given_kwh
        missing_kwh = want_kwh - given_kwh
        possible &= gain_kwh > NOTHING_KWH
        share = np.where(possible, missing_kwh / np.where(possible, gain_kwh, 1.0), 0.0)
        must = need_kwh - given_kwh > self.later_kwh[column] + NOTHING_KWH
        stays = (self.run_hours[session] > 0.0) & (given_kwh == 0.0) & (missing_kwh > NOTHING_KWH)
        rank = share + np.where(stays, STAY_ON, 0.0) + must
        together_kwh = float(behind_kwh.sum() - given_kwh.sum())
        for index in np.lexsort((column, -rank)).tolist():
            wanted = possible[index] and (rank[index] >= ROUND_UP or together_kwh > gain_kwh[index] / 2)
            if wanted and self._set(int(column[index]), float(higher_kw[index])):
                together_kwh -= float(gain_kwh[index])

    def make_up(self) -> None:
        """Put what sessions are still short of their plan into columns with room, the cheapest first."""
        price = self.problem.price_per_kwh
        short_kwh = self.wanted_kwh - self.delivered_kwh
        for session in np.flatnonzero(short_kwh > NOTHING_KWH).tolist():
            mine = np.arange(self.problem.first_column[session], self.problem.first_column[session + 1])
            cost = np.zeros(mine.size) if price is None else price[self.problem.column_step[mine]]
            mine = mine[np.argsort(cost, kind="stable")]
            if (self.hours[mine] < self.full_hours[mine]).any():
                continue  # its need was met, or what is left is less than a row
            if session in self.store_of:
                continue  # with more in its battery it could not draw what it draws later
            for column in mine.tolist():
                self._raise(column)
            self._end_with_the_rest(mine.tolist())

    def _short_kwh(self, column: int) -> float:
        session = self.session[column]
        return float(self.wanted_kwh[session] - self.delivered_kwh[session])

    def _raise(self, column: int) -> None:
        """Raise one column to the highest setting that is not above what is short and for which there is room."""
        session = self.session[column : column + 1]
        given_kw = self.energy_kwh[column] / self.full_hours[column]
        more_kw = min(self._short_kwh(column) / float(self.full_hours[column]), self._room_kw(column))
        power_kw = float(self.rules.at_most_kw(session, np.array([given_kw + more_kw]))[0])
        if power_kw > given_kw + SAME_POWER_KW:
            self._set(column, power_kw)

    def _end_with_the_rest(self, columns: list[int]) -> None:
        """Serve what is still short in a last row that ends before its step does, where most of it has room.

        Args:
            columns: Those of one session, the best first.
        """
        best: tuple[float, int, float] | None = None
        for column in columns:
            session = self.session[column : column + 1]
            stop = self.problem.first_column[self.session[column] + 1]
            if self.energy_kwh[column + 1 : stop].any():
                continue
            given_kw = self.energy_kwh[column] / self.full_hours[column]
            higher_kw = float(self.rules.above_kw(session, np.array([given_kw]))[0])
            added_kwh = min(self._short_kwh(column), self._room_kw(column) * float(self.full_hours[column]))
            is_possible = higher_kw <= self.rules.maximum_kw[session[0]] + SAME_POWER_KW
            if is_possible and added_kwh > (NOTHING_KWH if best is None else best[0] + NOTHING_KWH):
                best = (added_kwh, column, higher_kw)
        if best is not None:
            added_kwh, column, higher_kw = best
            self._set(column, higher_kw, at_most_kwh=self.energy_kwh[column] + added_kwh)

    def _room_kw(self, column: int) -> float:
        """By how much the power in a column may rise."""
        entries = slice(self.entry_first[column], self.entry_first[column + 1])
        room = self.room_kwh[self.entry_row[entries]] / self.entry_coefficient[entries]
        room_kwh = float(room.min(initial=np.inf))
        hours = float(self.full_hours[column])
        return min(room_kwh, self._battery_kwh(column, hours) - float(self.energy_kwh[column])) / hours

    def _battery_kwh(self, column: int, hours: float) -> float:
        """What the battery takes within some hours of a column, if its state is followed, kWh.

        Later columns are empty while those of a battery are settled: what was delivered came before.
        """
        store = self.store_of.get(int(self.session[column]))
        if store is None or self.problem.assets is None:
            return np.inf
        stores, delivered_kwh = self.problem.assets.stores, self.delivered_kwh[self.session[column]]
        before_kwh = float(delivered_kwh - self.energy_kwh[column])
        state_kwh = float(stores.initial_kwh[store]) + float(stores.charge_efficiency[store]) * before_kwh
        return stores.most_charge_kwh(store, state_kwh, hours)

    def _set(self, column: int, power_kw: float, *, at_most_kwh: float = np.inf) -> bool:
        """Hold a power in a column until the need is met; False, and nothing done, where a limit has no room for it."""
        session, full_hours = self.session[column], self.full_hours[column]
        before_kwh = self.energy_kwh[column]
        need_kwh = self.problem.reachable_energy_kwh[session] - self.delivered_kwh[session] + before_kwh
        energy_kwh = min(power_kw * full_hours, need_kwh, at_most_kwh)
        hours = energy_kwh / power_kw if energy_kwh < power_kw * full_hours - NOTHING_KWH else full_hours
        counted_kwh = power_kw * full_hours if self.counts_power else energy_kwh
        added_kwh = counted_kwh - self._counted_kwh(column)
        entries = slice(self.entry_first[column], self.entry_first[column + 1])
        rows, load = self.entry_row[entries], self.entry_coefficient[entries] * added_kwh
        if energy_kwh <= NOTHING_KWH or (load > self.room_kwh[rows] + ROUNDING_KWH).any():
            return False
        if energy_kwh > self._battery_kwh(column, float(hours)) + ROUNDING_KWH:
            return False
        self.room_kwh[rows] -= load
        self.delivered_kwh[session] += energy_kwh - before_kwh
        self.energy_kwh[column], self.hours[column] = energy_kwh, hours
        return True

    def _counted_kwh(self, column: int) -> float:
        """What a limit counts of a column now."""
        share = self.full_hours[column] / self.hours[column] if self.counts_power else 1.0
        return float(self.energy_kwh[column] * share)
