"""Where power flows: a tree of capacity groups with chargers on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import combinations, pairwise
from types import MappingProxyType
from zoneinfo import ZoneInfo

from models.domain.asset import Asset, BaseLoad, ChargeCurve, Generator, Storage
from models.domain.bounds import check_power_kw
from models.domain.capacity import SINGLE_PHASES, Phase
from models.domain.connection import CONDUCTORS, Connection
from models.domain.pickling import reduced
from models.errors import InputError
from models.units import DEFAULT_NOMINAL_VOLTAGE_V, THREE_PHASES

MAX_CURRENT_A = 1e6
"""What a gigawatt draws at medium voltage is below that; a larger figure is a mistaken unit."""

PHASE_CONNECTIONS = {
    Phase.ONE: Connection("L1-N"),
    Phase.TWO: Connection("L2-N"),
    Phase.THREE: Connection("L3-N"),
    Phase.ALL: Connection("L1-L2-L3"),
}
"""What the phases of a charger say of its connection."""


SAME_POWER_KW = 1e-9
"""Powers closer than that are the same."""


def check_current_a(current_a: float, name: str) -> None:
    """Let pass a finite current that is not negative.

    Raises:
        InputError: It is negative, not finite or above a million ampere.
    """
    if not (math.isfinite(current_a) and 0 <= current_a <= MAX_CURRENT_A):
        raise InputError(f"{name} is {current_a} A; it must be between 0 and {MAX_CURRENT_A:g} A")


class LimitCounts(StrEnum):
    """Whose power a limit counts."""

    FLEXIBLE = "FLEXIBLE"
    """That of the flexible assets only, as the standard has it where nothing else is agreed."""
    TOTAL = "TOTAL"
    """Everything behind the connection, non-flexible consumption and generation too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityGroup:
    """An OSCP capacity group: an area or connection behind which assets share a capacity.

    Args:
        group_id: Id agreed with the other parties.
        parent_id: Group that feeds this one; None for a root.
        import_limit_kw: Static limit of the connection, kW; None where there is none.
        export_limit_kw: The same for feeding in.
        current_limit_a: What L1, L2 and L3 of the connection carry at any moment, A; None where nothing is said.
        limit_counts: Whose power its limits, stated and forecast, count.

    Raises:
        InputError: A limit is negative, not finite or out of proportion.
    """

    group_id: str
    parent_id: str | None = None
    import_limit_kw: float | None = None
    export_limit_kw: float | None = None
    current_limit_a: tuple[float, float, float] | None = None
    limit_counts: LimitCounts = LimitCounts.FLEXIBLE

    def __post_init__(self) -> None:
        check_power_kw(self.import_limit_kw, f"group {self.group_id!r}: import_limit_kw")
        check_power_kw(self.export_limit_kw, f"group {self.group_id!r}: export_limit_kw")
        for limit_a in self.current_limit_a or ():
            check_current_a(limit_a, f"group {self.group_id!r}: current_limit_a")


