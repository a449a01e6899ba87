"""Every path of the API and every outcome, as scripts rely on them."""

import asyncio
import json
from http import HTTPStatus
from typing import Any

import pytest

from store.database import Database
from tests.store.factories import now_of, row_of
from tests.web.asking import Answered, Asking
from tests.web.house import Web

pytestmark = pytest.mark.asyncio(loop_scope="module")

OUTCOME = {"outcome", "reply", "run", "by", "candidates"}
PROBLEM = OUTCOME | {"type", "title", "status", "detail"}
RUN = {
    "id", "workflow", "status", "stopping", "stale", "epoch", "conversation", "branch",
    "worktree", "step", "steps_done", "steps_total", "attempt", "error",
}  # fmt: skip


def assert_form(answer: Answered, status: int, outcome: str) -> Any:
    """The object of the contract, or a problem that carries it."""
    body = answer.json
    assert (answer.status, body["outcome"]) == (status, outcome), body
    if status == 200:
        assert answer.kind == "application/json"
        assert set(body) == OUTCOME
    else:
        assert answer.kind == "application/problem+json"
        assert set(body) == PROBLEM
        assert body["type"] == "about:blank"
        assert (body["status"], body["title"]) == (status, HTTPStatus(status).phrase)
        assert body["detail"] == body["reply"]
    assert body["reply"]
    for run in (body["run"], *body["candidates"]):
        assert run is None or set(run) == RUN
    assert body["by"] is None or set(body["by"]) == {"actor", "door", "at"}
    return body


# --- changing --------------------------------------------------------------------------------

CHANGES = [
    ("resume", "failed", 200, "resumed"),
    ("resume", "paused", 200, "resumed"),
    ("resume", "claimed long ago", 200, "resumed"),
    ("resume", "working", 409, "already_running"),
    ("resume", "claimed", 409, "already_running"),
    ("resume", "pending", 409, "already_running"),
    ("resume", "completed", 409, "not_resumable"),
    ("resume", "cancelled", 409, "not_resumable"),
    ("resume", "stopping", 409, "not_resumable"),
    ("cancel", "pending", 200, "cancelled"),
    ("cancel", "working", 200, "cancelled"),
    ("cancel", "paused", 200, "cancelled"),
    ("cancel", "failed", 200, "cancelled"),
    ("cancel", "cancelled", 200, "already_cancelled"),
    ("cancel", "stopping", 200, "already_cancelled"),
    ("cancel", "completed", 200, "already_finished"),
]


@pytest.mark.parametrize(("verb", "state", "status", "outcome"), CHANGES)
async def test_what_a_change_comes_to(
    web: Web, verb: str, state: str, status: int, outcome: str
) -> None:
    run_id = web.put(state)
    before = row_of(web.database, run_id)
    script = await web.script()
    body = assert_form(await script.post(f"/api/runs/{run_id}/{verb}"), status, outcome)
    assert body["run"]["id"] == run_id
    changed = outcome in {"resumed", "cancelled"}
    assert body["by"]["actor"] == (f"api:{script.name}" if changed else "slack:U1")
    assert body["by"]["door"] == ("api" if changed else "slack-slash")
    assert web.audited(run_id=run_id) == [(verb, outcome, "api", f"api:{script.name}")]
    assert (row_of(web.database, run_id)["version"] != before["version"]) == changed


async def test_a_run_is_started(web: Web) -> None:
    script = await web.script()
    wanted = {"workflow": "told", "branch": "by-api", "arguments": {"to": "/dev/null", "Case": ""}}
    body = assert_form(await script.post("/api/runs", json=wanted), 200, "started")
    run = await web.run(body["run"]["id"])
    assert (run.workflow, run.branch, run.arguments) == (
        "told",
        "by-api",
        {"to": "/dev/null", "Case": ""},
    )
    assert run.conversation == f"api:{script.name}"
    assert (run.requested.actor, run.requested.door) == (f"api:{script.name}", "api")
    assert body["by"]["actor"] == f"api:{script.name}"
    assert web.audited(run_id=run.id) == [("run", "started", "api", f"api:{script.name}")]


