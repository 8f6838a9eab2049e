"""The edge that reads and writes: scenario folders, result folders, and the schemas of what is in them."""

from optimizer.scenario_io.results import ExtraTable, WrittenGroup, WrittenResult, read_result, summarize, write_result
from optimizer.scenario_io.rolled import write_rolled_result
from optimizer.scenario_io.scenarios import LoadedScenario, load_scenario, write_scenario
from optimizer.scenario_io.schemas import (
    MAX_STAY,
    SCHEMA_VERSION,
    ChargerEntry,
    GroupEntry,
    PriceRow,
    ReceivedMessage,
    RecordedPriceRow,
    RecordedSessionRow,
    SessionRow,
    SiteFile,
    SurpriseEntry,
    UncertaintyFile,
)

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
