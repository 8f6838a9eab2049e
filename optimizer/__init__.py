"""How we decide: an optimal, verified schedule for a scenario. No web, and no protocol but at its edge."""

from optimizer.engine import optimize, plan_without_solver
from optimizer.options import (
    COST_OBJECTIVE,
    PEAK_OBJECTIVE,
    Fairness,
    Foresight,
    LimitMode,
    Occasion,
    OptimizeOptions,
    RollOptions,
    SolverOptions,
    Stage,
    Strategy,
)
from optimizer.rolling import Replan, RolledDay, roll
from optimizer.verify import Certificate, verify

__all__ = [
    "COST_OBJECTIVE",
    "PEAK_OBJECTIVE",
    "Certificate",
    "Fairness",
    "Foresight",
    "LimitMode",
    "Occasion",
    "OptimizeOptions",
    "Replan",
    "RollOptions",
    "RolledDay",
    "SolverOptions",
    "Stage",
    "Strategy",
    "optimize",
    "plan_without_solver",
    "roll",
    "verify",
]
