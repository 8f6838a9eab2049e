"""Messages of OSCP 2.0 in parts: X-Segment-Index and X-Segment-Count."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from httpx2 import Response

from tests.api.oscp.bench import (
    Bench,
    Caller,
    asset_body,
    block,
    forecast_body,
    group_body,
    message_of,
    register_body,
    running,
)

PATH = "/update_group_capacity_forecast"


def part(
    peer: Caller,
    index: object,
    count: object,
    body: object,
    *,
    names: str | None = None,
    path: str = PATH,
    run: str = "s",
) -> Response:
    """Send a part; its id is that of the run and its index, and it names the first part unless told."""
    correlation = names if names is not None else ("" if index == 1 else f"{run}1")
    headers = {"X-Segment-Index": str(index), "X-Segment-Count": str(count)}
    if correlation:
        headers["X-Correlation-ID"] = correlation
    return peer.send(path, body, request_id=f"{run}{index}", headers=headers)


@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3))), ids=str)
@pytest.mark.parametrize("chained", [False, True], ids=["names the first", "names the one before"])
def test_parts_that_are_messages_are_one_in_order_of_index(
    bench: Bench, peer: Caller, order: tuple[int, ...], chained: bool
) -> None:
    """Two pages of one source disagree on which part a later one names: both are read. Whatever the order of arrival,
    each part is answered 204 and the blocks are joined in order of index.
    """
    site_id = bench.add_site(peer)

    for index in order:
        names = f"s{index - 1}" if chained and index > 1 else None
        assert part(peer, index, 3, forecast_body(block(index)), names=names).status_code == 204
        assert len(bench.events(site_id)) == (1 if index == order[-1] else 0)
    assert bench.bodies(site_id) == [forecast_body(block(1.0), block(2.0), block(3.0))]


@pytest.mark.parametrize(
    ("path", "body"), [("/update_asset_measurements", asset_body()), ("/update_group_measurements", group_body())]
)
def test_measurements_come_in_parts_too(bench: Bench, peer: Caller, path: str, body: dict[str, list[object]]) -> None:
    """Their arrays are joined in the same way."""
    site_id = bench.add_site(peer)

    for index in (1, 2):
        assert part(peer, index, 2, body, path=path).status_code == 204
    assert bench.bodies(site_id) == [body | {"measurements": 2 * body["measurements"]}]


def test_parts_that_are_no_messages_are_joined_by_byte(bench: Bench, peer: Caller) -> None:
    """How a body is cut is not stated: one that was cut anywhere is read as a whole."""
    site_id = bench.add_site(peer)
    body = json.dumps(forecast_body()).encode()

    for index, piece in enumerate((body[:7], body[7:50], body[50:]), start=1):
        assert part(peer, index, 3, piece).status_code == 204
    assert bench.bodies(site_id) == [forecast_body()]


@pytest.mark.parametrize(
    "second",
    [forecast_body(group_id="g2"), forecast_body(kind="GENERATION"), b"garbage"],
    ids=["another group", "another type", "garbage"],
)
def test_parts_that_make_no_message_are_400_on_the_last(bench: Bench, peer: Caller, second: object) -> None:
    """The set is dropped: a new one under the same ids starts afresh."""
    site_id = bench.add_site(peer, "g1", "g2")

    assert part(peer, 1, 2, forecast_body()).status_code == 204
    answer = part(peer, 2, 2, second)
    assert answer.status_code == 400
    assert message_of(answer)
    assert bench.events(site_id) == ()
    bench.clock.advance(bench.context.settings.request_memory_s + 1)
    assert part(peer, 2, 2, forecast_body(block(2))).status_code == 204
    assert bench.events(site_id) == ()


@pytest.mark.parametrize(
    ("index", "count"),
    [(0, 2), (3, 2), (1, 0), (-1, 2), ("one", 2), (1, ""), ("1.0", 2), (1, 101), ("9" * 5000, "9" * 5000), ("²", 3)],
    ids=lambda value: str(value)[:5],
)
def test_index_lies_between_one_and_the_count(bench: Bench, peer: Caller, index: object, count: object) -> None:
    """Whole numbers from 1 on, and no more parts than are allowed."""
    bench.add_site(peer)
    headers = {"X-Segment-Index": str(index).encode(), "X-Segment-Count": str(count).encode()}

    answer = peer.send(PATH, forecast_body(), headers=headers)  # type: ignore[arg-type]  # httpx2 takes bytes
    assert answer.status_code == 400
    assert "X-Segment" in message_of(answer)


@pytest.mark.parametrize("name", ["X-Segment-Index", "X-Segment-Count"])
def test_both_headers_or_none(bench: Bench, peer: Caller, name: str) -> None:
    """One says nothing without the other."""
    bench.add_site(peer)

    assert peer.send(PATH, forecast_body(), headers={name: "1"}).status_code == 400


def test_part_without_an_id_is_400_whoever_sends_it(bench: Bench) -> None:
    """Parts are told apart by their ids: without any, the second would take the place of the first."""
    peer = bench.add_peer("pyoscp")
    bench.add_site(peer)
    head = {"X-Segment-Index": "1", "X-Segment-Count": "2"}

    answer = peer.send(PATH, forecast_body(), request_id=None, headers=head)
    assert answer.status_code == 400
    assert "X-Request-ID" in message_of(answer)


def test_only_part_is_the_message(bench: Bench, peer: Caller) -> None:
    """One of one is a message in one piece, on every path."""
    site_id = bench.add_site(peer)

    assert part(peer, 1, 1, forecast_body()).status_code == 204
    assert part(peer, 1, 1, {}, path="/heartbeat").status_code == 204
    assert len(bench.events(site_id)) == 1


def test_small_messages_come_in_one_piece(peer: Caller) -> None:
    """A Register in parts would be an odd thing."""
    assert part(peer, 1, 2, register_body(), path="/register").status_code == 400


def test_part_that_comes_again_replaces_itself(bench: Bench, peer: Caller) -> None:
    """Also the last one: the message is there once."""
    site_id = bench.add_site(peer)

    for index in (1, 1, 2, 2):
        assert part(peer, index, 2, forecast_body(block(index))).status_code == 204
    assert bench.bodies(site_id) == [forecast_body(block(1.0), block(2.0))]


def test_parts_of_another_peer_or_path_do_not_count(bench: Bench, peer: Caller) -> None:
    """Two peers may use the same ids."""
    other = bench.add_peer()
    sites = [bench.add_site(peer), bench.add_site(other)]

    part(peer, 1, 2, forecast_body())
    part(other, 2, 2, forecast_body())
    part(peer, 2, 2, group_body(), path="/update_group_measurements")
    assert [bench.events(site_id) for site_id in sites] == [(), ()]


def test_parts_that_are_too_old_do_not_count(bench: Bench, peer: Caller) -> None:
    """A set that is not complete in time is dropped."""
    site_id = bench.add_site(peer)

    part(peer, 1, 2, forecast_body())
    bench.clock.advance(bench.context.settings.segment_age_s + 1)
    assert part(peer, 2, 2, forecast_body()).status_code == 204
    assert bench.events(site_id) == ()


def test_parts_that_wait_are_limited_in_bytes(folder: Path) -> None:
    """What is larger as a whole than a message may be is refused before it is all there."""
    with running(folder, max_body_bytes=2_000) as bench:
        peer = bench.add_peer()
        bench.add_site(peer)

        answers = [part(peer, index, 4, b"x" * 900).status_code for index in (1, 2, 3)]
        assert answers == [204, 204, 400]


def test_parts_that_wait_are_limited_in_number(folder: Path) -> None:
    """Of all the sets of a peer together."""
    with running(folder, max_segments=3) as bench:
        peer = bench.add_peer()
        bench.add_site(peer)

        answers = [part(peer, 1, 2, b"x", run=run).status_code for run in "abcd"]
        assert answers == [204, 204, 204, 400]


def test_first_part_names_the_message_that_the_whole_answers(bench: Bench, peer: Caller) -> None:
    """X-Correlation-ID of the first part is not that of a part: recorded of one implementation."""
    site_id = bench.add_site(peer)

    assert part(peer, 1, 2, forecast_body(block(1)), names="orig-1").status_code == 204
    assert part(peer, 2, 2, forecast_body(block(2))).status_code == 204
    assert bench.bodies(site_id) == [forecast_body(block(1.0), block(2.0))]


def test_unknown_group_keeps_the_parts_that_were_acknowledged(bench: Bench, peer: Caller) -> None:
    """404 on the last part only undoes that one: it may come again once the group is there."""
    part(peer, 1, 2, forecast_body(block(1)))
    assert part(peer, 2, 2, forecast_body(block(2))).status_code == 404
    site_id = bench.add_site(peer)

    assert part(peer, 2, 2, forecast_body(block(2))).status_code == 204
    assert bench.bodies(site_id) == [forecast_body(block(1.0), block(2.0))]
