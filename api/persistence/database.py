"""One database: reads on connections of their own, writes collected into few transactions."""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool
from tenacity import Retrying, retry_if_exception, stop_after_delay
from tenacity.wait import wait_random

from api.persistence import migration
from api.persistence.ciphers import TokenCipher
from api.persistence.errors import DatabaseUnavailableError
from api.persistence.transaction import Transaction
from models.errors import InputError

logger = logging.getLogger(__name__)

T = TypeVar("T")

READERS = 4
MAX_BATCH = 256
"""Most writes of one transaction."""
BUSY_TIMEOUT_S = 10
BUSY_PAUSE_S = 0.05
"""Longest pause before a busy SQLite file is asked again."""
UNDEFINED_TABLE = "42P01"
"""PostgreSQL's code for a table that is not there yet."""


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    work: Callable[[Transaction], Any]
    done: Future[Any] | asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop | None
    """Whose future it is; None for one of threads."""


_Outcome = tuple[_Job, object, Exception | None]


class Database:
    """A database by its URL.

    Writes go through one thread: those that wait together share a transaction, and all are answered after its commit.
    Where one fails they are run again, each in a savepoint of its own, so that it undoes nothing but itself. A disk
    that takes a millisecond to sync thus carries thousands of messages a second, every one durable before it is
    acknowledged.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql://...``.
        token_key: Fernet keys separated by commas, the first for writing; None stores tokens of peers as they are.

    Raises:
        InputError: The URL or the key cannot be used.
    """

    def __init__(self, url: str, *, token_key: str | None = None) -> None:
        self._cipher = TokenCipher(token_key)
        parsed = _parsed(url)
        self._is_sqlite = parsed.get_backend_name() == "sqlite"
        self._writer = _engine(parsed, size=1, begin="BEGIN IMMEDIATE")
        self._reader = _engine(parsed, size=READERS, begin="BEGIN")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="database-read")
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._write_jobs, name="database-write", daemon=True)
        self._thread.start()

    @property
    def shared(self) -> bool:
        """Whether several server processes may use it: PostgreSQL."""
        return not self._is_sqlite

    def migrate(self, revision: str = "head") -> None:
        """Bring the tables to the newest revision, or up to another; several servers may call it at once.

        Raises:
            DatabaseUnavailableError: The database cannot be reached or written.
            UnknownRevisionError: The tables are of a newer program.
            InputError: There is no such revision above.
        """
        with _unavailable(), self._writer.begin() as connection:
            migration.upgrade(connection, revision)

    def migrate_back(self, revision: str) -> None:
        """Take the tables back to an older revision, with all that they can hold there.

        Raises:
            DatabaseUnavailableError: The database cannot be reached or written.
            UnknownRevisionError: The tables are of a newer program.
            InputError: There is no such revision below.
        """
        with _unavailable(), self._writer.begin() as connection:
            migration.downgrade(connection, revision)

    def require_known_revision(self) -> None:
        """Let pass tables that this program knows or can bring up to date, and a database that is not reached now.

        Raises:
            UnknownRevisionError: They are of a newer program.
        """
        with suppress(DatabaseUnavailableError), _unavailable(), self._reader.connect() as connection:
            migration.require_known(connection)

    def revision(self) -> tuple[str | None, str]:
        """The revision the database has and the one this program needs.

        Raises:
            DatabaseUnavailableError: The database cannot be reached.
        """
        with _unavailable(), self._reader.connect() as connection:
            return migration.current(connection), migration.newest()

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run something that only reads, on one consistent state.

        Raises:
            DatabaseUnavailableError: The database cannot be reached.
        """
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, work)

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run something and return its result once it is durable; when it raises, nothing of it is done.

        It may be run more than once, before a commit that fails: it must have no effect but on the transaction.

        Raises:
            DatabaseUnavailableError: The database cannot be reached or written; nothing is done.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._enqueue(_Job(work, done, loop))
        return await done

    def read_now(self, work: Callable[[Transaction], T]) -> T:
        """`read` for a caller outside an event loop."""
        with _unavailable(), self._reader.connect() as connection, connection.begin():
            return work(Transaction(connection, self._cipher))

    def write_now(self, work: Callable[[Transaction], T]) -> T:
        """`write` for a caller outside an event loop."""
        done: Future[T] = Future()
        self._enqueue(_Job(work, done, None))
        return done.result()

    def close(self) -> None:
        """Finish the writes that wait and close every connection; a second call does nothing."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._jobs.put(None)
        self._thread.join()
        self._readers.shutdown()
        self._reader.dispose()
        self._writer.dispose()

    def _enqueue(self, job: _Job) -> None:
        with self._closing:
            if self._closed:
                raise DatabaseUnavailableError("the database is closed: the server is stopping")
            self._jobs.put(job)

    def _write_jobs(self) -> None:
        stop = False
        while not stop:
            batch: list[_Job] = []
            taken = self._jobs.get()
            while True:
                if taken is None:
                    stop = True
                elif not taken.done.cancelled():
                    batch.append(taken)
                if stop or len(batch) >= MAX_BATCH:
                    break
                try:
                    taken = self._jobs.get_nowait()
                except queue.Empty:
                    break
            self._write_batch(batch)

    def _write_batch(self, batch: Sequence[_Job]) -> None:
        if len(batch) > 1:
            for run in (self._run_together, self._run_apart):
                try:
                    outcomes = run(batch)
                except Exception:
                    logger.debug("%d writes failed together and are tried again", len(batch), exc_info=True)
                else:
                    _settle(outcomes)
                    return
        for job in batch:
            _settle([self._run_alone(job)])

    def _run_together(self, batch: Sequence[_Job]) -> list[_Outcome]:
        """All in one transaction; one that fails undoes all."""
        with self._writer.begin() as connection:
            transaction = Transaction(connection, self._cipher)
            return [(job, job.work(transaction), None) for job in batch]

    def _run_apart(self, batch: Sequence[_Job]) -> list[_Outcome]:
        """All in one transaction; one that fails for a reason of its own undoes nothing but itself."""
        outcomes: list[_Outcome] = []
        with self._writer.begin() as connection:
            transaction = Transaction(connection, self._cipher)
            for job in batch:
                try:
                    with connection.begin_nested():
                        result = job.work(transaction)
                except SQLAlchemyError:
                    raise
                except Exception as failure:  # noqa: BLE001 - it is for whoever asked for the work
                    outcomes.append((job, None, failure))
                else:
                    outcomes.append((job, result, None))
        return outcomes

    def _run_alone(self, job: _Job) -> _Outcome:
        try:
            with _unavailable(), self._writer.begin() as connection:
                return job, job.work(Transaction(connection, self._cipher)), None
        except Exception as failure:  # noqa: BLE001 - it is for whoever asked for the work
            return job, None, failure


