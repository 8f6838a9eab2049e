"""The families of rows for what is beside plain charging: batteries, meters, peaks; absent where a site has none."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from models.domain.time_grid import BoolArray, FloatArray, IntArray
from optimizer.arrays import sums_by
from optimizer.assets import NOWHERE, STORAGE_DISCHARGE, VEHICLE_DISCHARGE, AssetArrays, Meters, Stores
from optimizer.linear_program import LinearProgram, ProgramBuilder, Rows, Terms
from optimizer.problem import CapacityProblem

SHORT_OF_STORAGES = "short_kwh"
"""The variable of what batteries lack at the end."""


def declare_assets(builder: ProgramBuilder, problem: CapacityProblem, *, priced: bool) -> None:
    """Declare the variables of everything beside plain charging.

    Args:
        builder: The program under construction.
        problem: The scenario as arrays.
        priced: Whether the cost is minimised; peaks that nobody pays for need no variables.
    """
    if priced and problem.demand_charges:
        builder.variable("over_peak_kw", upper=np.full(sum(_periods(problem)), np.inf))
    assets = problem.assets
    if assets is None:
        return
    for name in assets.flows.variables:
        builder.variable(name, upper=assets.flows.max_kwh[assets.flows.of(name)])
    if assets.stores.count:
        stores = assets.stores
        lower, upper = stores.min_kwh[stores.store], stores.max_kwh[stores.store]
        last = stores.first[1:] - 1
        lower[last] = np.maximum(lower[last], stores.least_final_kwh)
        builder.variable("stored_kwh", lower=lower, upper=upper)
        wanting = _wanting(assets)
        if wanting.size:
            builder.variable(SHORT_OF_STORAGES, upper=(stores.wanted_final_kwh - stores.least_final_kwh)[wanting])
        if one_way_states(problem).size:
            builder.variable("is_charging", upper=np.ones(one_way_states(problem).size), integer=True)
    if assets.meters is not None:
        builder.variable("import_kwh", upper=assets.meters.max_import_kwh.ravel())
        exporting = exporting_pairs(assets.meters)
        if exporting.size:
            builder.variable("export_kwh", upper=assets.meters.max_export_kwh.ravel()[exporting])
        if one_way_pairs(problem).size:
            builder.variable("is_drawing", upper=np.ones(one_way_pairs(problem).size), integer=True)


def add_asset_families(builder: ProgramBuilder, problem: CapacityProblem, *, priced: bool) -> None:
    """Add the rows of everything beside plain charging; the arguments are those of `declare_assets`."""
    if problem.assets is not None and problem.assets.stores.count:
        builder.family("stored_energy", stored_energy(builder, problem, problem.assets))
        builder.family("charge_curve", charge_curve(builder, problem, problem.assets))
        builder.family("final_energy", final_energy(builder, problem.assets))
        if one_way_states(problem).size:
            builder.family("charge_or_discharge", charge_or_discharge(builder, problem, problem.assets))
    if problem.assets is not None and problem.assets.meters is not None:
        builder.family("grid_exchange", grid_exchange(builder, problem, problem.assets.meters))
        if one_way_pairs(problem).size:
            builder.family("import_or_export", import_or_export(builder, problem, problem.assets.meters))
    if priced and problem.demand_charges:
        builder.family("billed_peak", billed_peak(builder, problem))


def flow_columns(builder: ProgramBuilder, problem: CapacityProblem) -> IntArray:
    """The program's column of each column of limit rows: (K + X,)."""
    energy = builder.columns("energy_kwh")
    if problem.assets is None:
        return energy
    return np.concatenate([energy, *(builder.columns(name) for name in problem.assets.flows.variables)])


def columns_of_flows(problem: CapacityProblem, program: LinearProgram) -> IntArray:
    """The column of each column of limit rows in a finished program: (K + X,)."""
    names = () if problem.assets is None else tuple(problem.assets.flows.variables)
    places = [program.columns[name] for name in ("energy_kwh", *names)]
    return np.concatenate([np.arange(place.start, place.stop) for place in places])


def flow_values(problem: CapacityProblem, program: LinearProgram, value: FloatArray) -> FloatArray:
    """Energies of all columns of limit rows in a solution of a program, (C,): (K + X,), kWh."""
    return value[columns_of_flows(problem, program)]


