"""The exceptions of the whole project.

CapacityOptimizerError
├── InputError              what we were given cannot be planned; the message names object, value and limit
│   ├── PriceGapError       an instant of the window has no price
│   └── FileInputError      the same, with file, row and field
├── SolverError             the solver gave no usable answer
│   └── SolverConfigError   a solver or one of its options is not accepted
├── RollingError            a plan of a day that is played again failed
└── VerificationError       a schedule breaks a limit; it must not be used
"""

from __future__ import annotations


class CapacityOptimizerError(Exception):
    """Base of every error this project raises on purpose."""


class InputError(CapacityOptimizerError, ValueError):
    """The input cannot be planned; the message names the object, the value and the limit."""


class PriceGapError(InputError):
    """Prices do not cover the window.

    Args:
        start: ISO 8601 instant from which a price is missing.
        reason: What is wrong and what to do.
    """

    def __init__(self, start: str, reason: str) -> None:
        self.start = start
        super().__init__(reason)


class FileInputError(InputError):
    """A file of a scenario or a result is missing, unreadable or holds a value that cannot be taken.

    Args:
        file: Name of the file.
        reason: What is wrong and what to do.
        row: One-based number of the record (the line in a CSV file, the header being line 1).
        field: Name of the column or the path of the field.
        value: The value found.
    """

    def __init__(
        self,
        file: str,
        reason: str,
        *,
        row: int | None = None,
        field: str | None = None,
        value: object = None,
    ) -> None:
        self.file = file
        self.reason = reason
        self.row = row
        self.field = field
        self.value = value
        place = [file]
        if row is not None:
            place.append(f"row {row}")
        if field:
            place.append(f"field {field}")
        if value is not None:
            place.append(f"value {shortened(str(value))!r}")
        super().__init__(f"{', '.join(place)}: {reason}")


def shortened(text: str, length: int = 80) -> str:
    """The text, cut where it is longer than a message should be."""
    return text if len(text) <= length else f"{text[:length]}…"


class SolverError(CapacityOptimizerError):
    """The solver gave no usable answer; the message names the status."""


class SolverConfigError(SolverError):
    """A solver is not there, or refuses one of its options."""


class OutputError(CapacityOptimizerError):
    """What was planned cannot be written; the message names the folder, the cause and what to do."""


class RollingError(CapacityOptimizerError):
    """A day could not be played to its end; nothing was rolled on from an older plan.

    Args:
        at: ISO 8601 instant at which planning failed.
        plans: How many plans were made before.
        cause: Why it failed.
    """

    def __init__(self, at: str, plans: int, cause: Exception) -> None:
        self.at = at
        self.plans = plans
        super().__init__(f"stopped at {at}, after {plans} plans: {cause}")


class VerificationError(CapacityOptimizerError):
    """A schedule breaks a limit and must not be used.

    Args:
        violations: One sentence for each broken limit, in the order of the checks; never empty.
    """

    def __init__(self, violations: tuple[str, ...]) -> None:
        self.violations = violations
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        super().__init__(f"the schedule does not hold: {violations[0]}{more}")
