"""FlexMeasures' device scheduler: every session a device with a stock target, the connection as its EMS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import flask
import numpy as np
import pandas as pd
from flexmeasures.data.models.planning import FlowCommitment
from flexmeasures.data.models.planning.linear_optimization import device_scheduler
from flexmeasures.data.models.planning.utils import initialize_df

from benchmarks.peers.program import FloatArray, SharedDay

PACKAGES = ("flexmeasures", "highspy", "pyomo")
COLUMNS = [
    "equals",
    "max",
    "min",
    "efficiency",
    "derivative equals",
    "derivative max",
    "derivative min",
    "derivative down efficiency",
    "derivative up efficiency",
    "stock delta",
]
START = pd.Timestamp("2019-07-24")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """A day as the scheduler takes it, its frames made."""

    devices: list[pd.DataFrame]
    ems: pd.DataFrame
    price: pd.Series


def prepare(day: SharedDay) -> Frames:
    """Stock is power added up, so that a target is energy over the length of a step."""
    hours = float(day.step_hours[0])
    resolution = timedelta(hours=hours)
    span = (START, START + resolution * day.price_per_kwh.size, resolution)
    devices = []
    for max_kw, energy_kwh in zip(day.max_kw, day.energy_kwh.tolist(), strict=True):
        device = initialize_df(COLUMNS, *span)
        device["derivative max"], device["derivative min"] = max_kw, 0.0
        device["max"], device["min"] = energy_kwh / hours, 0.0
        device.loc[device.index[-1], "equals"] = energy_kwh / hours
        devices.append(device)
    ems = initialize_df(COLUMNS, *span)
    ems["derivative max"], ems["derivative min"] = day.limit_kw, 0.0
    return Frames(devices=devices, ems=ems, price=pd.Series(day.price_per_kwh * hours, index=ems.index))


def plan(prepared: Frames, options: dict[str, str]) -> FloatArray:
    """Option ``solver``: ``highspy``, its direct way and default, or ``appsi_highs``, through Pyomo."""
    with _application(options["solver"]):
        energy = FlowCommitment(
            name="energy",
            quantity=0,
            upwards_deviation_price=prepared.price,
            downwards_deviation_price=prepared.price,
            index=prepared.price.index,
        )
        # The scheduler writes into what it is given.
        devices = [device.copy() for device in prepared.devices]
        powers, _, results, _ = device_scheduler(devices, prepared.ems.copy(), commitments=[energy])
    condition = str(results.solver.termination_condition)
    if condition != "optimal":
        raise RuntimeError(f"FlexMeasures ended with {condition}")
    return np.array([np.asarray(power, dtype=np.float64) for power in powers])


@contextmanager
def _application(solver: str) -> Iterator[None]:
    application = flask.Flask("benchmark")
    application.config.update(FLEXMEASURES_LP_SOLVER=solver, FLEXMEASURES_LP_SOLVER_OPTIONS={}, LOGGING_LEVEL="INFO")
    with application.app_context():
        yield
