"""OSCP 2.0 handshakes: the forms in which peers state their wishes, and the one in which ours are written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from models.oscp.v20 import Handshake, HandshakeAcknowledge, MeasurementConfiguration, RequiredBehaviour

CONTINUOUS = MeasurementConfiguration.CONTINUOUS
INTERMITTENT = MeasurementConfiguration.INTERMITTENT
BOTH = [Handshake, HandshakeAcknowledge]


def make_behaviour(**override: Any) -> dict[str, Any]:
    """A valid behaviour as JSON object, some properties replaced."""
    return {"heartbeat_interval": 60, "measurement_configuration": ["CONTINUOUS", "INTERMITTENT"]} | override


def make_body(**override: Any) -> dict[str, Any]:
    """A valid handshake as JSON object, some properties of its behaviour replaced."""
    return {"required_behaviour": make_behaviour(**override)}


def read(
    body: dict[str, Any], message: type[Handshake | HandshakeAcknowledge] = Handshake
) -> Handshake | HandshakeAcknowledge:
    """Read a handshake as text and as objects; both ways must agree."""
    handshake = message.model_validate_json(json.dumps(body))
    assert message.model_validate(body) == handshake
    return handshake


def behaviour(
    body: dict[str, Any], message: type[Handshake | HandshakeAcknowledge] = Handshake
) -> tuple[int | None, tuple[str, ...]]:
    """Interval and configurations that a body asks for."""
    required = read(body, message).required_behaviour
    return required.heartbeat_interval, required.measurement_configuration


def refused(body: object) -> str:
    """Where and why a handshake is refused, as text and as objects."""
    with pytest.raises(ValidationError) as from_text:
        Handshake.model_validate_json(json.dumps(body))
    with pytest.raises(ValidationError) as from_objects:
        Handshake.model_validate(body)
    assert [error["loc"] for error in from_text.value.errors()] == [e["loc"] for e in from_objects.value.errors()]
    return str(from_text.value)


@pytest.mark.parametrize("message", BOTH)
@pytest.mark.parametrize(
    "body",
    [
        make_body(),
        make_body(heartbeat_interval=120, measurement_configuration=["CONTINUOUS"]),
        make_body(measurement_configuration=[]),
        {"required_behaviour": {"measurement_configuration": ["CONTINUOUS"]}},
    ],
    ids=["full", "continuous", "no configuration", "no heartbeats"],
)
def test_handshake_is_written_as_it_was_read(
    message: type[Handshake | HandshakeAcknowledge], body: dict[str, Any]
) -> None:
    """Every form of the schema comes out unchanged; an interval that was not asked for is left out, not null."""
    assert json.loads(read(body, message).model_dump_json()) == body


@pytest.mark.parametrize("message", BOTH)
@pytest.mark.parametrize(
    "body",
    [
        {"heartbeat_interval": 60, "measurement_configuration": ["CONTINUOUS"]},
        {"heartbeat_interval": 60, "measurement_configuration": ["CONTINUOUS"], "note": "x"},
    ],
    ids=["flat", "flat with more"],
)
def test_flat_body_is_read_as_the_behaviour(
    message: type[Handshake | HandshakeAcknowledge], body: dict[str, Any]
) -> None:
    """Two client libraries send the behaviour itself; it is written nested, as the schema has it."""
    assert behaviour(body, message) == (60, (CONTINUOUS,))
    assert read(body, message).model_dump(mode="json") == make_body(measurement_configuration=["CONTINUOUS"])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"heartbeat_interval": 60}, (60, ())),
        ({"measurement_configuration": ["INTERMITTENT"]}, (None, (INTERMITTENT,))),
    ],
    ids=["interval", "configuration"],
)
def test_flat_body_may_have_one_property(body: dict[str, Any], expected: tuple[int | None, tuple[str, ...]]) -> None:
    """One known property is enough to tell a flat body."""
    assert behaviour(body) == expected


def test_nested_behaviour_comes_before_a_flat_one() -> None:
    """Where a body has both forms, the standard's holds."""
    assert behaviour(make_body(heartbeat_interval=60) | {"heartbeat_interval": 5})[0] == 60


