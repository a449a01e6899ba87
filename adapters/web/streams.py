"""Streams of events: what changes, as it changes (html.spec.whatwg.org: server-sent events)."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import lru_cache

from starlette.responses import StreamingResponse

from adapters.web.house import WebHouse
from bot.outcome import run_json
from bot.run import Run

MEDIA_TYPE = "text/event-stream"
BEAT_SECONDS = 15.0
_HEADERS = {"X-Accel-Buffering": "no"}
"""A proxy is to pass on each event as it comes."""


def stream(house: WebHouse, still: Callable[[], Awaitable[bool]]) -> StreamingResponse:
    """Every change of every run from now on, for as long as `still` holds."""
    return StreamingResponse(_events(house, still), media_type=MEDIA_TYPE, headers=_HEADERS)


async def _events(house: WebHouse, still: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
    with house.feed.listening() as listener:
        yield b": listening\nretry: 2000\n\n"
        proven_at = time.monotonic()
        async for runs in listener.changes(BEAT_SECONDS):
            # However much goes on, nobody listens for longer than this without proof.
            if not runs or listener.suspect or time.monotonic() - proven_at > BEAT_SECONDS:
                listener.suspect, proven_at = False, time.monotonic()
                if not await still():
                    return
            yield b"".join(map(event, runs)) if runs else b": still here\n\n"


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
