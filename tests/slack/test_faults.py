"""Whatever Slack does with a call: one card, one announcement, one answer, and the truth."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from adapters.slack.manifest import EVENTS_PATH
from bot.keeper import Desk
from bot.speaker import Speaker
from tests.slack.conftest import installation_in, slack_settings, talking
from tests.slack.double import Broken, Cut, Refused, SentMessage, Slack, Slow, TooMany
from tests.slack.payloads import direct_message, mention, slash, url_verification
from tests.slack.records import Fault
from tests.slack.stage import (
    Road,
    Stage,
    assert_clean_log,
    cards,
    free_port,
    in_slack,
    log_of,
    news,
    on_stage,
    words,
)

SHORT = 1
QUICK = 0.2
LOST: dict[str, Fault] = {
    "many": TooMany(1),
    "broken": Broken(),
    "broken after all": Broken(effect=True),
    "slow": Slow(0.5),
    "too slow": Slow(SHORT + 0.5),
    "cut after": Cut(),
    "cut before": Cut(effect=False),
}
"""After each of these, what was to be said can be said once and no more."""

EITHER = pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
REFUSED = Refused("restricted_action")


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long here, neither for a slow answer nor before trying again."""
    monkeypatch.setattr("adapters.slack.api.TIMEOUT_SECONDS", SHORT)
    monkeypatch.setattr("adapters.slack.api._UNREACHABLE_SECONDS", QUICK)
    monkeypatch.setattr("bot.patience._AGAIN_SECONDS", QUICK)
    monkeypatch.setattr("bot.keeper._AGAIN_SECONDS", QUICK)
    monkeypatch.setattr(Desk.__init__, "__defaults__", (QUICK,))


def answers_in_public(slack: Slack) -> list[SentMessage]:
    named = [
        one for one in slack.posted if (one.metadata or {}).get("event_type") == "baton_answer"
    ]
    return [one for one in named if one.thread_ts]


def patience_of(slack: Slack, method: str) -> float:
    """Seconds between the first refused call of a method and the next one."""
    calls = slack.called(method)
    first = next(place for place, call in enumerate(calls) if call.status == 429)
    return calls[first + 1].at - calls[first].at


async def heard(stage: Stage) -> None:
    """Wait until every answer that was due has been given, or given up."""
    watch = stage.service.store.watch()
    while await stage.service.store.read(lambda tx: list(tx.deliveries.due())):
        await watch.changed(10)
    watch.close()


# --- cards, news and answers in public -------------------------------------------------------


@EITHER
async def test_card_news_and_answer_are_posted_once(
    slack: Slack, tmp_path: Path, repository: Path, fault: Fault
) -> None:
    async with on_stage(slack, tmp_path, repository) as stage:
        slack.fail("chat.postMessage", fault)  # the card
        run_id = await stage.starts("gated")
        await stage.shows(run_id, "waits at step 1 of 3")
        await stage.current()
        slack.fail("chat.update", fault)
        slack.fail("chat.postMessage", fault)  # the announcement
        await stage.ben.says(f"/resume {run_id}")
        await stage.shows(run_id, "waits at step 2 of 3")
        await stage.current()
        slack.fail("chat.postMessage", fault)  # the answer
        await stage.says(f"cancel {run_id}", user="U2")
        await stage.shows(run_id, "cancelled, worktree free")
        await stage.current()
        await heard(stage)
    (card,) = cards(slack, run_id)
    first, second = news(slack, run_id)
    assert "ask: Go?" in words(first)
    assert "ask again: Sure?" in words(second)
    (answer,) = answers_in_public(slack)
    assert "Cancelled gated" in words(answer)
    assert {first.thread_ts, second.thread_ts, answer.thread_ts} == {card.ts}
    if isinstance(fault, TooMany):
        assert patience_of(slack, "chat.postMessage") >= fault.retry_after
        assert patience_of(slack, "chat.update") >= fault.retry_after


