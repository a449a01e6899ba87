"""From nothing to a working Baton: the invitation, the settings, and how it is connected."""

import asyncio
import base64
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import discord as library
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters.discord.invite import PERMISSIONS, SCOPES, application_of, invitation
from bot.config import Settings, load
from bot.errors import ConfigurationError
from tests.discord.double import Discord
from tests.discord.payloads import mention
from tests.discord.programs import baton, baton_without
from tests.discord.records import CHANNEL, GUILD
from tests.discord.talk import SECRET, directly, log_of, talking

APPLICATION = "123456789012345678"
TOKEN = f"{base64.urlsafe_b64encode(APPLICATION.encode()).decode()}.GabcDE.tail-of_it"
_PASSED = ("Authorization", "Content-Type")
SHARD_OF_ONE = str((1 << 22) + 5)
"""A guild that belongs to the second of two connections."""


# --- the invitation --------------------------------------------------------------------------


def assert_invites(address: str, application: str) -> None:
    """The address asks for exactly what Baton needs."""
    found = urlsplit(address)
    assert (found.scheme, found.hostname) == ("https", "discord.com")
    assert found.path.endswith("/oauth2/authorize")
    asked = {name: value for name, (value,) in parse_qs(found.query).items()}
    assert asked.keys() == {"client_id", "scope", "permissions"}
    assert asked["client_id"] == application
    assert set(asked["scope"].split()) == set(SCOPES) == {"bot", "applications.commands"}
    wanted = library.Permissions(**dict.fromkeys(PERMISSIONS, True))
    assert int(asked["permissions"]) == wanted.value
    assert not wanted.administrator
    assert not wanted.mention_everyone
    assert not wanted.manage_messages


async def test_the_invitation_is_for_the_application_of_the_token(tmp_path: Path) -> None:
    done = await baton(tmp_path, "discord-invite", DISCORD_TOKEN=TOKEN)
    assert (done.code, done.complained) == (0, "")
    (address,) = done.sentences
    assert_invites(address, APPLICATION)
    assert "tail-of_it" not in done.said
    assert not (tmp_path / ".baton").exists(), "no database is needed for that"


async def test_the_invitation_is_for_the_application_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'[discord]\ntoken = "{TOKEN}"\n')
    done = await baton(tmp_path, "discord-invite", "234567890123456789")
    assert done.code == 0
    assert_invites(done.said.strip(), "234567890123456789")


async def test_without_an_application_there_is_no_invitation(tmp_path: Path) -> None:
    for done in await asyncio.gather(
        baton(tmp_path, "discord-invite"),
        baton(tmp_path, "discord-invite", "baton", DISCORD_TOKEN=TOKEN),
    ):
        assert done.code == 2
        assert done.said == ""
        (sentence,) = done.complained.splitlines()
        assert "DISCORD_TOKEN" in sentence
        assert "baton discord-invite APPLICATION_ID" in sentence


@pytest.mark.parametrize("given", [APPLICATION, "7", "123456789012345678901"])
def test_an_application_is_known_from_its_token_whether_padded_or_not(given: str) -> None:
    first = base64.urlsafe_b64encode(given.encode()).decode()
    for written in (first, first.rstrip("=")):
        assert application_of(f"{written}.x.y") == given
        assert_invites(invitation(application_of(f"{written}.x.y")), given)


@pytest.mark.parametrize(
    "token", ["", "x", "....", "é.x.y", "Bot x.y.z", "\x00", "YWJj.x.y", "=.=.=", "-"]
)
def test_what_is_no_token_names_no_application(token: str) -> None:
    with pytest.raises(ConfigurationError, match="DISCORD_TOKEN") as refused:
        invitation(application_of(token))
    assert str(refused.value).endswith(".")


# --- a library that is missing -----------------------------------------------------------------


