"""Tables of figures: on a terminal, in Markdown, and between the markers of a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

README = Path(__file__).parent / "README.md"


@dataclass(frozen=True, slots=True)
class Figures:
    """A table: a title, column names, and rows of text whose first cell says what they are about."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """The table in Markdown."""
        rule = ["---", *("---:" for _ in self.columns[1:])]
        lines = [f"| {' | '.join(cells)} |" for cells in (self.columns, rule, *self.rows)]
        return "\n".join((f"{self.title}:", "", *lines))

    def print(self, console: Console) -> None:
        """The table on a terminal."""
        table = Table(*self.columns, title=self.title, title_justify="left", box=None)
        for column in table.columns[1:]:
            column.justify = "right"
        for row in self.rows:
            table.add_row(*row)
        console.print(table)


def publish(text: str, name: str, page: Path = README) -> None:
    """Put text between two markers of a page: ``<!-- NAME -->`` and ``<!-- end of NAME -->``.

    Raises:
        ValueError: The page lacks a marker, or has it twice.
    """
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    content = page.read_text(encoding="utf-8")
    if content.count(begin) != 1 or content.count(end) != 1:
        raise ValueError(f"{page} must have {begin} and {end} once each")
    before, rest = content.split(begin)
    _, after = rest.split(end)
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