def stored_energy(builder: ProgramBuilder, problem: CapacityProblem, assets: AssetArrays) -> Rows:
    """Follow the state of each battery.

        stored[n] - stored[n - 1] - charge_efficiency * charged[n] + discharged[n] / discharge_efficiency  =  0

    with the state at the begin on the right side of a battery's first row.

    Returns:
        Rows indexed by n, kWh.
    """
    stores, columns = assets.stores, flow_columns(builder, problem)
    stored = builder.columns("stored_kwh")
    states = np.arange(stored.size)
    later = np.setdiff1d(states, stores.first[:-1])
    feeds = np.flatnonzero(stores.discharge_column != NOWHERE)
    right = np.zeros(stored.size)
    begun = np.flatnonzero(np.diff(stores.first))
    right[stores.first[:-1][begun]] = stores.initial_kwh[begun]
    terms = (
        Terms(row=states, column=stored, coefficient=np.ones(stored.size)),
        Terms(row=later, column=stored[later - 1], coefficient=np.full(later.size, -1.0)),
        Terms(row=states, column=columns[stores.charge_column], coefficient=-stores.charge_efficiency[stores.store]),
        Terms(
            row=feeds,
            column=columns[stores.discharge_column[feeds]],
            coefficient=1.0 / stores.discharge_efficiency[stores.store[feeds]],
        ),
    )
    return Rows.of_terms(terms, lower=right, upper=right)


def charge_curve(builder: ProgramBuilder, problem: CapacityProblem, assets: AssetArrays) -> Rows:
    """Hold the power of a vehicle under its charge curve at the state it has at the end of the step.

        charged[n] + hours[n] * slope * stored[n]  <=  hours[n] * intercept       for every line of the curve

    Power falls with the state and the state rises within a step: the curve holds at every moment.

    Returns:
        Rows line by line of each battery with a curve, kWh.
    """
    stores, columns = assets.stores, flow_columns(builder, problem)
    stored = builder.columns("stored_kwh")
    state, intercept, slope = stores.curve_lines
    row, hours = np.arange(state.size), stores.hours[state]
    sloping = np.flatnonzero(slope)
    terms = (
        Terms(row=row, column=columns[stores.charge_column[state]], coefficient=np.ones(row.size)),
        Terms(row=sloping, column=stored[state[sloping]], coefficient=(hours * slope)[sloping]),
    )
    return Rows.of_terms(terms, lower=np.full(row.size, -np.inf), upper=hours * intercept)


def final_energy(builder: ProgramBuilder, assets: AssetArrays) -> Rows:
    """Fill a battery that is to be fuller at the end, or name what is left.

        stored[last] + short  >=  wanted_final

    Returns:
        Rows indexed by the batteries that are to be fuller than at the begin, kWh.
    """
    stores, wanting = assets.stores, _wanting(assets)
    row = np.arange(wanting.size)
    each = np.ones(wanting.size)
    terms = (
        Terms(row=row, column=builder.columns("stored_kwh")[stores.first[wanting + 1] - 1], coefficient=each),
        Terms(row=row, column=builder.columns(SHORT_OF_STORAGES), coefficient=each),
    )
    return Rows.of_terms(terms, lower=stores.wanted_final_kwh[wanting], upper=np.full(wanting.size, np.inf))


def _wanting(assets: AssetArrays) -> IntArray:
    """The batteries that are to be fuller at the end than they need be."""
    return np.flatnonzero(assets.stores.wanted_final_kwh > assets.stores.least_final_kwh)


def charge_or_discharge(builder: ProgramBuilder, problem: CapacityProblem, assets: AssetArrays) -> Rows:
    """Let a battery not charge and discharge at once where turning energy into heat would pay.

        charged[n]     <=  most_charged[n] * is_charging[n]
        discharged[n]  <=  most_discharged[n] * (1 - is_charging[n])

    Returns:
        Rows, those of charging first, kWh.
    """
    states, columns = one_way_states(problem), flow_columns(builder, problem)
    switch = builder.columns("is_charging")
    charge, discharge = (column[states] for column in (assets.stores.charge_column, assets.stores.discharge_column))
    most = np.append(problem.max_energy_kwh, assets.flows.max_kwh)
    return _either_or(columns[charge], most[charge], columns[discharge], most[discharge], switch)