def test_bounds_hold_for_a_flat_body() -> None:
    """A flat body is read by the same rules."""
    assert "required_behaviour.heartbeat_interval" in refused({"heartbeat_interval": 0})


@pytest.mark.parametrize("message", BOTH)
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"required_behaviour": {}},
        {"required_behaviour": None},
        {"required_behaviour": {"heartbeat_interval": None, "measurement_configuration": None}},
        {"note": "x"},
    ],
    ids=json.dumps,
)
def test_body_without_wishes(message: type[Handshake | HandshakeAcknowledge], body: dict[str, Any]) -> None:
    """Peers leave out any part, or write null; that asks for nothing, and is written as the schema wants it."""
    assert behaviour(body, message) == (None, ())
    assert read(body, message).model_dump(mode="json") == {"required_behaviour": {"measurement_configuration": []}}


def test_missing_measurement_configuration_is_read_and_written() -> None:
    """One peer acknowledges with the interval only; the schema requires the list, another peer refuses without it."""
    body = {"required_behaviour": {"heartbeat_interval": 60}}

    assert read(body, HandshakeAcknowledge).model_dump(mode="json") == make_body(measurement_configuration=[])


@pytest.mark.parametrize(
    ("interval", "written"),
    [(60, "60"), (60.0, "60"), (60.5, "60"), (60.999, "60"), (1.0, "1"), (31_536_000, "31536000")],
)
def test_heartbeat_interval_is_written_as_whole_seconds(interval: float, written: str) -> None:
    """One peer sends 60.0, the schema allows 60.5; written is 60, for one peer refuses fractions and an early heartbeat
    breaks no promise.
    """
    handshake = read(make_body(heartbeat_interval=interval))

    assert f'"heartbeat_interval":{written},' in handshake.model_dump_json()


@pytest.mark.parametrize(
    "interval",
    [0, 0.0, 0.999, -60, 31_536_001, 1e300, float("nan"), float("inf"), "60", True, [60]],
    ids=repr,
)
def test_heartbeat_interval_is_a_bounded_number(interval: object) -> None:
    """An interval is a JSON number of 1 s to a year."""
    assert "required_behaviour.heartbeat_interval" in refused(make_body(heartbeat_interval=interval))


@pytest.mark.parametrize(
    ("configurations", "reason"),
    [
        (["CONTINUOUS", "CONTINUOUS"], "listed twice"),
        (["continuous"], "CONTINUOUS"),
        (["DAILY"], "CONTINUOUS"),
        (["CONTINUOUS", "INTERMITTENT", "CONTINUOUS"], "at most 2 items"),
        ("CONTINUOUS", "type=tuple_type"),
    ],
)
def test_measurement_configurations_are_different_words(configurations: object, reason: str) -> None:
    """The list holds each of the two upper-case words at most once."""
    reasons = refused(make_body(measurement_configuration=configurations))

    assert "required_behaviour.measurement_configuration" in reasons
    assert reason in reasons


def test_unknown_properties_are_ignored() -> None:
    """Peers add properties of their own; they neither disturb nor come out again."""
    body = make_body(note="x") | {"version": 1}

    assert read(body).model_dump(mode="json") == make_body()


@pytest.mark.parametrize("body", [[], "x", None, {"required_behaviour": []}, {"required_behaviour": 5}], ids=json.dumps)
def test_other_bodies_are_refused(body: object) -> None:
    """A handshake is an object, and so is the behaviour in it."""
    assert refused(body)


def test_handshake_can_be_written_from_values() -> None:
    """What we send always holds both fields."""
    handshake = Handshake(
        required_behaviour=RequiredBehaviour(heartbeat_interval=60, measurement_configuration=(CONTINUOUS,))
    )

    assert handshake.model_dump(mode="json") == make_body(measurement_configuration=["CONTINUOUS"])


def test_handshake_cannot_be_changed() -> None:
    """A handshake is what was sent: it cannot be assigned to."""
    with pytest.raises(ValidationError, match="frozen"):
        read(make_body()).required_behaviour.heartbeat_interval = 5  # type: ignore[misc]
