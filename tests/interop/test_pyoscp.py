"""pyoscp from the package index as a live peer: as flexibility provider and as capacity provider, either side first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.pyoscp import Pyoscp, UnavailableError, pyoscp, python_with_pyoscp
from tests.interop.live import Bench, forecast, our_server, this_hour, until

FIRST = "first-token-that-it-accepts"
HANDLERS = {"fp": "handleUpdateGroupCapacityForecast", "cp": "handleAdjustGroupCapacityForecast"}
# A capacity provider takes no UpdateGroupCapacityForecast, but takes adjustments.
SETTINGS: dict[str, dict[str, Any]] = {"fp": {}, "cp": {"optimum_delivery": "adjust"}}


@pytest.fixture(autouse=True, scope="module")
def _installed() -> None:
    try:
        python_with_pyoscp()
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Bench]:
    """A server of ours."""
    with our_server(tmp_path, heartbeat_interval_s=1) as made:
        yield made


@pytest.fixture
def provider() -> Iterator[Pyoscp]:
    """A flexibility provider."""
    with pyoscp("fp", FIRST) as made:
        yield made


def meet(operator: Bench, peer: Pyoscp, actor: str = "fp") -> str:
    """Register there and shake hands; our id of the peer."""
    asked = {"name": actor, "profile": "pyoscp", "base_url": peer.base_url, "token": FIRST}
    peer_id: str = operator.do("POST", "/v1/peers", asked | {"overrides": SETTINGS[actor]})["peer_id"]
    until(lambda: operator.peer(peer_id)["state"] == "registered", "the registration")
    until(lambda: peer.calls("/handshake"), "our handshake")
    return peer_id


def optima(peer: Pyoscp, actor: str = "fp") -> list[dict[str, Any]]:
    """Every OPTIMUM it was given."""
    return [payload for payload in peer.handled(HANDLERS[actor]) if payload["type"] == "OPTIMUM"]


@pytest.mark.parametrize("actor", ["fp", "cp"])
def test_a_forecast_is_answered(operator: Bench, actor: str) -> None:
    """We register, it acknowledges the handshake and beats; its forecast of 8, 4 and 0 kW is answered by a plan of
    20 kWh that keeps to them, and a cut by another.
    """
    with pyoscp(actor, FIRST) as peer:
        peer_id = meet(operator, peer, actor)
        peer.tick()
        until(lambda: operator.peer(peer_id)["handshake_at"], "its acknowledgement")
        until(lambda: operator.peer(peer_id)["offline_at"], "its heartbeat")
        until(lambda: [known for known in peer.peers().values() if "offline_at" in known], "our heartbeat")
        operator.put_site(peer_id, arrival=this_hour())

        assert peer.send("POST", "/update_group_capacity_forecast", forecast(0, 8, 4, 0)) == 204
        (answer,) = until(lambda: optima(peer, actor), "the OPTIMUM")
        assert peer.send("POST", "/update_group_capacity_forecast", forecast(0, 2, 2, 0)) == 204
        cut = until(lambda: optima(peer, actor)[1:], "the OPTIMUM after the cut")[0]

    assert answer["group_id"] == "g1"
    assert [block["capacity"] for block in answer["forecasted_blocks"]] == [0, 8, 4, 0]
    assert [block["capacity"] for block in cut["forecasted_blocks"]] == [0, 2, 2, 0]
    assert {block["unit"] for block in answer["forecasted_blocks"]} == {"KW"}


def test_the_provider_begins(operator: Bench, provider: Pyoscp) -> None:
    """It registers with a token of ours. One Register each way: neither side takes the other's for a new one."""
    invited = operator.do("POST", "/v1/peers", {"name": "fp", "profile": "pyoscp"})
    provider.register_at(invited["base_url"], invited["token"])
    until(lambda: operator.peer(invited["peer_id"])["state"] == "registered", "the registration")
    until(lambda: provider.calls("/handshake"), "our handshake")

    assert [call["correlated"] for call in provider.calls("/register")] == [True]
    assert provider.send("POST", "/heartbeat", {"offline_mode_at": "2099-01-01 00:00:00"}) == 204


def test_measurements_reach_the_plan(operator: Bench, provider: Pyoscp) -> None:
    """5 of 20 kWh were delivered: no more than 15 kWh are planned afterwards."""
    peer_id = meet(operator, provider)
    operator.put_site(peer_id, arrival=this_hour())
    assert provider.send("POST", "/update_group_capacity_forecast", forecast(*[22] * 5)) == 204
    until(lambda: optima(provider), "the OPTIMUM")
    measurement = {
        "value": 5000.0,
        "phase": "ALL",
        "unit": "WH",
        "direction": "IMPORT",
        "energy_type": "TOTAL",
        "initial_measure_time": operator.do("GET", "/v1/sites/depot/plan")["made_at"],
        "measure_time": datetime.now(UTC).isoformat(),
    }
    asset = {"asset_id": "C1", "asset_category": "CHARGING", "energy_measurement": measurement}

    assert provider.send("POST", "/update_asset_measurements", {"group_id": "g1", "measurements": [asset]}) == 204
    until(lambda: operator.do("GET", "/v1/sites/depot/plan")["requested_energy_kwh"] < 15.001, "the plan of 15 kWh")


def test_put_moves_it(operator: Bench, provider: Pyoscp) -> None:
    """After PUT /register with another token and address we call it there, with that token."""
    peer_id = meet(operator, provider)
    (known,) = provider.peers()
    with pyoscp("fp", "token-of-the-new-place") as moved:
        offer = {"version": "2.0", "base_url": moved.base_url}
        body = {"token": "token-of-the-new-place", "version_url": [offer]}
        assert provider.send("PUT", "/register", body) == 204
        operator.put_site(peer_id, arrival=this_hour())
        assert provider.send("POST", "/update_group_capacity_forecast", forecast(4)) == 204
        until(lambda: optima(moved), "the OPTIMUM at the new place")

    assert operator.peer(peer_id)["base_url"] == moved.base_url
    assert optima(provider) == []
    assert list(provider.peers()) == [known]


def test_rotation(operator: Bench, provider: Pyoscp) -> None:
    """Registering again replaces the tokens of both sides; it is understood in both directions afterwards."""
    peer_id = meet(operator, provider)
    (before,) = provider.peers()
    registered_at = operator.peer(peer_id)["registered_at"]

    operator.do("POST", f"/v1/peers/{peer_id}/register")
    until(lambda: operator.peer(peer_id)["registered_at"] != registered_at, "the second registration")
    operator.put_site(peer_id, arrival=this_hour())
    assert provider.send("POST", "/update_group_capacity_forecast", forecast(4)) == 204
    until(lambda: optima(provider), "the OPTIMUM")

    assert before not in provider.peers()


def test_we_leave(operator: Bench, provider: Pyoscp) -> None:
    """A peer that is revoked is told so by DELETE, and its token is good for nothing from then on."""
    peer_id = meet(operator, provider)
    operator.do("DELETE", f"/v1/peers/{peer_id}")
    until(lambda: not provider.peers(), "our DELETE")

    assert [call["method"] for call in provider.calls("/register")].count("DELETE") == 1


def test_it_leaves(operator: Bench, provider: Pyoscp) -> None:
    """DELETE without a body ends the registration; what it sends afterwards is refused."""
    peer_id = meet(operator, provider)

    assert provider.send("DELETE", "/register") == 204
    assert operator.peer(peer_id)["state"] == "unregistered"
    assert provider.send("POST", "/update_group_capacity_forecast", forecast(4)) == 403
