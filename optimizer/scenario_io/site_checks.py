"""What must hold within a site: groups that form trees, and chargers, lines and assets that hang on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from models.domain.connection import CONDUCTORS
from models.errors import FileInputError, InputError
from optimizer.scenario_io.fields import SiteEntry
from optimizer.scenario_io.rows import did_you_mean, listed
from optimizer.scenario_io.scenario_files import SITE_FILE
from optimizer.scenario_io.site_schemas import AssetEntry, SiteFile

MAX_DEPTH = 100
"""Levels of groups; every level is a row of the problem in every step."""
SETTINGS = ("allowed_currents_a", "min_current_a", "power_levels_kw", "min_power_kw")
"""Fields of a charger that say what it can be set to."""


def check_site(site: SiteFile) -> None:
    """Let pass a site whose groups form trees and whose chargers and other assets hang on them, each id once.

    Raises:
        FileInputError: It is another; the message names row, field and value.
    """
    _check_groups(site)
    _check_chargers(site)
    _check_line_limits(site)
    _check_assets(site)


def _check_assets(site: SiteFile) -> None:
    groups = {group.group_id for group in site.groups}
    kind_of: dict[str, str] = {}
    kinds: tuple[tuple[str, Sequence[AssetEntry]], ...] = (
        ("storages", site.storages),
        ("generators", site.generators),
        ("base_loads", site.base_loads),
    )
    for kind, entries in kinds:
        for row, asset in enumerate(entries, start=1):
            if asset.asset_id in kind_of:
                reason = f"one of {kind_of[asset.asset_id]} has the same id; give each asset its own"
                raise FileInputError(SITE_FILE, reason, row=row, field=f"{kind}.asset_id", value=asset.asset_id)
            kind_of[asset.asset_id] = kind
            if asset.group_id not in groups:
                raise FileInputError(
                    SITE_FILE,
                    f"asset {asset.asset_id!r} hangs on a group that is not listed"
                    f"{did_you_mean(asset.group_id, groups)}",
                    row=row,
                    field=f"{kind}.group_id",
                    value=asset.group_id,
                )
    _rows_by_id([curve.curve_id for curve in site.charge_curves], "charge_curves.curve_id")


def _check_groups(site: SiteFile) -> None:
    """Check the tree of groups as the domain does, and name the row."""
    rows = _rows_by_id([group.group_id for group in site.groups], "groups.group_id")
    parents = {group.group_id: group.parent_id for group in site.groups}
    for row, group in enumerate(site.groups, start=1):

        def refusal(reason: str, row: int = row, value: str | None = group.parent_id) -> FileInputError:
            return FileInputError(SITE_FILE, reason, row=row, field="groups.parent_id", value=value)

        if group.parent_id is not None and group.parent_id not in rows:
            raise refusal(f"there is no such group{did_you_mean(group.parent_id, rows)}")
        path = [group.group_id]
        while (parent := parents.get(path[-1])) is not None:
            path.append(parent)
            if parent in path[:-1]:
                cycle = " -> ".join(path[path.index(parent) :])
                raise refusal(f"the groups form a cycle: {cycle}; a group must lead to a root, whose parent_id is null")
            if len(path) > MAX_DEPTH:
                raise refusal(f"the group lies deeper than {MAX_DEPTH} levels")


def _check_chargers(site: SiteFile) -> None:
    _rows_by_id([charger.charger_id for charger in site.chargers], "chargers.charger_id")
    groups = {group.group_id for group in site.groups}
    for row, charger in enumerate(site.chargers, start=1):
        if charger.group_id not in groups:
            raise FileInputError(
                SITE_FILE,
                f"charger {charger.charger_id!r} hangs on a group that is not listed"
                f"{did_you_mean(charger.group_id, groups)}",
                row=row,
                field="chargers.group_id",
                value=charger.group_id,
            )
        try:
            charger.to_domain(site.nominal_voltage_v)
        except InputError as error:
            stated = {name: getattr(charger, name) for name in SETTINGS if getattr(charger, name)}
            field, value = next(iter(stated.items()), ("charger_id", charger.charger_id))
            raise FileInputError(SITE_FILE, str(error), row=row, field=f"chargers.{field}", value=value) from error


def _check_line_limits(site: SiteFile) -> None:
    rows = _rows_by_id([line.line_limit_id for line in site.line_limits], "line_limits.line_limit_id")
    groups = {group.group_id for group in site.groups}
    of_groups = {
        f"{group.group_id} {conductor}": group.group_id
        for group in site.groups
        if group.current_limit_a is not None
        for conductor in CONDUCTORS
    }
    for line in site.line_limits:
        row = rows[line.line_limit_id]
        if line.group_id not in groups:
            raise FileInputError(
                SITE_FILE,
                f"line limit {line.line_limit_id!r} is of a group that is not listed"
                f"{did_you_mean(line.group_id, groups)}",
                row=row,
                field="line_limits.group_id",
                value=line.group_id,
            )
        if line.line_limit_id in of_groups:
            raise FileInputError(
                SITE_FILE,
                f"so is the connection of group {of_groups[line.line_limit_id]!r} called; choose another name",
                row=row,
                field="line_limits.line_limit_id",
                value=line.line_limit_id,
            )


def _rows_by_id(ids: Iterable[str], field: str) -> dict[str, int]:
    rows: dict[str, int] = {}
    for row, value in enumerate(ids, start=1):
        if value in rows:
            raise FileInputError(SITE_FILE, f"row {rows[value]} has the same id", row=row, field=field, value=value)
        rows[value] = row
    return rows


def unknown_fields_note(site: SiteFile) -> tuple[str, ...]:
    """What of a site nobody reads."""
    names = dict.fromkeys(site.model_extra or ())
    parts: tuple[tuple[str, Sequence[SiteEntry]], ...] = (
        ("groups", site.groups),
        ("chargers", site.chargers),
        ("line_limits", site.line_limits),
        ("storages", site.storages),
        ("generators", site.generators),
        ("base_loads", site.base_loads),
        ("charge_curves", site.charge_curves),
    )
    for kind, entries in parts:
        names |= dict.fromkeys(f"{kind}.{name}" for entry in entries for name in entry.model_extra or ())
    return (f"{SITE_FILE}: unknown fields are ignored: {listed(list(names))}",) if names else ()
