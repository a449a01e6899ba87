"""Everything that keeps Discord from working is named in words that hold no secret."""

import socket
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters.discord import diagnosis
from adapters.discord.invite import PERMISSIONS, invitation
from tests.discord.double import Broken, Discord, Refused, Slow, TooMany
from tests.discord.permissions import BITS, USUAL
from tests.discord.programs import Done, baton
from tests.discord.records import APP, CHANNEL, CHANNEL_2, GUILD, OTHER_GUILD
from tests.discord.talk import SECRET

INVITATION = invitation(APP)
BITS_OF = {name: BITS[name.upper()] for name in PERMISSIONS}


async def diagnose(discord: Discord | str, **settings: Any) -> list[str]:
    """What is wrong with good settings that these replace; never with a secret in it."""
    if isinstance(discord, Discord):
        discord.token = SECRET
        discord = discord.api_url
    good = {"token": SECRET, "guild_ids": [], "api_url": discord, "entries": []}
    problems = await diagnosis.diagnose(**{**good, **settings})
    for problem in problems:
        assert problem.endswith(".")
        assert "\n" not in problem
        assert not any(part in problem for part in SECRET.split("."))
    return problems


async def only(discord: Discord | str, **settings: Any) -> str:
    (problem,) = await diagnose(discord, **settings)
    return problem


async def check(discord: Discord, where: Path, **more: str) -> Done:
    """`baton check`, as it is typed."""
    discord.token = SECRET
    told = {"DISCORD_TOKEN": SECRET, "BATON_DISCORD__API_URL": discord.api_url, **more}
    done = await baton(where, "check", **told)
    assert done.complained == ""
    assert SECRET not in done.said
    return done


# --- as it is typed --------------------------------------------------------------------------


async def test_all_is_well(discord: Discord, tmp_path: Path) -> None:
    done = await check(discord, tmp_path, BATON_DISCORD__GUILD_IDS=f"[{GUILD}]")
    assert (done.code, done.sentences) == (0, ["All is well. Workflows: demo."])


async def test_a_wrong_token(discord: Discord, tmp_path: Path) -> None:
    done = await check(discord, tmp_path, DISCORD_TOKEN="so.me.other")
    assert done.code == 1
    (sentence,) = done.sentences
    assert sentence.startswith("Discord refuses discord.token: it is not known there, or was reset")
    assert "DISCORD_TOKEN" in sentence
    assert "so.me.other" not in done.said


async def test_every_problem_has_a_sentence_of_its_own(discord: Discord, tmp_path: Path) -> None:
    entries = f'["discord-channel:{CHANNEL}", "discord-channel:999", "discord:1"]'
    done = await check(
        discord,
        tmp_path,
        BATON_DISCORD__GUILD_IDS=f"[{GUILD}, 999]",
        BATON_ACCESS__VIEWERS=entries,
    )
    assert done.code == 1
    missing, channel = done.sentences
    assert "discord.guild_ids names 999" in missing
    assert "discord-channel:999" in channel


# --- one by one ------------------------------------------------------------------------------


async def test_nothing_is_said_when_all_is_well(discord: Discord) -> None:
    assert await diagnose(discord) == []
    entries = [f"discord-channel:{CHANNEL}", "discord-role:900", "discord:1", "everyone"]
    assert await diagnose(discord, guild_ids=[700, 701], entries=entries) == []
    assert not discord.identifies, "it is only looked at"
    assert {call.method for call in discord.calls} == {"GET"}


async def test_the_address_may_have_a_last_slash(discord: Discord) -> None:
    assert await diagnose(discord, api_url=f"{discord.api_url}/") == []


async def test_a_token_with_space_around_it_is_taken(discord: Discord) -> None:
    assert await diagnose(discord, token=f" {SECRET}\n") == []


@pytest.mark.parametrize("stray", ["a b", "a\nb", "é", "\N{NO-BREAK SPACE}x"])
async def test_a_token_that_was_copied_badly_is_what_is_named(discord: Discord, stray: str) -> None:
    problem = await only(discord, token=stray)
    assert "discord.token" in problem
    assert "DISCORD_TOKEN" in problem


async def test_nobody_listens_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        problem = await only(f"http://127.0.0.1:{unused.getsockname()[1]}/api/v10")
    assert problem.startswith("Discord's API at 127.0.0.1 cannot be reached: connection refused.")
    assert "discord.api_url" in problem


async def test_http_is_spoken_where_https_is_meant(discord: Discord) -> None:
    problem = await only(discord, api_url=discord.api_url.replace("http://", "https://"))
    assert "cannot be reached: no secure connection could be made." in problem


async def test_no_answer_in_time(discord: Discord, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "TIMEOUT_SECONDS", 0.3)
    discord.fail("GET", "/users/@me", Slow(5))
    problem = await only(discord)
    assert "no answer within 0.3 seconds" in problem


@pytest.mark.parametrize(
    "response",
    [
        {"text": "<html>hello</html>", "content_type": "text/html"},
        {"text": "hello", "content_type": "text/plain", "status": 404},
        {"text": "<html>", "content_type": "text/html", "status": 405},
        {"text": "[]", "content_type": "application/json"},
        {"text": "7", "content_type": "application/json"},
        {"text": "null", "content_type": "application/json"},
        {"text": "no json", "content_type": "application/json"},
        {"body": b"\xff\xfe\xff", "content_type": "application/json"},
        {"text": "", "status": 204},
    ],
)
async def test_something_else_than_discord_answers(response: dict[str, Any]) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        found = web.Response(**response)
        if found.content_type == "application/json":
            found.headers["Content-Type"] = "application/json"
        return found

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    async with TestServer(app) as server:
        problem = await only(str(server.make_url("/api/v10")))
    assert problem.startswith("127.0.0.1 did not answer as Discord's API does (HTTP status ")
    assert "discord.api_url" in problem


