"""What is sent to the web is no harder on PostgreSQL, which takes less for a text than SQLite."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.conftest import git
from tests.postgres import Postgres
from tests.web.house import Web, installation_for, opened
from tests.web.test_bad_input import NAMES, QUERIES
from tests.web.test_openapi import explored

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def web(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> AsyncIterator[Web]:
    place = tmp_path_factory.mktemp("web")
    repository = place / "repository"
    repository.mkdir()
    git(repository, "init", "-q", "-b", "main")
    git(repository, "commit", "-q", "--allow-empty", "-m", "begin")
    url = postgres.up_to_date()
    async with opened(installation_for(place, repository, database={"url": url})) as web:
        yield web
        web.assert_clean_log()
    postgres.give_back(url)


async def test_the_description_holds_for_whatever_is_sent(web: Web, tmp_path: Path) -> None:
    await explored(web, tmp_path, 6, 8)


async def test_no_query_breaks_anything(web: Web) -> None:
    script, browser = await web.script("viewer"), await web.browser("viewer")
    cursor = "MHgxcDMtAAAAAAAAAAA"
    for query in (*QUERIES, f"after={cursor}"):
        for asking, path in ((script, "/api/runs"), (browser.asking, "/")):
            assert (await asking.get(f"{path}?{query}")).status in {200, 422}, query


@pytest.mark.parametrize("kind", NAMES)
async def test_no_name_breaks_anything(web: Web, kind: str) -> None:
    script, browser = await web.script(), await web.browser()
    for path in ("", "/logs", "/history"):
        assert (await script.get(f"/api/runs/{NAMES[kind]}{path}")).status < 500
    for path in ("", "/log", "/log.txt", "/cancel"):
        assert (await browser.get(f"/runs/{NAMES[kind]}{path}")).status < 500


async def test_no_field_of_a_form_breaks_anything(web: Web) -> None:
    browser, run_id = await web.browser(), web.put("failed")
    for field in ("workflow", "arguments", "delivery"):
        answer = await browser.send("/runs", **{"workflow": "quick", field: "a\0b"})
        assert answer.status == 422, field
    answer = await browser.send(f"/runs/{run_id}/cancel", delivery="a\0b")
    assert answer.status == 422
    assert (await web.run(run_id)).status == "failed"
    assert (await browser.asking.post("/signin", data={"token": "a\0b"})).status == 403
