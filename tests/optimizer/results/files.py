"""Files of a result as tests read and spoil them."""

from __future__ import annotations

import csv
from pathlib import Path

from optimizer.options import OptimizeOptions

OPTIONS = OptimizeOptions()


def table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file as text."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def edit(path: Path, old: str, new: str) -> None:
    """Replace what is there exactly once."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
