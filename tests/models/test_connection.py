"""Connections: which conductors they name, and what current a kW puts on each."""

from __future__ import annotations

import cmath
import math
from dataclasses import replace
from itertools import permutations

import pytest

from models.domain.capacity import CapacityForecasts, Phase
from models.domain.connection import Connection
from models.domain.group import CapacityGroup, LimitCounts, LineLimit
from models.domain.headroom import headroom
from models.errors import InputError
from tests.builders import make_charger, make_session, make_site

THIRD = 2 * math.pi / 3


def amounts(text: str, voltage_v: float | None = None) -> list[float]:
    """Amounts of the currents of 1 kW at 230 V, A."""
    return [abs(current) for current in Connection(text).currents_a_per_kw(230.0, voltage_v)]


class TestCurrents:
    """What 1 kW puts on L1, L2 and L3."""

    @pytest.mark.parametrize(("text", "index"), [("L1-N", 0), ("L2-N", 1), ("L3-N", 2)])
    def test_from_line_to_neutral(self, text: str, index: int) -> None:
        """P / U on the one line, nothing on the others: 1000 W / 230 V = 4.348 A."""
        assert amounts(text) == pytest.approx([1000 / 230 if at == index else 0.0 for at in range(3)])

    def test_between_two_lines(self) -> None:
        """P / (U sqrt 3) out on one line and back on the other, 30 degrees ahead of the voltage of the first."""
        first, second, third = Connection("L1-L2").currents_a_per_kw(230.0)

        assert abs(first) == pytest.approx(1000 / (230 * math.sqrt(3)))
        assert cmath.phase(first) == pytest.approx(math.radians(30))
        assert second == pytest.approx(-first)
        assert third == 0

    @pytest.mark.parametrize(("text", "degrees"), [("L1-L2", 30), ("L2-L3", -90), ("L3-L1", 150)])
    def test_angles_between_lines(self, text: str, degrees: float) -> None:
        """As published for North American garages: 30, -90 and 150 degrees at a rotation of A, B, C."""
        currents = Connection(text).currents_a_per_kw(120.0, 208.0)
        out = currents[("L1", "L2", "L3").index(text[:2])]

        assert abs(out) == pytest.approx(1000 / 208)
        assert cmath.phase(out) == pytest.approx(math.radians(degrees))

    def test_three_phases(self) -> None:
        """A third of the power on each line, in star or delta, and nothing in the neutral."""
        currents = Connection("L1-L2-L3").currents_a_per_kw(230.0)

        assert [abs(current) for current in currents] == pytest.approx([1000 / 690] * 3)
        assert sum(currents) == pytest.approx(0)
        assert currents == Connection("L1-L2-L3-N").currents_a_per_kw(230.0)

    def test_delta_of_three_loads_is_balanced(self) -> None:
        """A third of a kW between each two lines is what a star of three loads draws."""
        legs = [Connection(text).currents_a_per_kw(230.0) for text in ("L1-L2", "L2-L3", "L3-L1")]
        star = Connection("L1-L2-L3").currents_a_per_kw(230.0)

        assert [sum(leg[at] for leg in legs) / 3 for at in range(3)] == pytest.approx(star)

    def test_two_phases(self) -> None:
        """Half of the power on each of two lines; the neutral carries as much, halfway between."""
        first, second, third = Connection("L1-L2-N").currents_a_per_kw(230.0)

        assert [abs(first), abs(second), abs(third)] == pytest.approx([500 / 230, 500 / 230, 0.0])
        assert abs(first + second) == pytest.approx(500 / 230)

    @pytest.mark.parametrize("text", ["L1-N", "L2-L3", "L1-L3-N", "L3-L1-L2"])
    def test_power_is_what_currents_carry(self, text: str) -> None:
        """The real power of the currents against the voltages of 230 V is 1 kW."""
        voltages = [cmath.rect(230.0, -THIRD * at) for at in range(3)]
        currents = Connection(text).currents_a_per_kw(230.0)

        watts = sum((u * i.conjugate()).real for u, i in zip(voltages, currents, strict=True))
        assert watts == pytest.approx(1000)
        shares = [(u * i.conjugate()).real / 1000 for u, i in zip(voltages, currents, strict=True)]
        assert list(Connection(text).shares) == pytest.approx(shares)