def _either_or(
    first: IntArray, most_first: FloatArray, second: IntArray, most_second: FloatArray, switch: IntArray
) -> Rows:
    """One or the other: first <= most_first * switch, second <= most_second * (1 - switch)."""
    row, each = np.arange(switch.size), np.ones(switch.size)
    terms = (
        Terms(row=row, column=first, coefficient=each),
        Terms(row=row, column=switch, coefficient=-most_first),
        Terms(row=row + switch.size, column=second, coefficient=each),
        Terms(row=row + switch.size, column=switch, coefficient=most_second),
    )
    upper = np.concatenate((np.zeros(switch.size), most_second))
    return Rows.of_terms(terms, lower=np.full(upper.size, -np.inf), upper=upper)


def one_way_states(problem: CapacityProblem) -> IntArray:
    """The states that get a switch, since charging and discharging at once would pay in their step: (Z,).

    Drawing a kWh and feeding back what its losses leave, e = charge_efficiency * discharge_efficiency, draws 1 - e from
    the grid for nothing. That pays where a kWh drawn, or one less fed in, is paid for, by more than the wear of
    e kWh, and it may be forced where more is generated than may be fed in. Elsewhere it can at most make room for
    energy of other steps that pays, within limits that bind: a plan that does so is seen (`goes_both_ways`), and solved
    for anew with a switch for every state (`AssetArrays.keeps_one_way`).
    """
    assets = problem.assets
    if assets is None or assets.meters is None:
        return np.zeros(0, dtype=np.int64)
    stores = assets.stores
    if assets.keeps_one_way:
        return np.flatnonzero(_may_waste(stores))
    worth, forced = _least_price(problem, assets.meters), _forced_steps(problem)
    efficiency = (stores.charge_efficiency * stores.discharge_efficiency)[stores.store]
    wear = np.append(np.zeros(problem.columns), assets.flows.wear_price_per_kwh)[stores.discharge_column]
    pays = -worth[stores.step] * (1.0 - efficiency) > wear * efficiency
    return np.flatnonzero(_may_waste(stores) & (pays | forced[stores.step]))


def _may_waste(stores: Stores) -> BoolArray:
    """The states in which charging and discharging at once would lose energy: (N,)."""
    lossy = stores.charge_efficiency * stores.discharge_efficiency < 1.0
    return np.asarray(lossy[stores.store] & (stores.discharge_column != NOWHERE), dtype=bool)


def goes_both_ways(problem: CapacityProblem, flow_kwh: FloatArray, *, least_kwh: float) -> bool:
    """Whether a battery with losses charges and discharges at once.

    Args:
        problem: The scenario as arrays.
        flow_kwh: (K + X,), energies of all columns of limit rows, kWh.
        least_kwh: Less than that is rounding, kWh.
    """
    if problem.assets is None or not problem.assets.stores.count:
        return False
    stores = problem.assets.stores
    mine = _may_waste(stores)
    both = np.minimum(flow_kwh[stores.charge_column[mine]], flow_kwh[stores.discharge_column[mine]])
    return bool((both > least_kwh).any())


def _least_price(problem: CapacityProblem, meters: Meters) -> FloatArray:
    """The least that a kWh more of net consumption may cost in each step: (T,), currency per kWh."""
    nothing = np.zeros(problem.grid.steps)
    drawn = nothing if problem.import_cost_per_kwh is None else problem.import_cost_per_kwh
    earned = nothing if problem.export_price_per_kwh is None else problem.export_price_per_kwh
    may_export = (meters.max_export_kwh > 0).any(axis=0)
    return np.where(may_export, np.minimum(drawn, earned), drawn)


def _forced_steps(problem: CapacityProblem) -> BoolArray:
    """Steps in which a limit of what is fed in is exceeded as long as nobody draws: (T,)."""
    rows = problem.limit_rows
    forced = np.zeros(problem.grid.steps, dtype=bool)
    forced[rows.step_index[rows.capacity_kwh < 0]] = True
    return forced


def exporting_pairs(meters: Meters) -> IntArray:
    """The pairs of a root and a step, numbered root by root, in which anything can be fed in."""
    return np.flatnonzero(meters.max_export_kwh.ravel() > 0)


def one_way_pairs(problem: CapacityProblem) -> IntArray:
    """The pairs in which drawing and feeding in at once would pay: a kWh fed in earns more than a kWh drawn costs."""
    if problem.assets is None or problem.assets.meters is None:
        return np.zeros(0, dtype=np.int64)
    meters, steps = problem.assets.meters, problem.grid.steps
    drawn = np.zeros(steps) if problem.import_cost_per_kwh is None else problem.import_cost_per_kwh
    earned = np.zeros(steps) if problem.export_price_per_kwh is None else problem.export_price_per_kwh
    both = (meters.max_export_kwh > 0) & (meters.max_import_kwh > 0)
    return np.flatnonzero((both & (earned > drawn)[None, :]).ravel())