@pytest.mark.parametrize(
    "value",
    ["", " ", "a b", "a=b", "--x", "$(id)", "`id`", "'", '"', "\\", "it's", "\u201cquoted\u201d",
     "it\u2019s", "a\u2019 evil=1 \u2019", "#", "\u00fc\U0001f642", "x" * 20_000, "'" * 20_000],
    ids=lambda value: ascii(value[:20]),
)  # fmt: skip
async def test_an_argument_arrives_as_it_was_sent(web: Web, value: str) -> None:
    script = await web.script()
    wanted = {"workflow": "quick", "arguments": {"note": value, "more": "1"}}
    body = assert_form(await script.post("/api/runs", json=wanted), 200, "started")
    assert (await web.run(body["run"]["id"])).arguments == {"note": value, "more": "1"}


@pytest.mark.parametrize(
    "wanted",
    [
        {"workflow": "nope"},
        {"workflow": "quick", "arguments": {"a": "1", "A": "2"}},
        {"workflow": "quick", "branch": "one", "arguments": {"branch": "two"}},
        {"workflow": "quick", "branch": "../up"},
        {"workflow": "quick", "branch": "-x"},
        {"workflow": "quick", "arguments": {"a": "x" * 32_768}},
        {"workflow": "quick", "arguments": {"a-b": "x"}},
    ],
    ids=lambda wanted: json.dumps(wanted)[:60],
)
async def test_a_run_that_cannot_be_started(web: Web, wanted: dict[str, Any]) -> None:
    script = await web.script()
    body = assert_form(await script.post("/api/runs", json=wanted), 422, "invalid")
    assert body["run"] is None


async def test_a_held_worktree_is_told_with_its_holder(web: Web) -> None:
    script = await web.script()
    wanted = {"workflow": "quick", "branch": "wanted-twice"}
    first = (await script.post("/api/runs", json=wanted)).json["run"]
    body = assert_form(await script.post("/api/runs", json=wanted), 409, "worktree_busy")
    assert body["run"] is None
    assert f"held by quick {first['id']}" in body["reply"]
    assert body["by"]["actor"] == f"api:{script.name}"


async def test_resume_of_a_run_whose_worktree_is_held_leaves_it(web: Web) -> None:
    holder = web.put("working", path="/worktrees/both", changed_by="slack:U2")
    loser = web.put("failed", path="/worktrees/both")
    script = await web.script()
    body = assert_form(await script.post(f"/api/runs/{loser}/resume"), 409, "worktree_busy")
    assert body["run"]["id"] == loser
    assert body["run"]["status"] == "failed"
    assert f"held by deploy {holder}" in body["reply"]
    assert body["by"]["actor"] == "slack:U2"
    assert (await web.run(loser)).epoch == 2


@pytest.mark.parametrize("verb", ["resume", "cancel"])
async def test_a_change_of_what_has_moved_on_is_refused(web: Web, verb: str) -> None:
    run_id = web.put("failed")
    script = await web.script()
    path = f"/api/runs/{run_id}/{verb}"
    word = {"resume": "not_resumable", "cancel": "already_running"}[verb]
    body = assert_form(await script.post(path, json={"epoch": 1}), 409, word)
    assert "has moved on since you looked (you saw its claim 1, it is at 2)" in body["reply"]
    assert (await web.run(run_id)).status == "failed"
    done = {"resume": "resumed", "cancel": "cancelled"}[verb]
    assert_form(await script.post(path, json={"epoch": 2}), 200, done)


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b'{"epoch": null}'])
async def test_a_change_needs_no_body(web: Web, body: bytes) -> None:
    script = (await web.script()).having(Content_Type="application/json")
    run_id = web.put("failed")
    assert_form(await script.post(f"/api/runs/{run_id}/cancel", data=body), 200, "cancelled")


# --- which run -------------------------------------------------------------------------------