class TestRotation:
    """Which conductor is first."""

    @pytest.mark.parametrize("order", list(permutations(("L1", "L2", "L3"))))
    def test_rotation_changes_nothing_for_three_phases(self, order: tuple[str, ...]) -> None:
        """A balanced load is the same whatever its terminals are called."""
        assert Connection("-".join(order)).currents_a_per_kw(230.0) == pytest.approx(
            Connection("L1-L2-L3").currents_a_per_kw(230.0)
        )

    def test_a_vehicle_of_one_phase_loads_the_first_terminal(self) -> None:
        """At a charger wired L2-L3-L1 a vehicle of one phase loads L2, one of two phases L2 and L3."""
        rotated = make_charger(connection=Connection("L2-L3-L1"))

        assert rotated.used_by(1).wiring == Connection("L2-N")
        assert rotated.used_by(2).wiring == Connection("L2-L3-N")
        assert rotated.used_by(3) is rotated.used_by(None) is rotated
        assert rotated.used_by(1).share_on(Phase.TWO) == 1.0
        assert rotated.used_by(1).share_on(Phase.ONE) == 0.0

    def test_a_vehicle_of_fewer_phases_gets_less_power(self) -> None:
        """16 A on three phases are 11 kW, on one phase a third of it; so are 6 A, and every level between."""
        balanced = make_charger(max_power_kw=11.04, phases=Phase.ALL)
        stepped = replace(balanced, min_power_kw=4.14, power_levels_kw=(4.14, 6.9, 11.04))

        assert balanced.used_by(1).max_power_kw == pytest.approx(3.68)
        assert stepped.used_by(1).min_power_kw == pytest.approx(1.38)
        assert stepped.used_by(2).power_levels_kw == pytest.approx((2.76, 4.6, 7.36))
        assert make_charger(max_power_kw=3.68, phases=Phase.TWO).used_by(1).max_power_kw == 3.68
        assert make_charger(max_power_kw=11.04, phases=Phase.UNKNOWN).used_by(1).max_power_kw == 11.04

    def test_phases_are_connections(self) -> None:
        """ONE is L1 to neutral, ALL all three lines, UNKNOWN none."""
        assert make_charger(phases=Phase.ONE).wiring == Connection("L1-N")
        assert make_charger(phases=Phase.ALL).wiring == Connection("L1-L2-L3")
        assert make_charger(phases=Phase.UNKNOWN).wiring is None


class TestRefusals:
    """What is no connection, no line."""

    @pytest.mark.parametrize("text", ["", "N", "L1", "L1-L1", "L4-N", "L1-N-L2", "l1-n", "L1-L2-L3-L1", "L1 L2", "-"])
    def test_no_such_connection(self, text: str) -> None:
        """The message shows what was given and what may be."""
        with pytest.raises(InputError, match="L1-L2-N"):
            Connection(text)

    def test_phases_and_connection(self) -> None:
        """One of them says it."""
        with pytest.raises(InputError, match=r"'C1'.*connection only"):
            make_charger(phases=Phase.ONE, connection=Connection("L1-N"))

    @pytest.mark.parametrize("voltage_v", [0.0, -230.0, math.nan, math.inf])
    def test_voltage(self, voltage_v: float) -> None:
        """It is above zero and finite."""
        with pytest.raises(InputError, match="voltage_v"):
            make_charger(voltage_v=voltage_v)

    @pytest.mark.parametrize("vehicle_phases", [0, 4, -1])
    def test_vehicle_phases(self, vehicle_phases: int) -> None:
        """A vehicle has one to three."""
        with pytest.raises(InputError, match="vehicle_phases"):
            make_session(vehicle_phases=vehicle_phases)

    @pytest.mark.parametrize("limit_a", [-1.0, math.nan, 1e7])
    def test_current_limit(self, limit_a: float) -> None:
        """Of a group: finite, not negative."""
        with pytest.raises(InputError, match="current_limit_a"):
            CapacityGroup(group_id="main", current_limit_a=(16.0, limit_a, 16.0))

    def test_weights_that_say_nothing(self) -> None:
        """A line that carries no conductor's current is a mistake."""
        with pytest.raises(InputError, match="weights"):
            LineLimit(line_limit_id="T", group_id="main", limit_a=10.0, weights=(0.0, 0.0, 0.0))

    def test_lines_of_a_site(self) -> None:
        """Each once, of a group that is there, and called unlike the connection of a group."""
        main = CapacityGroup(group_id="main", current_limit_a=(16.0, 16.0, 16.0))

        def line(name: str, group_id: str = "main") -> LineLimit:
            return LineLimit(line_limit_id=name, group_id=group_id, limit_a=10.0, weights=(1.0, 1.0, 1.0))

        assert len(make_site(groups=[main], line_limits=[line("N")]).lines()) == 4
        with pytest.raises(InputError, match="'N' is listed twice"):
            make_site(groups=[main], line_limits=[line("N"), line("N")])
        with pytest.raises(InputError, match="unknown group 'else'"):
            make_site(groups=[main], line_limits=[line("N", "else")])
        with pytest.raises(InputError, match="'main L1' is listed twice"):
            make_site(groups=[main], line_limits=[line("main L1")])


def test_measured_load_takes_its_current_from_every_conductor() -> None:
    """2.3 kW of unknown phase are 10 A on each conductor of a connection that counts everything, and as much on a line
    that carries half the difference of two; generation gives nothing back.
    """
    group = CapacityGroup(group_id="main", current_limit_a=(16.0, 20.0, 8.0), limit_counts=LimitCounts.TOTAL)
    winding = LineLimit(line_limit_id="T", group_id="main", limit_a=20.0, weights=(1.0, 0.0, -1.0))
    site = make_site(groups=[group], line_limits=[winding])

    loaded, _ = headroom(site, CapacityForecasts(), {"main": 2.3})
    fed, _ = headroom(site, CapacityForecasts(), {"main": -2.3})

    assert loaded.groups[0].current_limit_a == pytest.approx((6.0, 10.0, 0.0))
    # Between L1 and L3 at 398 V the load draws 5.77 A, which count twice.
    assert loaded.line_limits[0].limit_a == pytest.approx(20.0 - 20.0 / math.sqrt(3))
    assert fed.groups[0].current_limit_a == (16.0, 20.0, 8.0)
