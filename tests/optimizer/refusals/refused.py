"""Asserts that a scenario folder is refused, with a message that names file, row, field and value."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import FileInputError
from optimizer.scenario_io import load_scenario


def assert_refused(
    folder: Path, file: str, *, row: int | None = None, field: str | None = None, value: str | None = None, why: str
) -> None:
    """Loading fails, and the message says where, what was found and why."""
    with pytest.raises(FileInputError) as caught:
        load_scenario(folder)

    message = str(caught.value)
    assert message.startswith(file)
    assert why in message
    assert caught.value.row == row
    assert (caught.value.field or None) == field
    if row is not None:
        assert f", row {row}" in message
    if field is not None:
        assert f", field {field}" in message
    if value is None:
        assert caught.value.value is None
    else:
        assert f", value {value!r}" in message