async def test_a_prefix_names_a_run_and_two_are_offered(web: Web) -> None:
    script = await web.script()
    first, second = web.put("failed", id="zzzz2345"), web.put("failed", id="zzzz6789")
    assert (await script.get("/api/runs/zzzz2")).json["run"]["id"] == first
    for method, path in (("GET", ""), ("GET", "/history"), ("GET", "/logs"), ("POST", "/cancel")):
        body = assert_form(await script.ask(method, f"/api/runs/zzzz{path}"), 300, "ambiguous")
        assert {run["id"] for run in body["candidates"]} == {first, second}
    assert_form(await script.get("/api/runs/zzz"), 404, "not_found")
    assert (await web.run(first)).status == "failed"


@pytest.mark.parametrize("run_id", ["aaaaaaaa", "x", "nope-nope", "A%20B", "..", "%2e%2e", "*"])
@pytest.mark.parametrize("path", ["", "/logs", "/history", "/resume", "/cancel"])
async def test_what_is_not_there_is_not_found(web: Web, run_id: str, path: str) -> None:
    script = await web.script()
    method = "POST" if path in {"/resume", "/cancel"} else "GET"
    answer = await script.ask(method, f"/api/runs/{run_id}{path}")
    assert_form(answer, 404, "not_found")


BLANK = {"a NUL": "%00", "a space": "%20", "an invisible space": "%E2%80%8B", "a newline": "%0A"}


@pytest.mark.parametrize("verb", ["resume", "cancel"])
@pytest.mark.parametrize("blank", BLANK.values(), ids=BLANK)
async def test_nothing_is_changed_that_was_not_named(web: Web, verb: str, blank: str) -> None:
    """In a conversation no name would mean its only run; a path always names one."""
    script = await web.script()
    only = web.put("failed", conversation=f"api:{script.name}", channel=f"api:{script.name}")
    answer = await script.post(f"/api/runs/{blank}/{verb}")
    assert (await web.run(only)).status == "failed"
    assert_form(answer, 404, "not_found")


# --- the same as the command line ------------------------------------------------------------


async def test_a_look_is_the_same_as_from_the_command_line(web: Web) -> None:
    script = await web.script("viewer")
    run_id = web.put("failed", error="exit code 1")
    await (await web.script()).post(f"/api/runs/{run_id}/resume", json={"epoch": 1})
    said = [
        await web.baton(verb, *words, "--json")
        for verb, words in (("status", [run_id]), ("history", [run_id]), ("runs", []))
    ]
    status, history, runs = (json.loads(out) for _, out in said)
    shown = assert_form(await script.get(f"/api/runs/{run_id}"), 200, "shown")
    assert {**shown, "reply": ""} == {**status, "reply": ""}
    assert shown["reply"].splitlines()[0] == status["reply"].splitlines()[0]
    assert (await script.get(f"/api/runs/{run_id}/history")).json == history
    assert [event["outcome"] for event in history["events"]] == ["not_resumable"]
    assert set(history["events"][0]) == {
        "at", "actor", "door", "verb", "outcome", "from", "to", "epoch",
    }  # fmt: skip
    listed = (await script.get("/api/runs?limit=100")).json["runs"]
    assert listed == runs["runs"][:100]
    assert run_id in {run["id"] for run in listed}


def refusals_of(database: Database, script: Asking) -> int:
    """How often this script was told to wait, as the audit counts it."""
    with database.connect() as connection:
        asked = "SELECT sum(times) FROM events WHERE actor = ? AND outcome = 'busy'"
        return int(connection.exec_driver_sql(asked, (f"api:{script.name}",)).scalar_one())


async def test_who_asks_too_much_at_once_is_told_to_wait(web: Web) -> None:
    """One holds the turn, 128 wait for it, and the others come again."""
    script = await web.script()
    runs = [web.put("failed") for _ in range(4)]
    asked = [f"/api/runs/{runs[number % 4]}/cancel" for number in range(140)]
    async with web.service.dispatcher._locks.hold(f"api:{script.name}"):
        waiting = [asyncio.create_task(script.post(path)) for path in asked]
        first = asyncio.as_completed(waiting)
        refused = [await next(first) for _ in range(12)]
    for busy in refused:
        body = assert_form(busy, 429, "busy")
        assert int(busy.headers["Retry-After"]) >= 1
        assert body["run"] is None
    answers = [(answer.status, answer.json["outcome"]) for answer in await asyncio.gather(*waiting)]
    assert answers.count((429, "busy")) == refusals_of(web.database, script) == 12
    assert answers.count((200, "cancelled")) == 4
    assert answers.count((200, "already_cancelled")) == 124


