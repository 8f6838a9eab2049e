"""One self-contained HTML page of a schedule."""

from optimizer.report.page import render_report, style_sheet

__all__ = ["render_report", "style_sheet"]
