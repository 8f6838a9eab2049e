"""Energy moved along ways that cost nothing, against a flow of minimum cost over whole numbers."""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.domain.time_grid import FloatArray
from optimizer import augmenting
from optimizer.augmenting import Places, settle


@dataclass(frozen=True, kw_only=True)
class Start:
    """What there is at first, in whole kWh: by place and session, and by place."""

    energy: list[list[int]]
    free: list[list[int]]
    short: list[int]
    room: list[int]
    is_to_fill: list[bool]

    def places(self) -> Places:
        """The same as places."""
        return Places(
            energy_kwh=np.array([*self.energy, self.short], dtype=float),
            free_kwh=np.array([*self.free, [0] * len(self.short)], dtype=float),
            room_kwh=np.array([*self.room, 0], dtype=float),
            is_to_fill=np.array([*self.is_to_fill, False]),
        )

    def least(self) -> tuple[int, int]:
        """How much stays without a place at least, and how much what has to be full lacks at least then, kWh."""
        graph: nx.DiGraph[object] = nx.DiGraph()
        graph.add_nodes_from(["source", "sink"])
        energy, free = np.array(self.energy), np.array(self.free)
        needs = energy.sum(axis=0) + self.short
        for session, need in enumerate(needs.tolist()):
            graph.add_edge("source", ("session", session), capacity=need, weight=0)
        for place, row in enumerate((energy + free).tolist()):
            most = self.room[place] + sum(self.energy[place])
            graph.add_edge(("place", place), "sink", capacity=most, weight=-1 if self.is_to_fill[place] else 0)
            for session, width in enumerate(row):
                graph.add_edge(("session", session), ("place", place), capacity=width, weight=0)
        flow = nx.max_flow_min_cost(graph, "source", "sink")
        filled = sum(flow["place", place]["sink"] for place, full in enumerate(self.is_to_fill) if full)
        wanted = sum(
            room + sum(row) for room, row, full in zip(self.room, self.energy, self.is_to_fill, strict=True) if full
        )
        return int(needs.sum()) - sum(flow["source"].values()), wanted - filled


@st.composite
def starts(draw: st.DrawFn) -> Start:
    """Few places and sessions, of which many are full or empty."""
    places, sessions = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    few = st.sampled_from([0, 0, 1, 2, 5])

    def table() -> list[list[int]]:
        return draw(st.lists(st.lists(few, min_size=sessions, max_size=sessions), min_size=places, max_size=places))

    return Start(
        energy=table(),
        free=table(),
        short=draw(st.lists(few, min_size=sessions, max_size=sessions)),
        room=draw(st.lists(few, min_size=places, max_size=places)),
        is_to_fill=draw(st.lists(st.booleans(), min_size=places, max_size=places)),
    )


def books(places: Places) -> list[FloatArray]:
    """What no move changes: energy of each session, width of each column, load and room of each place."""
    energy, free = places.energy_kwh, places.free_kwh
    return [energy.sum(axis=0), (energy + free)[:-1], (places.room_kwh + energy.sum(axis=1))[:-1]]


@given(start=starts())
@settings(max_examples=300)
def test_no_other_moves_would_do_better(start: Start) -> None:
    """As little stays without a place as can be, and what has to be full is as full as it can be then."""
    places = start.places()
    settle(places)

    short, lacking = start.least()
    assert places.energy_kwh[-1].sum() == pytest.approx(short)
    assert places.room_kwh[places.is_to_fill].sum() == pytest.approx(lacking)


@given(start=starts(), looks=st.integers(0, 8))
def test_moves_only_move(start: Start, looks: int) -> None:
    """Wherever they stop, nobody has more or less than before, and nothing is below zero."""
    places = start.places()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(augmenting, "MOST_LOOKS", looks)
        settle(places)

    for before, after in zip(books(start.places()), books(places), strict=True):
        assert after == pytest.approx(before)
    assert min(places.energy_kwh.min(), places.free_kwh.min(), places.room_kwh.min()) >= -1e-9
