"""Events where there is not room for everybody, and where something goes wrong meanwhile."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from adapters.web import serve, streams
from bot import feed
from store.database import sqlite_file
from tests.web.asking import Asking, signed_in
from tests.web.house import Web, installation_for, opened
from tests.web.test_operating import damaged
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
