"""oscp-serve: settings from the environment and the command line, logging, and the server around the application."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn
from pydantic import SecretStr, ValidationError
from pydantic_settings import CliApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.supervisors import Multiprocess

from api.app import create_app
from api.clock import Clock, SystemClock
from api.context import Context
from api.logs import logging_config
from api.metrics import Metrics
from api.persistence import Database
from api.settings import Settings
from api.tracing import require_installed, tracer_of
from models.errors import CapacityOptimizerError, InputError
from optimizer.executors import end_with_parent

OSCP_PATH = "/oscp/co/2.0"
HEADER_TIMEOUT_S = 20.0
MAX_HEAD_BYTES = 65_536
"""Longest head of a request, give or take what is read at once."""
SHUTDOWN_TIMEOUT_S = 15
EVENTS = b"text/event-stream"
WORKER_TIMEOUT_S = 120

NO_KEY = """\
oscp-serve needs the key of the operator, who creates peers and sites. Make one and start again:

    export OSCP_OPERATOR_KEY=$(python3 -c 'import secrets; print(secrets.token_urlsafe(32))')
    oscp-serve

or try it out with a key made up for this run: oscp-serve --demo"""


class HeaderTimeout(HttpToolsProtocol):
    """HTTP whose client has to send the head of each request within some seconds and kilobytes, or is cut off.

    A stream of events ends when the server does.
    """

    _deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Take what came; the first bytes of a further request start its time."""
        cycle: RequestResponseCycle | None = self.cycle
        if (cycle is None or cycle.response_complete) and self._deadline is None:
            self._expect_head()
        super().data_received(data)
        if self._deadline is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.transport.abort()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._cancel()
        super().on_headers_complete()

    def shutdown(self) -> None:
        """End a stream of events at once, for it never ends by itself; any other answer is finished first."""
        super().shutdown()
        if any(name == b"accept" and EVENTS in value for name, value in self.headers):
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is waited for any more."""
        self._cancel()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._deadline = self.loop.call_later(HEADER_TIMEOUT_S, self.transport.abort)

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


@dataclass(frozen=True, slots=True)
class AppFactory:
    """Makes the application in each server process.

    Args:
        settings: As given at the start.
        public_url: Under which peers reach the server.
        clock: Tells the time.
        metrics_folder: Where the processes of this server count together; None where it is one.
    """

    settings: Settings
    public_url: str
    clock: Clock
    metrics_folder: Path | None = None

    def __call__(self) -> object:
        """The application with a database of its own."""
        end_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
        database = Database(self.settings.database_url, token_key=_revealed(self.settings.token_key))
        owner = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        context = Context(
            settings=self.settings,
            clock=self.clock,
            database=database,
            metrics=Metrics(self.metrics_folder),
            owner=owner,
            base_url=self.public_url + OSCP_PATH,
            tracer=tracer_of(self.settings, owner),
        )
        return create_app(context)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run oscp-serve; its exit code."""
    try:
        settings = CliApp.run(
            _CommandLine, cli_args=list(sys.argv[1:] if arguments is None else arguments), cli_exit_on_error=True
        )
        run(settings)
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            name = str(problem["loc"][0]) if problem["loc"] else ""
            sys.stderr.write(f"oscp-serve: --{name.replace('_', '-')} (OSCP_{name.upper()}): {problem['msg']}\n")
        return 2
    except CapacityOptimizerError as error:
        sys.stderr.write(f"oscp-serve: {error}\n")
        return 2
    return 0


class _CommandLine(
    Settings, cli_prog_name="oscp-serve", cli_kebab_case=True, cli_implicit_flags=True, cli_hide_none_type=True
):
    """Serve OSCP 2.0 as a Capacity Optimizer. Every option may also be given as OSCP_ and its name in capitals."""


def run(settings: Settings, clock: Clock | None = None) -> None:
    """Serve until stopped by SIGINT or SIGTERM.

    Raises:
        InputError: A setting cannot be used.
    """
    settings = _with_operator_key(settings)
    # Before anything is served: a URL or key that cannot be used is told at once.
    with closing(Database(settings.database_url, token_key=_revealed(settings.token_key))) as database:
        database.require_known_revision()
    require_installed(settings)
    bound = _bind(settings)
    logs = logging_config(settings.log_level, as_json=settings.json_logs)
    clock = clock or SystemClock()
    # It has stopped in order by then; the interrupt is raised once more for whoever runs it.
    with closing(bound), suppress(KeyboardInterrupt):
        if settings.workers == 1:
            uvicorn.Server(_config(settings, bound, clock, logs)).run(sockets=[bound])
            return
        with TemporaryDirectory(prefix="oscp-metrics-") as folder:
            # Read by prometheus_client when the processes that are started below import it.
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
            config = _config(settings, bound, clock, logs, metrics_folder=Path(folder))
            Multiprocess(config, sockets=[bound]).run()


@contextmanager
def serving(settings: Settings, clock: Clock | None = None) -> Iterator[str]:
    """A server in a thread of this process while the block runs.

    Yields:
        Its URL, without a slash at the end.
    """
    bound = _bind(settings)
    server = uvicorn.Server(_config(settings, bound, clock or SystemClock(), logs=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, name="oscp-serve", daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise InputError("the server did not start; its log says why")
            thread.join(0.01)
        yield _url(settings, bound)
    finally:
        server.should_exit = True
        thread.join()
        bound.close()


def _config(
    settings: Settings,
    bound: socket.socket,
    clock: Clock,
    logs: dict[str, Any] | None,
    *,
    metrics_folder: Path | None = None,
) -> uvicorn.Config:
    public_url = settings.public_url or _url(settings, bound)
    return uvicorn.Config(
        AppFactory(settings, public_url, clock, metrics_folder),
        factory=True,
        http=HeaderTimeout,
        ws="none",
        workers=settings.workers,
        access_log=False,
        log_config=logs,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
        # A busy machine takes longer to start a process than the five seconds that uvicorn gives it to answer.
        timeout_worker_healthcheck=WORKER_TIMEOUT_S,
        ssl_certfile=settings.ssl_certfile,
        ssl_keyfile=settings.ssl_keyfile,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
    )


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _with_operator_key(settings: Settings) -> Settings:
    key = settings.operator_key
    if key is not None and key.get_secret_value().strip():
        return settings
    if not settings.demo:
        raise InputError(NO_KEY)
    made_up = secrets.token_urlsafe(24)
    sys.stderr.write(f"oscp-serve: the operator's key of this run is {made_up}\n")
    return settings.model_copy(update={"operator_key": SecretStr(made_up)})


def _bind(settings: Settings) -> socket.socket:
    if settings.workers > 1 and settings.database_url.startswith("sqlite"):
        raise InputError(f"--workers {settings.workers} needs PostgreSQL; with SQLite one process serves")
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((settings.host, settings.port))
        bound.listen(2048)
    except OSError as error:
        bound.close()
        raise InputError(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}; choose another --port"
        ) from error
    bound.set_inheritable(True)
    return bound


def _url(settings: Settings, bound: socket.socket) -> str:
    port = bound.getsockname()[1]
    scheme = "http" if settings.ssl_certfile is None else "https"
    name = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{name}:{port}"
