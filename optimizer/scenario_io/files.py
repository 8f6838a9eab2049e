"""Files of a folder: found, read as JSON, replaced as a whole; and what is wrong with one, said in one sentence."""

from __future__ import annotations

import codecs
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from models.errors import FileInputError, InputError
from optimizer.scenario_io.fields import CURRENCY_PATTERN, ID_PATTERN, SCHEMA_VERSION
from optimizer.scenario_io.sent_files import AnyPath, open_binary, size_bytes

T = TypeVar("T")

MAX_JSON_BYTES = 256 * 1024 * 1024
"""A site of a million chargers takes about half of it."""

_TIME_HINT = "write it in ISO 8601 with an offset, such as 2019-07-24T08:00:00+02:00"
_HINTS = {
    "missing": "it is missing; add it, with null for none where the format allows that",
    "timezone_aware": f"the time has no offset; {_TIME_HINT}",
    "datetime_parsing": f"it is not a time; {_TIME_HINT}",
    "datetime_from_date_parsing": f"it is not a time; {_TIME_HINT}",
    "datetime_type": f"it is not a time; {_TIME_HINT}",
    "float_parsing": "it is not a number; write digits with a decimal point and no unit",
    "float_type": "it is not a number; write digits with a decimal point and no unit",
    "finite_number": "it must be a finite number",
}
_PATTERN_HINTS = {
    ID_PATTERN: "it must not begin or end with a blank, nor hold a line break or another control character",
    CURRENCY_PATTERN: "it must be the three capital letters of an ISO 4217 code, such as EUR",
}
_SIGNATURES = {
    b"PK\x03\x04": "it is a zip archive or an Excel workbook; export it as text",
    b"PAR1": "it is a Parquet file; let its name end in .parquet",
    b"\x1f\x8b": "it is compressed; unpack it",
    codecs.BOM_UTF16_LE: "it is UTF-16 text; save it as UTF-8",
    codecs.BOM_UTF16_BE: "it is UTF-16 text; save it as UTF-8",
}
_HEAD_BYTES = 65536


class Problem(NamedTuple):
    """The first thing wrong with some input: what kind of fault, where, what was found, and what to do."""

    kind: str
    location: tuple[int | str, ...]
    field: str
    value: object
    reason: str


def first_problem(error: ValidationError) -> Problem:
    """What a failed validation found first, in words for somebody who edits the file."""
    details = error.errors(include_url=False)[0]
    location = details["loc"]
    value = details["input"]
    reason = _reason(details)
    context = details.get("ctx", {})
    if field := context.get("field"):
        # A rule over a whole record: its context names the field to look at, and the other field it depends on.
        record = value if isinstance(value, Mapping) else {}
        value = record.get(field)
        location = (*location, str(field))
        if other := context.get("other"):
            reason += f" {record.get(other, '')}"
    if details["type"] in ("missing", "json_invalid") or isinstance(value, Mapping | list | tuple):
        value = None
    return Problem(details["type"], location, _field_path(location), value, reason)


def _reason(details: ErrorDetails) -> str:
    kind = details["type"]
    context = details.get("ctx", {})
    if kind == "json_invalid":
        return f"it is not valid JSON: {context['error']}"
    if kind == "string_pattern_mismatch" and context["pattern"] in _PATTERN_HINTS:
        return _PATTERN_HINTS[context["pattern"]]
    if kind == "literal_error" and details["loc"] == ("schema",):
        return f"this program reads version {SCHEMA_VERSION} of the format; take a program of the file's version"
    if kind in _HINTS:
        return _HINTS[kind]
    return details["msg"].removeprefix("Value error, ").replace("Input should", "it must", 1)


def _field_path(location: tuple[int | str, ...]) -> str:
    """Path of a field, without the index of the record it is in: that is given as the row."""
    path = ""
    in_record = False
    for part in location:
        if isinstance(part, str):
            path += f".{part}" if path else part
        elif in_record:
            path += f"[{part}]"
        else:
            in_record = True
    return path


def _record(location: tuple[int | str, ...]) -> int | None:
    return next((part + 1 for part in location if isinstance(part, int)), None)


def locate(folder: AnyPath, name: str) -> AnyPath | None:
    """The file of that name, None where there is none.

    Raises:
        FileInputError: It is no regular file, or a link that leads out of the folder.
    """
    path = folder / name
    if isinstance(path, Path) and isinstance(folder, Path) and path.is_symlink():
        if not path.resolve().is_relative_to(folder.resolve()):
            raise FileInputError(name, "it is a link that leads out of the folder; put the file itself there")
    elif not path.exists():
        return None
    if not path.is_file():
        raise FileInputError(name, "it is not a file")
    return path


