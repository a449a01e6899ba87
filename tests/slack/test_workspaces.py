"""Many workspaces: installed by OAuth, renewed, and forgotten."""

import re
import socket
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from slack_sdk.oauth.installation_store.sqlalchemy import AsyncSQLAlchemyInstallationStore
from slack_sdk.oauth.state_store.sqlalchemy import AsyncSQLAlchemyOAuthStateStore
from sqlalchemy import MetaData

from bot.bootstrap import Installation, Service
from store.database import Database, sqlite_file
from tests.slack import payloads
from tests.slack.conftest import installation_in, slack_settings
from tests.slack.double import Channel, Slack

pytestmark = pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")


@pytest.fixture
def port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def installation(tmp_path: Path, repository: Path, slack: Slack, port: int) -> Installation:
    app = {"bot_token": "", "client_id": "1.1", "client_secret": "client-secret"}
    return installation_in(
        tmp_path,
        repository,
        slack,
        slack=slack_settings(slack, **app),
        server={"port": port, "public_url": f"http://127.0.0.1:{port}"},
    )


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        yield browser


def tokens(installation: Installation) -> list[str]:
    """The bot tokens that are kept."""
    with closing(sqlite3.connect(sqlite_file(installation.database.url))) as connection:
        return [row[0] for row in connection.execute("SELECT bot_token FROM slack_bots")]


async def install(browser: aiohttp.ClientSession, port: int, code: str) -> int:
    """Go through the consent page, which is Slack's; the status of the last page."""
    base = f"http://127.0.0.1:{port}"
    async with browser.get(f"{base}/slack/install") as page:
        links = re.findall(r'href="([^"]*/oauth/v2/authorize[^"]*)"', await page.text())
        cookie = page.cookies["slack-app-oauth-state"].value
    [state] = parse_qs(urlsplit(unescape(links[0])).query)["state"]
    back = f"{base}/slack/oauth_redirect?code={code}&state={state}"
    headers = {"Cookie": f"slack-app-oauth-state={cookie}"}
    async with browser.get(back, headers=headers) as page:
        return page.status


async def test_a_workspace_that_installs_the_app_is_answered(
    baton: Service, slack: Slack, browser: aiohttp.ClientSession, port: int
) -> None:
    await slack.send(payloads.slash("/baton", "runs"))
    await slack.until(lambda: slack.responses)
    assert "not installed in this workspace" in slack.responses[0].text
    assert await install(browser, port, "code-1") == 200
    await slack.send(payloads.slash("/baton", "run quick"))
    await slack.until(lambda: slack.posted)
    assert slack.posted[0].channel == "C1"


async def test_a_forged_consent_is_refused(
    baton: Service, slack: Slack, browser: aiohttp.ClientSession, port: int
) -> None:
    back = f"http://127.0.0.1:{port}/slack/oauth_redirect?code=code-1&state=forged"
    async with browser.get(back) as page:
        assert page.status == 400
    assert not slack.called("oauth.v2.access")


async def test_a_workspace_that_removes_the_app_is_forgotten(
    installation: Installation,
    baton: Service,
    slack: Slack,
    browser: aiohttp.ClientSession,
    port: int,
) -> None:
    await install(browser, port, "code-1")
    await slack.send(payloads.slash("/baton", "runs"))
    await slack.until(lambda: len(slack.responses) == 1)
    await slack.send(payloads.uninstalled("T1"))
    watch = baton.store.watch()
    while tokens(installation):
        await watch.changed(1)
    watch.close()
    await slack.send(payloads.slash("/baton", "runs"))
    await slack.until(lambda: len(slack.responses) == 2)
    assert "not installed in this workspace" in slack.responses[1].text


async def test_a_token_is_renewed_before_it_expires(
    baton: Service, slack: Slack, browser: aiohttp.ClientSession, port: int,
    installation: Installation,
) -> None:  # fmt: skip
    slack.rotation = True
    await install(browser, port, "code-1")
    [first] = tokens(installation)
    with installation.database.connect() as connection, connection.begin():
        connection.exec_driver_sql(
            "UPDATE slack_bots SET bot_token_expires_at = datetime('now', '+1 hour')"
        )
    await slack.send(payloads.slash("/baton", "run quick"))
    await slack.until(lambda: slack.posted)
    assert len(slack.called("oauth.v2.access")) == 2
    assert [slack.posted[0].token] == tokens(installation) != [first]


async def test_two_workspaces_do_not_see_each_other(
    baton: Service, slack: Slack, browser: aiohttp.ClientSession, port: int
) -> None:
    slack.codes["code-2"] = "T2"
    slack.channels["C9"] = Channel("C9", "T2")
    assert await install(browser, port, "code-1") == 200
    assert await install(browser, port, "code-2") == 200
    await slack.send(payloads.slash("/baton", "run slow"))
    await slack.until(lambda: slack.posted)
    metadata = slack.posted[0].metadata
    assert metadata is not None
    run_id = metadata["event_payload"]["run"]
    foreign = payloads.slash("/cancel", run_id, channel="C9", team="T2")
    await slack.send(foreign)
    await slack.until(lambda: len(slack.responses) == 2)
    assert "There is no run" in slack.responses[-1].text


def test_the_tables_are_those_that_slack_sdk_expects(installation: Installation) -> None:
    database: Database = installation.database
    expected = MetaData()
    AsyncSQLAlchemyInstallationStore.build_installations_table(expected, "slack_installations")
    AsyncSQLAlchemyInstallationStore.build_bots_table(expected, "slack_bots")
    AsyncSQLAlchemyOAuthStateStore.build_oauth_states_table(expected, "slack_oauth_states")
    made = MetaData()
    with database.connect() as connection:
        made.reflect(connection, only=list(expected.tables))
    for name, table in expected.tables.items():
        assert {c.name: (str(c.type), c.nullable) for c in table.columns} == {
            c.name: (str(c.type), c.nullable) for c in made.tables[name].columns
        }
