"""Plans in the words of others: OCPP and OCPI charging profiles, CSV and Parquet."""

from optimizer.export_options import MAX_PERIODS, ExportFormat, ProfileOptions, RateUnit
from optimizer.exports.charging_profiles import ocpi_profiles, ocpp16_profiles, ocpp201_profiles
from optimizer.exports.planned_rows import PlannedRows
from optimizer.exports.tables import csv_tables, parquet_tables

__all__ = [
    "MAX_PERIODS",
    "ExportFormat",
    "PlannedRows",
    "ProfileOptions",
    "RateUnit",
    "csv_tables",
    "ocpi_profiles",
    "ocpp16_profiles",
    "ocpp201_profiles",
    "parquet_tables",
]
