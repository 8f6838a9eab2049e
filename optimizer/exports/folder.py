"""Export folders: written as a whole, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

from models.domain.group import Site
from optimizer.export_options import ExportFormat, ProfileOptions
from optimizer.exports.charging_profiles import ocpi_profiles, ocpp16_profiles, ocpp201_profiles
from optimizer.exports.planned_rows import PlannedRows
from optimizer.exports.tables import CHARGERS, SCHEDULE, csv_tables, parquet_tables
from optimizer.scenario_io import WrittenResult
from optimizer.scenario_io.files import new_folder

PROFILES = {
    ExportFormat.OCPP16: ocpp16_profiles,
    ExportFormat.OCPP201: ocpp201_profiles,
    ExportFormat.OCPI: ocpi_profiles,
}
EXPORT_FILES = frozenset(
    {f"{name}.json" for name in PROFILES}
    | {f"{table}.{how}" for table in (SCHEDULE, CHARGERS) for how in (ExportFormat.CSV, ExportFormat.PARQUET)}
)


def write_export(
    folder: Path, written: WrittenResult, site: Site, how: ExportFormat, options: ProfileOptions
) -> list[str]:
    """Write a result in the words of others.

    Args:
        folder: Where; missing, empty, or an earlier export, which is replaced as a whole.
        written: The result.
        site: Whose result it is.
        how: The form.
        options: Of charging profiles.

    Returns:
        Names of the files: ``ocpp16.json``, ``ocpp201.json`` or ``ocpi.json``; or ``schedule`` and ``chargers`` as CSV
        or Parquet.

    Raises:
        InputError: The folder holds something else than an export.
    """
    files = _files(PlannedRows.of_result(written), site, how, options)
    with new_folder(folder, kind="export", objection=_objection) as partial:
        for name, content in files.items():
            (partial / name).write_bytes(content)
    return list(files)


def _files(rows: PlannedRows, site: Site, how: ExportFormat, options: ProfileOptions) -> dict[str, bytes]:
    if how in PROFILES:
        text = json.dumps(PROFILES[how](rows, site, options), indent=2, ensure_ascii=False)
        return {f"{how.value}.json": f"{text}\n".encode()}
    tables = csv_tables(rows, site) if how is ExportFormat.CSV else parquet_tables(rows, site)
    return {f"{name}.{how.value}": content for name, content in tables.items()}


def _objection(folder: Path) -> str | None:
    """Why a folder may not be replaced; None for an earlier export and nothing else."""
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in EXPORT_FILES)
    return f"it holds {foreign[0]!r}, which no export has" if foreign else None
