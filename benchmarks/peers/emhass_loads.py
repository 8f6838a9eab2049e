"""EMHASS: every session a deferrable load that need not run at full power, within a window of whole steps.

Loads have one nominal power: what a session may take is rounded up to it in the steps in which it comes or goes, so
that the plan may differ a little from others'.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
from emhass import utils
from emhass.optimization import Optimization

from benchmarks.peers.program import FloatArray, SharedDay

PACKAGES = ("emhass", "cvxpy", "highspy")
WATTS_PER_KW = 1000.0
COST, PRICE = "unit_load_cost", "unit_prod_price"
START = pd.Timestamp("2019-07-24", tz="UTC")


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A day as EMHASS is configured for it."""

    retrieval: dict[str, object]
    optimization: dict[str, object]
    plant: dict[str, object]
    paths: dict[str, Path]
    frame: pd.DataFrame
    hours: list[float]
    first: list[int]
    last: list[int]


def prepare(day: SharedDay) -> Home:
    """Its defaults, less photovoltaics and battery."""
    logger = logging.getLogger("emhass")
    data = Path(str(files("emhass"))) / "data"
    paths = {"root_path": data.parent, "data_path": Path(), "defaults_path": data / "config_defaults.json"}
    paths["associations_path"] = data / "associations.csv"

    async def configured() -> dict[str, object]:
        config = await utils.build_config(paths, logger, paths["defaults_path"])
        _, secrets = await utils.build_secrets(paths, logger)
        built: dict[str, object] = await utils.build_params(paths, secrets, config, logger)
        return built

    retrieval, optimization, plant = utils.get_yaml_parse(asyncio.run(configured()), logger)
    nominal_kw = day.max_kw.max(axis=1)
    count = nominal_kw.size
    steps = day.price_per_kwh.size
    hours = float(day.step_hours[0])
    retrieval["optimization_time_step"] = pd.Timedelta(hours=hours)
    optimization |= {
        "delta_forecast_daily": pd.Timedelta(hours=hours * steps),
        "number_of_deferrable_loads": count,
        "nominal_power_of_deferrable_loads": (nominal_kw * WATTS_PER_KW).tolist(),
        "minimum_power_of_deferrable_loads": [0.0] * count,
        "operating_hours_of_each_deferrable_load": (day.energy_kwh / nominal_kw).tolist(),
        "treat_deferrable_load_as_semi_cont": [False] * count,
        "set_deferrable_load_single_constant": [False] * count,
        "set_deferrable_startup_penalty": [0.0] * count,
        "set_deferrable_max_startups": [0] * count,
        "deferrable_load_max_cost": [0.0] * count,
        "def_minimum_on_time": [0] * count,
        "def_minimum_off_time": [0] * count,
        "is_electric_load": [True] * count,
        "cost_forecast_per_deferrable_load": [None] * count,
        "def_current_state": [False] * count,
        "set_use_battery": False,
        "set_use_pv": False,
    }
    plant |= {"maximum_power_from_grid": float(day.limit_kw.max() * WATTS_PER_KW), "maximum_power_to_grid": 0.0}
    index = pd.date_range(START, periods=steps, freq=pd.Timedelta(hours=hours))
    present = [np.flatnonzero(max_kw) for max_kw in day.max_kw]
    return Home(
        retrieval=retrieval,
        optimization=optimization,
        plant=plant,
        paths=paths,
        frame=pd.DataFrame({COST: day.price_per_kwh, PRICE: np.zeros(steps)}, index=index),
        hours=(day.energy_kwh / nominal_kw).tolist(),
        first=[int(steps[0]) for steps in present],
        last=[int(steps[-1]) + 1 for steps in present],
    )


def plan(prepared: Home, _: dict[str, str]) -> FloatArray:
    """One optimization from scratch: its problem is built and solved."""
    nothing = np.zeros(len(prepared.frame))
    optimization = Optimization(
        prepared.retrieval,
        prepared.optimization,
        prepared.plant,
        COST,
        PRICE,
        "cost",
        prepared.paths,
        logging.getLogger("emhass"),
        num_timesteps=len(prepared.frame),
    )
    found = optimization.perform_optimization(
        prepared.frame,
        nothing,
        nothing,
        prepared.frame[COST].to_numpy(),
        prepared.frame[PRICE].to_numpy(),
        def_total_hours=list(prepared.hours),
        def_start_timestep=list(prepared.first),
        def_end_timestep=list(prepared.last),
    )
    if not str(optimization.optim_status).lower().startswith("optimal"):
        raise RuntimeError(f"EMHASS ended with {optimization.optim_status}")
    loads = [f"P_deferrable{k}" for k in range(len(prepared.hours))]
    return np.asarray(found[loads].to_numpy().T / WATTS_PER_KW, dtype=np.float64)
