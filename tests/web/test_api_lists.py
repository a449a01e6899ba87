"""Pages of runs, and the output of a run from any offset on."""

import os
from collections.abc import AsyncIterator
from itertools import count, groupby
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import insert

from adapters.web import view
from store.tables import runs
from tests.store.factories import BEGAN, row_of
from tests.web.asking import Answered, Asking
from tests.web.house import Web

pytestmark = pytest.mark.asyncio(loop_scope="module")

_SHARED_MOMENT = 7
"""So many runs were made in the same moment."""


def put_many(web: Web, conversation: str, many: int) -> list[str]:
    """So many runs of one conversation; their ids, newest first."""
    place = {"conversation": conversation, "channel": conversation}
    first = row_of(web.database, web.put("completed", **place))
    letters = conversation[-2:]
    rows = [
        {
            **first,
            "id": f"{letters}{(number * 7919) % 10_000:04d}ab",
            "claim": 100_000 + number,
            "created_at": BEGAN + number // _SHARED_MOMENT / 8,
        }
        for number in range(many - 1)
    ]
    with web.database.connect() as connection, connection.begin():
        connection.execute(insert(runs), rows)
    ordered = sorted([first, *rows], key=lambda row: (row["created_at"], row["id"]), reverse=True)
    return [row["id"] for row in ordered]


async def pages(asking: Asking, query: str) -> AsyncIterator[list[Any]]:
    """Every page of a list, as its `next` tells."""
    after = ""
    while True:
        answer = await asking.get(f"/api/runs?{query}{after}")
        assert answer.status == 200, answer.text
        yield answer.json["runs"]
        if answer.json["next"] is None:
            return
        after = f"&after={quote(answer.json['next'])}"


@pytest.mark.parametrize("limit", [7, 50, 100])
async def test_230_runs_come_once_each_while_others_are_added(web: Web, limit: int) -> None:
    script = await web.script("operator", f"pager-{limit:02d}")
    put = put_many(web, f"api:{script.name}", 230)
    seen: list[str] = []
    async for page in pages(script, f"limit={limit}&conversation=api:{script.name}"):
        assert len(page) <= limit
        seen += [run["id"] for run in page]
        added = await script.post("/api/runs", json={"workflow": "quick"})
        assert added.status == 200
    assert seen == put


async def test_the_newest_come_first_and_fifty_at_a_time(web: Web) -> None:
    script = await web.script("operator", "newest-60")
    put_many(web, "api:newest-60", 60)
    started = [
        (await script.post("/api/runs", json={"workflow": "quick"})).json["run"]["id"]
        for _ in range(3)
    ]
    answer = (await script.get("/api/runs?conversation=api:newest-60")).json
    assert [run["id"] for run in answer["runs"]][:3] == started[::-1]
    assert len(answer["runs"]) == 50
    assert answer["next"]


async def test_filters_narrow_the_list(web: Web) -> None:
    script = await web.script("viewer")
    here = {"conversation": "api:filtered", "channel": "api:filtered"}
    failed = web.put("failed", workflow="one", **here)
    paused = web.put("paused", workflow="two", **here)
    web.put("failed", workflow="one")

    async def found(query: str) -> list[str]:
        answer = await script.get(f"/api/runs?conversation=api:filtered{query}")
        return sorted(run["id"] for run in answer.json["runs"])

    assert await found("") == sorted([failed, paused])
    assert await found("&status=failed") == [failed]
    assert await found("&workflow=two") == [paused]
    assert await found("&workflow=two&status=failed") == []
    assert (await script.get("/api/runs?conversation=api:filtere")).json["runs"] == []


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "limit=", "status=nope", "status=FAILED", "after=garbage",
     "after=-", "after=nan-aaaaaaaa", "after=inf-aaaaaaaa", "after=0x1p3", "after=0x1p99999-a",
     "workflow=" + "x" * 65, "conversation=" + "x" * 201, "after=" + "x" * 65],
)  # fmt: skip
async def test_what_cannot_be_listed_is_invalid(web: Web, query: str) -> None:
    script = await web.script("viewer")
    answer = await script.get(f"/api/runs?{query}")
    assert (answer.status, answer.json["outcome"]) == (422, "invalid"), answer.text
    assert answer.kind == "application/problem+json"


# --- output ----------------------------------------------------------------------------------


