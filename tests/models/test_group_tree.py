"""The tree of groups: what is refused, and the way from a group to its root."""

from __future__ import annotations

import math

import pytest

from models.domain import CapacityGroup, Charger, Phase, Site
from models.errors import InputError


def make_site(
    parents: list[tuple[str, str | None]], chargers: tuple[Charger, ...] = (), voltage_v: float = 230.0
) -> Site:
    """A site of groups given as (id, parent)."""
    groups = tuple(CapacityGroup(group_id=group_id, parent_id=parent_id) for group_id, parent_id in parents)
    return Site(site_id="site", groups=groups, chargers=chargers, nominal_voltage_v=voltage_v)


def test_path_leads_from_the_group_to_its_root() -> None:
    """A group's path is itself, its parent, and so on up to the root, whatever the order of the list."""
    site = make_site([("row", "hall"), ("root", None), ("hall", "root")])

    assert site.path("row") == ("row", "hall", "root")
    assert site.path("root") == ("root",)


def test_a_site_may_have_several_roots() -> None:
    """Two connections side by side have separate paths."""
    site = make_site([("north", None), ("south", None), ("row", "south")])

    assert site.path("row") == ("row", "south")
    assert site.path("north") == ("north",)


@pytest.mark.parametrize(
    ("parents", "cycle"),
    [
        ([("a", "a")], "a -> a"),
        ([("a", "b"), ("b", "a")], "a -> b -> a"),
        ([("leaf", "a"), ("a", "b"), ("b", "c"), ("c", "a")], "a -> b -> c -> a"),
    ],
    ids=["itself", "pair", "leaf below a ring"],
)
def test_cycle_is_refused_and_named(parents: list[tuple[str, str | None]], cycle: str) -> None:
    """Parents in a ring lead to no root; the message shows the ring and not what hangs on it."""
    with pytest.raises(InputError, match=f"cycle: {cycle};"):
        make_site(parents)


def test_unknown_parent_is_refused() -> None:
    """A parent that is not listed is named together with its child."""
    with pytest.raises(InputError, match="group 'row' has the unknown parent 'hall'"):
        make_site([("row", "hall")])


def test_group_listed_twice_is_refused() -> None:
    """An id stands for one group."""
    with pytest.raises(InputError, match="group 'a' is listed twice"):
        make_site([("a", None), ("a", None)])


def test_charger_listed_twice_is_refused() -> None:
    """An id stands for one charger, even on another group."""
    twice = tuple(Charger(charger_id="c", group_id=group, max_power_kw=11.0) for group in ("a", "b"))

    with pytest.raises(InputError, match="charger 'c' is listed twice"):
        make_site([("a", None), ("b", None)], twice)


def test_charger_on_an_unknown_group_is_refused() -> None:
    """A charger hangs on a group of its own site."""
    with pytest.raises(InputError, match="charger 'c' hangs on the unknown group 'b'"):
        make_site([("a", None)], (Charger(charger_id="c", group_id="b", max_power_kw=11.0),))


def test_unknown_ids_are_named() -> None:
    """Asking for a group or charger that is not there names it and the site."""
    site = make_site([("a", None)], (Charger(charger_id="c", group_id="a", max_power_kw=11.0),))

    assert site.charger("c").group_id == "a"
    assert (site.has_charger("c"), site.has_charger("d")) == (True, False)
    assert (site.has_group("a"), site.has_group("b")) == (True, False)
    with pytest.raises(InputError, match="group 'b' is not part of site 'site'"):
        site.path("b")
    with pytest.raises(InputError, match="charger 'd' is not part of site 'site'"):
        site.charger("d")


@pytest.mark.parametrize("limit_kw", [-1.0, math.nan, math.inf, 1.1e6])
def test_power_limits_are_bounded(limit_kw: float) -> None:
    """A limit is between 0 and a gigawatt: more is a mistaken unit; no limit is None."""
    assert CapacityGroup(group_id="a", import_limit_kw=None).import_limit_kw is None
    with pytest.raises(InputError, match="group 'a': import_limit_kw"):
        CapacityGroup(group_id="a", import_limit_kw=limit_kw)
    with pytest.raises(InputError, match="group 'a': export_limit_kw"):
        CapacityGroup(group_id="a", export_limit_kw=limit_kw)
    with pytest.raises(InputError, match="charger 'c': max_power_kw"):
        Charger(charger_id="c", group_id="a", max_power_kw=limit_kw)


@pytest.mark.parametrize("voltage_v", [0.0, -230.0, math.nan, math.inf])
def test_voltage_is_above_zero(voltage_v: float) -> None:
    """A current can only be told from a power at a finite voltage above zero."""
    with pytest.raises(InputError, match="nominal_voltage_v"):
        make_site([("a", None)], voltage_v=voltage_v)


@pytest.mark.parametrize(
    ("connected", "on_all", "on_one", "on_two"),
    [
        (Phase.ALL, 1.0, 1 / 3, 1 / 3),
        (Phase.ONE, 1.0, 1.0, 0.0),
        (Phase.TWO, 1.0, 0.0, 1.0),
        (Phase.THREE, 1.0, 0.0, 0.0),
        (Phase.UNKNOWN, 1.0, 1.0, 1.0),
    ],
)
def test_share_of_a_charger_on_a_phase(connected: Phase, on_all: float, on_one: float, on_two: float) -> None:
    """On one phase: a third of a balanced charger, all or nothing of one on a single phase, all of an unknown one."""
    charger = Charger(charger_id="c", group_id="a", max_power_kw=11.0, phases=connected)

    assert charger.share_on(Phase.ALL) == charger.share_on(Phase.UNKNOWN) == on_all
    assert (charger.share_on(Phase.ONE), charger.share_on(Phase.TWO)) == (on_one, on_two)
