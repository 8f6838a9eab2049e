"""How we decide: an optimal, verified schedule for a scenario. No web, and no protocol but at its edge."""

from importlib import import_module
from typing import TYPE_CHECKING

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
from optimizer.verify import Certificate, verify

if TYPE_CHECKING:
    from optimizer.again import Memory
    from optimizer.engine import optimize, plan_without_solver
    from optimizer.rolling import Replan, RolledDay, roll

__all__ = [
    "COST_OBJECTIVE",
    "PEAK_OBJECTIVE",
    "Certificate",
    "Fairness",
    "Foresight",
    "LimitMode",
    "Memory",
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

_HOMES = {
    "Memory": "optimizer.again",
    "Replan": "optimizer.rolling",
    "RolledDay": "optimizer.rolling",
    "optimize": "optimizer.engine",
    "plan_without_solver": "optimizer.engine",
    "roll": "optimizer.rolling",
}
"""Where to find what takes a tenth of a second to import, which the command line's help and version do without."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
