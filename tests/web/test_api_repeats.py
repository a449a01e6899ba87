"""A request that is sent again has no second effect, and gets the same answer."""

import asyncio

import pytest

from tests.web.house import Web

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_repeat_gets_the_same_answer_and_has_no_effect(web: Web) -> None:
    script = (await web.script()).having(Idempotency_Key="k1")
    run_id = web.put("failed")
    first = await script.post(f"/api/runs/{run_id}/resume")
    again = await script.post(f"/api/runs/{run_id}/resume")
    assert first.json["outcome"] == "resumed"
    assert again.status == first.status
    assert again.json == first.json
    assert (await web.run(run_id)).epoch == 3
    assert len(web.audited(run_id=run_id)) == 1


async def test_a_repeat_of_a_refusal_is_refused_alike(web: Web) -> None:
    script = (await web.script()).having(Idempotency_Key="k2")
    run_id = web.put("working")
    first = await script.post(f"/api/runs/{run_id}/resume")
    assert first.status == 409
    again = await script.post(f"/api/runs/{run_id}/resume")
    assert (again.status, again.json) == (409, first.json)


async def test_one_start_however_often_it_is_sent_at_once(web: Web) -> None:
    script = (await web.script()).having(Idempotency_Key="k3")
    wanted = {"workflow": "quick", "arguments": {"a": "1"}}
    sent = [script.post("/api/runs", json=wanted) for _ in range(20)]
    answers = await asyncio.gather(*sent)
    assert {answer.status for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    started = web.audited(actor=f"api:{script.name}")
    assert started == [("run", "started", "api", f"api:{script.name}")]


@pytest.mark.parametrize("other", ["another verb", "another run", "another body"])
async def test_the_same_key_for_something_else_is_invalid(web: Web, other: str) -> None:
    script = (await web.script()).having(Idempotency_Key="k4")
    run_id, second = web.put("failed"), web.put("failed")
    if other == "another body":
        await script.post("/api/runs", json={"workflow": "quick"})
        answer = await script.post("/api/runs", json={"workflow": "flaky"})
    else:
        await script.post(f"/api/runs/{run_id}/resume")
        path = {"another verb": f"{run_id}/cancel", "another run": f"{second}/resume"}[other]
        answer = await script.post(f"/api/runs/{path}")
    assert (answer.status, answer.json["outcome"]) == (422, "invalid")
    assert (await web.run(second)).status == "failed"
    assert (await web.run(run_id)).status != "cancelled"


async def test_the_order_of_arguments_is_no_other_content(web: Web) -> None:
    """JSON objects have no order: a script that makes its body anew sends the same."""
    script = (await web.script()).having(Idempotency_Key="k5")
    first = await script.post(
        "/api/runs", json={"workflow": "quick", "arguments": {"a": "1", "b": "2"}}
    )
    again = await script.post(
        "/api/runs", json={"workflow": "quick", "arguments": {"b": "2", "a": "1"}}
    )
    assert (again.status, again.json) == (200, first.json)


async def test_a_key_belongs_to_its_token(web: Web) -> None:
    run_id = web.put("failed")
    ana = (await web.script()).having(Idempotency_Key="k6")
    ben = (await web.script()).having(Idempotency_Key="k6")
    assert (await ana.post(f"/api/runs/{run_id}/resume")).json["outcome"] == "resumed"
    assert (await ben.post(f"/api/runs/{run_id}/resume")).json["outcome"] == "already_running"


async def test_a_key_of_the_web_or_command_line_is_another(web: Web) -> None:
    script = (await web.script("operator", "same")).having(Idempotency_Key="k7")
    browser = await web.browser("operator", "same-b")
    run_id = web.put("failed")
    code, said = await web.baton("resume", run_id, "--as", "same", "--delivery", "k7")
    assert code == 0, said
    assert (await script.post(f"/api/runs/{run_id}/resume")).json["outcome"] == "already_running"
    page = await browser.send(f"/runs/{run_id}/cancel", delivery="k7")
    assert page.status == 200


async def test_who_was_told_to_wait_may_come_again_with_the_key(web: Web) -> None:
    script = (await web.script()).having(Idempotency_Key="k8")
    run_id = web.put("failed")
    locks = web.service.dispatcher._locks
    most, locks._most_users = locks._most_users, 1
    try:
        async with locks.hold(f"api:{script.name}"):
            assert (await script.post(f"/api/runs/{run_id}/resume")).status == 429
    finally:
        locks._most_users = most
    assert (await script.post(f"/api/runs/{run_id}/resume")).json["outcome"] == "resumed"


async def test_a_form_that_is_sent_twice_has_one_effect(web: Web) -> None:
    browser = await web.browser("operator", "twice")
    fields = {"workflow": "quick", "arguments": "a=1", "delivery": "d1"}
    first, second = await asyncio.gather(
        browser.send("/runs", **fields), browser.send("/runs", **fields)
    )
    assert (first.status, second.status) == (303, 303)
    assert first.headers["Location"] == second.headers["Location"]
    done = web.audited(actor="web:twice", verb="run")
    assert done == [("run", "started", "web", "web:twice")]


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 201, "\u00fc", "a\tb"])
async def test_a_key_that_is_none_is_invalid(web: Web, key: str) -> None:
    script = (await web.script()).having(Idempotency_Key=key)
    run_id = web.put("failed")
    answer = await script.post(f"/api/runs/{run_id}/resume")
    assert (answer.status, answer.json["outcome"]) == (422, "invalid")
    assert (await web.run(run_id)).status == "failed"


async def test_a_key_may_be_long(web: Web) -> None:
    script = (await web.script()).having(Idempotency_Key="~" * 200)
    run_id = web.put("failed")
    assert (await script.post(f"/api/runs/{run_id}/resume")).status == 200


@pytest.mark.parametrize("condition", [None, {"epoch": 3}])
async def test_the_same_key_under_another_condition_is_invalid(
    web: Web, condition: dict[str, int] | None
) -> None:
    script = (await web.script()).having(Idempotency_Key="k9")
    run_id = web.put("failed")
    first = await script.post(f"/api/runs/{run_id}/resume", json={"epoch": 2})
    assert first.json["outcome"] == "resumed"
    answer = await script.post(f"/api/runs/{run_id}/resume", json=condition)
    assert (answer.status, answer.json["outcome"]) == (422, "invalid")
    again = await script.post(f"/api/runs/{run_id}/resume", json={"epoch": 2})
    assert (again.status, again.json) == (first.status, first.json)
    assert len(web.audited(run_id=run_id, outcome="resumed")) == 1
