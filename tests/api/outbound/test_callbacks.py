"""A peer names its own URL: none that leads into the network of the server is called."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import httpcore2
import pytest

from api.callbacks import GuardedBackend, check_addresses, check_url
from api.settings import Settings
from models.errors import InputError


def settings(**values: Any) -> Settings:
    """Settings with the defaults, unless told."""
    return Settings.model_validate(values)


@pytest.mark.parametrize(
    "url",
    ["https://fp.example.org/oscp/fp/2.0", "https://93.184.215.14:8443/x", "https://[2606:4700::1111]/x"],
)
def test_a_public_host_may_be_called(url: str) -> None:
    """By name or address, on any port."""
    check_url(url, settings())


@pytest.mark.parametrize(
    "url",
    [
        "http://fp.example.org/x",
        "ftp://fp.example.org/x",
        "https:///x",
        "https://user:secret@fp.example.org/x",
        "https://fp.example.org:0/x",
        "https://fp.example.org:99999/x",
        "https://localhost/x",
        "https://LOCALHOST./x",
        "https://a.localhost/x",
        "https://printer.local/x",
        "https://metadata.google.internal/x",
        "https://127.0.0.1/x",
        "https://127.1/x",
        "https://2130706433/x",
        "https://0x7f000001/x",
        "https://017700000001/x",
        "https://0/x",
        "https://0.0.0.0/x",
        "https://10.0.0.1/x",
        "https://172.16.3.4/x",
        "https://192.168.0.1./x",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/x",
        "https://224.0.0.1/x",
        "https://255.255.255.255/x",
        "https://[::1]/x",
        "https://[::]/x",
        "https://[fe80::1]/x",
        "https://[fc00::1]/x",
        "https://[ff02::1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://[2002:7f00:1::]/x",
        "https://[64:ff9b::a00:1]/x",
    ],
)
def test_what_may_not_be_called(url: str) -> None:
    """No https, no host, a user, an impossible port, or any spelling of an internal address."""
    with pytest.raises(InputError):
        check_url(url, settings())


def test_exceptions_are_named() -> None:
    """A host that the operator listed, and no other; still https."""
    excepted = settings(callback_hosts="fp.lan.local, 10.0.0.7")

    check_url("https://FP.lan.local/x", excepted)
    check_url("https://10.0.0.7/x", excepted)
    for url in ("https://10.0.0.8/x", "http://10.0.0.7/x"):
        with pytest.raises(InputError):
            check_url(url, excepted)


def test_a_test_bench_may_call_anything() -> None:
    """Http and the loopback, where insecure call-backs are allowed."""
    check_url("http://127.0.0.1:9/x", settings(allow_insecure_callbacks=True))


def test_a_password_is_not_repeated() -> None:
    """The message of a refusal goes to logs and answers."""
    with pytest.raises(InputError) as refused:
        check_url("https://user:secret@fp.example.org/x", settings())

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["93.184.215.14", "10.0.0.1"], ["::ffff:127.0.0.1"]])
def test_a_name_that_leads_inside_is_refused(addresses: Sequence[str]) -> None:
    """One internal address among several is enough."""
    with pytest.raises(InputError, match=r"fp\.example\.org"):
        check_addresses("fp.example.org", addresses, settings())


class _Recorder(httpcore2.AnyIOBackend):
    def __init__(self) -> None:
        self.hosts: list[str] = []

    async def connect_tcp(self, host: str, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
        self.hosts.append(host)
        return httpcore2.AsyncMockStream([])


class _Rebinding(GuardedBackend):
    """A name that leads to a public address once, and to the loopback from then on."""

    def __init__(self) -> None:
        super().__init__(settings())
        self.recorder = _Recorder()
        self._backend = self.recorder
        self.answers = ["93.184.215.14", "127.0.0.1"]

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        return [self.answers.pop(0)]


def test_the_address_that_was_checked_is_the_one_that_is_called() -> None:
    """A name resolved once for the check and again for the connection could lead elsewhere the second time."""
    backend = _Rebinding()

    async def connect_twice() -> None:
        await backend.connect_tcp("fp.example.org", 443, timeout=5)
        with pytest.raises(InputError):
            await backend.connect_tcp("fp.example.org", 443, timeout=5)

    asyncio.run(connect_twice())

    assert backend.recorder.hosts == ["93.184.215.14"]


def test_a_name_that_nobody_knows_is_unreachable() -> None:
    """An error of the resolver is one of the connection."""

    class Unknown(GuardedBackend):
        async def resolve(self, host: str, port: int) -> Sequence[str]:
            raise OSError("Name or service not known")

    with pytest.raises(httpcore2.ConnectError, match=r"fp\.example\.org"):
        asyncio.run(Unknown(settings()).connect_tcp("fp.example.org", 443, timeout=5))