def require_file(folder: AnyPath, name: str) -> AnyPath:
    """The file of that name.

    Raises:
        FileInputError: There is none, it is no regular file, or a link that leads out of the folder.
    """
    path = locate(folder, name)
    if path is None:
        raise FileInputError(name, f"there is no such file in {folder}; add it")
    return path


def require_folder(folder: AnyPath, kind: str) -> None:
    """Let pass an existing folder.

    Raises:
        InputError: There is none.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise InputError(f"{kind} folder {str(folder)!r} {what}")


def check_text(path: AnyPath) -> None:
    """Let pass what may be UTF-8 text, going by its first bytes.

    Raises:
        FileInputError: It is empty, binary, in another encoding, or a web page.
    """
    with open_binary(path) as stream:
        head = stream.read(_HEAD_BYTES)
    for signature, reason in _SIGNATURES.items():
        if head.startswith(signature):
            raise FileInputError(path.name, reason)
    text = head.removeprefix(codecs.BOM_UTF8).strip()
    if not text:
        raise FileInputError(path.name, "it is empty")
    if b"\0" in text:
        raise FileInputError(path.name, "it is binary, not text")
    if text.startswith(b"<"):
        raise FileInputError(
            path.name, "it is a web page or XML; a login or error page may have been saved in its place"
        )


def read_json(path: AnyPath, adapter: TypeAdapter[T], *, strict: bool | None = None) -> T:
    """Read and validate one JSON file.

    Args:
        path: The file.
        adapter: What it must hold.
        strict: Whether a number in quotes and the like are refused; None leaves it to the schema.

    Returns:
        The validated content.

    Raises:
        FileInputError: It is not JSON, or not of that form; the message names record, field and value.
    """
    check_text(path)
    if (size := size_bytes(path)) > MAX_JSON_BYTES:
        raise FileInputError(path.name, f"it has {size} bytes; at most {MAX_JSON_BYTES} are read")
    return parse_json(path.name, path.read_bytes().removeprefix(codecs.BOM_UTF8), adapter, strict=strict)


def parse_json(name: str, text: bytes, adapter: TypeAdapter[T], *, strict: bool | None = None) -> T:
    """Validate JSON that was read already.

    Args:
        name: What it is called in messages.
        text: The JSON.
        adapter: What it must hold.
        strict: As in `read_json`.

    Returns:
        The validated content.

    Raises:
        FileInputError: It is not JSON, or not of that form; the message names record, field and value.
    """
    try:
        return adapter.validate_json(text, strict=strict)
    except ValidationError as error:
        problem = first_problem(error)
        raise FileInputError(
            name,
            problem.reason,
            row=_record(problem.location),
            field=problem.field,
            value=problem.value,
        ) from error


@contextmanager
def new_folder(target: Path, *, kind: str, objection: Callable[[Path], str | None]) -> Iterator[Path]:
    """A folder to fill, which takes the place of the target in one move once everything is written.

    When the body raises, nothing is left of it and the target stays as it was.

    Args:
        target: Where it shall be; missing, empty or replaceable.
        kind: What it is, for messages.
        objection: Why an existing folder that is not empty must stay; None when it may be replaced.

    Yields:
        An empty folder beside the target.

    Raises:
        InputError: The target must stay, or cannot be replaced.
    """
    target = target.resolve()
    check_target(target, kind, objection)
    token = secrets.token_hex(4)
    partial = target.with_name(f".{target.name}.{token}.partial")
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise InputError(
            f"{kind} folder {str(target)!r} cannot be made: {error.strerror}; name another place"
        ) from error
    try:
        yield partial
        try:
            _swap(partial, target, target.with_name(f".{target.name}.{token}.old"))
        except OSError as error:
            raise InputError(
                f"{kind} folder {str(target)!r} cannot be put in place: {error.strerror}; name a folder inside it"
            ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_target(target: Path, kind: str, objection: Callable[[Path], str | None]) -> None:
    """Let pass a folder that `new_folder` may put in place.

    Raises:
        InputError: It must stay.
    """
    name = f"{kind} folder {str(target)!r}"
    if target.exists() and not target.is_dir():
        raise InputError(f"{name} is a file; name a folder")
    above = next(folder for folder in target.parents if folder.exists())
    if not (above.is_dir() and os.access(above, os.W_OK)):
        raise InputError(f"{name} cannot be made: nothing can be written to {str(above)!r}; name another place")
    if target == Path.cwd():
        raise InputError(f"{name} is the current folder, which cannot be replaced; name a folder inside it")
    if target.is_dir() and any(target.iterdir()) and (reason := objection(target)):
        raise InputError(f"{name} is not empty: {reason}; name another folder or empty this one")


def _swap(partial: Path, target: Path, old: Path) -> None:
    if not target.exists():
        partial.rename(target)
        return
    target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
