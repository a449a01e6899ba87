"""The double's Web API answers the real client as Slack does."""

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientError
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from tests.slack.cards import BUTTON, CARD, SELECT, actions, section
from tests.slack.double import Broken, Channel, Cut, Refused, Slack, Slow, TooMany
from tests.slack.payloads import slash

# slack_sdk 3.47 still passes client id and secret in a way that aiohttp 3.14 deprecates.
OLD_AIOHTTP = pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    async with Slack() as slack:
        yield slack


@pytest.fixture
def client(slack: Slack) -> AsyncWebClient:
    return AsyncWebClient("xoxb-1", base_url=slack.api_url, retry_handlers=[])


async def error_of(call: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


async def test_a_message_is_posted_changed_read_and_deleted(
    slack: Slack, client: AsyncWebClient
) -> None:
    kept = {"event_type": "card", "event_payload": {"run": "r1"}}
    posted = await client.chat_postMessage(channel="C1", text="one", blocks=CARD, metadata=kept)
    ts = posted["ts"]
    reply = await client.chat_postMessage(channel="C1", text="two", thread_ts=ts)
    await client.chat_update(channel="C1", ts=ts, text="three")

    message = slack.messages["C1", ts]
    assert (message.text, message.blocks, message.metadata) == ("three", [], kept)
    assert [(edit.text, edit.blocks) for edit in message.edits] == [("three", [])]
    assert slack.messages["C1", reply["ts"]].thread_ts == ts
    history = await client.conversations_history(channel="C1", include_all_metadata=True)
    assert [(one["ts"], one["metadata"]) for one in history["messages"]] == [(ts, kept)]
    replies = await client.conversations_replies(channel="C1", ts=ts, oldest=ts)
    assert [one["text"] for one in replies["messages"]] == ["three", "two"]
    assert "metadata" not in replies["messages"][0]

    await client.chat_delete(channel="C1", ts=ts)
    assert message.deleted
    assert slack.posted[0] is message
    assert not (await client.conversations_history(channel="C1"))["messages"]
    assert await error_of(client.chat_update(channel="C1", ts=ts, text="x")) == "message_not_found"


async def test_history_is_read_in_windows_and_pages(slack: Slack, client: AsyncWebClient) -> None:
    first, second, third = [
        (await client.chat_postMessage(channel="C1", text=text))["ts"] for text in "abc"
    ]
    inside = await client.conversations_history(channel="C1", oldest=first, latest=third)
    assert [one["ts"] for one in inside["messages"]] == [second]
    whole = await client.conversations_history(
        channel="C1", oldest=first, latest=third, inclusive=True, limit=2
    )
    assert [one["ts"] for one in whole["messages"]] == [third, second]
    assert whole["has_more"]
    cursor = whole["response_metadata"]["next_cursor"]
    rest = await client.conversations_history(channel="C1", cursor=cursor)
    assert [one["ts"] for one in rest["messages"]] == [first]


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"text": ""}, "no_text"),
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({"blocks": [section("x")] * 51}, "invalid_blocks"),
        ({"blocks": [section("x" * 3_001)]}, "invalid_blocks"),
        ({"blocks": [section("")]}, "invalid_blocks"),
        ({"blocks": [actions(BUTTON | {"value": "x" * 2_001})]}, "invalid_blocks"),
        ({"blocks": [actions(BUTTON, BUTTON)]}, "invalid_blocks"),
        ({"blocks": [actions(SELECT | {"options": []})]}, "invalid_blocks"),
        ({"blocks": [actions(BUTTON | {"confirm": {}})]}, "invalid_blocks"),
        ({"blocks": [{"type": "marquee"}]}, "invalid_blocks"),
        ({"blocks": [section("x" * 2_900)] * 5}, "msg_blocks_too_long"),
        ({"channel": "C9"}, "channel_not_found"),
        ({"channel": "CAWAY"}, "not_in_channel"),
        ({"channel": "COLD"}, "is_archived"),
        ({"channel": "CT2"}, "channel_not_found"),
    ],
)
async def test_what_slack_would_refuse(
    slack: Slack, client: AsyncWebClient, changed: dict[str, Any], error: str
) -> None:
    for channel in (
        Channel("CAWAY", member=False),
        Channel("COLD", archived=True),
        Channel("CT2", team="T2"),
    ):
        slack.channels[channel.id] = channel
    asked = {"channel": "C1", "text": "said", **changed}
    assert await error_of(client.api_call("chat.postMessage", json=asked)) == error
    assert not slack.posted


async def test_people_tokens_and_scopes(slack: Slack, client: AsyncWebClient) -> None:
    slack.groups["S1"] = ["U1", "U2"]
    assert (await client.users_info(user="U2"))["user"]["name"] == "ben"
    assert (await client.usergroups_users_list(usergroup="S1"))["users"] == ["U1", "U2"]
    direct = (await client.conversations_open(users="U2"))["channel"]["id"]
    assert (await client.chat_postMessage(channel="U2", text="psst"))["channel"] == direct

    slack.scopes = {"chat:write", "commands"}
    who = await client.auth_test()
    assert (who["team_id"], who["user_id"], who["bot_id"]) == ("T1", "UBATON", "BBATON")
    assert who.headers["X-OAuth-Scopes"] == "chat:write,commands"
    assert await error_of(client.users_info(user="U1")) == "missing_scope"
    assert await error_of(client.api_call("chat.dance")) == "unknown_method"
    assert await error_of(client.auth_test(token="xoxb-9")) == "invalid_auth"


