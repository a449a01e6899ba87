"""Connections: how many there are at once, and for how long one may keep Baton waiting.

uvicorn measures only the pause between an answer and the next request.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 10
"""From the beginning of a request until all of it is there; the first has to begin in that time."""
READER_SECONDS = 30
"""From the moment in which an answer is not taken as it comes until all of it is taken."""
_SILENT_SECONDS = 0.5
"""For so long nobody has to make way."""
_TO_COME = (h11.IDLE, h11.SEND_BODY)
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"Retry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many may be connected, and who has said nothing yet, in the order in which they came."""

    most: int
    inside: "set[Connection]" = field(default_factory=set)
    silent: "dict[Connection, float]" = field(default_factory=dict)

    def admits(self, newcomer: "Connection") -> bool:
        """Whether there is room; who has been silent makes way for whoever may have a question."""
        if len(self.inside) >= self.most and not self._makes_way():
            return False
        self.inside.add(newcomer)
        self.silent[newcomer] = monotonic()
        return True

    def _makes_way(self) -> bool:
        first, since = next(iter(self.silent.items()), (None, 0.0))
        # Of those that came just now the question may be on its way.
        if first is None or monotonic() - since < _SILENT_SECONDS:
            return False
        first.leave()
        return True

    def forget(self, one: "Connection") -> None:
        """There is a place more."""
        self.inside.discard(one)
        self.silent.pop(one, None)


class _Deadline:
    """Until when something has to be done; else it is the end."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end
        self._due: asyncio.TimerHandle | None = None

    def set_in(self, seconds: float) -> None:
        """It stays where it is if it is set already."""
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(seconds, self._end)

    def lift(self) -> None:
        """It is done."""
        if self._due is not None:
            self._due.cancel()
            self._due = None


class Connection(H11Protocol):
    """Closed where a request does not come, or an answer is not taken."""

    def __init__(self, crowd: Crowd, **given: Any) -> None:  # noqa: ANN401 - whatever uvicorn gives
        super().__init__(**given)
        self._crowd = crowd
        self._begun = False
        self._request = _Deadline(self.leave)
        self._reader = _Deadline(self._drop)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn does
        """Let it in where there is room."""
        super().connection_made(transport)
        # So that we are told of everything that is not taken, however little.
        transport.set_write_buffer_limits(high=0)
        if self._crowd.admits(self):
            self._request.set_in(REQUEST_SECONDS)
        else:
            transport.write(_FULL)
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Something of a request has come; however long it was awaited, it has its own time."""
        self._crowd.silent.pop(self, None)
        if not self._begun:
            self._begun = True
            self._request.lift()
        super().data_received(data)
        if self.conn.their_state in _TO_COME:
            self._request.set_in(REQUEST_SECONDS)
        else:
            self._request.lift()

    def on_response_complete(self) -> None:
        """The next request may come; for how long it is awaited is uvicorn's business."""
        super().on_response_complete()
        self._begun = False

    def pause_writing(self) -> None:
        """Something waits to be taken."""
        super().pause_writing()
        self._reader.set_in(READER_SECONDS)

    def resume_writing(self) -> None:
        """All of it was taken."""
        super().resume_writing()
        self._reader.lift()

    def leave(self) -> None:
        """Close it once everything is taken."""
        self._crowd.forget(self)
        self.transport.close()

    def _drop(self) -> None:
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        super().connection_lost(exc)
        self._crowd.forget(self)
        self._request.lift()
        self._reader.lift()
