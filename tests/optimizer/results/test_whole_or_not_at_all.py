"""Result folders appear whole or not at all, and replace nothing but a result."""

from __future__ import annotations

from pathlib import Path

import pytest

import optimizer.scenario_io.results
from models.domain.scenario import Scenario
from models.errors import InputError
from optimizer.scenario_io import read_result, write_result
from tests.builders import make_schedule
from tests.optimizer.results.files import OPTIONS


class TestWholeOrNotAtAll:
    @pytest.mark.parametrize("exists", [False, True])
    def test_a_failed_run_leaves_nothing(
        self, tmp_path: Path, scenario: Scenario, exists: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """When the last file cannot be written, an earlier result stays as it was and no other file is left."""
        out = tmp_path / "out"
        if exists:
            write_result(out, make_schedule(notes=("earlier",)), scenario, OPTIONS)
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

        def fail(path: Path, value: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(optimizer.scenario_io.results, "_write_json", fail)
        with pytest.raises(OSError, match="No space left"):
            write_result(out, make_schedule(), scenario, OPTIONS)

        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
        assert out.exists() == exists
        assert len(list(tmp_path.iterdir())) == exists

    def test_an_earlier_result_is_replaced_as_a_whole(self, tmp_path: Path, scenario: Scenario) -> None:
        """A report of the earlier run must not stand beside the figures of the later one."""
        write_result(tmp_path / "out", make_schedule(), scenario, OPTIONS, report_html="earlier")
        write_result(tmp_path / "out", make_schedule(notes=("later",)), scenario, OPTIONS)

        assert not (tmp_path / "out" / "report.html").exists()
        assert read_result(tmp_path / "out", scenario).summary.notes == ("later",)
        assert [path.name for path in tmp_path.iterdir()] == ["out"]

    def test_an_earlier_result_survives_a_failed_move(
        self, folder: Path, scenario: Scenario, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """When the new folder cannot be moved into place, the earlier one is put back."""
        rename = Path.rename

        def fail_for_new(self: Path, target: Path) -> Path:
            if self.name.endswith(".partial"):
                raise OSError(16, "Device or resource busy")
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", fail_for_new)
        with pytest.raises(InputError, match="cannot be put in place: Device or resource busy"):
            write_result(folder, make_schedule(notes=("later",)), scenario, OPTIONS)

        assert read_result(folder, scenario).summary.notes == ()
        assert [path.name for path in folder.parent.iterdir()] == ["out"]

    def test_an_empty_folder_is_taken(self, tmp_path: Path, scenario: Scenario) -> None:
        """So is one that does not exist yet, with those above it."""
        (tmp_path / "out").mkdir()
        write_result(tmp_path / "out", make_schedule(), scenario, OPTIONS)
        write_result(tmp_path / "a" / "b", make_schedule(), scenario, OPTIONS)

        assert (tmp_path / "out" / "summary.json").exists()
        assert (tmp_path / "a" / "b" / "summary.json").exists()

    @pytest.mark.parametrize(
        ("files", "why"),
        [
            ({"thesis.tex": "years"}, "it holds no earlier result"),
            ({"summary.json": '{"schema": 1}'}, "it holds no earlier result"),
            ({"summary.json": "not ours"}, "it holds no earlier result"),
            ({"summary.json": '{"schema": 1, "status": "", "strategy": ""}', "notes.txt": "mine"}, "holds 'notes.txt'"),
        ],
    )
    def test_a_folder_with_something_else_is_refused(
        self, tmp_path: Path, scenario: Scenario, files: dict[str, str], why: str
    ) -> None:
        """Nothing is deleted but an earlier result, and that only where nothing else lies beside its files."""
        (tmp_path / "out").mkdir()
        for name, text in files.items():
            (tmp_path / "out" / name).write_text(text, encoding="utf-8")

        with pytest.raises(InputError, match=f"is not empty: .*{why}"):
            write_result(tmp_path / "out", make_schedule(), scenario, OPTIONS)

        assert {path.name for path in (tmp_path / "out").iterdir()} == set(files)
        assert [path.name for path in tmp_path.iterdir()] == ["out"]

    def test_a_file_in_its_place_is_refused(self, tmp_path: Path, scenario: Scenario) -> None:
        """A file is not overwritten."""
        (tmp_path / "out").write_text("mine", encoding="utf-8")

        with pytest.raises(InputError, match="is a file; name a folder"):
            write_result(tmp_path / "out", make_schedule(), scenario, OPTIONS)

    def test_the_current_folder_is_refused(
        self, tmp_path: Path, scenario: Scenario, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever stands in a folder that is replaced would not see the new one."""
        monkeypatch.chdir(tmp_path)

        with pytest.raises(InputError, match="is the current folder"):
            write_result(Path(), make_schedule(), scenario, OPTIONS)

    def test_a_link_to_a_folder_stays_a_link(self, tmp_path: Path, folder: Path, scenario: Scenario) -> None:
        """What it points to is replaced, not the link."""
        (tmp_path / "latest").symlink_to(folder)
        write_result(tmp_path / "latest", make_schedule(notes=("later",)), scenario, OPTIONS)

        assert (tmp_path / "latest").is_symlink()
        assert read_result(folder, scenario).summary.notes == ("later",)
