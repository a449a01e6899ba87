"""The double's gateway: who gets which event, and what happens when a connection breaks."""

import asyncio
from collections.abc import AsyncIterator

import discord as library
import pytest

from tests.discord.bots import Bot, channel_of, refusal, running
from tests.discord.double import Discord
from tests.discord.payloads import (
    direct_message,
    mention,
    slash,
)
from tests.discord.records import BOT, CHANNEL, CHANNEL_2, OTHER_CHANNEL, OTHER_GUILD, THREAD


@pytest.fixture
async def bot(discord: Discord) -> AsyncIterator[Bot]:
    async with running(discord, Bot(discord)) as bot:
        yield bot


async def test_a_bot_logs_in_and_sees_its_guilds(discord: Discord, bot: Bot) -> None:
    assert bot.user
    assert (str(bot.user.id), bot.user.name) == (BOT, "Baton")
    assert {guild.name for guild in bot.guilds} == {"guild700", "guild701"}
    thread = await channel_of(bot, THREAD)
    assert (thread.parent.name, thread.archived, thread.owner_id) == ("deploys", False, 1)
    assert (await channel_of(bot, OTHER_CHANNEL)).guild.id == int(OTHER_GUILD)
    info = await bot.application_info()
    assert (info.id, info.bot_public) == (int(BOT), False)
    assert discord.identifies[0]["intents"] == bot.intents.value
    assert (await bot.fetch_user(2)).name == "ben"


async def test_a_wrong_token_and_intents_that_are_not_granted(discord: Discord) -> None:
    wrong = Bot(discord)
    with pytest.raises(library.LoginFailure):
        await wrong.login("other")
    await wrong.close()
    greedy = Bot(discord)
    greedy._connection._intents.message_content = True
    await greedy.login("token")
    with pytest.raises(library.PrivilegedIntentsRequired):
        await greedy.connect()
    await greedy.close()


async def test_shards_get_the_events_of_their_guilds(discord: Discord) -> None:
    class Sharded(Bot, library.AutoShardedClient):
        pass

    discord.shards = 2
    discord.add_guild("4194304", "far")
    discord.add_channel("590", guild="4194304")
    async with running(discord, Sharded(discord), sessions=2) as bot:
        assert [one["shard"] for one in discord.identifies] == [[0, 2], [1, 2]]
        await discord.say(mention("near"))
        await discord.say(mention("far", channel="590", guild="4194304"))
        await discord.say(direct_message("direct"))
        await discord.until(lambda: len(bot.heard) == 3)
        shards = {one.content[-4:]: one.guild.shard_id for one in bot.heard if one.guild}
        assert shards == {"near": 0, " far": 1}
        assert [one.sequence for one in discord.live] == [5, 3]


async def test_heartbeats_are_answered(discord: Discord) -> None:
    discord.heartbeat_ms = 50
    async with running(discord, Bot(discord)) as bot:
        await discord.until(lambda: discord.heartbeats > 3)
        assert 0 < bot.latency < 1
        discord.acks_heartbeats = False
        discord.drop()
        await discord.say(mention("kept"))
        await discord.until(lambda: bot.heard)


async def test_missed_events_come_after_a_resume(discord: Discord, bot: Bot) -> None:
    discord.drop()
    assert not discord.live
    asked = await discord.interact(slash("go", {"what": "run"}))
    await discord.say(mention("first"))
    await discord.say(mention("second"))
    await discord.until(lambda: bot.resumed)
    assert [one.content for one in bot.heard[:2]] == ["<@100> first", "<@100> second"]
    assert (await discord.first_response(asked)).type == 4
    assert (len(discord.identifies), len(discord.resumes)) == (1, 1)


@pytest.mark.parametrize("resumable", [True, False])
async def test_an_invalid_session(discord: Discord, bot: Bot, resumable: bool) -> None:
    await discord.invalidate(resumable=resumable)
    await discord.until(lambda: len(discord.resumes) + len(discord.identifies) == 2)
    await discord.connected()
    assert len(discord.resumes) == resumable


async def test_a_bot_comes_back_when_asked_or_closed(discord: Discord, bot: Bot) -> None:
    await discord.ask_reconnect()
    await discord.until(lambda: bot.resumed == 1)
    await discord.close(4000)
    await discord.until(lambda: bot.resumed == 2)
    discord.refusing = True
    discord.drop()
    await asyncio.sleep(0.1)
    assert not discord.live
    discord.refusing = False
    await discord.connected()
    assert len(discord.identifies) == 1


async def test_a_session_that_discord_forgot(discord: Discord, bot: Bot) -> None:
    discord.drop()
    discord.forget_sessions()
    await discord.until(lambda: len(discord.identifies) == 2)
    await discord.connected()
    assert (len(discord.resumes), bot.resumed) == (1, 0)


async def test_what_changes_in_a_guild_shows_in_the_bot(discord: Discord, bot: Bot) -> None:
    channel, thread = await channel_of(bot), await channel_of(bot, THREAD)
    me = channel.guild.me
    assert channel.permissions_for(me).value == discord.permissions(discord.channels[CHANNEL])
    discord.deny(THREAD, "ATTACH_FILES", "SEND_MESSAGES_IN_THREADS")
    discord.grant("MANAGE_THREADS")
    discord.add_role("902", "movers")
    discord.set_thread(THREAD, archived=True)
    await discord.say(mention("seen"))
    await discord.until(lambda: bot.heard)
    assert thread.permissions_for(me).value == discord.permissions(discord.channels[THREAD])
    assert not thread.permissions_for(me).send_messages_in_threads
    assert thread.permissions_for(me).manage_threads
    discord.deny(CHANNEL_2, "VIEW_CHANNEL")
    random = await channel_of(bot, CHANNEL_2)
    await discord.say(mention("seen"))
    await discord.until(lambda: len(bot.heard) == 2)
    assert random.permissions_for(me).value == discord.permissions(discord.channels[CHANNEL_2]) == 0
    assert channel.guild.get_role(902).name == "movers"
    assert thread.archived
    await discord.leave(OTHER_GUILD)
    discord.add_guild("702", "new")
    await discord.join("702")
    discord.delete_channel(CHANNEL)
    await discord.say(direct_message("seen"))
    await discord.until(lambda: len(bot.heard) == 3)
    assert [guild.name for guild in bot.guilds] == ["guild700", "new"]
    assert bot.get_channel(int(CHANNEL)) is None
    gone = bot.get_partial_messageable(int(OTHER_CHANNEL))
    assert await refusal(gone.send("x")) == (403, 50001)


async def test_two_processes_get_every_event(discord: Discord, bot: Bot) -> None:
    async with running(discord, Bot(discord), sessions=2) as other:
        await discord.say(mention("both"))
        await discord.until(lambda: bot.heard and other.heard)
    await discord.connected(1)