@pytest.mark.parametrize(
    "fault", [Broken(503), Broken(500), TooMany(via=False)], ids=["503", "500", "429"]
)
async def test_discord_is_not_able_to_say(
    discord: Discord, monkeypatch: pytest.MonkeyPatch, fault: Any
) -> None:
    monkeypatch.setattr(diagnosis, "TIMEOUT_SECONDS", 1)
    discord.fail("GET", "/users/@me", fault, count=9)
    problem = await only(discord)
    assert problem.startswith("Discord could not check discord.token just now")
    assert "Try again" in problem


@pytest.mark.parametrize("address", ["http://127.0.0.1:99999/api", "http://host:port", "http://"])
async def test_an_address_that_cannot_be_used_is_told_so(address: str) -> None:
    assert "discord.api_url" in await only(address)


async def test_no_guild_at_all(discord: Discord) -> None:
    discord.guilds.clear()
    problem = await only(discord)
    assert problem == f"Baton is in no Discord server yet. Add it to yours with {INVITATION}."


async def test_guilds_that_are_named_and_not_joined(discord: Discord) -> None:
    problems = await diagnose(discord, guild_ids=[int(GUILD), 999, 998])
    assert len(problems) == 2
    for number, problem in zip((998, 999), problems, strict=True):
        assert problem.startswith(f"discord.guild_ids names {number}, and Baton is not in that")
        assert INVITATION in problem


def take(discord: Discord, monkeypatch: pytest.MonkeyPatch, bits: int) -> None:
    """Baton lacks these permissions in every guild, by its roles."""
    for guild in discord.guilds.values():
        for role in guild.roles.values():
            role.permissions &= ~bits
    monkeypatch.setattr("tests.discord.api.USUAL", USUAL & ~bits, raising=False)


@pytest.mark.parametrize("name", PERMISSIONS)
async def test_each_missing_permission_is_named_with_what_it_is_for(
    discord: Discord, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    take(discord, monkeypatch, BITS_OF[name])
    problems = await diagnose(discord)
    assert len(problems) == len(discord.guilds)
    for guild, problem in zip(discord.guilds.values(), problems, strict=True):
        assert problem.startswith(f"In the server {guild.name} Baton lacks the permission ")
        assert name.replace("_", " ").title() in problem
        assert f"it cannot {PERMISSIONS[name]}." in problem
        assert INVITATION in problem
    assert len(await diagnose(discord, guild_ids=[int(OTHER_GUILD)])) == 1


async def test_every_missing_permission_has_a_sentence(
    discord: Discord, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(discord, monkeypatch, sum(BITS_OF.values()))
    assert len(await diagnose(discord, guild_ids=[int(GUILD)])) == len(PERMISSIONS)


async def test_an_administrator_lacks_nothing(
    discord: Discord, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(discord, monkeypatch, sum(BITS_OF.values()))
    monkeypatch.setattr("tests.discord.api.USUAL", BITS["ADMINISTRATOR"], raising=False)
    for guild in (GUILD, OTHER_GUILD):
        discord.grant("ADMINISTRATOR", guild=guild)
    assert await diagnose(discord) == []


async def test_a_guild_to_which_baton_was_added_without_its_commands(discord: Discord) -> None:
    discord.fail("GET", f"/applications/*/guilds/{GUILD}/commands", Refused(403, 50001))
    problem = await only(discord, guild_ids=[int(GUILD), int(OTHER_GUILD)])
    assert problem.startswith(f"In the server guild{GUILD} Baton may not register its commands")
    assert INVITATION in problem


CHANNELS = {
    "not seen": Refused(403, 50001),
    "not there": Refused(404, 10003),
    "no id at all": Refused(400, 50035),
}


@pytest.mark.parametrize("fault", CHANNELS.values(), ids=CHANNELS)
async def test_a_channel_of_an_access_list_that_baton_does_not_see(
    discord: Discord, fault: Any
) -> None:
    discord.fail("GET", f"/channels/{CHANNEL_2}", fault)
    entries: Collection[str] = [f"discord-channel:{one}" for one in (CHANNEL, CHANNEL_2)]
    problem = await only(discord, entries=entries)
    assert problem.startswith(f"The access lists name discord-channel:{CHANNEL_2}, and Baton sees")


async def test_a_channel_that_is_closed_to_baton(discord: Discord) -> None:
    discord.deny(CHANNEL_2, "VIEW_CHANNEL")
    assert "no such channel" in await only(discord, entries=[f"discord-channel:{CHANNEL_2}"])


@pytest.mark.parametrize("many", [200, 201, 450])
async def test_a_guild_beyond_the_first_page_is_found(many: int) -> None:
    async def guilds(request: web.Request) -> web.StreamResponse:
        after, limit = int(request.query.get("after", 0)), int(request.query.get("limit", 200))
        here = range(1000, 1000 + many)
        found = [one for one in here if one > after][: min(limit, 200)]
        told = [{"id": str(one), "name": f"g{one}", "permissions": str(USUAL)} for one in found]
        return web.json_response(told)

    async def known(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"id": APP})

    app = web.Application()
    app.router.add_get("/users/@me/guilds", guilds)
    app.router.add_get("/{rest:.*}", known)
    async with TestServer(app) as server:
        url, last = str(server.make_url("")), 999 + many
        assert await diagnose(url, guild_ids=[1000, last]) == []
        (problem,) = await diagnose(url, guild_ids=[last, last + 1])
    assert problem.startswith(f"discord.guild_ids names {last + 1}, and Baton is not in that")