# --- who may ---------------------------------------------------------------------------------

LOOKS = ["/api/runs", "/api/runs/{}", "/api/runs/{}/history", "/api/runs/{}/logs"]


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
async def test_a_role_may_what_it_may(web: Web, role: str) -> None:
    script = await web.script(role)
    run_id = web.put("failed")
    for path in LOOKS:
        assert (await script.get(path.format(run_id))).status == 200
    changes = [("/api/runs", {"workflow": "quick"}), (f"/api/runs/{run_id}/cancel", {})]
    for path, wanted in changes:
        answer = await script.post(path, json=wanted)
        if role == "viewer":
            body = assert_form(answer, 403, "denied")
            assert f"api:{script.name}" in body["reply"]
        else:
            assert answer.status == 200, answer.text
    left = "failed" if role == "viewer" else "cancelled"
    assert (await web.run(run_id)).status == left
    if role == "viewer":
        assert ("cancel", "denied", "api", f"api:{script.name}") in web.audited(verb="cancel")


WRONG = {
    "none": None,
    "unknown": "Bearer baton_unknown",
    "no scheme": "{}",
    "another scheme": "Basic {}",
    "nothing behind it": "Bearer",
    "only spaces": "Bearer   ",
    "more behind it": "Bearer {} x",
    "another case": "Bearer {upper}",
    "a part": "Bearer {part}",
    "not ASCII": "Bearer \u00fc\u00df",
}
PATHS = [
    ("GET", "/api/runs"),
    ("GET", "/api/runs/{}"),
    ("GET", "/api/runs/{}/logs"),
    ("GET", "/api/runs/{}/history"),
    ("GET", "/api/events"),
    ("POST", "/api/runs"),
    ("POST", "/api/runs/{}/resume"),
    ("POST", "/api/runs/{}/cancel"),
]


def assert_unknown(answer: Answered) -> None:
    assert_form(answer, 401, "denied")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_nothing_is_told_without_a_valid_token(web: Web, wrong: str | None) -> None:
    secret = await web.token("admin", f"w-{abs(hash(wrong))}")
    run_id = web.put("failed")
    asking = web.asking
    if wrong is not None:
        header = wrong.format(secret, upper=secret.upper(), part=secret[:-1])
        asking = asking.having(Authorization=header)
    for method, path in PATHS:
        assert_unknown(await asking.ask(method, path.format(run_id)))
    assert (await web.run(run_id)).status == "failed"
    assert web.audited(run_id=run_id) == []


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER   {} "])
async def test_the_scheme_is_written_in_any_case(web: Web, form: str) -> None:
    secret = await web.token("viewer", f"c-{abs(hash(form))}")
    asking = web.asking.having(Authorization=form.format(secret))
    assert (await asking.get("/api/runs")).status == 200


async def test_a_revoked_token_opens_nothing_and_its_name_is_free(web: Web) -> None:
    script = await web.script("admin", "revoked")
    assert (await script.get("/api/runs")).status == 200
    await web.revoke("revoked")
    assert_unknown(await script.get("/api/runs"))
    again = await web.script("viewer", "revoked")
    assert (await again.get("/api/runs")).status == 200
    assert (await again.post("/api/runs", json={"workflow": "quick"})).status == 403
    assert_unknown(await script.get("/api/runs"))


async def test_the_last_use_of_a_token_is_noted(web: Web) -> None:
    script = await web.script("viewer", "used")

    async def used() -> float | None:
        tokens = await web.service.store.read(lambda tx: tx.keys.tokens())
        return next(one.last_used_at for one in tokens if one.name == "used")

    assert await used() is None
    begun = now_of(web.database)
    await script.get("/api/runs")
    watch = web.service.store.watch()
    while (first := await used()) is None:
        # Nobody who looks waits for this to be noted.
        await watch.changed(1)
    watch.close()
    assert first >= begun
    await script.get("/api/runs")
    assert await used() == first
