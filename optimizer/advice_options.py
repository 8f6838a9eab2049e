"""How capacity is asked for."""

from __future__ import annotations

from enum import StrEnum


class AskedBlocks(StrEnum):
    """The blocks in which capacity is asked for."""

    STATED = "stated"
    """Those that were stated."""
    WHOLE_DAY = "whole-day"
    """All whole hours of each local day on which more is asked for, as Taipower has it: 24, or 23 or 25."""