def grid_exchange(builder: ProgramBuilder, problem: CapacityProblem, meters: Meters) -> Rows:
    """Count what each root draws and feeds in.

        import[r, t] - export[r, t] - (what is drawn below r) + (what is fed in below r)  =  fixed[r, t]

    Returns:
        Rows indexed by the pairs of a root and a step, kWh; a dual is the price of a kWh there.
    """
    if problem.assets is None:
        raise ValueError("a problem without assets has no meters")
    flows, steps = problem.assets.flows, problem.grid.steps
    exporting = exporting_pairs(meters)
    pairs = np.arange(meters.fixed_kwh.size)
    terms = [
        Terms(row=pairs, column=builder.columns("import_kwh"), coefficient=np.ones(pairs.size)),
        Terms(row=exporting, column=builder.columns("export_kwh"), coefficient=np.full(exporting.size, -1.0)),
        Terms(
            row=np.append(
                meters.session_root[problem.column_session] * steps + problem.column_step,
                meters.owner_root[flows.owner] * steps + flows.step,
            ),
            column=flow_columns(builder, problem),
            coefficient=-np.append(np.ones(problem.columns), flows.sign),
        ),
    ]
    fixed = meters.fixed_kwh.ravel()
    return Rows.of_terms(terms, lower=fixed, upper=fixed)


def import_or_export(builder: ProgramBuilder, problem: CapacityProblem, meters: Meters) -> Rows:
    """Let a root not draw and feed in at once where that would pay.

        import  <=  most_import * is_drawing,      export  <=  most_export * (1 - is_drawing)

    Returns:
        Rows, those of the import first, kWh.
    """
    pairs = one_way_pairs(problem)
    export = builder.columns("export_kwh")[np.searchsorted(exporting_pairs(meters), pairs)]
    return _either_or(
        builder.columns("import_kwh")[pairs],
        meters.max_import_kwh.ravel()[pairs],
        export,
        meters.max_export_kwh.ravel()[pairs],
        builder.columns("is_drawing"),
    )


def net_import(builder: ProgramBuilder, problem: CapacityProblem, row_of_step: IntArray) -> list[Terms]:
    """The terms of the whole site's import less its export, kWh.

    Args:
        builder: The program under construction.
        problem: The scenario as arrays.
        row_of_step: (T,), the row to which a step is added; -1 for none.
    """
    meters = None if problem.assets is None else problem.assets.meters
    if meters is None:
        parts = [(builder.columns("energy_kwh"), problem.column_step, 1.0)]
    else:
        steps = problem.grid.steps
        exporting = exporting_pairs(meters)
        parts = [
            (builder.columns("import_kwh"), np.arange(meters.fixed_kwh.size) % steps, 1.0),
            (builder.columns("export_kwh"), exporting % steps, -1.0),
        ]
    terms = []
    for column, step, sign in parts:
        row = row_of_step[step]
        used = row >= 0
        terms.append(Terms(row=row[used], column=column[used], coefficient=np.full(np.count_nonzero(used), sign)))
    return terms


def billed_peak(builder: ProgramBuilder, problem: CapacityProblem) -> Rows:
    """Hold the site's mean import under the peak that is paid for.

        import[t] - export[t] - hours[t] * over_peak  <=  hours[t] * peak_so_far        for every step that counts

    for every demand charge and billing period; the peak already reached is paid for anyhow.

    Returns:
        Rows charge by charge and step by step, kWh.
    """
    over = builder.columns("over_peak_kw")
    first = np.cumsum([0, *_periods(problem)])
    hours = problem.step_hours
    terms: list[Terms] = []
    uppers: list[FloatArray] = [np.zeros(0)]
    begin = 0
    for charge, (low, high) in zip(problem.demand_charges, pairwise(first.tolist()), strict=True):
        period = charge.periods_on(problem.grid)
        counted = np.flatnonzero(period >= 0)
        row_of_step = np.full(problem.grid.steps, NOWHERE)
        row_of_step[counted] = begin + np.arange(counted.size)
        terms += net_import(builder, problem, row_of_step)
        terms.append(
            Terms(row=row_of_step[counted], column=over[low:high][period[counted]], coefficient=-hours[counted])
        )
        uppers.append(hours[counted] * charge.floors_kw(high - low)[period[counted]])
        begin += counted.size
    upper = np.concatenate(uppers)
    return Rows.of_terms(terms, lower=np.full(upper.size, -np.inf), upper=upper)