@OLD_AIOHTTP
async def test_a_code_and_a_refresh_token_are_each_good_once(slack: Slack) -> None:
    slack.rotation = True
    anybody = AsyncWebClient(base_url=slack.api_url, retry_handlers=[])
    who = {"client_id": slack.client_id, "client_secret": slack.client_secret}
    granted = await anybody.oauth_v2_access(**who, code="code-1")
    assert slack.tokens[granted["access_token"]] == "T1"
    assert await error_of(anybody.oauth_v2_access(**who, code="code-1")) == "invalid_code"
    refresh = {"grant_type": "refresh_token", "refresh_token": granted["refresh_token"]}
    renewed = await anybody.oauth_v2_access(**who, **refresh)
    assert renewed["refresh_token"] != granted["refresh_token"]
    assert await error_of(anybody.oauth_v2_access(**who, **refresh)) == "invalid_refresh_token"


async def test_each_fault_comes_once_and_in_order(slack: Slack, client: AsyncWebClient) -> None:
    slack.fail("chat.postMessage", TooMany(retry_after=7))
    slack.fail("chat.postMessage", Refused("fatal_error"))
    slack.fail("chat.postMessage", Broken(503))
    with pytest.raises(SlackApiError) as limited:
        await client.chat_postMessage(channel="C1", text="0")
    assert limited.value.response.status_code == 429
    assert limited.value.response.headers["Retry-After"] == "7"
    assert await error_of(client.chat_postMessage(channel="C1", text="0")) == "fatal_error"
    with pytest.raises(SlackApiError):
        await client.chat_postMessage(channel="C1", text="0")
    assert not slack.posted

    slack.fail("chat.postMessage", Broken(effect=True))
    with pytest.raises(SlackApiError):
        await client.chat_postMessage(channel="C1", text="1")
    slack.fail("chat.postMessage", Cut(effect=False))
    slack.fail("chat.postMessage", Cut())
    for text in "02":
        with pytest.raises(ClientError):
            await client.chat_postMessage(channel="C1", text=text)
    slack.fail("chat.postMessage", Slow(0.3))
    before = time.monotonic()
    await client.chat_postMessage(channel="C1", text="3")
    assert time.monotonic() - before >= 0.3
    assert [message.text for message in slack.posted] == ["1", "2", "3"]
    assert [call.status for call in slack.calls] == [429, 200, 503, 500, 0, 0, 200]


async def test_a_client_that_gave_up_on_a_slow_call_has_posted(slack: Slack) -> None:
    hasty = AsyncWebClient("xoxb-1", base_url=slack.api_url, timeout=1, retry_handlers=[])
    slack.fail("chat.postMessage", Slow(30))
    with pytest.raises(TimeoutError):
        await hasty.chat_postMessage(channel="C1", text="late")
    assert len(slack.posted) == 1


async def test_rates_are_kept_when_a_test_wants_it(slack: Slack, client: AsyncWebClient) -> None:
    slack.enforce_rates = True
    for _ in range(5):
        await client.chat_postMessage(channel="C1", text="quick")
    assert await error_of(client.chat_postMessage(channel="C1", text="quick")) == "ratelimited"
    ts = (await client.chat_postMessage(channel="C2", text="elsewhere"))["ts"]
    for _ in range(50):
        await client.chat_update(channel="C2", ts=ts, text="again")
    with pytest.raises(SlackApiError) as limited:
        await client.chat_update(channel="C2", ts=ts, text="again")
    assert 0 < int(limited.value.response.headers["Retry-After"]) <= 60


async def test_waiting_in_vain_shows_what_was_called(slack: Slack, client: AsyncWebClient) -> None:
    await client.chat_postMessage(channel="C1", text="here I am")
    with pytest.raises(AssertionError, match="here I am"):
        await slack.until(lambda: len(slack.posted) == 2, seconds=0.1)


async def test_a_response_url_is_good_five_times_and_can_fail(slack: Slack) -> None:
    payload = slash("/run")["payload"]
    slack.give_out(payload)
    hook = AsyncWebhookClient(payload["response_url"])
    slack.fail("response_url", Broken(500))
    assert (await hook.send(text="0")).status_code == 500
    assert (await hook.send(text="1", response_type="in_channel")).status_code == 200
    assert (await hook.send(text="")).status_code == 400
    for number in range(4):
        assert (await hook.send(text=str(number))).status_code == 200
    used_up = await hook.send(text="6")
    assert (used_up.status_code, json.loads(used_up.body)["error"]) == (404, "used_url")
    assert [message.text for message in slack.posted] == ["1"]
    assert len(slack.responses) == 5
