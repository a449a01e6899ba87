"""The double delivers to a real Bolt app as Slack does, by Socket Mode and HTTP."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_sdk.web.async_client import AsyncWebClient

from tests.slack.cards import BUTTON, CARD
from tests.slack.double import SIGNING_SECRET, Ephemeral, SentMessage, Slack
from tests.slack.payloads import (
    bot_message,
    buttons_of,
    click,
    direct_message,
    mention,
    options_of,
    shortcut,
    slash,
    texts_of,
    uninstalled,
    url_verification,
)

PING_SECONDS = 0.2


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    async with Slack() as slack:
        yield slack


@pytest.fixture
def client(slack: Slack) -> AsyncWebClient:
    return AsyncWebClient("xoxb-1", base_url=slack.api_url, retry_handlers=[])


def test_payloads_find_what_a_person_can_use() -> None:
    message = SentMessage("C1", "1.2", "demo failed", CARD, thread_ts="1.1")
    assert list(buttons_of(CARD + CARD)) == ["Resume", "Resume #2"]
    assert texts_of(CARD) == ["*demo* failed", "Resume", "demo", "other"]
    clicked = click(message, buttons_of(CARD)["Resume"])["payload"]
    assert clicked["actions"][0]["block_id"] == "do"
    assert clicked["container"]["thread_ts"] == "1.1"
    chosen = click(message, options_of(CARD)["other"])["payload"]["actions"][0]
    assert chosen["selected_option"]["value"] == "r2"
    assert "message" not in click(Ephemeral("C1", "U1", "", CARD), BUTTON)["payload"]
    with pytest.raises(AssertionError, match="not there"):
        click(message, BUTTON | {"value": "r9"})
    assert mention("status")["payload"]["event"]["text"] == "<@UBATON> status"


def bolt(slack: Slack, heard: list[str], **options: Any) -> AsyncApp:
    """An app that notes all it hears; "slow" is answered too late."""
    quiet = logging.getLogger("tests.slack.bolt")
    client = AsyncWebClient("xoxb-1", base_url=slack.api_url, retry_handlers=[])
    app = AsyncApp(client=client, signing_secret=SIGNING_SECRET, logger=quiet, **options)

    @app.command("/run")
    async def run(ack: Any, body: dict[str, Any], respond: Any) -> None:
        heard.append(body["text"])
        if body["text"] != "slow":
            await ack("Started.")
            await respond("To you alone.")

    @app.event("app_mention")
    async def mentioned(event: dict[str, Any], request: Any, say: Any) -> None:
        heard.append(event["text"] + request.headers.get("x-slack-retry-num", ["-"])[0])
        await say("Yes?", thread_ts=event["ts"])

    @app.action("resume")
    async def resume(ack: Any, respond: Any) -> None:
        await ack()
        await respond("Resuming", replace_original=True)

    @app.shortcut("look")
    async def look(ack: Any, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        title = {"type": "plain_text", "text": "Look"}
        view = {"type": "modal", "title": title, "blocks": []}
        await client.views_open(trigger_id=body["trigger_id"], view=view)

    @app.event("message")
    @app.event("app_uninstalled")
    async def other(event: dict[str, Any]) -> None:
        heard.append(event["type"])

    return app


@asynccontextmanager
async def listening(slack: Slack, heard: list[str]) -> AsyncIterator[None]:
    handler = AsyncSocketModeHandler(bolt(slack, heard), "xapp-1", ping_interval=PING_SECONDS)
    await handler.connect_async()  # type: ignore[no-untyped-call] # of Bolt
    try:
        yield
    finally:
        await handler.close_async()  # type: ignore[no-untyped-call] # of Bolt


async def test_socket_mode_delivers_and_collects_acknowledgements(slack: Slack) -> None:
    heard: list[str] = []
    async with listening(slack, heard):
        await slack.connected()
        ack = await slack.send(slash("/run", "demo"))
        assert ack
        assert (ack.payload, ack.seconds < 3) == ({"text": "Started."}, True)
        await slack.until(lambda: slack.responses)
        assert (slack.responses[0].text, slack.responses[0].channel) == ("To you alone.", "C1")
        assert await slack.send(slash("/run", "lost"), lose_ack=True) is None
        assert await slack.send(slash("/run", "slow"), seconds=0.3) is None
        assert await slack.send(direct_message("hello"))
        assert await slack.send(bot_message("beep"))
        assert await slack.send(uninstalled())
        await slack.until(lambda: len(slack.acks) == 5)
    assert heard == ["demo", "lost", "slow", "message", "message", "app_uninstalled"]
    await slack.connected(0)


async def test_socket_mode_redelivers(slack: Slack) -> None:
    heard: list[str] = []
    async with listening(slack, heard):
        await slack.connected()
        event, command = mention("status"), slash("/run", "demo")
        assert await slack.send(event)
        again = await slack.redeliver(event)
        assert again
        assert again.envelope_id != event["envelope_id"]
        same = await slack.redeliver(command)
        assert same
        assert same.envelope_id == command["envelope_id"]
        await slack.until(lambda: len(slack.posted) == 2)
    assert heard == ["<@UBATON> status0", "<@UBATON> status1", "demo"]
    assert {message.thread_ts for message in slack.posted} == {event["payload"]["event"]["ts"]}


async def test_clicks_change_the_message_and_shortcuts_open_views(
    slack: Slack, client: AsyncWebClient
) -> None:
    async with listening(slack, []):
        await slack.connected()
        await client.chat_postMessage(channel="C1", text="demo failed", blocks=CARD)
        (card,) = slack.posted
        assert await slack.send(click(card, buttons_of(card.blocks)["Resume"]))
        await slack.until(lambda: card.edits)
        assert (card.text, card.blocks) == ("Resuming", [])
        assert await slack.send(shortcut(card, callback_id="look"))
        await slack.until(lambda: slack.views)


@pytest.mark.parametrize("how", ["refresh", "drop"])
async def test_socket_mode_comes_back(slack: Slack, how: str) -> None:
    heard: list[str] = []
    async with listening(slack, heard):
        await slack.connected()
        (old,) = slack.connections
        await (slack.disconnect() if how == "refresh" else slack.drop())
        assert old not in slack.connections
        await slack.connected()
        assert await slack.send(slash("/run", "again"))
        assert await slack.send(slash("/run", "nobody"), old, seconds=0.3) is None
    assert heard == ["again"]


@pytest.mark.heavy
async def test_two_connections_take_turns_and_outlive_pings(slack: Slack) -> None:
    one: list[str] = []
    two: list[str] = []
    async with listening(slack, one), listening(slack, two):
        await slack.connected(2)
        for number in range(4):
            assert await slack.send(slash("/run", str(number)))
        assert (len(one), len(two)) == (2, 2)
        with pytest.raises(AssertionError, match="not within"):  # stale after four pings unanswered
            await slack.connected(1, seconds=PING_SECONDS * 6)
        assert len(slack.called("apps.connections.open")) == 2


@asynccontextmanager
async def served(app: AsyncApp) -> AsyncIterator[str]:
    runner = web.AppRunner(app.web_app(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}/slack/events"
    finally:
        await runner.cleanup()


async def test_http_mode_is_signed(slack: Slack) -> None:
    heard: list[str] = []
    async with served(bolt(slack, heard)) as url:
        command = slash("/run", "demo & more")
        kind, payload = command["type"], command["payload"]
        assert await slack.post(url, kind, payload) == (200, "Started.")
        assert (await slack.post(url, kind, payload, signing_secret="guess")).status == 401
        assert (await slack.post(url, kind, payload, signature="v0=0")).status == 401
        assert (await slack.post(url, kind, payload, timestamp=1)).status == 401

        event = mention("status")["payload"]
        assert (await slack.post(url, "events_api", event, retry=2)).status == 200
        challenge = await slack.post(url, "events_api", url_verification()["payload"])
        assert json.loads(challenge.body) == {"challenge": "prove it"}
        await slack.until(lambda: slack.posted and slack.responses)
        card = slack.keep(SentMessage("C1", "1.1", "", CARD))
        clicked = click(card, buttons_of(CARD)["Resume"])["payload"]
        assert (await slack.post(url, "interactive", clicked)).status == 200
        await slack.until(lambda: card.text == "Resuming")
    assert heard == ["demo & more", "<@UBATON> status2"]


@pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")  # of slack_sdk
async def test_an_app_for_many_workspaces_exchanges_its_code_here(slack: Slack) -> None:
    settings = AsyncOAuthSettings(client_id=slack.client_id, client_secret=slack.client_secret)
    flow = bolt(slack, [], oauth_settings=settings).oauth_flow
    assert flow
    granted = await flow.run_installation("code-1")
    assert granted
    assert (granted.team_id, granted.bot_user_id) == ("T1", "UBATON")
