"""The files of a result folder, by name."""

from __future__ import annotations

SCHEDULE_FILE = "schedule.csv"
SESSIONS_FILE = "sessions.csv"
GROUPS_FILE = "groups.csv"
LINES_FILE = "lines.csv"
OPTIMUM_FILE = "optimum.json"
SUMMARY_FILE = "summary.json"
REPORT_FILE = "report.html"
REPLANS_FILE = "replans.csv"
HINDSIGHT_FILE = "hindsight.csv"
WHY_FILE = "why.json"
ASSETS_FILE = "assets.csv"
COMPLIANCE_FILE = "compliance.json"
RESULT_FILES = frozenset(
    {
        SCHEDULE_FILE,
        SESSIONS_FILE,
        GROUPS_FILE,
        LINES_FILE,
        ASSETS_FILE,
        COMPLIANCE_FILE,
        OPTIMUM_FILE,
        SUMMARY_FILE,
        REPORT_FILE,
        REPLANS_FILE,
        HINDSIGHT_FILE,
        WHY_FILE,
    }
)
