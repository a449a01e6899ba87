"""Everything that keeps Slack from working is named in words that hold no secret."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack import diagnosis
from adapters.slack.manifest import REQUIRED_SCOPES, SCOPES

BOT = "xoxb-12-34-bOtSeCrEt"
APP = "xapp-1-A1-56-aPpSeCrEt"
SIGNING = "51gn1ngSeCrEt"
SECRETS = ("xoxb-12", "xapp-1", "xoxp-9", "SeCrEt", "pAsSwOrD")


@dataclass
class Slack:
    """The two methods that are asked, on this machine."""

    url: str = ""
    scopes: str | None = ", ".join(SCOPES)
    says: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    answering: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        self.asked.append((method, request.headers["Authorization"]))
        assert not request.query_string
        await self.answering.wait()
        said = self.says.get(method, {"ok": True})
        if isinstance(said, web.Response):
            return said
        refused = {"ok": False, "error": said} if isinstance(said, str) else said
        headers = {} if self.scopes is None else {"X-OAuth-Scopes": self.scopes}
        return web.json_response(refused, headers=headers)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's proxy must not stand between the test and itself."""
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    fake = Slack()
    fake.answering.set()
    app = web.Application()
    app.router.add_post("/api/{method}", fake.answer)
    async with TestServer(app) as server:
        fake.url = str(server.make_url("/api/"))
        yield fake
        fake.answering.set()


async def diagnose(**settings: Any) -> list[str]:
    """What is wrong with good settings that these replace; never with a secret in it."""
    good = {"bot_token": BOT, "app_token": APP, "signing_secret": "", "mode": "socket"}
    problems = await diagnosis.diagnose(**{**good, **settings})
    for problem in problems:
        assert problem.endswith(".")
        assert "\n" not in problem
        assert not any(secret in problem for secret in SECRETS), problem
    return problems


async def only(**settings: Any) -> str:
    (problem,) = await diagnose(**settings)
    return problem


async def test_nothing_is_said_when_all_is_well(slack: Slack) -> None:
    assert await diagnose(api_url=slack.url) == []
    bearers = {("auth.test", f"Bearer {BOT}"), ("apps.connections.open", f"Bearer {APP}")}
    assert set(slack.asked) == bearers
    assert len(slack.asked) == 2


async def test_over_http_only_the_bot_token_is_tried(slack: Slack) -> None:
    settings = {"mode": "http", "app_token": "", "signing_secret": SIGNING}
    assert await diagnose(api_url=slack.url, **settings) == []
    assert [method for method, _ in slack.asked] == ["auth.test"]


async def test_the_address_may_lack_its_last_slash(slack: Slack) -> None:
    assert await diagnose(api_url=slack.url.rstrip("/")) == []


async def test_missing_tokens(slack: Slack) -> None:
    bot, app = await diagnose(api_url=slack.url, bot_token="", app_token="")
    assert bot.startswith("slack.bot_token is empty")
    assert "SLACK_BOT_TOKEN" in bot
    assert app.startswith("slack.app_token is empty")
    assert "connections:write" in app
    assert slack.asked == []


async def test_with_oauth_no_bot_token_is_needed(slack: Slack) -> None:
    assert await diagnose(api_url=slack.url, bot_token="", oauth=True) == []
    assert [method for method, _ in slack.asked] == ["apps.connections.open"]


async def test_swapped_tokens(slack: Slack) -> None:
    bot, app = await diagnose(api_url=slack.url, bot_token=APP, app_token=BOT)
    assert bot.startswith("slack.bot_token holds an app-level token, not a bot token")
    assert app.startswith("slack.app_token holds a bot token, not an app-level token")
    assert slack.asked == []


async def test_tokens_of_another_kind(slack: Slack) -> None:
    bot, app = await diagnose(api_url=slack.url, bot_token="xoxp-9-SeCrEt", app_token="SeCrEt")
    assert bot.startswith("slack.bot_token is not a bot token: those begin with xoxb-.")
    assert app.startswith("slack.app_token is not an app-level token: those begin with xapp-.")
    assert slack.asked == []


@pytest.mark.parametrize("stray", [" ", "\n", "\t", "\N{NO-BREAK SPACE}", "é"])
async def test_a_token_that_was_copied_badly(slack: Slack, stray: str) -> None:
    problem = await only(api_url=slack.url, bot_token=BOT + stray)
    assert problem.startswith("slack.bot_token has a character in it that no token has")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("invalid_auth", "it is not known there, or not allowed from this network (invalid_auth)"),
        ("account_inactive", "the app was removed, or its workspace is gone (account_inactive)"),
        ("token_revoked", "it was revoked (token_revoked)"),
        ("token_expired", "it has expired (token_expired)"),
        ("not_authed", "it is not known there (not_authed)"),
        ("some_news", "some_news"),
    ],
)
async def test_a_bot_token_that_slack_refuses(slack: Slack, code: str, why: str) -> None:
    slack.says["auth.test"] = code
    problem = await only(api_url=slack.url)
    assert problem.startswith(f"Slack refuses slack.bot_token: {why}. Install the app")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("not_allowed_token_type", "it is of the wrong kind (not_allowed_token_type)"),
        ("missing_scope", "it lacks a scope (missing_scope)"),
    ],
)
async def test_an_app_token_that_slack_refuses(slack: Slack, code: str, why: str) -> None:
    slack.says["apps.connections.open"] = code
    problem = await only(api_url=slack.url)
    assert problem.startswith(f"Slack refuses slack.app_token: {why}. Generate an app-level token")
    assert "connections:write" in problem


