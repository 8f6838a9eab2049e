"""Settings exist once: as variables, as options, with units and defaults."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from api.server import main
from api.settings import Settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"OSCP_{name.upper()}", raising=False)


def test_every_setting_is_described() -> None:
    """``--help`` says of each what it is; of each measure, in which unit."""
    silent = [name for name, field in Settings.model_fields.items() if not field.description]
    without_unit = [
        name
        for name, field in Settings.model_fields.items()
        for suffix, unit in (("_s", ", s"), ("_hours", ", h"), ("_days", ", d"), ("_kwh", ", kWh"), ("_kw", ", kW"))
        if name.endswith(suffix)
        and unit not in (field.description or "")
        and f"{unit} " not in (field.description or "")
    ]

    assert (silent, without_unit) == ([], [])


def test_every_setting_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    """What the environment can say, the command line can."""
    with pytest.raises(SystemExit) as left:
        main(["--help"])

    shown = capsys.readouterr().out
    assert left.value.code == 0
    assert [name for name in Settings.model_fields if f"--{name.replace('_', '-')}" not in shown] == []


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """``OSCP_ALLOW_INSECURE_CALLBACKS=1`` and a list with commas, as a shell writes them."""
    monkeypatch.setenv("OSCP_ALLOW_INSECURE_CALLBACKS", "1")
    monkeypatch.setenv("OSCP_CALLBACK_HOSTS", "fp.local, 10.0.0.7")
    monkeypatch.setenv("OSCP_PUBLIC_URL", "https://co.example/")

    settings = Settings()

    assert settings.allow_insecure_callbacks is True
    assert settings.callback_hosts == ("fp.local", "10.0.0.7")
    assert settings.public_url == "https://co.example"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 65_536),
        ("solve_deadline_s", 0),
        ("lease_s", float("inf")),
        ("naive_time_zone", "Mars/Olympus"),
        ("log_level", "LOUD"),
        ("workers", 0),
    ],
)
def test_what_cannot_be_is_refused(name: str, value: object) -> None:
    """A setting out of its bounds stops the start, not the first plan."""
    with pytest.raises(ValidationError, match=name):
        Settings.model_validate({name: value})


def test_secrets_are_not_shown() -> None:
    """A key does not reach a log through the settings."""
    settings = Settings.model_validate({"operator_key": "open-sesame", "token_key": "open-sesame"})

    assert "open-sesame" not in repr(settings) + str(settings.model_dump())
