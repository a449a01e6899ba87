"""Events where there is not room for everybody, and where something goes wrong meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from adapters.web import serve, streams
from bot import feed
from bot.bootstrap import Installation, Joined, serving
from bot.bootstrap import web as serving_web
from bot.ports import Store, Watch
from store.database import sqlite_file
from tests.conftest import DEADLINE_SECONDS
from tests.web.asking import Asking, open_session, signed_in
from tests.web.house import Web, address_in, installation_for, opened
from tests.web.test_operating import damaged, lacks, until_ready
from tests.web.test_streams import listeners, until_audience

# --- too many --------------------------------------------------------------------------------


async def assert_crowded(asking: Asking, path: str) -> None:
    """One more stream is refused, as a problem."""
    answer = await asking.having(Accept=streams.MEDIA_TYPE).get(path)
    assert (answer.status, answer.kind) == (429, "application/problem+json")
    assert answer.headers["Retry-After"] == "10"
    assert answer.json["outcome"] == "busy"
    assert "Too many streams of events are open" in answer.json["reply"]


async def test_one_name_has_so_many_streams(fresh: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a script or a page has them, one counts as the other."""
    monkeypatch.setattr(feed, "MOST_OF_ONE", 3)
    secret = await fresh.token("viewer", "ana")
    script, browser = fresh.with_token(secret), await signed_in(fresh.asking, secret)
    other = await fresh.script("viewer")
    async with listeners(script, 2), browser.asking.stream("/events"):
        await assert_crowded(script, "/api/events")
        await assert_crowded(browser.asking, "/events")
        assert (await script.get("/api/runs")).status == 200
        async with other.stream():
            await until_audience(fresh, 4)
    await until_audience(fresh, 0)
    async with listeners(script, 3):
        await until_audience(fresh, 3)
    fresh.assert_clean_log()


async def test_all_together_have_half_of_the_connections(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "MOST_CONNECTIONS", 8)
    async with opened(installation_for(tmp_path, repository)) as web, AsyncExitStack() as stack:
        scripts = [await web.script("viewer") for _ in range(5)]
        for script in scripts[:4]:
            await stack.enter_async_context(script.stream())
        await assert_crowded(scripts[4], "/api/events")
        assert (await scripts[4].get("/api/runs")).status == 200


# --- what goes wrong -------------------------------------------------------------------------


async def test_a_stream_that_cannot_be_proven_comes_to_its_end(
    fresh: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database does not say whose it is: it ends as a whole answer does, and may come back."""
    monkeypatch.setattr(streams, "BEAT_SECONDS", 0.1)
    script, browser = await fresh.script(), await fresh.browser()
    async with script.stream() as stream, browser.asking.stream("/events") as page:
        with damaged(sqlite_file(fresh.database.url)):
            for ends in (stream, page):
                with pytest.raises(EOFError):
                    await ends.run()
        await until_audience(fresh, 0)
    assert "web.answer_failed" not in fresh.log_text()


class Watchful:
    """A store that is looked at; its first watch does this in the place of watching."""

    def __init__(self, store: Store, does: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._does: Callable[[], Awaitable[None]] | None = does

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def watch(self) -> Watch:
        watch, does = self._store.watch(), self._does
        if does is not None:
            self._does = None

            async def changed(_timeout_seconds: float) -> None:
                await does()

            vars(watch)["changed"] = changed
        return watch


@asynccontextmanager
async def watchful(
    installation: Installation, does: Callable[[], Awaitable[None]]
) -> AsyncIterator[Web]:
    """A Baton whose feed has a watch that first does this."""
    async with serving(installation, concurrency=0) as service, open_session() as session:
        watched = replace(service, store=cast("Store", Watchful(service.store, does)))
        async with serving_web(installation, watched, Joined([], [])) as told:
            assert told is not None
            yield Web(installation, service, told, Asking(session, address_in(told)))


async def breaks() -> None:
    raise RuntimeError("planted")


async def stands_still() -> None:
    await asyncio.Event().wait()


async def test_what_breaks_once_does_not_silence_the_events(
    tmp_path: Path, repository: Path
) -> None:
    async with watchful(installation_for(tmp_path, repository), breaks) as web:
        script, run_id = await web.script(), web.put("failed")
        async with script.stream() as stream, asyncio.timeout(DEADLINE_SECONDS):
            await script.post(f"/api/runs/{run_id}/cancel")
            await stream.until(run_id, "cancelled")
        (entry,) = [one for one in web.logged() if one["event"] == "feed.look_failed"]
        assert "planted" in entry["traceback"]


async def test_while_no_change_is_told_of_it_is_not_ready(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "LATE_SECONDS", 0.5)
    async with watchful(installation_for(tmp_path, repository), stands_still) as web:
        answer = await until_ready(web.asking, lacks("feed"))
        assert answer.json["wrong"] == {"feed": "no change has been told of for too long"}
