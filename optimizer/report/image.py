"""One chart of a report as an image: the report's own page draws it, in a browser without a window."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import tempfile
from html import unescape
from pathlib import Path
from urllib.parse import unquote_to_bytes

from models.errors import InputError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--virtual-time-budget=20000",
)
TIMEOUT_S = 300.0
_IMAGE = re.compile(r'data-image="data:image/[^,"]*?(;base64)?,([^"]*)"')


def draw_chart(report: Path, chart: str, kind: str, *, width: int = 1240) -> bytes:
    """Draw a chart of a report.

    Args:
        report: report.html.
        chart: ``timeline``, or the place of a group in the report, from 0 on.
        kind: ``svg`` or ``png``; a PNG has two pixels for each one of the page.
        width: Of the page, pixels.

    Returns:
        The image file.

    Raises:
        InputError: There is no report, no such chart, or no browser to draw it.
    """
    if not report.is_file():
        raise InputError(f"there is no report {str(report)!r}; write it with oscp-optimize solve --out")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise InputError(f"no browser draws the chart; install one of {', '.join(BROWSERS)}")
    with tempfile.TemporaryDirectory(prefix="oscp-report-", ignore_cleanup_errors=True) as profile:
        page = f"{report.resolve().as_uri()}#image={kind}:{chart}"
        command = [browser, *OPTIONS, f"--user-data-dir={profile}", f"--window-size={width},900", "--dump-dom", page]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)  # noqa: S603
        except subprocess.TimeoutExpired as error:
            raise InputError(f"{browser} has not drawn {str(report)!r} within {TIMEOUT_S:g} s") from error
    found = _IMAGE.search(done.stdout)
    if found is None:
        raise InputError(f"{str(report)!r} has no chart {chart!r}; choose timeline, or the place of a group from 0 on")
    encoded = unescape(found[2])
    return base64.b64decode(encoded) if found[1] else unquote_to_bytes(encoded)
