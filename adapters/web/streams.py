"""Streams of events: what changes, as it changes (html.spec.whatwg.org: server-sent events)."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache

from starlette.responses import StreamingResponse

from adapters.web.house import WebHouse
from adapters.web.problems import RefusedError, refusal
from bot import refusals
from bot.feed import Listener
from bot.outcome import Word, run_json
from bot.ports import DatabaseUnavailableError
from bot.run import Run

MEDIA_TYPE = "text/event-stream"
BEAT_SECONDS = 15.0
_AGAIN_SECONDS = 10
_HEADERS = {"X-Accel-Buffering": "no"}
"""A proxy is to pass on each event as it comes."""


@contextmanager
def listener_of(house: WebHouse, name: str) -> Iterator[Listener]:
    """Whoever has this name hears of changes. Raises RefusedError where too many do."""
    if not house.feed.has_room(name):
        patience = {"Retry-After": str(_AGAIN_SECONDS)}
        raise RefusedError(refusal(Word.BUSY, refusals.too_many_streams(), 429, patience))
    with house.feed.listening(name) as listener:
        yield listener


def stream(listener: Listener, still: Callable[[], Awaitable[bool]]) -> StreamingResponse:
    """Every change of every run that `listener` hears of, for as long as `still` holds."""
    return StreamingResponse(_events(listener, still), media_type=MEDIA_TYPE, headers=_HEADERS)


async def _events(listener: Listener, still: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
    yield b": listening\nretry: 2000\n\n"
    proven_at = time.monotonic()
    async for runs in listener.changes(BEAT_SECONDS):
        # However much goes on, nobody listens for longer than this without proof.
        if not runs or listener.suspect or time.monotonic() - proven_at > BEAT_SECONDS:
            listener.suspect, proven_at = False, time.monotonic()
            if not await _proven(still):
                return
        yield b"".join(map(event, runs)) if runs else b": still here\n\n"


async def _proven(still: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await still()
    except DatabaseUnavailableError:
        # The answer has begun, so that nothing can be said; whoever comes back is told.
        return False


def event(run: Run) -> bytes:
    """A run as an event; the same bytes go to everybody who listens."""
    return _event(_Known(run))


class _Known:
    """A run as it was at one version, so that it is written out once."""

    __slots__ = ("key", "run")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.key = (run.id, run.version, run.stale)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Known) and other.key == self.key


@lru_cache(maxsize=512)
def _event(known: _Known) -> bytes:
    run = known.run
    data = json.dumps(run_json(run), separators=(",", ":"))
    return f"event: run\nid: {run.id}.{run.version}\ndata: {data}\n\n".encode()
