"""Sites that are refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from models.errors import FileInputError
from optimizer.scenario_io import load_scenario
from tests.optimizer.refusals.refused import assert_refused
from tests.optimizer.scenario_folder import group_json, site_json, write_json


class TestSite:
    def assert_site_refused(
        self, folder: Path, site: object, *, row: int | None = None, field: str, value: str | None = None, why: str
    ) -> None:
        """A folder with that site.json is refused."""
        write_json(folder / "site.json", site)
        assert_refused(folder, "site.json", row=row, field=field, value=value, why=why)

    def test_bad_json(self, folder: Path) -> None:
        """Line and column of the fault are named."""
        (folder / "site.json").write_text('{\n  "schema": 1,\n  "site_id" "depot"\n}', encoding="utf-8")

        assert_refused(folder, "site.json", why="it is not valid JSON: expected `:` at line 3 column 13")

    @pytest.mark.parametrize(
        ("content", "why"),
        [(b"", "it is empty"), (b"\0\1", "it is binary"), (b"<html>", "a web page"), (b"[" * 1000, "not valid JSON")],
    )
    def test_not_json_at_all(self, folder: Path, content: bytes, why: str) -> None:
        """What a file is instead is said."""
        (folder / "site.json").write_bytes(content)

        assert_refused(folder, "site.json", why=why)

    @pytest.mark.parametrize("version", [0, 2, "1"])
    def test_another_schema(self, folder: Path, version: object) -> None:
        """A file of another version is refused before anything else is said of it."""
        site = site_json(schema=version, groups="changed")

        self.assert_site_refused(folder, site, field="schema", value=str(version), why="reads version 1")

    def test_without_a_schema(self, folder: Path) -> None:
        """So is one that does not say."""
        site = site_json()
        del site["schema"]

        self.assert_site_refused(folder, site, field="schema", why="it is missing")

    @pytest.mark.parametrize(
        ("field", "value", "why"),
        [
            ("time_zone", "Europe/Atlantis", "IANA database"),
            ("time_zone", "../../etc/passwd", "IANA database"),
            ("time_zone", "America", "IANA database"),
            ("currency", "euro", "at most 3 characters"),
            ("currency", "eur", "ISO 4217"),
            ("nominal_voltage_v", 0, "greater than or equal to 1"),
            ("nominal_voltage_v", "230", "not a number"),
            ("nominal_voltage_v", math.nan, "finite"),
            ("site_id", "", "at least 1 character"),
            ("groups", [], "at least 1 item"),
        ],
    )
    def test_bad_field(self, folder: Path, field: str, value: object, why: str) -> None:
        """Every field of a site is bounded."""
        shown = None if isinstance(value, list) else str(value)
        write_json(folder / "site.json", site_json(**{field: value}))

        with pytest.raises(FileInputError) as caught:
            load_scenario(folder)

        assert caught.value.field == field
        assert why in str(caught.value)
        assert shown is None or f"value {shown!r}" in str(caught.value)

    @pytest.mark.parametrize(
        ("field", "value", "why"),
        [
            ("import_limit_kw", -1, "greater than or equal to 0"),
            ("import_limit_kw", math.inf, "finite"),
            ("export_limit_kw", 2e6, "less than or equal to 1000000"),
            ("import_limit_kw", "100", "not a number"),
        ],
    )
    def test_bad_limit_of_a_group(self, folder: Path, field: str, value: object, why: str) -> None:
        """A limit is a finite number of kW, not negative and below a GW; the second group is row 2."""
        site = site_json(groups=[group_json("main"), group_json("row", "main", **{field: value})])

        self.assert_site_refused(folder, site, row=2, field=f"groups.{field}", value=str(value), why=why)

    @pytest.mark.parametrize("name", ["import_limit", "import_limit_kW", "import_limit_w", "importLimitKw"])
    def test_a_misspelt_limit_is_not_no_limit(self, folder: Path, name: str) -> None:
        """A limit may be left out where there is none, but a typing mistake cannot lift one."""
        group = group_json("main")
        group[name] = group.pop("import_limit_kw")

        self.assert_site_refused(
            folder,
            site_json(groups=[group]),
            row=1,
            field=f"groups.{name}",
            value="100",
            why="import_limit_kw; rename it",
        )

    def test_unknown_parent(self, folder: Path) -> None:
        """Every parent is a group of the site."""
        groups = [group_json("main"), group_json("row", "mian")]

        self.assert_site_refused(
            folder,
            site_json(groups=groups),
            row=2,
            field="groups.parent_id",
            value="mian",
            why="no such group; did you mean 'main'?",
        )

    def test_a_cycle_in_the_tree(self, folder: Path) -> None:
        """Groups form a tree; a cycle is shown whole. The first group that runs into it is row 1."""
        groups = [group_json("leaf", "a"), group_json("a", "b"), group_json("b", "a")]

        self.assert_site_refused(
            folder, site_json(groups=groups), row=1, field="groups.parent_id", value="a", why="a cycle: a -> b -> a"
        )

    def test_a_tree_too_deep(self, folder: Path) -> None:
        """A chain of groups ends somewhere; this one takes no time to refuse."""
        groups = [group_json("g0"), *(group_json(f"g{level}", f"g{level - 1}") for level in range(1, 200))]

        self.assert_site_refused(
            folder,
            site_json(groups=groups),
            row=101,
            field="groups.parent_id",
            value="g99",
            why="deeper than 100 levels",
        )

    def test_duplicate_group(self, folder: Path) -> None:
        """A group is listed once; both rows are named."""
        groups = [group_json("main"), group_json("main")]

        self.assert_site_refused(
            folder, site_json(groups=groups), row=2, field="groups.group_id", value="main", why="row 1 has the same id"
        )

    @pytest.mark.parametrize(
        ("field", "value", "why"),
        [
            ("charger_id", "C1", "row 1 has the same id"),
            ("group_id", "mane", "not listed; did you mean 'main'?"),
            ("max_power_kw", -1, "greater than or equal to 0"),
            ("max_power_kw", True, "not a number"),
            ("min_power_kw", -1, "greater than or equal to 0"),
            ("power_levels_kw", 2, "valid array"),
            ("phases", "FOUR", "'UNKNOWN', 'ONE', 'TWO', 'THREE' or 'ALL'"),
        ],
    )
    def test_bad_charger(self, folder: Path, field: str, value: object, why: str) -> None:
        """A charger is listed once, hangs on a group of the site and has a power; the second charger is row 2."""
        charger: dict[str, object] = {"charger_id": "C1", "group_id": "main", "max_power_kw": 22}
        site = site_json(chargers=[charger, charger | {"charger_id": "C2"} | {field: value}])

        self.assert_site_refused(folder, site, row=2, field=f"chargers.{field}", value=str(value), why=why)
