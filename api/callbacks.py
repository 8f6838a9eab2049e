"""Which URLs of peers may be called: none that leads into the network of this server.

A peer names its own URL when it registers. Unchecked, it could make this server call what only this server can reach.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

import httpcore2

from api.settings import Settings
from models.errors import InputError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")
LOCAL_SUFFIXES = (".localhost", ".local", ".internal")
ADVICE = "set OSCP_CALLBACK_HOSTS to allow this host"


def check_url(url: str, settings: Settings) -> None:
    """Let pass a base URL that may be called; names are resolved and checked again at each call.

    Args:
        url: Absolute.
        settings: Whom they except.

    Raises:
        InputError: It is not https, names no host or a user, or its host is this machine or an internal address.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InputError(f"base_url {url!r} is no URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"base_url {url!r} does not lead to https and a host")
    if parts.scheme == "http" and not settings.allow_insecure_callbacks:
        raise InputError(f"base_url {url!r} must begin with https")
    if parts.username is not None or parts.password is not None:
        raise InputError("base_url must name no user and no password")
    if port == 0:
        raise InputError(f"base_url {url!r} has port 0; ports are 1 to 65535")
    if not _is_excepted(parts.hostname, settings):
        _check_host(parts.hostname)


def check_addresses(host: str, addresses: Iterable[str], settings: Settings) -> None:
    """Let pass what a host was resolved to.

    Raises:
        InputError: One of the addresses is internal, and the host is not excepted.
    """
    if _is_excepted(host, settings):
        return
    for address in addresses:
        if not _is_public(ipaddress.ip_address(address)):
            raise InputError(f"host {host!r} leads to the internal address {address}; {ADVICE}")


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to exactly the address that was checked: a name may lead elsewhere when it is resolved again.

    Args:
        settings: Which hosts they except.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._backend = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature of what it stands for
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to a host by name or address; TLS checks the certificate against the name all the same.

        Raises:
            ConnectError: It cannot be resolved or reached.
            InputError: It leads to an internal address.
        """
        try:
            async with asyncio.timeout(timeout):
                addresses = await self.resolve(host, port)
        except (OSError, UnicodeError, TimeoutError) as error:
            raise httpcore2.ConnectError(f"host {host!r} cannot be resolved: {error}") from error
        check_addresses(host, addresses, self._settings)
        for address in addresses[:-1]:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._backend.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a host, at least one.

        Raises:
            OSError: There are none.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._backend.sleep(seconds)


def _is_excepted(host: str, settings: Settings) -> bool:
    return settings.allow_insecure_callbacks or host.lower() in {name.lower() for name in settings.callback_hosts}


def _check_host(host: str) -> None:
    name = host.rstrip(".").lower()
    if name in LOCAL_NAMES or name.endswith(LOCAL_SUFFIXES):
        raise InputError(f"host {host!r} is a name of the local network; {ADVICE}")
    address = _literal(name)
    if address is not None and not _is_public(address):
        raise InputError(f"host {host!r} is the internal address {address}; {ADVICE}")


def _literal(name: str) -> Address | None:
    """The address that a host is, in any of the spellings that resolvers take: 127.1, 0x7f000001, 017700000001."""
    try:
        return ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(name))
    except (OSError, UnicodeError):
        return None


def _is_public(address: Address) -> bool:
    embedded = _embedded(address)
    if embedded is not None and not _is_public(embedded):
        return False
    return address.is_global and not address.is_multicast


def _embedded(address: Address) -> Address | None:
    """The IPv4 address within an IPv6 address that leads to it."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    nat64 = ipaddress.IPv6Network("64:ff9b::/96")
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in nat64 else None