def _periods(problem: CapacityProblem) -> list[int]:
    """How many billing periods each demand charge has in the window."""
    return [int(charge.periods_on(problem.grid).max(initial=-1)) + 1 for charge in problem.demand_charges]


def asset_cost(problem: CapacityProblem) -> Mapping[str, FloatArray]:
    """Cost of what meters count, of wear and of peaks, currency per unit of each variable.

    import_price * import - export_price * export + carbon_price * carbon * import + wear_price * fed in
    + price_per_kw * over_peak
    """
    cost: dict[str, FloatArray] = {}
    assets, drawn = problem.assets, problem.import_cost_per_kwh
    meters = None if assets is None else assets.meters
    if meters is None:
        if drawn is not None:
            cost["energy_kwh"] = drawn[problem.column_step]
    else:
        roots = meters.fixed_kwh.shape[0]
        exporting = exporting_pairs(meters)
        if drawn is not None:
            cost["import_kwh"] = np.tile(drawn, roots)
        if problem.export_price_per_kwh is not None and exporting.size:
            cost["export_kwh"] = -np.tile(problem.export_price_per_kwh, roots)[exporting]
    if assets is not None:
        for name in (VEHICLE_DISCHARGE, STORAGE_DISCHARGE):
            mine = assets.flows.of(name)
            if mine.size:
                cost[name] = assets.flows.wear_price_per_kwh[mine]
    if problem.demand_charges:
        prices = [charge.price_per_kw for charge in problem.demand_charges]
        cost["over_peak_kw"] = np.repeat(np.array(prices, dtype=np.float64), _periods(problem))
    return cost


def idle_cost(problem: CapacityProblem) -> Mapping[str, FloatArray]:
    """What keeps assets idle among equally good plans: each kWh of theirs counts as if it came last, kWh h."""
    if problem.assets is None:
        return {}
    hours = float(problem.step_hours.sum())
    return {name: np.full(problem.assets.flows.of(name).size, hours) for name in problem.assets.flows.variables}


def short_of_storages(problem: CapacityProblem) -> Mapping[str, FloatArray]:
    """What batteries lack at the end counts like unmet energy of a session with a weight of 1."""
    wanting = 0 if problem.assets is None else _wanting(problem.assets).size
    return {SHORT_OF_STORAGES: np.ones(wanting)} if wanting else {}


def balance_terms(builder: ProgramBuilder, problem: CapacityProblem) -> list[Terms]:
    """What vehicles feed in, as the balance of their energy counts it."""
    session, kwh_per_kwh = problem.vehicle_discharge
    if not session.size:
        return []
    return [Terms(row=session, column=builder.columns(VEHICLE_DISCHARGE), coefficient=-kwh_per_kwh)]


def vehicle_columns(problem: CapacityProblem) -> IntArray:
    """The power column beside each flow that vehicles feed in: (D,)."""
    if problem.assets is None:
        return np.zeros(0, dtype=np.int64)
    stores = problem.assets.stores
    feeds = (stores.session[stores.store] != NOWHERE) & (stores.discharge_column != NOWHERE)
    columns: IntArray = stores.charge_column[feeds]
    return columns


def metered_kwh(problem: CapacityProblem, flow_kwh: FloatArray) -> FloatArray:
    """Import less export of each root and step, from the energies of all columns of limit rows: (R, T), kWh."""
    if problem.assets is None or problem.assets.meters is None:
        return sums_by(problem.column_step, flow_kwh[: problem.columns], problem.grid.steps)[None, :]
    meters, flows, steps = problem.assets.meters, problem.assets.flows, problem.grid.steps
    pair = np.append(
        meters.session_root[problem.column_session] * steps + problem.column_step,
        meters.owner_root[flows.owner] * steps + flows.step,
    )
    signed = flow_kwh * np.append(np.ones(problem.columns), flows.sign)
    return meters.fixed_kwh + sums_by(pair, signed, meters.fixed_kwh.size).reshape(meters.fixed_kwh.shape)
