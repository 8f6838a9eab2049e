"""Who is compared: solvers, modelling libraries, and planners."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.full.environments import OURS
from benchmarks.full.race import Contestant
from benchmarks.peers.highs_arrays import LARGEST_COST
from optimizer.highs import DEVEX, DUAL_SIMPLEX, INTERIOR_POINT
from optimizer.highs import LARGEST_COST as SCALE

SCALED = {LARGEST_COST: str(SCALE)}


def _highs(name: str, options: Mapping[str, object], environment: str = OURS) -> Contestant:
    texts = {option: str(value) for option, value in options.items()}
    return Contestant(name=name, module="highs_arrays", environment=environment, options=SCALED | texts)


FLOOR = _highs("floor: arrays, dual simplex", DUAL_SIMPLEX)
BY_HIGHS = Contestant(name="HiGHS's own choice", module="highs_arrays")

SOLVERS = (
    FLOOR,
    BY_HIGHS,
    _highs("dual simplex with devex prices", DEVEX),
    _highs("dual simplex with presolve", {"solver": "simplex", "parallel": "off"}),
    _highs("PAMI", {"solver": "simplex", "simplex_strategy": 3, "parallel": "on", "presolve": "off"}),
    _highs("IPX with crossover", INTERIOR_POINT),
    _highs("IPX without", {**INTERIOR_POINT, "run_crossover": "off"}),
    _highs("HiPO with crossover", {"solver": "hipo", "run_crossover": "on", "presolve": "off"}, "hipo"),
    _highs("HiPO without", {"solver": "hipo", "run_crossover": "off", "presolve": "off"}, "hipo"),
    _highs("PDLP", {"solver": "pdlp"}),
    Contestant(name="CBC through Pyomo", module="pyomo_rules", options={"solver": "cbc"}),
    Contestant(name="GLPK through Pyomo", module="pyomo_rules", options={"solver": "glpk"}, largest=5000),
)

LIBRARIES = (
    FLOOR,
    BY_HIGHS,
    Contestant(name="SciPy linprog", module="scipy_linprog"),
    Contestant(name="Pyomo by rules, appsi_highs", module="pyomo_rules", options={"solver": "appsi_highs"}),
    Contestant(name="linopy, direct", module="linopy_direct", environment="linopy"),
    Contestant(name="cvxpy, HiGHS", module="cvxpy_highs", environment="cvxpy"),
    Contestant(name="PuLP, HiGHS", module="pulp_highs", environment="pulp"),
    Contestant(name="pyoptinterface, HiGHS", module="pyoptinterface_highs", environment="pyoptinterface"),
    Contestant(name="OR-tools min-cost flow", module="ortools_flow", environment="ortools"),
)

PLANNERS = (
    Contestant(
        name="FlexMeasures, direct (its default)",
        module="flexmeasures_devices",
        environment="flexmeasures",
        options={"solver": "highspy"},
    ),
    Contestant(
        name="FlexMeasures, Pyomo",
        module="flexmeasures_devices",
        environment="flexmeasures",
        options={"solver": "appsi_highs"},
    ),
    Contestant(name="MPC in cvxpy on acnportal", module="acnportal_mpc", environment="acnportal"),
    Contestant(name="EMHASS", module="emhass_loads", environment="emhass"),
)

NOT_RUN = {
    "evcc optimizer": "it is no package of PyPI: what is called evcc there asks a running evcc",
    "adacharge": "its licence is for non-commercial use only; the MPC on acnportal is our own formulation of its kind",
}
"""Planners that are known and left out, and why."""
