"""Which requests were seen before, and parts of messages that are not complete yet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, text, update

from api.persistence.frequent import FrequentStatement
from api.persistence.tables import seen_request, segment
from api.records import Segment
from models.errors import InputError

_KEY = ("peer_id", "path", "group_id", "request_id", "body_hash")
_COLUMNS = (*_KEY, "seen_at")
_SEEN = select(seen_request.c.seen_at).where(*(seen_request.c[name] == bindparam(name) for name in _KEY))
# The same words in both databases.
_SEE = FrequentStatement(
    text(
        f"INSERT INTO {seen_request.name} ({', '.join(_COLUMNS)}) "  # noqa: S608 - names of columns
        f"VALUES ({', '.join(f':{name}' for name in _COLUMNS)}) ON CONFLICT DO NOTHING"
    ).bindparams(bindparam("seen_at", type_=seen_request.c.seen_at.type))
)


class Inbox:
    """Stored traces of requests, within a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def is_repetition(
        self, peer_id: str, path: str, group_id: str, request_id: str, body_hash: str, *, now: datetime, memory_s: float
    ) -> bool:
        """Whether the same request came before, not longer ago than the memory; from now on it has."""
        key = dict(zip(_KEY, (peer_id, path, group_id, request_id, body_hash), strict=True))
        if _SEE.run(self._connection, **key, seen_at=now).rowcount:
            return False
        seen_at: datetime = self._connection.execute(_SEEN, key).scalar_one()
        # The clock may have stepped back: what was seen in its future was seen all the same.
        if now - seen_at <= timedelta(seconds=memory_s):
            return True
        same = [seen_request.c[name] == value for name, value in key.items()]
        self._connection.execute(update(seen_request).where(*same).values(seen_at=now))
        return False

    def add_segment(
        self, peer_id: str, path: str, new: Segment, *, now: datetime, age_s: float, max_bytes: int, max_segments: int
    ) -> Sequence[Segment] | None:
        """Keep a segment; when it completes its message, take all of them out.

        The set is that of the first segment's X-Request-ID; a following segment names that id or the one of the segment
        before it as its X-Correlation-ID, in whatever order they come. One that comes again replaces itself. Segments
        older than the age are dropped with their set.

        Returns:
            The segments in order of index once all are there; None before.

        Raises:
            InputError: The peer's segments that wait would be more than allowed, in number or bytes; the count differs
                from that of the set; or the index is not between 1 and the count.
        """
        if not 1 <= new.index <= new.count:
            raise InputError(f"X-Segment-Index {new.index} is not between 1 and X-Segment-Count {new.count}")
        self._drop_old(peer_id, before=now - timedelta(seconds=age_s))
        self._connection.execute(
            delete(segment).where(
                segment.c.peer_id == peer_id, segment.c.path == path, segment.c.request_id == new.request_id
            )
        )
        self._require_room(peer_id, new, max_bytes=max_bytes, max_segments=max_segments)
        set_id = self._set_of(peer_id, path, new)
        self._connection.execute(
            insert(segment).values(
                peer_id=peer_id,
                path=path,
                request_id=new.request_id,
                set_id=set_id,
                position=new.index,
                total=new.count,
                correlation_id=new.correlation_id,
                body=new.body,
                received_at=now,
            )
        )
        return self._taken_out(peer_id, path, set_id, new)

    def _set_of(self, peer_id: str, path: str, new: Segment) -> str:
        mine = (segment.c.peer_id == peer_id, segment.c.path == path)
        set_id = new.request_id
        if new.index > 1 and new.correlation_id:
            before = select(segment.c.set_id).where(*mine, segment.c.request_id == new.correlation_id)
            set_id = self._connection.execute(before).scalar() or new.correlation_id
        # Those that came before the one they name were put into a set of its name.
        self._connection.execute(update(segment).where(*mine, segment.c.set_id == new.request_id).values(set_id=set_id))
        return set_id

    def _taken_out(self, peer_id: str, path: str, set_id: str, new: Segment) -> Sequence[Segment] | None:
        mine = (segment.c.peer_id == peer_id, segment.c.path == path, segment.c.set_id == set_id)
        found = [_to_segment(row) for row in self._connection.execute(select(segment).where(*mine))]
        by_index = {one.index: one for one in found}
        if any(one.count != new.count for one in found):
            raise InputError(
                f"X-Segment-Count {new.count} of segment {new.index} differs from that of the segments before it"
            )
        if len(by_index) < new.count:
            return None
        self._connection.execute(delete(segment).where(*mine))
        return [by_index[index] for index in range(1, new.count + 1)]

    def _drop_old(self, peer_id: str, *, before: datetime) -> None:
        old = (
            select(segment.c.set_id)
            .where(segment.c.peer_id == peer_id, segment.c.received_at < before)
            .scalar_subquery()
        )
        self._connection.execute(delete(segment).where(segment.c.peer_id == peer_id, segment.c.set_id.in_(old)))

    def _require_room(self, peer_id: str, new: Segment, *, max_bytes: int, max_segments: int) -> None:
        waiting = select(func.count(), func.coalesce(func.sum(func.length(segment.c.body)), 0)).where(
            segment.c.peer_id == peer_id
        )
        count, size = self._connection.execute(waiting).one()
        if max(count + 1, new.count) > max_segments:
            raise InputError(f"{max(count + 1, new.count)} segments would wait; at most {max_segments} are kept")
        if size + len(new.body) > max_bytes:
            raise InputError(f"segments of {size + len(new.body)} bytes would wait; at most {max_bytes} are kept")


def _to_segment(row: Row[Any]) -> Segment:
    return Segment(
        index=row.position,
        count=row.total,
        request_id=row.request_id,
        correlation_id=row.correlation_id,
        body=row.body,
    )
