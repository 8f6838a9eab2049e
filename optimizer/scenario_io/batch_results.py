"""The results of a batch: a Parquet data set that grows part by part and can be read at every moment."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from pyarrow import ArrowException
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from models.errors import InputError, OutputError
from optimizer.options import OptimizeOptions
from optimizer.scenario_io.batch_tables import PLAN_TABLES, SCHEMAS, SUMMARY, ChunkResult, empty_part
from optimizer.scenario_io.files import check_target, new_folder, read_json
from optimizer.scenario_io.results import versions

BATCH_FILE = "batch.json"
LOCK_FILE = ".lock"
PARTIAL_FOLDER = ".partial"
FAILED_SUFFIX = "-failed"
_PART = re.compile(rf"part-(\d+)({FAILED_SUFFIX})?\.parquet")


class BatchFile(BaseModel):
    """batch.json: how the scenarios of a batch are planned."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = Field(alias="schema", description="Version of this format")
    options: dict[str, str] = Field(description="How each scenario is planned")
    versions: dict[str, str] = Field(description="Versions of the software at the first start")


_Batch = TypeAdapter(BatchFile)


@dataclass(slots=True, kw_only=True)
class BatchResults:
    """A folder with one folder for each table of `SCHEMAS`, and in each as many Parquet files as there were chunks.

    The files of a chunk come into view one after the other, that of ``summary`` last: a scenario is there when
    ``summary`` has it with a status other than ``failed``. What a killed run left without it is removed on resuming.

    Args:
        folder: Where.
        next_part: Number of the next chunk.
    """

    folder: Path
    next_part: int = 1
    done: set[str] = field(default_factory=set)

    def add(self, result: ChunkResult) -> None:
        """Write what came of a chunk; complete or not at all.

        Raises:
            OutputError: It cannot be written.
        """
        number = f"part-{self.next_part:06d}"
        self.next_part += 1
        try:
            if result.failures:
                self._put({SUMMARY: result.failures}, f"{number}{FAILED_SUFFIX}.parquet")
            if result.plans:
                self._put({name: result.plans[name] for name in (*PLAN_TABLES, SUMMARY)}, f"{number}.parquet")
        except OSError as error:
            raise _not_written(self.folder, error, "what is in it stays good, go on with --resume") from error

    def _put(self, contents: dict[str, bytes], name: str) -> None:
        partial = self.folder / PARTIAL_FOLDER
        partial.mkdir(exist_ok=True)
        for table, content in contents.items():
            with (partial / f"{table}-{name}").open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        for table in contents:
            (partial / f"{table}-{name}").rename(self.folder / table / name)


@contextmanager
def open_results(folder: Path, options: OptimizeOptions, *, resume: bool) -> Iterator[BatchResults]:
    """A data set to write to, which nobody else writes to for as long as the block lasts.

    Args:
        folder: Where; missing or empty, or with ``resume`` what an earlier run left.
        options: How the scenarios are planned; the same as in the earlier run.
        resume: Whether to go on with what is there. Scenarios with a plan are kept. The rows of those that failed are
            removed, so that they are tried again.

    Yields:
        The data set.

    Raises:
        InputError: The folder holds something else, is in use, or was planned otherwise.
        OutputError: Nothing can be written to it.
    """
    folder = folder.resolve()
    check_results(folder, options, resume=resume)
    if not (folder / BATCH_FILE).is_file():
        try:
            _create(folder, asked_for(options))
        except OSError as error:
            raise _not_written(folder, error, "nothing is there yet") from error
    lock = FileLock(folder / LOCK_FILE, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"batch folder {str(folder)!r} is being written to by another run; wait for its end") from None
    try:
        yield _recovered(folder)
    finally:
        shutil.rmtree(folder / PARTIAL_FOLDER, ignore_errors=True)
        lock.release()


def check_results(folder: Path, options: OptimizeOptions, *, resume: bool) -> None:
    """Let pass a folder that `open_results` takes.

    Raises:
        InputError: It holds something else, or was planned otherwise.
    """
    if not (folder / BATCH_FILE).is_file():
        check_target(folder.resolve(), "batch", _objection)
        return
    name = f"batch folder {str(folder)!r}"
    if not resume:
        raise InputError(f"{name} holds the results of a batch; go on with --resume, or name another folder")
    found = read_json(folder / BATCH_FILE, _Batch).options
    for option, value in asked_for(options).items():
        if option not in found or found[option] != value:
            raise InputError(
                f"{name} was planned with {option} {found.get(option)}, now it is {value}; resume with the same "
                "options, or name another folder"
            )


def asked_for(options: OptimizeOptions) -> dict[str, str]:
    """Every option as a text; but for what carries the program to the solver, which is the same program."""
    solver = options.solver
    chosen = {field.name: getattr(options, field.name) for field in fields(options) if field.name != "solver"}
    chosen |= {f"solver.{field.name}": getattr(solver, field.name) for field in fields(solver)}
    del chosen["solver.backend"]
    return {name: ", ".join(value) if isinstance(value, tuple) else str(value) for name, value in chosen.items()}


def _create(folder: Path, asked: dict[str, str]) -> None:
    """Put a data set without rows in place."""
    with new_folder(folder, kind="batch", objection=_objection) as new:
        for name in SCHEMAS:
            (new / name).mkdir()
            (new / name / "part-000000.parquet").write_bytes(empty_part(name))
        content = {"schema": 1, "options": asked, "versions": versions()}
        (new / BATCH_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _not_written(folder: Path, error: OSError, state: str) -> OutputError:
    return OutputError(f"batch folder {str(folder)!r} cannot be written to: {error.strerror}; {state}")


def _objection(_: Path) -> str:
    return f"it holds no batch, which would have a {BATCH_FILE}"


def _recovered(folder: Path) -> BatchResults:
    """What is there, without what a killed run did not finish and without the rows of what failed."""
    shutil.rmtree(folder / PARTIAL_FOLDER, ignore_errors=True)
    results = BatchResults(folder=folder)
    for path in _parts(folder / SUMMARY):
        if path.stem.endswith(FAILED_SUFFIX):
            path.unlink()
        else:
            results.done.update(_scenarios(path))
    complete = {path.name for path in _parts(folder / SUMMARY)}
    for name in PLAN_TABLES:
        for path in _parts(folder / name):
            if path.name not in complete:
                path.unlink()
    numbers = [int(found[1]) for name in complete if (found := _PART.fullmatch(name))]
    results.next_part = max(numbers, default=0) + 1
    return results


def _parts(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("part-*.parquet") if _PART.fullmatch(path.name))


def _scenarios(path: Path) -> list[str]:
    try:
        names: list[str] = pq.read_table(path, columns=["scenario"], partitioning=None)["scenario"].to_pylist()
    except (ArrowException, OSError) as error:
        raise InputError(f"{str(path)!r} cannot be read: {error}; remove it to plan its scenarios anew") from error
    return names