def _settle(outcomes: Sequence[_Outcome]) -> None:
    """Tell everybody who waits; each event loop is woken once."""
    by_loop: dict[asyncio.AbstractEventLoop | None, list[_Outcome]] = {}
    for outcome in outcomes:
        by_loop.setdefault(outcome[0].loop, []).append(outcome)
    for loop, own in by_loop.items():
        if loop is None:
            _tell(own)
        else:
            # A loop that was closed meanwhile has nobody left who waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_tell, own)


def _tell(outcomes: Sequence[_Outcome]) -> None:
    for job, result, failure in outcomes:
        if job.done.cancelled():
            continue
        if failure is None:
            job.done.set_result(result)
        else:
            job.done.set_exception(failure)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InputError(
            f"database_url {url.partition('@')[2] or url!r} is no URL; write sqlite:///FILE or postgresql://USER@HOST/NAME"
        ) from None
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed.set(drivername="sqlite+pysqlite")
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    raise InputError(
        f"database_url {parsed.render_as_string()!r} is neither a SQLite file nor PostgreSQL; write sqlite:///FILE or "
        "postgresql://USER:PASSWORD@HOST/NAME"
    )


def _engine(url: URL, *, size: int, begin: str) -> Engine:
    if url.get_backend_name() == "postgresql":
        return create_engine(
            url,
            pool_size=size,
            max_overflow=0,
            pool_timeout=BUSY_TIMEOUT_S,
            pool_pre_ping=True,
            isolation_level="READ COMMITTED" if begin == "BEGIN IMMEDIATE" else "REPEATABLE READ",
            connect_args={"connect_timeout": BUSY_TIMEOUT_S},
        )
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=BUSY_TIMEOUT_S,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: object) -> None:  # noqa: ANN401 - of the driver
        # The driver's own way with transactions begins them too late: it is switched off, and they are begun below.
        connection.isolation_level = None
        # Two that open a new file together: one is refused at once, however long it would wait for a lock.
        for attempt in Retrying(
            retry=retry_if_exception(_is_busy),
            stop=stop_after_delay(BUSY_TIMEOUT_S),
            wait=wait_random(max=BUSY_PAUSE_S),
            reraise=True,
        ):
            with attempt:
                connection.execute("PRAGMA journal_mode=WAL")
        for pragma in ("synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


@contextmanager
def _unavailable() -> Iterator[None]:
    """Say of a failure of the database what it means for whoever asked.

    Raises:
        DatabaseUnavailableError: It cannot be reached, written, or has no tables yet.
    """
    try:
        yield
    except PoolTimeoutError as error:
        raise DatabaseUnavailableError("every connection to the database is in use; try again") from error
    except DBAPIError as error:
        if not _is_outage(error):
            raise
        reason = " ".join(str(error.orig).split())
        raise DatabaseUnavailableError(
            f"the database cannot be used now: {reason}; nothing was done, try again"
        ) from error


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_BUSY


def _is_outage(error: DBAPIError) -> bool:
    kind = type(error.orig).__mro__
    names = {cls.__name__ for cls in kind}
    undefined = getattr(error.orig, "sqlstate", None) == UNDEFINED_TABLE
    return bool(
        error.connection_invalidated or undefined or names & {"OperationalError", "InterfaceError", "InternalError"}
    )
