"""Energy moved from session to session along ways that cost nothing, until it has a place and full limits are full.

Where many columns cost the same, filling them one after the other leaves some energy without a place, and some limits
that have to be full with room. A way goes from a place of capacity to the next through a session that can have its
energy at either; what one gives the next takes, up to a place with room.

Source: maximum flow by shortest augmenting ways (Edmonds and Karp, 1972).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.domain.time_grid import BoolArray, FloatArray

NEGLIGIBLE_KWH = 1e-7

MOST_LOOKS = 2_000
"""How many places are looked at in all, some 30 microseconds each at 5,000 sessions. What is wrong then is left to
simplex."""

NOWHERE = -1
"""The place of what has none, the last one."""
END = -1
"""What follows the last place of a way, since nothing goes nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Places:
    """N places of capacity and the S sessions that have energy there at the same cost; figures are changed.

    Args:
        energy_kwh: (N + 1, S), what each session has where; last what has no place.
        free_kwh: (N + 1, S), what it can have besides; last nothing.
        room_kwh: (N + 1,), what more a place takes; last nothing.
        is_to_fill: (N + 1,), whether it has to be full; last not.
    """

    energy_kwh: FloatArray
    free_kwh: FloatArray
    room_kwh: FloatArray
    is_to_fill: BoolArray

    @property
    def has_room(self) -> BoolArray:
        """(N + 1,)."""
        return self.room_kwh > NEGLIGIBLE_KWH


def settle(places: Places) -> None:
    """Find a place for what has none, then fill what has to be full, as far as there are ways."""
    moves = _Moves(places)
    while moves.place():
        pass
    while moves.fill():
        pass


class _Moves:
    def __init__(self, places: Places) -> None:
        self._places = places
        self._gives, self._takes = _bits(places.energy_kwh), _bits(places.free_kwh)
        self._looks = MOST_LOOKS

    def place(self) -> bool:
        """Move what has no place to where it can go first, and on to where there is room; whether any was moved."""
        if not self._gives[NOWHERE].any():
            return False
        ways = self._ways(self._places.has_room)
        moved = [self._move([NOWHERE, *way]) for way in ways if (self._gives[NOWHERE] & self._takes[way[0]]).any()]
        return any(moved)

    def fill(self) -> bool:
        """Move from each place that need not be full to one that has to; whether anything was moved."""
        is_to_fill = self._places.is_to_fill
        ways = self._ways(is_to_fill & self._places.has_room)
        moved = [self._move(way) for way in ways if not is_to_fill[way[0]]]
        return any(moved)

    def _ways(self, ends: BoolArray) -> list[list[int]]:
        """From each place that has one a shortest way to an end, the shortest first."""
        following = np.full(ends.size, END)
        is_found = ends.copy()
        found: list[int] = np.flatnonzero(ends).tolist()
        for place in found:
            if self._looks == 0:
                return []
            self._looks -= 1
            new = (self._gives & self._takes[place]).any(axis=1) & ~is_found
            following[new] = place
            is_found |= new
            found += np.flatnonzero(new).tolist()
        ways = []
        for place in found:
            way = [place]
            while following[way[-1]] != END:
                way.append(int(following[way[-1]]))
            ways.append(way)
        return ways

    def _move(self, way: list[int]) -> bool:
        """Move as much as goes a way; whether that is anything."""
        energy, free, room = self._places.energy_kwh, self._places.free_kwh, self._places.room_kwh
        steps = list(pairwise(way))
        can = [np.minimum(energy[place], free[following]) for place, following in steps]
        moved_kwh = min([float(room[way[-1]]), *(float(each.sum()) for each in can)])
        if moved_kwh <= NEGLIGIBLE_KWH:
            return False
        for (place, following), each in zip(steps, can, strict=True):
            # The first sessions that can, as much as they can.
            moved = np.clip(moved_kwh - (np.cumsum(each) - each), 0.0, each)
            energy[place] -= moved
            free[place] += moved
            energy[following] += moved
            free[following] -= moved
        room[way[0]] += moved_kwh
        room[way[-1]] -= moved_kwh
        # To what has no place nothing is added.
        free[NOWHERE], room[NOWHERE] = 0.0, 0.0
        self._gives[way], self._takes[way] = _bits(energy[way]), _bits(free[way])
        return True


def _bits(figure_kwh: FloatArray) -> NDArray[np.uint8]:
    """(N, S / 8), whether there is any, a bit for each session."""
    return np.packbits(figure_kwh > NEGLIGIBLE_KWH, axis=1)
