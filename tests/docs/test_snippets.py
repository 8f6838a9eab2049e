"""Shell and Python of the documentation, run as they stand; and links that lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.live_server import free_port

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "optimizer" / "FORMULATION.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN = re.compile(r"^<!-- run -->\n```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""A block that is run has this comment above it; those of one page and language share a shell, one after the other."""
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")


def runnable() -> list[tuple[Path, str]]:
    """Pages and languages of which something is run."""
    return [
        (page, kind) for page in PAGES for kind in dict.fromkeys(found[0] for found in RUN.findall(page.read_text()))
    ]


def script(page: Path, kind: str) -> str:
    """What is run of a page."""
    return "".join(text for found, text in RUN.findall(page.read_text()) if found == kind)


def command(kind: str, page: Path) -> list[str]:
    """How it is run: a shell that stops at the first command that fails, and whatever it left running with it."""
    if kind == "python":
        return [sys.executable, "-c", script(page, kind)]
    whole = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + script(page, kind)
    return ["bash", "-euo", "pipefail", "-c", whole]


@pytest.mark.parametrize(("page", "kind"), runnable(), ids=lambda value: getattr(value, "name", value))
def test_a_snippet_runs(page: Path, kind: str, tmp_path: Path) -> None:
    """In a folder of its own, with the programs that are installed here."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("OSCP_")}
    # A busy machine must not make it fall back to a heuristic.
    variables["OSCP_SOLVE_DEADLINE_S"] = "300"
    programs = f"{Path(sys.executable).parent}{os.pathsep}{variables['PATH']}"

    done = subprocess.run(
        command(kind, page),
        cwd=tmp_path if kind == "bash" else ROOT,
        env=variables | {"PATH": programs, "PYTHONPATH": str(ROOT), "PORT": str(free_port())},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    log = tmp_path / "server.log"
    assert done.returncode == 0, done.stdout + done.stderr + (log.read_text() if log.exists() else "")
    if page.name == "tutorial.md":
        shown = (tmp_path / "optima.txt").read_text()
        assert [line.split()[-2:] for line in shown.splitlines()[2:4]] == [["8", "KW"], ["12", "KW"]]
        assert "optimal 40.0 kWh for 7.2 EUR" in done.stdout
        assert "34.0 of 40.0 kWh" in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_leads_somewhere(page: Path) -> None:
    """A file or folder that a page of ours names is there, and so is the heading."""
    broken = []
    for target, anchor in LINK.findall(page.read_text()):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        path = (page.parent / target).resolve()
        if not path.exists() or (anchor and anchor.removeprefix("#") not in anchors(path)):
            broken.append(target + anchor)

    assert broken == []


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
