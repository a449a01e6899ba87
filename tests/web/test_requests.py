"""Requests as scripts and monitors make them: what is said back tells them what to mend."""

import asyncio
import json

import pytest

from tests.web.asking import Asking
from tests.web.house import Web

pytestmark = pytest.mark.asyncio(loop_scope="module")

ODD = {"lines": "one\ntwo\ttabbed", "family": "\U0001f468\u200d\U0001f469\u200d\U0001f467"}


async def test_an_argument_is_any_text(web: Web) -> None:
    script = await web.script()
    answer = await script.post("/api/runs", json={"workflow": "quick", "arguments": ODD})
    assert answer.json["outcome"] == "started"
    assert (await web.run(answer.json["run"]["id"])).arguments == ODD


@pytest.mark.parametrize(
    ("sent", "kind", "told"),
    [
        (b'{"workflow": "quick", "workflow": "slow"}', "json", "the key “workflow” is there twice"),
        (b'{"workflow": ', "json", "The body is no JSON that can be used"),
        (b'{"workflow": "quick"}', "x-www-form-urlencoded", "sent with Content-Type"),
        (b'{"workflow": "a", "\\ud800": 1, "\\ud800": 2}', "json", "is there twice"),
        (b"[]", "json", "has to be a JSON object"),
        (b"\xff", "json", "The body cannot be read"),
        (b'{"workflow": "quick", "arguments": {"a-b": ""}}', "json", "characters that cannot"),
    ],
)
async def test_a_body_that_cannot_be_used_is_told_why(
    web: Web, sent: bytes, kind: str, told: str
) -> None:
    script = (await web.script()).having(Content_Type=f"application/{kind}")
    answer = await script.post("/api/runs", data=sent)
    assert (answer.status, answer.json["outcome"]) == (422, "invalid")
    assert told in answer.json["reply"]
    assert "Nothing changed." in answer.json["reply"]


@pytest.mark.parametrize("blank", ["%20", "%0A", "%E2%80%8B", "%00"])
async def test_letters_that_are_not_seen_name_no_run(web: Web, blank: str) -> None:
    script, run_id = await web.script(), web.put("failed")
    odd = f"{run_id[:4]}{blank}{run_id[4:]}"
    for asked in (script.get(f"/api/runs/{odd}"), script.post(f"/api/runs/{odd}/cancel")):
        answer = await asked
        assert (answer.status, answer.json["outcome"]) == (404, "not_found")
    assert (await web.run(run_id)).status == "failed"


async def test_a_name_of_any_length_is_not_found(web: Web) -> None:
    script = await web.script()
    answer = await script.post(f"/api/runs/{'a' * 5000}/resume")
    assert (answer.status, answer.json["outcome"]) == (404, "not_found")


async def test_every_method_of_an_address_is_told(web: Web) -> None:
    script = await web.script()
    answer = await script.ask("PUT", "/api/runs")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, POST")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_a_monitor_may_ask_for_the_head_alone(web: Web, path: str) -> None:
    full, head = await web.asking.get(path), await web.asking.ask("HEAD", path)
    assert (head.status, head.kind, head.text) == (full.status, full.kind, "")


def having_no_body(asking: Asking) -> Asking:
    return asking.having(Content_Type="application/json")


@pytest.mark.parametrize("sent", [b"", b"{}", json.dumps({"epoch": None}).encode()])
async def test_a_change_needs_no_body(web: Web, sent: bytes) -> None:
    script, run_id = await web.script(), web.put("failed")
    answer = await having_no_body(script).post(f"/api/runs/{run_id}/resume", data=sent)
    assert answer.json["outcome"] == "resumed"


async def test_no_look_waits_for_another(web: Web) -> None:
    script, run_id = await web.script("viewer"), web.put("failed")
    looks = [script.get(f"/api/runs/{run_id}") for _ in range(400)]
    assert {answer.status for answer in await asyncio.gather(*looks)} == {200}
