"""The edge that reads and writes: scenario folders, result folders, and the schemas of what is in them."""

from optimizer.scenario_io.fields import MAX_STAY, SCHEMA_VERSION
from optimizer.scenario_io.results import ExtraTable, summarize, write_result
from optimizer.scenario_io.rolled import write_rolled_result
from optimizer.scenario_io.row_schemas import (
    PriceRow,
    ReceivedMessage,
    RecordedPriceRow,
    RecordedSessionRow,
    SessionRow,
)
from optimizer.scenario_io.scenarios import LoadedScenario, load_scenario, write_scenario
from optimizer.scenario_io.site_schemas import ChargerEntry, GroupEntry, SiteFile
from optimizer.scenario_io.uncertainty_schema import SurpriseEntry, UncertaintyFile
from optimizer.scenario_io.written_result import WrittenGroup, WrittenResult, read_result

__all__ = [
    "MAX_STAY",
    "SCHEMA_VERSION",
    "ChargerEntry",
    "ExtraTable",
    "GroupEntry",
    "LoadedScenario",
    "PriceRow",
    "ReceivedMessage",
    "RecordedPriceRow",
    "RecordedSessionRow",
    "SessionRow",
    "SiteFile",
    "SurpriseEntry",
    "UncertaintyFile",
    "WrittenGroup",
    "WrittenResult",
    "load_scenario",
    "read_result",
    "summarize",
    "write_result",
    "write_rolled_result",
    "write_scenario",
]
