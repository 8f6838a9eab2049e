"""OSCP 2.0 registration and error bodies: tokens, versions and base URLs as they are read, written and refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from models.errors import InputError
from models.oscp.v20 import OSCP_VERSION, ErrorBody, Register, absolute_base_url

FP_URL = "https://fp.example.org/oscp/fp/2.0"
CALLED_URL = "https://cp.example.net:8443/oscp/cp/2.0/register"


def make_version(**override: Any) -> dict[str, Any]:
    """One offered version as JSON object, some properties replaced."""
    return {"version": "2.0", "base_url": FP_URL} | override


def make_body(*versions: dict[str, Any], **override: Any) -> dict[str, Any]:
    """A valid registration as JSON object, some properties replaced."""
    return {"token": "b-7Yk0pQ2vNf5s8Hc1LrXw3", "version_url": list(versions) or [make_version()]} | override


def read(body: dict[str, Any]) -> Register:
    """Read a registration as text and as objects; both ways must agree."""
    message = Register.model_validate_json(json.dumps(body))
    assert Register.model_validate(body) == message
    return message


def refused(body: dict[str, Any]) -> str:
    """Where and why a registration is refused."""
    with pytest.raises(ValidationError) as refusal:
        Register.model_validate_json(json.dumps(body))
    return str(refusal.value)


@pytest.mark.parametrize(
    "body",
    [
        make_body(),
        make_body(make_version(version="1.0", base_url="https://fp.example.org/oscp/1.0"), make_version()),
        make_body(token="x" * 256),
        make_body(token="ab+/cd=="),
        make_body(make_version(base_url="/oscp/2.0")),
    ],
    ids=["one version", "two versions", "long token", "standard base64", "relative URL"],
)
def test_registration_is_written_as_it_was_read(body: dict[str, Any]) -> None:
    """Tokens of every known peer, several versions and relative base URLs pass through unchanged."""
    assert json.loads(read(body).model_dump_json()) == body


def test_unknown_properties_are_ignored() -> None:
    """Peers add properties of their own; they neither disturb nor come out again."""
    body = make_body(make_version(role="fp"), business_details={})

    assert read(body).model_dump(mode="json") == make_body()


@pytest.mark.parametrize("name", ["token", "version_url"])
def test_property_of_a_registration_is_required(name: str) -> None:
    """Both properties of the schema are required; null does not count."""
    body = make_body()
    del body[name]

    assert "Field required" in refused(body)
    assert name in refused(make_body(**{name: None}))


@pytest.mark.parametrize("name", ["version", "base_url"])
def test_property_of_a_version_is_required(name: str) -> None:
    """Version and base URL are both required; null, the empty text and control characters do not count."""
    version = make_version()
    del version[name]

    assert "Field required" in refused(make_body(version))
    assert f"version_url.0.{name}" in refused(make_body(make_version(**{name: None})))
    assert f"version_url.0.{name}" in refused(make_body(make_version(**{name: ""})))
    assert f"version_url.0.{name}" in refused(make_body(make_version(**{name: "2.0\x00"})))


def test_token_has_1_to_1024_characters() -> None:
    """Peers issue tokens of up to 256 characters; up to 1,024 are taken."""
    assert read(make_body(token="x" * 1024)).token == "x" * 1024
    assert "at most 1024 characters" in refused(make_body(token="x" * 1025))
    assert "at least 1 character" in refused(make_body(token=""))


@pytest.mark.parametrize("token", ["a\r\nX-Admin: 1", "a\n", "a b", "\x00a", "tökén", 17])
def test_token_is_what_a_header_takes(token: object) -> None:
    """A token is sent back in a header to the letter: a line break in it would begin a header of the peer's choice."""
    assert "token" in refused(make_body(token=token))


def test_token_is_not_shown() -> None:
    """Neither the representation of a registration nor the text of a validation error holds the token."""
    assert "s3cret" not in repr(read(make_body(token="s3cret")))
    assert "s3cret" not in refused(make_body(token="s3cret", version_url=[]))
    assert "s3cret" not in refused(make_body(token="s3cret with spaces"))


def test_number_of_versions_is_bounded() -> None:
    """A registration offers 1 to 32 versions."""
    assert "at least 1 item" in refused(make_body(version_url=[]))
    assert "at most 32 items" in refused(make_body(version_url=[make_version()] * 33))
    assert len(read(make_body(version_url=[make_version()] * 32)).version_url) == 32


