"""Schedules made step by step without a solver: what to fall back on, and what an optimum is compared with.

A heuristic goes forward in time and knows only who is there: how long they stay and what they still need, not who comes
next. In each step a session wants what its power and its need allow; where a limit cannot give everybody that, the
strategy says who gets how much. Whatever it says, nobody is left short while every limit on them has room.

    uncontrolled    full power from arrival until served; only a charger that several share holds sessions down, and
                    serves the earlier arrival first
    equal share     the same power for all, more only for those whom no limit holds down: max-min fair in each step
    edf             earliest departure first
    llf             least laxity first: least time to spare until the departure, were the need met at full power from
                    the begin of the step on, or from the arrival within it
    fcfs            first come, first served: earliest arrival first
    round robin     in turn by canonical index, starting after the last one served in the step before

Ties go to the lower canonical index. Priorities count for nothing. Storages stand still and vehicles feed nothing in;
base load and generation count under the limits that count them, and only a limit of what is fed in curtails generation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import numpy as np

from models.domain.time_grid import FloatArray, IntArray
from models.errors import InputError
from models.units import SECONDS_PER_HOUR
from optimizer.accounts import least_curtailment
from optimizer.options import Strategy
from optimizer.problem import CapacityProblem

NOTHING_KWH = 1e-9
"""Who wants or could get no more than that in a step gets nothing."""

LAXITY_DECIMALS = 9
"""Of an hour; what differs by less differs by rounding, and is a tie."""


def allocate(problem: CapacityProblem, strategy: Strategy) -> FloatArray:
    """Give energy to the sessions of a problem, step by step.

    Args:
        problem: The scenario as arrays.
        strategy: Any but the optimum.

    Returns:
        (K,), kWh per power column. No bound of a column or a session is exceeded, nor, but for uncontrolled, any limit
        by more than rounding; uncontrolled holds the limits of chargers only.

    Raises:
        InputError: The strategy is the optimum.
    """
    share = _sharing(problem, strategy)
    steps = _Steps(problem, with_groups=strategy is not Strategy.UNCONTROLLED)
    energy_kwh = np.zeros(problem.columns)
    left_kwh = problem.reachable_energy_kwh.copy()
    for index in np.unique(problem.column_step).tolist():
        step = steps.at(index, left_kwh)
        if step.session.size:
            given_kwh = share(step)
            energy_kwh[step.column] = given_kwh
            left_kwh[step.session] -= given_kwh
    return energy_kwh


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Step:
    """N sessions that want energy in one step, and the limits that do not let all of them have it.

        sum_e coefficient[e] * given_kwh[n of e]  <=  capacity_kwh[r]         over the entries e with row[e] = r

    Entries and capacities are lists, which plain Python reads faster than arrays.

    Args:
        session: (N,), increasing.
        column: (N,), where the energy of each belongs.
        begin_s: (N,), begin of the presence within the step, seconds since the epoch.
        hours: (N,), its length, h.
        left_kwh: (N,), what is still needed, kWh.
        want_kwh: (N,), what power and need allow in this step, kWh, above zero.
        first: (N + 1,), where the entries of a session begin.
        row: (E,), the limit of an entry.
        coefficient: (E,), above zero.
        capacity_kwh: Of each limit, kWh.
    """

    session: IntArray
    column: IntArray
    begin_s: FloatArray
    hours: FloatArray
    left_kwh: FloatArray
    want_kwh: FloatArray
    first: list[int]
    row: list[int]
    coefficient: list[float]
    capacity_kwh: list[float]


class _Steps:
    """Columns and limit rows of a problem in order of time."""

    def __init__(self, problem: CapacityProblem, *, with_groups: bool) -> None:
        rows = problem.limit_rows
        chosen = np.array(
            [
                (with_groups or not (limit.is_group or limit.line is not None)) and not limit.is_export
                for limit in problem.limits
            ],
            dtype=bool,
        )
        capacity_kwh = rows.capacity_kwh
        if problem.assets is not None:
            idle_kwh = problem.with_flows(np.zeros(problem.columns), least_curtailment(problem))
            capacity_kwh = np.maximum(capacity_kwh - rows.load_kwh(idle_kwh), 0.0)
        self._batteries = _Batteries(problem)
        row_used = chosen[rows.limit_index]
        edges = np.arange(problem.grid.steps + 1)
        self._column = np.argsort(problem.column_step, kind="stable")
        self._column_first = np.searchsorted(problem.column_step[self._column], edges)
        self._session = problem.column_session[self._column]
        self._begin_s = problem.column_start_s[self._column]
        self._hours = (problem.column_end_s[self._column] - self._begin_s) / SECONDS_PER_HOUR
        self._max_energy_kwh = problem.max_energy_kwh[self._column]

        used = np.flatnonzero(row_used)
        row = used[np.argsort(rows.step_index[used], kind="stable")]
        self._capacity_kwh = capacity_kwh[row]
        self._row_first = np.searchsorted(rows.step_index[row], edges)

        entry_row = np.repeat(np.arange(row_used.size), np.diff(rows.start))
        entry = np.flatnonzero(row_used[entry_row] & (rows.column < problem.columns))
        place = _inverse(self._column, problem.columns)[rows.column[entry]]
        order = np.argsort(place, kind="stable")
        entry, place = entry[order], place[order]
        step = rows.step_index[entry_row[entry]]
        self._entry_first = np.searchsorted(step, edges)
        self._entry_place = place - self._column_first[step]
        self._entry_row = _inverse(row, row_used.size)[entry_row[entry]] - self._row_first[step]
        self._entry_coefficient = rows.coefficient[entry]

    def at(self, index: int, left_kwh: FloatArray) -> _Step:
        """Who wants what in a step.

        Args:
            index: The step.
            left_kwh: (S,), what sessions still need, kWh.
        """
        here = _part(self._column_first, index)
        left_here_kwh = left_kwh[self._session[here]]
        want_kwh = np.minimum(self._max_energy_kwh[here], left_here_kwh)
        self._batteries.hold(want_kwh, self._session[here], self._hours[here], left_here_kwh)
        wanting = want_kwh > NOTHING_KWH

        entries = _part(self._entry_first, index)
        place, row = self._entry_place[entries], self._entry_row[entries]
        coefficient = self._entry_coefficient[entries]
        capacity_kwh = self._capacity_kwh[_part(self._row_first, index)]
        load_kwh = np.bincount(row, weights=coefficient * want_kwh[place], minlength=capacity_kwh.size)
        # A limit under which all that is wanted fits holds nobody down, whatever the strategy.
        kept = (load_kwh > capacity_kwh)[row] & wanting[place]
        number = np.cumsum(wanting) - 1
        return _Step(
            session=self._session[here][wanting],
            column=self._column[here][wanting],
            begin_s=self._begin_s[here][wanting],
            hours=self._hours[here][wanting],
            left_kwh=left_here_kwh[wanting],
            want_kwh=want_kwh[wanting],
            first=np.searchsorted(number[place[kept]], np.arange(np.count_nonzero(wanting) + 1)).tolist(),
            row=row[kept].tolist(),
            coefficient=coefficient[kept].tolist(),
            capacity_kwh=capacity_kwh.tolist(),
        )


class _Batteries:
    """Vehicles that take no more than their charge curve and capacity let them."""

    def __init__(self, problem: CapacityProblem) -> None:
        self._stores = None if problem.assets is None else problem.assets.stores
        self._reachable_kwh = problem.reachable_energy_kwh

    def hold(self, want_kwh: FloatArray, session: IntArray, hours: FloatArray, left_kwh: FloatArray) -> None:
        """Lower what N sessions want in a step to what their batteries take.

        Args:
            want_kwh: (N,), kWh; changed.
            session: (N,).
            hours: (N,), h.
            left_kwh: (N,), what they still need, kWh.
        """
        stores = self._stores
        if stores is None or not stores.of_session:
            return
        for place, index in enumerate(session.tolist()):
            store = stores.of_session.get(index)
            if store is not None:
                drawn_kwh = float(self._reachable_kwh[index] - left_kwh[place])
                stored_kwh = float(stores.initial_kwh[store] + stores.charge_efficiency[store] * drawn_kwh)
                most_kwh = stores.most_charge_kwh(store, stored_kwh, float(hours[place]))
                want_kwh[place] = min(want_kwh[place], most_kwh)


def _part(first: IntArray, index: int) -> slice:
    return slice(int(first[index]), int(first[index + 1]))


def _inverse(order: IntArray, size: int) -> IntArray:
    """Where each of ``size`` things stands in an order; zero for those that are not in it."""
    place = np.zeros(size, dtype=np.int64)
    place[order] = np.arange(order.size)
    return place


Sharing = Callable[[_Step], FloatArray]
"""What each of a step's N sessions gets, (N,), kWh."""