async def test_a_missing_library_is_told_in_a_sentence(tmp_path: Path) -> None:
    for done in await asyncio.gather(
        baton_without("discord", tmp_path / "a", "discord-invite", DISCORD_TOKEN=TOKEN),
        baton_without("discord", tmp_path / "b", "check", DISCORD_TOKEN=TOKEN),
        baton_without("discord", tmp_path / "c", "serve", DISCORD_TOKEN=TOKEN),
    ):
        assert done.code == 2
        sentence = done.complained.splitlines()[-1]
        assert "discord is not installed" in sentence
        assert "install baton-bot[discord]" in sentence
        assert "Traceback" not in done.complained
        assert "GabcDE" not in done.said + done.complained


async def test_a_baton_that_does_not_talk_in_discord_needs_no_library(tmp_path: Path) -> None:
    for done in await asyncio.gather(
        baton_without("discord", tmp_path / "a", "check"),
        baton_without("discord", tmp_path / "b", "runs", DISCORD_TOKEN=TOKEN),
    ):
        assert (done.code, done.complained) == (0, "")


# --- settings --------------------------------------------------------------------------------


def settings_of(tmp_path: Path, written: str, **environment: str) -> Settings:
    file = tmp_path / "config.toml"
    file.write_text(written)
    return load(file, environment, {})


def refusal_of(tmp_path: Path, written: str, **environment: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        settings_of(tmp_path, written, **environment)
    told = str(refused.value)
    assert "\n" not in told
    assert "Nothing was started" in told
    return told


def test_discord_is_off_until_there_is_a_token(tmp_path: Path) -> None:
    discord = settings_of(tmp_path, "").discord
    assert not discord.used
    assert discord.guild_ids == ()
    assert discord.api_url == "https://discord.com/api/v10"
    assert discord.gateway_url == "wss://gateway.discord.gg/"
    assert not settings_of(tmp_path, "[discord]\nguild_ids = [700]\n").discord.used


def test_every_key_can_be_written_in_the_file(tmp_path: Path) -> None:
    written = """
        [discord]
        token = "a.b.c"
        guild_ids = [700, 123456789012345678]
        api_url = "http://proxy:8080/api/v10/"
        gateway_url = "ws://proxy:8080/gateway"
    """
    discord = settings_of(tmp_path, written).discord
    assert discord.used
    assert discord.token.get_secret_value() == "a.b.c"
    assert discord.guild_ids == (700, 123456789012345678)
    assert discord.api_url == "http://proxy:8080/api/v10/"
    assert discord.gateway_url == "ws://proxy:8080/gateway"
    assert "a.b.c" not in repr(discord)


def test_every_key_can_come_from_the_environment(tmp_path: Path) -> None:
    discord = settings_of(
        tmp_path,
        '[discord]\ntoken = "old"\nguild_ids = [1]\n',
        DISCORD_TOKEN="MTIz.x.y",
        BATON_DISCORD__GUILD_IDS="[700, 123456789012345678]",
        BATON_DISCORD__API_URL="https://proxy.example/api",
        BATON_DISCORD__GATEWAY_URL="wss://proxy.example/",
    ).discord
    assert discord.token.get_secret_value() == "MTIz.x.y"
    assert discord.guild_ids == (700, 123456789012345678)
    assert discord.api_url == "https://proxy.example/api"
    assert discord.gateway_url == "wss://proxy.example/"
    named = settings_of(tmp_path, "", DISCORD_TOKEN="a.b.c", BATON_DISCORD__TOKEN="d.e.f").discord
    assert named.token.get_secret_value() == "d.e.f"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("api_url", one) for one in ('""', '"discord.com/api"', '"ftp://discord.com"')],
        *[("api_url", one) for one in ('"wss://discord.com"', '"https://"', '"https://a b"')],
        *[("api_url", one) for one in ('"https://ana:pAsSwOrD@host/"', '"http://[oh"', "7")],
        *[("gateway_url", one) for one in ('""', '"https://gateway.discord.gg"', '"wss://"')],
        *[("gateway_url", one) for one in ('"wss://a b"', '"wss://ana:pAsSwOrD@host"')],
        *[("gateway_url", one) for one in ('"wss://[oh"', '"wss://host:port/"')],
        *[("guild_ids", one) for one in ("700", '["here"]', "[0]", "[-1]", "[1.5]", '"all"')],
        ("token", "7"),
        ("tokens", '"a.b.c"'),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path, key: str, value: str) -> None:
    told = refusal_of(tmp_path, f"[discord]\n{key} = {value}\n")
    assert f"discord.{key}" in told
    assert "pAsSwOrD" not in told


