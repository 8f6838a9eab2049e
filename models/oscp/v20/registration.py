"""The registration message of OSCP 2.0: the token and the addresses with which its sender can be called."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urljoin, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from models.errors import InputError
from models.oscp.v20.fields import PRINTABLE

OSCP_VERSION = "2.0"
"""The version spoken here, as peers write it."""
MAX_TOKEN_LENGTH = 1_024
"""The standard sets no bound; the longest token seen has 256 characters."""
MAX_VERSIONS = 32
MAX_VERSION_LENGTH = 32
MAX_URL_LENGTH = 2_048


def _without_trailing_slash(url: str) -> str:
    return url.rstrip("/") or url[:1]


class VersionUrl(BaseModel):
    """Where one version of the protocol is served.

    Args:
        version: As the peer writes it.
        base_url: What the path of each message is appended to; no trailing slash. It may be relative: see
            `absolute_base_url`.

    Source: OSCP 2.0 JSON schema version-url. The bounds, and that a URL has no spaces or control characters, are a
    decision.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Annotated[str, Field(min_length=1, max_length=MAX_VERSION_LENGTH, pattern=PRINTABLE)]
    base_url: Annotated[
        str,
        Field(min_length=1, max_length=MAX_URL_LENGTH, pattern=r"^[^\s\x00-\x1f\x7f]+$"),
        AfterValidator(_without_trailing_slash),
    ]


class Register(BaseModel):
    """How its sender wants to be called from now on.

    The token appears neither in the representation nor in the text of a validation error.

    Args:
        token: Sent to the sender in the header Authorization, to the letter; visible ASCII, as a header takes it.
        version_url: The versions its sender speaks; the one chosen, where it answers another registration.

    Source: OSCP 2.0 sections 2.6.1 and 4.3.1.1, JSON schema register.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    token: Annotated[str, Field(min_length=1, max_length=MAX_TOKEN_LENGTH, pattern=r"^[\x21-\x7e]+$", repr=False)]
    version_url: Annotated[tuple[VersionUrl, ...], Field(min_length=1, max_length=MAX_VERSIONS)]

    def base_url_of(self, version: str = OSCP_VERSION) -> str | None:
        """The base URL of exactly that version, wherever it stands in the list; None where it is not served."""
        return next((offer.base_url for offer in self.version_url if offer.version == version), None)


def absolute_base_url(base_url: str, called_url: str) -> str:
    """The base URL to which the paths of messages are appended.

    Args:
        base_url: As registered; relative to ``called_url`` where it names no host.
        called_url: The URL that this side has called to reach the peer.

    Returns:
        An absolute URL without trailing slash. Whether it may be called is for the caller to decide.

    Raises:
        InputError: It is no URL of http or https with a host, or has a query or a fragment, to which no path can be
            appended.
    """
    # A backslash is a slash to some readers of URLs: two of them could see two hosts.
    if any(mark in base_url for mark in "?#\\"):
        raise InputError(f"base_url {base_url!r} must have no query, fragment or backslash")
    try:
        url = urljoin(called_url, base_url)
        parts = urlsplit(url)
        # One that names a scheme is not relative, whatever a browser makes of it without a host.
        has_host = bool(urlsplit(base_url).hostname) or not urlsplit(base_url).scheme
        usable = has_host and parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError as error:
        raise InputError(f"base_url {base_url!r} is no URL: {error}") from error
    if not usable:
        raise InputError(f"base_url {base_url!r} does not lead to http or https and a host")
    return _without_trailing_slash(url)