@dataclass(frozen=True, slots=True, kw_only=True)
class LineLimit:
    """A conductor, winding or fuse, and how the currents below it add up in it.

        |w1 I1 + w2 I2 + w3 I3|  <=  limit_a          at every moment

    with the currents of all chargers of a group on L1, L2 and L3 as phasors. The primary of a transformer with a delta
    on the one side and a star on the other carries a multiple of I1 - I3, the neutral I1 + I2 + I3.

    Args:
        line_limit_id: Unique within the site.
        group_id: Whose chargers, on all levels below it, it carries.
        limit_a: What it carries, A.
        weights: w1, w2 and w3; not all zero.

    Raises:
        InputError: The limit is out of bounds, or the weights say nothing.
    """

    line_limit_id: str
    group_id: str
    limit_a: float
    weights: tuple[float, float, float]

    def __post_init__(self) -> None:
        name = f"line limit {self.line_limit_id!r}"
        check_current_a(self.limit_a, f"{name}: limit_a")
        if not all(map(math.isfinite, self.weights)) or not any(self.weights):
            raise InputError(f"{name}: weights are {list(self.weights)}; give three finite numbers, not all zero")

    @property
    def most_per_conductor(self) -> float:
        """The most a load puts on the line, as a multiple of its current from one line to neutral.

        A load between two lines counts the difference of their weights, at a voltage higher by the square root of 3.
        """
        between = (abs(first - second) for first, second in combinations(self.weights, 2))
        return max(*map(abs, self.weights), max(between) / math.sqrt(THREE_PHASES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Charger:
    """A charging station outlet that serves one session at a time.

    Args:
        charger_id: Unique within the site.
        group_id: The group it hangs on.
        max_power_kw: The most it delivers, kW.
        phases: ALL where it loads three phases equally, ONE, TWO or THREE where it is connected to that one; UNKNOWN
            counts in full on each phase, so that a limit per phase holds whatever the truth is.
        min_power_kw: The least it delivers when it delivers anything, kW.
        power_levels_kw: The only powers it can be set to besides zero, kW, increasing; empty where any will do.
        connection: Its conductors, where ``phases`` cannot say it: between two lines, two phases, or rotated. One of
            the two is enough.
        voltage_v: Across its loads, V: from line to neutral, or between the lines of a connection such as L1-L2; None
            for what follows from the site's.

    Raises:
        InputError: A value is out of bounds, the least power is above the most, levels do not increase, or phases and
            connection are both given.
    """

    charger_id: str
    group_id: str
    max_power_kw: float
    phases: Phase = Phase.UNKNOWN
    min_power_kw: float = 0.0
    power_levels_kw: tuple[float, ...] = ()
    connection: Connection | None = None
    voltage_v: float | None = None

    def __post_init__(self) -> None:
        name = f"charger {self.charger_id!r}"
        check_power_kw(self.max_power_kw, f"{name}: max_power_kw")
        check_power_kw(self.min_power_kw, f"{name}: min_power_kw")
        if self.min_power_kw > self.max_power_kw:
            raise InputError(
                f"{name}: min_power_kw is {self.min_power_kw} kW, above max_power_kw of {self.max_power_kw} kW; "
                "it could never charge"
            )
        for level_kw in self.power_levels_kw:
            check_power_kw(level_kw, f"{name}: power_levels_kw")
        if any(later <= earlier for earlier, later in pairwise(self.power_levels_kw)):
            raise InputError(f"{name}: power_levels_kw must increase, they are {list(self.power_levels_kw)}")
        if self.connection is not None and self.phases is not Phase.UNKNOWN:
            raise InputError(
                f"{name}: it has the connection {self.connection.text} and the phases {self.phases}; "
                "give the connection only"
            )
        if self.voltage_v is not None and not (math.isfinite(self.voltage_v) and self.voltage_v > 0):
            raise InputError(f"{name}: voltage_v is {self.voltage_v}; it must be above 0 V")

    @property
    def is_stepless(self) -> bool:
        """Whether any power up to the most will do."""
        return self.min_power_kw == 0.0 and not self.power_levels_kw

    def setting_kw(self, power_kw: float) -> float:
        """The highest power that it can be set to and that is not above a given one, kW; zero where there is none."""
        at_most_kw = min(power_kw, self.max_power_kw) + SAME_POWER_KW
        if self.power_levels_kw:
            return max((kw for kw in self.power_levels_kw if self.min_power_kw <= kw <= at_most_kw), default=0.0)
        return min(power_kw, self.max_power_kw) if self.min_power_kw <= at_most_kw else 0.0

    @property
    def wiring(self) -> Connection | None:
        """The conductors it loads; None where they are not known."""
        return self.connection or PHASE_CONNECTIONS.get(self.phases)

    def used_by(self, vehicle_phases: int | None) -> Charger:
        """What it is to a vehicle that uses some of its phases only: the currents stay what they are, powers shrink.

        Args:
            vehicle_phases: How many phases the vehicle uses; None for all there are.
        """
        own = self.wiring
        used = None if own is None else own.used_by(vehicle_phases)
        if own is None or used is None or used is own:
            return self
        part = len(used.lines) / len(own.lines)
        return replace(
            self,
            phases=Phase.UNKNOWN,
            connection=used,
            max_power_kw=part * self.max_power_kw,
            min_power_kw=part * self.min_power_kw,
            power_levels_kw=tuple(part * level_kw for level_kw in self.power_levels_kw),
        )

    def share_on(self, phase: Phase) -> float:
        """How much of its power a value of one phase counts, 0 to 1; UNKNOWN and ALL ask for all phases together."""
        wiring = self.wiring
        if wiring is None or phase not in SINGLE_PHASES:
            return 1.0
        return wiring.shares[SINGLE_PHASES.index(phase)]

    def relief_on(self, phase: Phase) -> float:
        """How much of its power makes room in the other direction: as `share_on`, nothing where it is not known."""
        return 0.0 if self.wiring is None and phase in SINGLE_PHASES else self.share_on(phase)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Site:
    """A tree of groups, or several, with chargers and other assets on them.

    Args:
        site_id: Name of the site.
        groups: Every group once; parents before or after their children.
        chargers: Every charger once.
        time_zone: Zone of the site's wall clock.
        currency: ISO 4217 code of prices.
        nominal_voltage_v: Voltage from line to neutral, V.
        line_limits: Lines beside the connections of groups, such as windings of transformers; every one once.
        storages: Stationary batteries.
        generators: Sources whose power is forecast.
        base_loads: Consumption that nobody controls.
        charge_curves: What batteries of vehicles take, by state of charge.
        carbon_price_per_kg: What a kg of carbon dioxide counts in the plan, currency per kg.

    Raises:
        InputError: A group, charger, line limit, asset or curve is named twice, a parent or group is unknown, the
            parents form a cycle, the voltage is not above zero, or the carbon price is negative.
    """

    site_id: str
    groups: tuple[CapacityGroup, ...]
    chargers: tuple[Charger, ...]
    time_zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    currency: str = "EUR"
    nominal_voltage_v: float = DEFAULT_NOMINAL_VOLTAGE_V
    line_limits: tuple[LineLimit, ...] = ()
    storages: tuple[Storage, ...] = ()
    generators: tuple[Generator, ...] = ()
    base_loads: tuple[BaseLoad, ...] = ()
    charge_curves: tuple[ChargeCurve, ...] = ()
    carbon_price_per_kg: float = 0.0
    _paths: Mapping[str, tuple[str, ...]] = field(init=False, repr=False)
    _charger_by_id: Mapping[str, Charger] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.nominal_voltage_v) and self.nominal_voltage_v > 0):
            raise InputError(
                f"site {self.site_id!r}: nominal_voltage_v is {self.nominal_voltage_v}; it must be above 0 V"
            )
        object.__setattr__(self, "_paths", MappingProxyType(_paths_to_root(self.groups)))
        by_id: dict[str, Charger] = {}
        for charger in self.chargers:
            if charger.charger_id in by_id:
                raise InputError(f"charger {charger.charger_id!r} is listed twice")
            if charger.group_id not in self._paths:
                raise InputError(f"charger {charger.charger_id!r} hangs on the unknown group {charger.group_id!r}")
            by_id[charger.charger_id] = charger
        object.__setattr__(self, "_charger_by_id", MappingProxyType(by_id))
        named: set[str] = set()
        for line in self.lines():
            if line.line_limit_id in named:
                raise InputError(f"line limit {line.line_limit_id!r} is listed twice")
            if line.group_id not in self._paths:
                raise InputError(f"line limit {line.line_limit_id!r} is of the unknown group {line.group_id!r}")
            named.add(line.line_limit_id)
        self._check_assets()

    def __reduce__(self) -> tuple[Callable[[], Site], tuple[()]]:
        return reduced(self)

    def lines(self) -> tuple[LineLimit, ...]:
        """Every conductor with a limit: those of the groups' connections, then the others."""
        of_groups = [
            LineLimit(
                line_limit_id=f"{group.group_id} {CONDUCTORS[index]}",
                group_id=group.group_id,
                limit_a=limit_a,
                weights=conductor_weights(index),
            )
            for group in self.groups
            for index, limit_a in enumerate(group.current_limit_a or ())
        ]
        return (*of_groups, *self.line_limits)

    def _check_assets(self) -> None:
        _check_unique("asset", (asset.asset_id for asset in self.assets))
        _check_unique("charge curve", (curve.curve_id for curve in self.charge_curves))
        for asset in self.assets:
            if asset.group_id not in self._paths:
                raise InputError(f"asset {asset.asset_id!r} hangs on the unknown group {asset.group_id!r}")
        if not (math.isfinite(self.carbon_price_per_kg) and self.carbon_price_per_kg >= 0):
            raise InputError(
                f"site {self.site_id!r}: carbon_price_per_kg is {self.carbon_price_per_kg}; it must be finite and not "
                "negative"
            )

    @property
    def assets(self) -> tuple[Asset, ...]:
        """Everything on its groups that is no charger."""
        return (*self.storages, *self.generators, *self.base_loads)

    @property
    def roots(self) -> tuple[str, ...]:
        """The groups that nothing feeds, in order of id: each has a meter of its own."""
        return tuple(sorted(group.group_id for group in self.groups if group.parent_id is None))

    def charge_curve(self, curve_id: str) -> ChargeCurve:
        """The charge curve of that id.

        Raises:
            InputError: There is none.
        """
        for curve in self.charge_curves:
            if curve.curve_id == curve_id:
                return curve
        raise InputError(f"charge curve {curve_id!r} is not part of site {self.site_id!r}")

    def path(self, group_id: str) -> tuple[str, ...]:
        """The group and everything that feeds it, up to the root.

        Raises:
            InputError: The group is unknown.
        """
        try:
            return self._paths[group_id]
        except KeyError:
            raise InputError(f"group {group_id!r} is not part of site {self.site_id!r}") from None

    def charger(self, charger_id: str) -> Charger:
        """The charger of that id.

        Raises:
            InputError: There is none.
        """
        try:
            return self._charger_by_id[charger_id]
        except KeyError:
            raise InputError(f"charger {charger_id!r} is not part of site {self.site_id!r}") from None

    def has_charger(self, charger_id: str) -> bool:
        """Whether there is a charger of that id."""
        return charger_id in self._charger_by_id

    def has_group(self, group_id: str) -> bool:
        """Whether there is a group of that id."""
        return group_id in self._paths


def conductor_weights(index: int) -> tuple[float, float, float]:
    """Weights of the current on one conductor: 0 for L1, 1 for L2, 2 for L3."""
    first, second, third = (1.0 if index == at else 0.0 for at in range(len(CONDUCTORS)))
    return first, second, third


def _check_unique(kind: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"{kind} {name!r} is listed twice")
        seen.add(name)


def _paths_to_root(groups: tuple[CapacityGroup, ...]) -> dict[str, tuple[str, ...]]:
    parents: dict[str, str | None] = {}
    for group in groups:
        if group.group_id in parents:
            raise InputError(f"group {group.group_id!r} is listed twice")
        parents[group.group_id] = group.parent_id
    paths: dict[str, tuple[str, ...]] = {}
    for group_id in parents:
        path = [group_id]
        while (parent := parents[path[-1]]) is not None:
            if parent not in parents:
                raise InputError(f"group {path[-1]!r} has the unknown parent {parent!r}")
            if parent in path:
                cycle = " -> ".join([*path[path.index(parent) :], parent])
                raise InputError(f"the groups form a cycle: {cycle}; a group must lead to a root without parent")
            path.append(parent)
        paths[group_id] = tuple(path)
    return paths
