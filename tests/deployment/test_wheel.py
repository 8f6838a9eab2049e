"""What is installed from the wheel, away from the source tree."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("models", "optimizer", "api", "benchmarks")
NOT_PACKAGED = (".pyc",)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as an installer builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    """Migrations, style sheets, scripts and fonts as well as modules."""
    present = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in NOT_PACKAGED
    }
    with zipfile.ZipFile(wheel) as archive:
        packaged = set(archive.namelist())

    assert {name for name in present if name.endswith((".css", ".js"))}
    assert present - packaged == set()


def test_the_installed_program_needs_nothing_of_the_tree(wheel: Path, tmp_path: Path) -> None:
    """Unpacked elsewhere it migrates a database, plans nothing it has not got, and writes next to nothing but that."""
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    script = (
        "import sys, api.database_cli, optimizer.report.frame as frame; "
        f"assert api.database_cli.__file__.startswith({str(installed)!r}); "
        "assert frame._asset('report.css') and frame._asset('charts.js'); "
        "sys.argv = ['oscp-database', 'upgrade', '--database-url', 'sqlite:///state.db']; "
        "sys.exit(api.database_cli.main())"
    )
    (tmp_path / "work").mkdir()

    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path / "work",
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "work" / "state.db").exists()
