"""Where the server meets the network: TLS of its own, proxies in front, and several processes at one port."""

from __future__ import annotations

import logging
import re
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from api import server
from api.settings import Settings
from benchmarks.live_server import database, free_port, is_healthy, server_process

KEY = "k" * 24


def settings(tmp_path: Path, **values: Any) -> Settings:
    """Of a server on a free port."""
    given = {"port": 0, "database_url": f"sqlite:///{tmp_path}/state.db", "operator_key": KEY}
    return Settings.model_validate(given | values)


def get(url: str, *, context: ssl.SSLContext | None = None, **headers: str) -> str:
    """What is answered on a connection of its own."""
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})  # noqa: S310
    with urllib.request.urlopen(request, timeout=30, context=context) as answer:  # noqa: S310 - our own server
        text: str = answer.read().decode()
        return text


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for the loopback address that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server of a test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, secret = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return chain, secret


def test_tls_without_a_proxy(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """A client that trusts the certificate is served, at a URL that says https."""
    chain, secret = certificate

    with server.serving(settings(tmp_path, ssl_certfile=chain, ssl_keyfile=secret)) as url:
        answer = get(f"{url}/healthz", context=ssl.create_default_context(cafile=str(chain)))

    assert url.startswith("https://")
    assert answer == "ok\n"


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    """Half of what TLS needs is a mistake, not plain HTTP."""
    with pytest.raises(ValidationError, match="belong together"):
        settings(tmp_path, ssl_certfile="chain.pem")


def test_a_proxy_that_is_no_address_is_refused(tmp_path: Path) -> None:
    """A name would be looked up by nobody: it would trust no one in silence."""
    with pytest.raises(ValidationError, match="'proxy' is neither an address nor a network"):
        settings(tmp_path, trusted_proxies="10.0.0.0/8, proxy")


@pytest.mark.parametrize(
    ("trusted", "client"),
    [("", "127.0.0.1"), ("10.1.0.0/16", "127.0.0.1"), ("127.0.0.1", "203.0.113.9"), ("127.0.0.0/8", "203.0.113.9")],
)
def test_forwarded_headers_are_believed_of_trusted_proxies_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, trusted: str, client: str
) -> None:
    """Of anybody else X-Forwarded-For says nothing about who is refused."""
    with (
        caplog.at_level(logging.INFO, logger="api.middleware"),
        server.serving(settings(tmp_path, trusted_proxies=trusted)) as url,
        pytest.raises(urllib.request.HTTPError, match="401"),
    ):
        get(f"{url}/v1/sites", X_Forwarded_For="203.0.113.9", X_Forwarded_Proto="https")

    assert re.findall(r"client=(\S+)", caplog.text) == [client]


def test_processes_of_one_server_count_and_end_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever process answers, it tells what all have counted; none outlives the one that started it."""
    port, asked = free_port(), 30
    url = f"http://127.0.0.1:{port}"

    def counted() -> float:
        text = get(f"{url}/metrics", Authorization=f"Bearer {KEY}")
        found = re.findall(r'oscp_requests_total\{method="GET",route="/readyz",status="200"\} (\S+)', text)
        return float(found[0]) if found else 0.0

    with (
        TemporaryDirectory(prefix="postgresql-", ignore_cleanup_errors=True) as folder,
        monkeypatch.context() as variables,
        database_in(folder, variables) as database_url,
        server_process(
            database_url, tmp_path / "log", operator_key=KEY, port=port, arguments=["--workers", "2"]
        ) as started,
    ):
        wait_for(lambda: '"ready":true' in tolerant(f"{url}/readyz"))
        before = counted()
        for _ in range(asked):
            get(f"{url}/readyz")

        assert {counted() for _ in range(10)} == {before + asked}

        started.kill()
        wait_for(lambda: not is_healthy(port))


@contextmanager
def database_in(folder: str, variables: pytest.MonkeyPatch) -> Iterator[str]:
    """A PostgreSQL in a folder that is not ours alone: another user runs it where we are root."""
    variables.setenv("XDG_RUNTIME_DIR", folder)
    with database("postgresql", Path(folder)) as url:
        yield url


def tolerant(url: str) -> str:
    """What is answered; nothing where it is a refusal."""
    try:
        return get(url)
    except OSError:
        return ""


def wait_for(holds: Callable[[], bool]) -> None:
    """Ask until something holds."""
    while not holds():
        time.sleep(0.1)