async def test_a_call_that_takes_too_long_is_given_up(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(slack, tmp_path, repository) as stage:
        slack.fail("chat.postMessage", Slow(8))
        run_id = await stage.starts("gated")
        await stage.shows(run_id, "waits at step 1 of 3", seconds=6)
        await stage.current()
        assert len(cards(slack, run_id)) == 1


async def test_what_slack_refuses_is_put_right_by_the_next_change(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(slack, tmp_path, repository) as stage:
        slack.fail("chat.postMessage", REFUSED)
        run_id = await stage.starts("gated")
        card = await stage.shows(run_id, "waits at step 1 of 3")
        await stage.current()
        slack.fail("chat.update", REFUSED)
        await stage.ben.says(f"/resume {run_id}")
        await stage.gets(run_id, lambda run: run.steps_done == 1 and run.status == "paused")
        await stage.current()
        slack.fail("chat.postMessage", REFUSED)  # the answer, which then comes privately
        answer = await stage.told(await stage.says(f"cancel {run_id}"))
        assert "Cancelled gated" in answer.text
        await stage.shows(run_id, "cancelled, worktree free")
        assert cards(slack, run_id) == [card]
        assert not answers_in_public(slack)


@pytest.mark.parametrize("fault", [Broken(effect=True), Cut(effect=False)])
async def test_looking_for_what_may_be_posted_can_fail_too(
    slack: Slack, tmp_path: Path, repository: Path, fault: Fault
) -> None:
    async with on_stage(slack, tmp_path, repository) as stage:
        for method in ("conversations.history", "conversations.replies"):
            slack.fail(method, TooMany(1))
            slack.fail(method, Broken())
        slack.fail("chat.postMessage", fault)
        run_id = await stage.starts("gated")
        await stage.shows(run_id, "waits at step 1 of 3")
        await stage.current()
        slack.fail("chat.postMessage", fault)
        await stage.says(f"cancel {run_id}")
        await stage.shows(run_id, "cancelled, worktree free")
        await slack.until(lambda: answers_in_public(slack))
        await stage.current()
    assert [len(cards(slack, run_id)), len(answers_in_public(slack))] == [1, 1]


async def test_without_the_right_to_look_a_state_has_one_card(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    slack.scopes -= {"channels:history", "groups:history", "im:history"}
    async with on_stage(slack, tmp_path, repository) as stage:
        slack.fail("chat.postMessage", Cut())
        run_id = await stage.starts("gated")
        await stage.gets(run_id, lambda run: run.status == "paused")
        await stage.current()
        states = [card.text for card in cards(slack, run_id)]
        assert len(set(states)) == len(states)
        await stage.ben.says(f"/resume {run_id}")
        card = await stage.shows(run_id, "waits at step 2 of 3")
        await stage.current()
        assert [one for one in cards(slack, run_id) if "step 2 of 3" in words(one)] == [card]


# --- private answers -------------------------------------------------------------------------


MAYBE = {"broken after all": {1, 2}, "cut after": {0, 1}, "cut before": {0, 1}, "too slow": {0, 1}}
"""How often an answer may be given whose fate nobody can look up; every other one is given once."""


@pytest.mark.parametrize("name", LOST)
async def test_a_private_answer_is_given_once(
    slack: Slack, tmp_path: Path, repository: Path, name: str
) -> None:
    fault, allowed = LOST[name], MAYBE.get(name, {1})
    async with on_stage(slack, tmp_path, repository) as stage:
        for method in ("response_url", "chat.postEphemeral"):
            slack.fail(method, fault)
        url = await stage.says("runs")
        assert await slack.send(mention("runs", user="U2"))
        await heard(stage)
    assert len([one for one in slack.responses if one.url == url]) in allowed
    assert len([one for one in slack.ephemerals if one.user == "U2"]) in allowed
    assert not slack.posted
    if isinstance(fault, TooMany):
        assert patience_of(slack, "response_url") >= fault.retry_after
        assert patience_of(slack, "chat.postEphemeral") >= fault.retry_after


@pytest.mark.parametrize("name", LOST)
async def test_an_answer_in_a_direct_message_is_given_once(
    slack: Slack, tmp_path: Path, repository: Path, name: str
) -> None:
    """Unlike an ephemeral message, it can be looked for."""
    async with on_stage(slack, tmp_path, repository) as stage:
        slack.fail("chat.postMessage", LOST[name])
        assert await slack.send(direct_message("runs"))
        await heard(stage)
    assert {one.channel for one in slack.posted} <= {"D1"}
    assert len(slack.posted) in ({0, 1} if "cut" in name or name == "too slow" else {1})


async def test_a_private_answer_that_is_refused_goes_another_way(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(slack, tmp_path, repository) as stage:
        slack.fail("response_url", REFUSED)
        await stage.says("runs")
        await slack.until(lambda: slack.ephemerals)
        slack.fail("response_url", REFUSED)
        slack.fail("chat.postEphemeral", REFUSED)
        await stage.says("runs", user="U2")
        await slack.until(lambda: slack.posted)
        await heard(stage)
    assert [one.user for one in slack.ephemerals] == ["U1"]
    assert [slack.channels[one.channel].user for one in slack.posted] == ["U2"]
    assert not slack.responses


async def test_an_answer_outlives_a_long_refusal_of_service(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    """It is due until the platform took it."""
    async with on_stage(slack, tmp_path, repository) as stage:
        slack.fail("response_url", TooMany(0), times=9)
        url = await stage.says("runs")
        await stage.told(url)
        await heard(stage)
    assert len(slack.responses) == 1


# --- what was lost is logged -----------------------------------------------------------------


async def test_an_answer_that_was_given_up_is_logged(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    """A slow answer that nobody can look up is not repeated, and the log knows."""
    async with on_stage(slack, tmp_path, repository) as stage:
        slack.fail("response_url", Cut(effect=False))
        await stage.says("runs")
        await heard(stage)
    (lost,) = [one for one in log_of(tmp_path / "state") if one["event"] == "reply.send_rejected"]
    assert "lost" in lost["reason"]


async def test_what_breaks_unexpectedly_is_in_the_log_and_tried_again(
    slack: Slack, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, breaks = Speaker.answer, iter([True, False])

    async def broken_once(speaker: Speaker, *said: Any, **more: Any) -> None:
        if next(breaks):
            raise RuntimeError("planted")
        await answer(speaker, *said, **more)

    installation = installation_in(tmp_path, repository, slack)
    async with talking(installation) as service:
        await slack.connected(2)
        stage = Stage(slack, service, installation)
        await stage.told(await stage.says("runs"))
        monkeypatch.setattr(Speaker, "answer", broken_once)
        await stage.told(await stage.says("runs"))
    failed = [one for one in log_of(tmp_path / "state") if one["event"].endswith("_failed")]
    assert ["planted" in one["traceback"] for one in failed] == [True]


@pytest.mark.heavy
async def test_a_slow_slack_does_not_hold_up_other_answers(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(slack, tmp_path, repository) as stage:
        slack.fail("response_url", Slow(0.9))
        slow = await stage.says("runs")
        begun = time.monotonic()
        await stage.told(await stage.says("runs", user="U2"))
        assert time.monotonic() - begun < 0.6
        await stage.told(slow)


# --- the way to Slack ------------------------------------------------------------------------


async def test_baton_lives_without_slack_and_connects_later(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    road = Road(slack)
    settings = slack_settings(slack, api_url=road.api_url)
    installation = installation_in(tmp_path, repository, slack, slack=settings)
    async with talking(installation) as service:
        stage = Stage(slack, service, installation)
        answer = await service.dispatcher.handle(in_slack("/run gated"))
        assert answer
        run_id = str(answer.run_id)
        await stage.gets(run_id, lambda run: run.status == "paused")
        assert not slack.calls
        async with road:
            await slack.connected(2, seconds=20)
            await stage.shows(run_id, "waits at step 1 of 3")
            await stage.says(f"cancel {run_id}")
            await stage.shows(run_id, "cancelled, worktree free")
    assert len(cards(slack, run_id)) == 1
    assert_clean_log(tmp_path / "state")


@pytest.mark.parametrize("fault", [Refused("internal_error"), Broken(503), Cut(effect=False)])
async def test_a_refused_connection_is_logged_and_soon_tried_again(
    slack: Slack, tmp_path: Path, repository: Path, fault: Fault
) -> None:
    slack.fail("apps.connections.open", fault, times=2)
    async with on_stage(slack, tmp_path, repository) as stage:
        await stage.told(await stage.says("runs"))
    events = [entry["event"] for entry in log_of(tmp_path / "state")]
    assert events.count("slack.connect_rejected") == 2
    assert events.count("slack.connect_completed") == 2


async def test_sockets_that_are_cut_come_back_and_lose_nothing(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(slack, tmp_path, repository) as stage:
        urls = [await stage.says("run gated", channel=channel) for channel in ("C1", "C2")]
        for connection in list(slack.connections):
            await slack.drop(connection)
        for url in urls:
            assert "Started gated" in (await stage.told(url)).text
        await slack.connected(2, seconds=30)
        assert "gated" in (await stage.told(await stage.says("runs"))).text


# --- HTTP ------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # of the double
async def test_http_mode_takes_what_is_signed_and_nothing_else(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}{EVENTS_PATH}"
    http: dict[str, Any] = {"slack": slack_settings(slack, mode="http"), "server": {"port": port}}
    async with on_stage(slack, tmp_path, repository, connections=0, **http) as stage:
        started = slash("/baton", "run quick")["payload"]
        for wrong in ({"signing_secret": "guess"}, {"signature": "v0=0"}, {"timestamp": 1}):
            assert (await slack.post(url, "slash_commands", started, **wrong)).status == 401
        huge = started | {"text": "x" * 2_000_000}
        assert (await slack.post(url, "slash_commands", huge)).status == 413
        challenge = await slack.post(url, "events_api", url_verification()["payload"])
        assert (challenge.status, json.loads(challenge.body)) == (200, {"challenge": "prove it"})
        assert await stage.runs() == set()
        assert not slack.calls

        assert (await slack.post(url, "slash_commands", started)).status == 200
        assert "Started quick" in (await stage.told(started["response_url"])).text
        assert (await slack.post(url, "events_api", mention("runs")["payload"])).status == 200
        await slack.until(lambda: slack.ephemerals)
        (run_id,) = await stage.runs()
        await stage.shows(run_id, "completed")