@pytest.mark.parametrize("entry", ["discord:ana", "discord-role:", "discord-channel:#x", "discord"])
def test_an_entry_of_an_access_list_that_is_none_is_named(tmp_path: Path, entry: str) -> None:
    told = refusal_of(tmp_path, f'[access]\nviewers = ["{entry}"]\n')
    assert entry in told


# --- connections -----------------------------------------------------------------------------


async def test_with_two_shards_there_are_two_connections_and_both_are_answered(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    discord.shards = 2
    discord.add_guild(SHARD_OF_ONE)
    discord.add_channel("530", guild=SHARD_OF_ONE)
    async with talking(discord, tmp_path, repository, concurrency=0, connections=2) as talk:
        assert sorted(one["shard"] for one in discord.identifies) == [[0, 2], [1, 2]]
        for guild, channel in ((GUILD, CHANNEL), (SHARD_OF_ONE, "530")):
            told = await talk.says("runs", guild=guild, channel=channel)
            assert "no runs yet" in told.content
            answer = await talk.hears(mention("help", guild=guild, channel=channel))
            assert answer in directly(discord, "1")
            assert await talk.starts("quick", guild=guild, channel=channel)
        told = await talk.says("runs", guild=None)
        assert "no runs yet" in told.content
    assert discord.live == []


async def test_no_privileged_intent_is_asked_for(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with talking(discord, tmp_path, repository, concurrency=0):
        (identified,) = discord.identifies
    intents = library.Intents._from_value(identified["intents"])
    assert {name for name, on in intents if on} == {"guilds", "guild_messages", "dm_messages"}


async def passed_on(request: web.Request, discord: Discord) -> web.Response:
    """What Discord answers to this."""
    address = f"{discord.base}{request.path_qs}"
    told = {name: request.headers[name] for name in request.headers if name in _PASSED}
    body = await request.read()
    async with (
        aiohttp.ClientSession() as session,
        session.request(request.method, address, headers=told, data=body) as found,
    ):
        kept = {"Content-Type": found.headers.get("Content-Type", "")}
        return web.Response(status=found.status, body=await found.read(), headers=kept)


async def test_what_is_not_discord_yet_may_become_it(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    """A login page of a hotel, or a proxy that wakes up: Baton asks again."""
    asked: list[str] = []

    async def portal(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        if len(asked) == 1:
            return web.Response(text="<html>Please pay</html>", content_type="text/html")
        return await passed_on(request, discord)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", portal)
    async with TestServer(app) as server:
        section: Any = {"api_url": str(server.make_url("/api/v10"))}
        async with talking(
            discord, tmp_path, repository, concurrency=0, connections=0, discord=section
        ):
            await discord.connected(1)
    events = [entry["event"] for entry in log_of(tmp_path / "state")]
    assert "discord.connect_rejected" in events


async def test_a_wrong_token_is_logged_and_stops_nothing_else(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    section: Any = {"token": "another.to.ken"}
    async with talking(
        discord, tmp_path, repository, concurrency=0, connections=0, discord=section
    ) as talk:
        await discord.until(lambda: discord.called("GET", "/users/@me"))
        assert await talk.runs() == set()
    text = (tmp_path / "state" / "baton.log").read_text()
    assert "discord.connect_rejected" in text
    assert "another.to.ken" not in text
    assert SECRET not in text
