"""One self-contained HTML page of a schedule."""

from optimizer.report.image import draw_chart
from optimizer.report.page import render_report, style_sheet

__all__ = ["draw_chart", "render_report", "style_sheet"]
