"""The files of a scenario folder, by name."""

from __future__ import annotations

SITE_FILE = "site.json"
FORECASTS_FILE = "forecasts.json"
TARIFF_FILE = "tariff.json"
UNCERTAINTY_FILE = "uncertainty.json"
