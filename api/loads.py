"""The non-flexible load of a site's groups, from what was measured last of groups and assets; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from operator import attrgetter

from api.site_state import SiteState
from models.domain import Phase, Site
from models.domain.capacity import SINGLE_PHASES
from models.domain.headroom import total_load_kw
from models.domain.measurement import AssetCategory, EnergyDelta, EnergyType, FlowDirection, PowerReading
from models.units import mean_power_kw, seconds_to_hours

WHOLE_PHASES = ((Phase.ALL,), (Phase.UNKNOWN,), SINGLE_PHASES)
"""Conductors that together tell of everything, the better known first."""
ASSET_TYPES = (EnergyType.TOTAL, EnergyType.NONFLEXIBLE, EnergyType.FLEXIBLE)

Flows = Mapping[tuple[FlowDirection, Phase], EnergyDelta]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A non-flexible power.

    Args:
        power_kw: Consumption less generation, kW.
        measured_at: When.
    """

    power_kw: float
    measured_at: datetime


def loads_of(
    site: Site, state: SiteState, *, now: datetime, generation_age_s: float, generation_counts: bool = True
) -> dict[str, float]:
    """Non-flexible load of each group and everything below it, kW, generation taken off.

    A consumption holds until it is measured again. A generation is counted on only for a while.

    Args:
        site: The groups.
        state: What was measured.
        now: The present.
        generation_age_s: How long a measured generation counts, s.
        generation_counts: Whether it counts at all.
    """
    oldest = now - timedelta(seconds=generation_age_s)

    def is_trusted(load: Load) -> bool:
        return load.power_kw >= 0 or (generation_counts and load.measured_at >= oldest)

    own: dict[str, float] = {}
    for (group_id, _), load in asset_loads(state).items():
        own[group_id] = own.get(group_id, 0.0) + (load.power_kw if is_trusted(load) else 0.0)
    # Where what was fed in lately cannot be trusted any more, what is measured of the parts still can.
    measured = {group_id: load.power_kw for group_id, load in group_loads(state).items() if is_trusted(load)}
    return total_load_kw(site, own, measured)


def group_loads(state: SiteState) -> dict[str, Load]:
    """The load of each group that is measured as a whole: its non-flexible part, or the total less the flexible."""
    registers: dict[str, dict[EnergyType, dict[tuple[FlowDirection, Phase], EnergyDelta]]] = {}
    for key, flow in state.flows.items():
        if key.asset_id is None:
            of_type = registers.setdefault(key.group_id, {}).setdefault(key.energy_type, {})
            of_type[key.direction, key.phase] = flow
    loads = {}
    for group_id, by_type in registers.items():
        rest = _difference(by_type.get(EnergyType.TOTAL, {}), by_type.get(EnergyType.FLEXIBLE, {}))
        found = _newest(_mean(flows) for flows in (by_type.get(EnergyType.NONFLEXIBLE, {}), rest))
        if found:
            loads[group_id] = found
    return loads


def asset_loads(state: SiteState) -> dict[tuple[str, str], Load]:
    """The load of each asset that is no charger, by group and asset; what was measured last holds."""
    candidates: dict[tuple[str, str], list[Load | None]] = {}
    powers: dict[tuple[str, str], dict[Phase, PowerReading]] = {}
    for (group_id, asset_id, phase), reading in state.powers.items():
        powers.setdefault((group_id, asset_id), {})[phase] = reading
    for asset, readings in powers.items():
        candidates.setdefault(asset, []).append(_newest(_sum(readings, phases) for phases in WHOLE_PHASES))
    registers: dict[tuple[str, str], dict[EnergyType, dict[tuple[FlowDirection, Phase], EnergyDelta]]] = {}
    for key, flow in state.flows.items():
        if key.asset_id is not None:
            of_type = registers.setdefault((key.group_id, key.asset_id), {}).setdefault(key.energy_type, {})
            of_type[key.direction, key.phase] = flow
    for asset, by_type in registers.items():
        candidates.setdefault(asset, []).extend(_mean(by_type[one]) for one in ASSET_TYPES if one in by_type)
    return {asset: found for asset, loads in candidates.items() if (found := _newest(loads))}


def _difference(total: Flows, flexible: Flows) -> Flows:
    """Total less flexible energy, of registers that were read over the same time."""
    return {
        key: replace(flow, energy_kwh=flow.energy_kwh - part.energy_kwh)
        for key, flow in total.items()
        if (part := flexible.get(key)) is not None and (part.start, part.end) == (flow.start, flow.end)
    }


def _mean(flows: Flows) -> Load | None:
    """Mean net power: of a NET register, else of IMPORT less the EXPORT of the same time."""
    return _newest(_net(flows, phases) for phases in WHOLE_PHASES)


def _net(flows: Flows, phases: Sequence[Phase]) -> Load | None:
    net, drawn, fed_in = (
        [flows[direction, phase] for phase in phases if (direction, phase) in flows]
        for direction in (FlowDirection.NET, FlowDirection.IMPORT, FlowDirection.EXPORT)
    )
    periods = {(flow.start, flow.end) for flow in drawn}
    returned = [flow for flow in fed_in if not drawn or (flow.start, flow.end) in periods]
    both = (
        Load(power_kw=_power_kw(drawn) - _power_kw(returned), measured_at=max(map(_end, drawn + returned)))
        if drawn or returned
        else None
    )
    alone = Load(power_kw=_power_kw(net), measured_at=max(map(_end, net))) if net else None
    return _newest((alone, both))


def _power_kw(flows: Iterable[EnergyDelta]) -> float:
    return sum(_flow_kw(flow) for flow in flows)


def _flow_kw(flow: EnergyDelta) -> float:
    power_kw = mean_power_kw(flow.energy_kwh, hours=seconds_to_hours((flow.end - flow.start).total_seconds()))
    is_net_generation = flow.category is AssetCategory.GENERATION and flow.key.direction is FlowDirection.NET
    return _signed(power_kw, AssetCategory.GENERATION) if is_net_generation else power_kw


def _sum(readings: Mapping[Phase, PowerReading], phases: Sequence[Phase]) -> Load | None:
    found = [readings[phase] for phase in phases if phase in readings]
    if not found:
        return None
    return Load(
        power_kw=sum(_signed(reading.power_kw, reading.category) for reading in found),
        measured_at=max(reading.measured_at for reading in found),
    )


def _signed(power_kw: float, category: AssetCategory) -> float:
    """Generation below zero however the peer signs it: the standard states no sign, and the flow has one way only."""
    return -abs(power_kw) if category is AssetCategory.GENERATION else power_kw


def _newest(loads: Iterable[Load | None]) -> Load | None:
    """What was measured last; of one instant the first."""
    return max((load for load in loads if load is not None), key=attrgetter("measured_at"), default=None)


def _end(flow: EnergyDelta) -> datetime:
    return flow.end