def log_of(web: Web, written: bytes) -> str:
    """A run that has this output."""
    run_id = web.put("failed")
    path = web.installation.workshop.log_path(run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(written)
    return run_id


async def parts(asking: Asking, run_id: str) -> AsyncIterator[Answered]:
    """The output in as many parts as it takes."""
    offset = 0
    for _ in count():
        part = await asking.get(f"/api/runs/{run_id}/logs?offset={offset}")
        assert (part.status, part.kind) == (200, "text/plain")
        if int(part.headers["Log-Next-Offset"]) == offset:
            assert part.text == ""
            return
        yield part
        offset = int(part.headers["Log-Next-Offset"])


async def test_a_long_log_comes_in_parts_without_loss(web: Web) -> None:
    script = await web.script("viewer")
    written = "".join(f"line {number}: ü🙂 {'x' * (number % 90)}\n" for number in range(12_000))
    run_id = log_of(web, written.encode())
    found = [part.text async for part in parts(script, run_id)]
    assert "".join(found) == written
    assert 2 < len(found) < 12
    assert all(len(part.encode()) <= 256 * 1024 for part in found)


async def test_the_whole_log_is_one_text(web: Web) -> None:
    browser = await web.browser("viewer")
    written = "".join(f"line {number}: ü🙂 <b>\n" for number in range(30_000))
    whole = await browser.get(f"/runs/{log_of(web, written.encode())}/log.txt")
    assert (whole.status, whole.kind, whole.text) == (200, "text/plain", written)
    none_yet = await browser.get(f"/runs/{web.put('pending')}/log.txt")
    assert (none_yet.status, none_yet.text) == (200, "")


async def test_a_line_comes_once_it_is_whole(web: Web) -> None:
    script = await web.script("viewer")
    run_id = log_of(web, b"one\ntw")
    first = await script.get(f"/api/runs/{run_id}/logs")
    assert (first.text, first.headers["Log-Next-Offset"]) == ("one\n", "4")
    path = web.installation.workshop.log_path(run_id)
    path.write_bytes(b"one\ntwo\n")
    second = await script.get(f"/api/runs/{run_id}/logs?offset=4")
    assert (second.text, second.headers["Log-Next-Offset"]) == ("two\n", "8")


async def test_the_last_line_comes_in_the_end_though_nothing_ended_it(web: Web) -> None:
    script = await web.script("viewer")
    run_id = log_of(web, b"one\nlast words")
    path = web.installation.workshop.log_path(run_id)
    os.utime(path, (BEGAN, BEGAN))
    answer = await script.get(f"/api/runs/{run_id}/logs")
    assert (answer.text, answer.headers["Log-Next-Offset"]) == ("one\nlast words", "14")
    with path.open("ab") as log:
        log.write(b" but one\n")
    rest = await script.get(f"/api/runs/{run_id}/logs?offset=14")
    assert rest.text == " but one\n"


@pytest.mark.parametrize("letter", ["x", "ü", "🙂"])
async def test_a_line_longer_than_a_part_comes_in_pieces(web: Web, letter: str) -> None:
    script = await web.script("viewer")
    written = f"a{letter * 200_000}\nlast\n"
    run_id = log_of(web, written.encode())
    assert "".join([part.text async for part in parts(script, run_id)]) == written


@pytest.mark.parametrize("letter", ["x", "ü", "🙂"])
async def test_a_page_shows_the_end_of_what_has_no_end_of_line(web: Web, letter: str) -> None:
    browser = await web.browser("viewer")
    run_id = log_of(web, f"a{letter * 100_000}".encode())
    os.utime(web.installation.workshop.log_path(run_id), (BEGAN, BEGAN))
    page = await browser.get(f"/runs/{run_id}")
    assert f"{letter * 4000}…" in page.text
    assert "\ufffd" not in page.text


async def test_a_carriage_return_ends_a_line(web: Web) -> None:
    script = await web.script("viewer")
    run_id = log_of(web, b"10 %\r20 %\rdone\r\nnext\r")
    first = await script.get(f"/api/runs/{run_id}/logs")
    assert (first.text, first.headers["Log-Next-Offset"]) == ("10 %\n20 %\ndone\n", "16")


async def test_a_log_that_is_not_there_is_empty(web: Web) -> None:
    script = await web.script("viewer")
    run_id = web.put("failed")
    for offset in (0, 5, 2**53):
        answer = await script.get(f"/api/runs/{run_id}/logs?offset={offset}")
        assert (answer.status, answer.text) == (200, "")
        assert answer.headers["Log-Next-Offset"] == str(offset)


@pytest.mark.parametrize("offset", ["-1", "x", str(2**53 + 1), "1.5", ""])
async def test_an_offset_that_is_none_is_invalid(web: Web, offset: str) -> None:
    script = await web.script("viewer")
    answer = await script.get(f"/api/runs/{web.put('failed')}/logs?offset={offset}")
    assert (answer.status, answer.json["outcome"]) == (422, "invalid")


STEERING = {
    "colour": b"\x1b[31mred\x1b[0m",
    "title": b"\x1b]0;owned\x07red",
    "link": b"\x1b]8;;http://evil\x1b\\red\x1b]8;;\x1b\\",
    "one byte in place of two": "\x9b31mred\x9b0m".encode(),
    "bell and back": b"\x07\x08red",
    "carriage return": b"blue\rred",
    "clear": b"\x1bcred",
    "device control": b"\x1bP1;2|ff\x1b\\red",
}


@pytest.mark.parametrize("written", STEERING.values(), ids=STEERING)
async def test_output_steers_no_terminal(web: Web, written: bytes) -> None:
    script = await web.script("viewer")
    run_id = log_of(web, written + b"\n")
    text = (await script.get(f"/api/runs/{run_id}/logs")).text
    assert text.endswith("red\n")
    steering = [one for one in text if one != "\n" and (one < " " or "\x7f" <= one <= "\x9f")]
    assert steering == []


async def test_output_that_is_no_text_is_shown_all_the_same(web: Web) -> None:
    script = await web.script("viewer")
    run_id = log_of(web, bytes(range(256)) + b"\n<script>alert(1)</script>\n")
    answer = await script.get(f"/api/runs/{run_id}/logs")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "<script>alert(1)</script>" in answer.text


# --- history ---------------------------------------------------------------------------------


async def test_the_history_tells_who_asked_what_in_order(web: Web) -> None:
    ana, ben = await web.script("operator", "h-ana"), await web.script("viewer", "h-ben")
    run_id = web.put("failed")
    await ben.post(f"/api/runs/{run_id}/resume")
    await ana.post(f"/api/runs/{run_id}/resume", json={"epoch": 2})
    await ana.post(f"/api/runs/{run_id}/resume")
    browser = await web.browser("operator", "h-cleo")
    await browser.send(f"/runs/{run_id}/cancel", epoch="3")
    told = (await ben.get(f"/api/runs/{run_id}/history")).json["events"]
    brief = [
        (one["actor"], one["door"], one["verb"], one["outcome"], one["from"], one["to"])
        for one in told
    ]
    assert brief == [
        ("api:h-ana", "api", "resume", "resumed", "failed", "running"),
        ("api:h-ana", "api", "resume", "already_running", None, None),
        ("web:h-cleo", "web", "cancel", "cancelled", "running", "cancelled"),
    ]
    moments = [one["at"] for one in told]
    assert moments == sorted(moments)
    assert [one["epoch"] for one in told] == [3, 3, 3]
    assert [key for key, _ in groupby(one["door"] for one in told)] == ["api", "web"]


async def test_a_long_history_comes_in_pages(web: Web) -> None:
    script = await web.script("operator", "h-often")
    run_id = web.put("completed")
    for _ in range(7):
        await script.post(f"/api/runs/{run_id}/resume")
    path = f"/api/runs/{run_id}/history"
    whole = (await script.get(path)).json
    assert whole.keys() == {"events"}
    assert len(whole["events"]) == 7
    first = (await script.get(f"{path}?limit=4")).json
    rest = (await script.get(f"{path}?limit=4&after={first['next']}")).json
    assert first["events"] + rest["events"] == whole["events"]
    assert "next" not in rest
    assert (await script.get(f"{path}?limit=1001")).status == 422


async def test_a_page_shows_the_newest_events(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "MOST_EVENTS", 2)
    browser, script = await web.browser("viewer"), await web.script("operator", "h-newest")
    run_id = web.put("failed")
    await script.post(f"/api/runs/{run_id}/resume")
    await script.post(f"/api/runs/{run_id}/resume")
    await script.post(f"/api/runs/{run_id}/cancel")
    text = (await browser.get(f"/runs/{run_id}")).text
    assert "Resumed by h-newest" not in text
    assert text.index("h-newest through the API asked to resume it") < text.rindex("Cancelled by")