@pytest.mark.parametrize("code", ["ratelimited", "internal_error", "service_unavailable"])
async def test_slack_is_not_able_to_say(slack: Slack, code: str) -> None:
    slack.says["auth.test"] = web.json_response({"ok": False, "error": code}, status=429)
    problem = await only(api_url=slack.url)
    assert problem.startswith(f"Slack could not check slack.bot_token just now ({code})")
    assert len(slack.asked) == 2, "it is not asked again and again"


@pytest.mark.parametrize("scope", SCOPES)
async def test_each_missing_scope_is_named_with_what_it_disables(slack: Slack, scope: str) -> None:
    slack.scopes = ",".join(s for s in SCOPES if s != scope)
    problem = await only(api_url=slack.url)
    lost = "so nothing works" if scope in REQUIRED_SCOPES else "the rest works"
    lacks = f"The bot token lacks the scope {scope}: Baton cannot {SCOPES[scope]}; {lost}."
    assert problem.startswith(lacks)
    assert "slack-manifest" in problem


async def test_one_sentence_for_each_missing_scope(slack: Slack) -> None:
    slack.scopes = "chat:write,identify"
    assert len(await diagnose(api_url=slack.url)) == len(SCOPES) - 1


async def test_scopes_that_a_proxy_hid_are_not_called_missing(slack: Slack) -> None:
    slack.scopes = None
    assert await diagnose(api_url=slack.url) == []


async def test_a_missing_signing_secret(slack: Slack) -> None:
    problem = await only(api_url=slack.url, mode="http", app_token="")
    assert problem.startswith("slack.signing_secret is empty")


@pytest.mark.parametrize(
    "response",
    [
        {"text": "<html>pAsSwOrD</html>", "content_type": "text/html"},
        {"text": "xoxb-12-34-bOtSeCrEt", "content_type": "text/plain"},
        {"text": "xoxb-12-34-bOtSeCrEt", "content_type": "text/plain", "status": 502},
        {"text": "<html>", "content_type": "text/html", "status": 503},
        {"text": "no json", "content_type": "application/json"},
        {"text": '["xoxb-12-34-bOtSeCrEt"]', "content_type": "application/json"},
        {"text": '{"ok": false, "error": ["xoxb-12"]}', "content_type": "application/json"},
        {"text": '{"ok": false, "error": "xoxb-12"}', "content_type": "application/json"},
        {"body": b"\xff\xfe\xff", "content_type": "application/json"},
    ],
)
async def test_something_else_than_slack_answers(slack: Slack, response: dict[str, Any]) -> None:
    slack.says["auth.test"] = web.Response(**response)
    problem = await only(api_url=slack.url, mode="http", signing_secret=SIGNING)
    status = response.get("status", 200)
    assert problem.startswith(f"127.0.0.1 did not answer as Slack's API does (HTTP status {status}")


async def test_nobody_listens_and_that_is_said_once() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        problem = await only(api_url=f"http://127.0.0.1:{port}/api/")
    assert problem.startswith("Slack's API at 127.0.0.1 cannot be reached: connection refused.")


async def test_no_answer_in_time(slack: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "TIMEOUT_SECONDS", 1)
    slack.answering.clear()
    problem = await only(api_url=slack.url)
    slack.answering.set()
    assert "cannot be reached: no answer within 1 seconds." in problem


async def test_a_proxy_that_is_not_there(slack: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTP_PROXY", f"http://ana:pAsSwOrD@127.0.0.1:{unused.getsockname()[1]}")
        problem = await only(api_url=slack.url)
    assert "cannot be reached: the proxy does not let it through." in problem
    assert "HTTP_PROXY" in problem


async def test_http_is_spoken_where_https_is_meant(slack: Slack) -> None:
    problem = await only(api_url=slack.url.replace("http://", "https://"))
    assert "cannot be reached: no secure connection could be made." in problem


KEY: Any = None
OTHER_FAILURES = [
    (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "unknown")), "there is no such host"),
    (aiohttp.ClientConnectorError(KEY, OSError(None, "odd")), "the connection failed"),
    (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError()), "no secure connection could be made"),
    (aiohttp.ServerDisconnectedError(), "the connection failed"),
    (aiohttp.InvalidURL("http://pAsSwOrD"), "the connection failed"),
]


@pytest.mark.parametrize(("failure", "why"), OTHER_FAILURES)
async def test_other_failures(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, why: str
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(AsyncWebClient, "api_call", fail)
    problem = await only(api_url="https://slack.com/api/")
    assert problem.startswith(f"Slack's API at slack.com cannot be reached: {why}.")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "slack.com/api",
        "ftp://slack.com",
        "https://",
        "http://[oh",
        "https://ana:pAsSwOrD@slack.com/api/",
    ],
)
async def test_an_address_that_cannot_be_used(url: str) -> None:
    problem = await only(api_url=url)
    assert problem.startswith("slack.api_url cannot be used: it should look like https://slack.com")
