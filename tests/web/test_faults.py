"""When something breaks: the answer says so in one sentence, and the log has the rest."""

import asyncio
import re
import sqlite3
import time
from contextlib import closing

import pytest

from store.database import sqlite_file
from tests.web.asking import Answered
from tests.web.house import Web
from tests.web.test_guard import assert_guarded

_REFERENCE = re.compile(r"\b[0-9a-f]{8}\b")


def broken(web: Web, statement: str) -> None:
    """Somebody did this to the database beside Baton."""
    with closing(sqlite3.connect(sqlite_file(web.database.url), isolation_level=None)) as other:
        other.execute(statement)


def assert_fault(web: Web, answer: Answered) -> None:
    """One sentence with a reference that the log has, and nothing of the inside."""
    body = answer.json
    assert (answer.status, body["outcome"]) == (500, "error"), body
    assert answer.kind == "application/problem+json"
    assert_guarded(answer)
    assert not re.search(r"Traceback|sqlite|UPDATE|planted", answer.text, re.IGNORECASE)
    found = _REFERENCE.search(body["reply"])
    assert found is not None, body["reply"]
    (entry,) = [one for one in web.logged() if one.get("reference") == found[0]]
    assert entry["level"] == "error"
    assert "planted" in entry["traceback"] or "no such table" in entry["traceback"]


async def test_a_change_that_breaks_is_told_with_a_reference(fresh: Web) -> None:
    script = (await fresh.script()).having(Idempotency_Key="k")
    run_id, other = fresh.put("failed"), fresh.put("failed")
    broken(
        fresh,
        f"CREATE TRIGGER t BEFORE UPDATE ON runs WHEN OLD.id = '{run_id}'"
        " BEGIN SELECT RAISE(ABORT, 'planted'); END",
    )
    assert_fault(fresh, await script.post(f"/api/runs/{run_id}/resume"))
    assert (await fresh.run(run_id)).status == "failed"
    assert fresh.audited(run_id=other) == []
    assert ("resume", "error", "api", f"api:{script.name}") in fresh.audited(outcome="error")
    # What failed is not kept as the answer: the same request may come again.
    broken(fresh, "DROP TRIGGER t")
    assert (await script.post(f"/api/runs/{run_id}/resume")).json["outcome"] == "resumed"


async def test_a_page_on_which_something_breaks_is_a_page(fresh: Web) -> None:
    browser = await fresh.browser()
    run_id = fresh.put("failed")
    broken(
        fresh,
        "CREATE TRIGGER t BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'planted'); END",
    )
    page = await browser.asking.having(Accept="text/html").post(
        f"/runs/{run_id}/cancel", data={"csrf": browser.csrf, "epoch": "2"}
    )
    assert (page.status, page.kind) == (500, "text/html")
    assert_guarded(page)
    assert "planted" not in page.text
    assert _REFERENCE.search(page.text)


@pytest.mark.parametrize("path", ["/api/runs", "/api/runs/aaaaaaaa"])
async def test_a_look_that_breaks_is_told_with_a_reference(fresh: Web, path: str) -> None:
    script = await fresh.script("viewer")
    broken(fresh, "ALTER TABLE runs RENAME TO gone")
    try:
        assert_fault(fresh, await script.get(path))
    finally:
        broken(fresh, "ALTER TABLE gone RENAME TO runs")


@pytest.mark.parametrize("path", ["/", "/runs/aaaaaaaa"])
async def test_a_page_that_cannot_be_read_is_a_page(fresh: Web, path: str) -> None:
    browser = await fresh.browser("viewer")
    broken(fresh, "ALTER TABLE runs RENAME TO gone")
    try:
        page = await browser.asking.having(Accept="text/html").get(path)
    finally:
        broken(fresh, "ALTER TABLE gone RENAME TO runs")
    assert page.status in {500, 503}
    assert page.kind == "text/html"
    assert_guarded(page)
    assert "no such table" not in page.text


async def test_a_look_never_waits_for_whoever_writes(fresh: Web) -> None:
    """Not the first one of a token either, whose use is to be noted."""
    secret = await fresh.token("viewer", "looks")
    browser = await fresh.browser("viewer")
    run_id = fresh.put("failed")
    with closing(sqlite3.connect(sqlite_file(fresh.database.url), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        try:
            async with asyncio.timeout(3):
                assert (await browser.get(f"/runs/{run_id}")).status == 200
                answer = await fresh.with_token(secret).get(f"/api/runs/{run_id}")
        finally:
            other.execute("ROLLBACK")
    assert answer.status == 200
    assert time.monotonic() - begun < 3
