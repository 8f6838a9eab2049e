"""Self-contained HTML pages: of a schedule, and of a batch of them."""

from optimizer.report.batch_page import render_batch_summary
from optimizer.report.frame import html_page, style_sheet
from optimizer.report.image import draw_chart
from optimizer.report.page import render_report

__all__ = ["draw_chart", "html_page", "render_batch_summary", "render_report", "style_sheet"]