@pytest.mark.parametrize("base_url", ["https://h/ x", "https://h/\r\nx", "https://h/\tx", "x" * 2049])
def test_base_url_is_bounded_and_without_spaces(base_url: str) -> None:
    """A base URL has at most 2,048 characters and no spaces or control characters."""
    assert "version_url.0.base_url" in refused(make_body(make_version(base_url=base_url)))


@pytest.mark.parametrize(
    ("base_url", "kept"),
    [(f"{FP_URL}/", FP_URL), (f"{FP_URL}//", FP_URL), (FP_URL, FP_URL), ("/oscp/2.0/", "/oscp/2.0"), ("/", "/")],
)
def test_trailing_slash_is_stripped(base_url: str, kept: str) -> None:
    """The path of a message begins with a slash, so a base URL ends without one; a bare slash stays the root."""
    assert read(make_body(make_version(base_url=base_url))).version_url[0].base_url == kept


def test_version_is_chosen_by_equality() -> None:
    """Not the first of the list is taken, nor one that only begins alike, but the first that is exactly 2.0."""
    register = read(
        make_body(
            make_version(version="2.0.1", base_url="https://h/2.0.1"),
            make_version(version="2.0", base_url="https://h/2.0"),
            make_version(version="2.0", base_url="https://h/again"),
        )
    )

    assert OSCP_VERSION == "2.0"
    assert register.base_url_of() == "https://h/2.0"
    assert register.base_url_of("2.0.1") == "https://h/2.0.1"


def test_no_common_version() -> None:
    """A peer that serves other versions only has no base URL for 2.0."""
    register = read(make_body(make_version(version="1.0"), make_version(version="2"), make_version(version="2.1")))

    assert register.base_url_of() is None


@pytest.mark.parametrize(
    ("base_url", "absolute"),
    [
        (FP_URL, FP_URL),
        ("HTTPS://fp.example.org/x/", "https://fp.example.org/x"),
        ("/oscp/2.0", "https://cp.example.net:8443/oscp/2.0"),
        ("/", "https://cp.example.net:8443"),
        ("//other.example.org/oscp", "https://other.example.org/oscp"),
        ("http://h", "http://h"),
    ],
)
def test_relative_base_url_is_resolved_against_the_url_that_was_called(base_url: str, absolute: str) -> None:
    """One peer in use answers with a bare path: it is meant at the host and port that were called."""
    assert absolute_base_url(base_url, CALLED_URL) == absolute


@pytest.mark.parametrize(
    "base_url",
    [
        "ftp://fp.example.org/oscp",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://",
        "https:///oscp",
        "https://:443/x",
        "http://[::1/oscp",
        f"{FP_URL}?next=",
        f"{FP_URL}#top",
        "https://good.example\\@bad.example/oscp",
    ],
)
@pytest.mark.parametrize("called_url", ["", CALLED_URL])
def test_base_url_leads_to_a_host_and_takes_a_path(base_url: str, called_url: str) -> None:
    """Only http and https with a host can be called; behind a query or a fragment no path can be appended."""
    with pytest.raises(InputError, match="base_url"):
        absolute_base_url(base_url, called_url)


def test_registration_cannot_be_changed() -> None:
    """A registration is what was sent: it cannot be assigned to."""
    register = read(make_body())

    with pytest.raises(ValidationError, match="frozen"):
        register.token = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        register.version_url[0].base_url = "other"  # type: ignore[misc]


# Error bodies


@pytest.mark.parametrize("body", [{"message": "unknown group_id"}, {}], ids=["message", "none"])
def test_error_body_is_written_as_it_was_read(body: dict[str, Any]) -> None:
    """An error body has a message or none; null is never written."""
    assert json.loads(ErrorBody.model_validate(body).model_dump_json()) == body


def test_null_message_of_an_error_body_is_left_out() -> None:
    """A null for a message is read like none; other properties of peers are ignored."""
    body = ErrorBody.model_validate_json('{"success": false, "code": "VAL.00005", "message": null}')

    assert body.message is None
    assert body.model_dump(mode="json") == {}


def test_long_message_is_cut() -> None:
    """An explanation of more than 1,000 characters is cut to 1,000, the last of them showing it."""
    assert ErrorBody(message="x" * 1001).message == "x" * 999 + "…"
    assert ErrorBody(message="x" * 999).message == "x" * 999


def test_message_is_a_text() -> None:
    """A message that is no text is refused."""
    with pytest.raises(ValidationError, match="valid string"):
        ErrorBody.model_validate({"message": 17})