def _sharing(problem: CapacityProblem, strategy: Strategy) -> Sharing:
    departure_s = np.array([session.departure_s for session in problem.sessions])

    def laxity_hours(step: _Step) -> FloatArray:
        stay_hours = (departure_s[step.session] - step.begin_s) / SECONDS_PER_HOUR
        need_hours = step.left_kwh / problem.max_power_kw[step.session]
        return np.round(stay_hours - need_hours, LAXITY_DECIMALS)

    match strategy:
        case Strategy.UNCONTROLLED | Strategy.FIRST_COME:
            return lambda step: _in_order(step, range(step.session.size))
        case Strategy.EQUAL_SHARE:
            return _equal_share
        case Strategy.EARLIEST_DEADLINE:
            return lambda step: _in_order(step, _ranked(departure_s[step.session]))
        case Strategy.LEAST_LAXITY:
            return lambda step: _in_order(step, _ranked(laxity_hours(step)))
        case Strategy.ROUND_ROBIN:
            return _RoundRobin().share
        case Strategy.OPTIMAL:
            raise InputError(f"strategy {strategy} needs a solver; a heuristic is any other")


def _ranked(rank: FloatArray) -> list[int]:
    order: list[int] = np.argsort(rank, kind="stable").tolist()
    return order


def _in_order(step: _Step, order: Iterable[int]) -> FloatArray:
    """Give each in turn all it wants, as far as those before have left room under its limits.

    Args:
        step: Who wants what.
        order: Each of 0 to N - 1 once.

    Returns:
        (N,), kWh.
    """
    if not step.row:
        return step.want_kwh
    first, row, coefficient = step.first, step.row, step.coefficient
    room_kwh = step.capacity_kwh.copy()
    given_kwh: list[float] = step.want_kwh.tolist()
    for one in order:
        entries = range(first[one], first[one + 1])
        energy_kwh = given_kwh[one]
        for entry in entries:
            possible_kwh = room_kwh[row[entry]] / coefficient[entry]
            energy_kwh = min(energy_kwh, possible_kwh)
        if energy_kwh <= NOTHING_KWH:
            given_kwh[one] = 0.0
            continue
        for entry in entries:
            room_kwh[row[entry]] -= energy_kwh * coefficient[entry]
        given_kwh[one] = energy_kwh
    return np.array(given_kwh)


class _RoundRobin:
    """Serve in turn at full power, by canonical index and round again.

    A step begins with the first one in turn who got nothing in the step before; where everybody got something, with
    the one after the last. Under one limit that is always the one after the last one served. Under several, a session
    behind a full feeder comes first in the next step, where it would else be passed over again and again.
    """

    def __init__(self) -> None:
        self._turn = 0

    def share(self, step: _Step) -> FloatArray:
        """What each gets in this step, (N,), kWh; moves the turn on."""
        start = int(np.searchsorted(step.session, self._turn))
        order = [*range(start, step.session.size), *range(start)]
        given_kwh = _in_order(step, order)
        passed_over = np.flatnonzero(given_kwh[order] == 0.0)
        if passed_over.size:
            self._turn = int(step.session[order[passed_over[0]]])
        else:
            self._turn = int(step.session[order[-1]]) + 1
        return given_kwh


def _equal_share(step: _Step) -> FloatArray:
    """Raise the power of all alike until they have what they want or a limit is full.

    Source: Bertsekas and Gallager, Data Networks, 2nd ed., section 6.5.2 (max-min fairness by progressive filling).

    Returns:
        (N,), kWh.
    """
    if not step.row:
        return step.want_kwh
    filling = _Filling(step)
    ceiling_kw = step.want_kwh / step.hours
    for one, power_kw in zip(_ranked(ceiling_kw), np.sort(ceiling_kw).tolist(), strict=True):
        filling.raise_to(power_kw)
        filling.settle(one, power_kw)
    power_kw = np.array(filling.power_kw)
    return np.where(power_kw < ceiling_kw, power_kw * step.hours, step.want_kwh)


class _Filling:
    """Sessions whose power rises together until a limit is full; those under it stay where they are then.

    Args:
        step: Who wants what.

    Attributes:
        power_kw: (N,), infinite for those who still rise.
    """

    def __init__(self, step: _Step) -> None:
        self._step = step
        self._one = np.repeat(np.arange(step.session.size), np.diff(step.first)).tolist()
        self._kwh_per_kw: list[float] = (np.array(step.coefficient) * step.hours[self._one]).tolist()
        self._settled_kwh = [0.0] * len(step.capacity_kwh)
        self._rising_entries: dict[int, list[int]] = {}
        for entry, row in enumerate(step.row):
            self._rising_entries.setdefault(row, []).append(entry)
        self.power_kw = [math.inf] * step.session.size
        # The power at which a limit is full if nobody under it settles before; it can only turn out higher.
        self._full_at = [(self._full_kw(row), row) for row in self._rising_entries]
        heapify(self._full_at)

    def raise_to(self, power_kw: float) -> None:
        """Raise all that still rise, and settle those under a limit that is full below this power."""
        while self._full_at and self._full_at[0][0] < power_kw:
            expected_kw, row = heappop(self._full_at)
            entries = [entry for entry in self._rising_entries[row] if self.power_kw[self._one[entry]] == math.inf]
            self._rising_entries[row] = entries
            if not entries:
                continue
            full_kw = self._full_kw(row)
            if full_kw > expected_kw:
                heappush(self._full_at, (full_kw, row))
                continue
            for entry in entries:
                self.settle(self._one[entry], full_kw)

    def settle(self, one: int, power_kw: float) -> None:
        """Keep one at a power, if nothing kept it before."""
        if self.power_kw[one] == math.inf:
            self.power_kw[one] = power_kw
            for entry in range(self._step.first[one], self._step.first[one + 1]):
                self._settled_kwh[self._step.row[entry]] += self._kwh_per_kw[entry] * power_kw

    def _full_kw(self, row: int) -> float:
        room_kwh = max(self._step.capacity_kwh[row] - self._settled_kwh[row], 0.0)
        return room_kwh / sum(self._kwh_per_kw[entry] for entry in self._rising_entries[row])
