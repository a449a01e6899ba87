"""The double answers the real client as Discord does: messages, interactions, files, faults."""

import datetime as dt
import io
import time
from collections.abc import AsyncIterator

import discord as library
import pytest
from aiohttp import ClientError

from tests.discord.bots import Bot, channel_of, panel, refusal, running
from tests.discord.double import Broken, Cut, Discord, Refused, Slow, TooMany, snowflake
from tests.discord.payloads import (
    autocomplete,
    bot_message,
    buttons_of,
    channel_message,
    click,
    direct_message,
    edited,
    mention,
    options_of,
    select,
    slash,
    texts_of,
    webhook_message,
)
from tests.discord.records import BOT, CHANNEL, THREAD

NONE = library.AllowedMentions.none()


@pytest.fixture
async def bot(discord: Discord) -> AsyncIterator[Bot]:
    async with running(discord, Bot(discord)) as bot:
        yield bot


async def test_a_command_is_answered_privately_and_a_click_changes_the_answer(
    discord: Discord, bot: Bot
) -> None:
    discord.roles["1"] = ["900"]
    await bot.tree.sync()
    asked = await discord.interact(slash("go", {"what": "run"}))
    response = await discord.first_response(asked)
    shown = asked.original
    assert shown
    assert (response.type, shown.ephemeral, shown.audience) == (4, True, "1")
    assert (texts_of(shown), shown.pinged) == (["run <@1>"], set())
    assert buttons_of(shown.components) == {"Stop": "stop:r1"}
    assert options_of(shown.components)["Run r2"] == ("pick", "r2")

    clicked = await discord.interact(click(shown, "Stop"))
    await discord.first_response(clicked)
    assert clicked.original is shown
    assert (shown.content, shown.components, len(shown.edits)) == ("stopped by ana", [], 1)
    with pytest.raises(AssertionError, match="not there"):
        click(shown, "Stop")


async def test_a_choice_in_a_menu_is_deferred_silently(discord: Discord, bot: Bot) -> None:
    await bot.tree.sync(guild=None)
    asked = await discord.interact(slash("go", {"what": "run"}))
    await discord.until(lambda: asked.original)
    assert asked.original
    picked = await discord.interact(select(asked.original, "Run r2", "2"))
    await discord.until(lambda: picked.followups)
    assert (picked.deferred, picked.original) == (True, asked.original)
    assert picked.followups[0].content == "picked ['r2']"
    assert not picked.followups[0].ephemeral


async def test_a_deferred_answer_comes_with_a_file(discord: Discord, bot: Bot) -> None:
    asked = await discord.interact(slash("go", {"what": "later"}))
    await discord.first_response(asked)
    assert asked.deferred
    await discord.until(lambda: asked.answered)
    shown = asked.original
    assert shown
    assert (shown.content, shown.files) == ("done", {"log.txt": b"log"})
    assert shown.ephemeral
    assert discord.called("PATCH", "/webhooks/*/messages/@original")[0].files == shown.files


async def test_a_file_may_be_large_but_not_too_large(discord: Discord, bot: Bot) -> None:
    channel = await channel_of(bot)
    await channel.send(file=library.File(io.BytesIO(b"x" * 9_000_000), "large.txt"))
    assert len(discord.posted[0].files["large.txt"]) == 9_000_000
    huge = library.File(io.BytesIO(b"x" * 11_000_000), "huge.txt")
    assert await refusal(channel.send(file=huge)) == (413, 40005)


async def test_a_followup_has_its_own_eyes(discord: Discord, bot: Bot) -> None:
    asked = await discord.interact(slash("go", {"what": "twice"}))
    await discord.until(lambda: asked.followups)
    assert asked.original
    assert not asked.original.ephemeral
    assert (asked.followups[0].content, asked.followups[0].ephemeral) == ("second", True)


async def test_suggestions_while_somebody_types(discord: Discord, bot: Bot) -> None:
    typing = await discord.interact(autocomplete("go", {"what": "r"}, "what"))
    assert (await discord.first_response(typing)).type == 8
    assert typing.choices == [{"name": "r1", "value": "r1"}]


async def test_a_second_response_and_a_late_one_are_refused(discord: Discord) -> None:
    bot = Bot(discord)
    caught: list[library.HTTPException] = []
    moments: list[dt.datetime] = []

    async def on_interaction(interaction: library.Interaction) -> None:
        moments.append(interaction.created_at)
        try:
            await interaction.response.send_message("here")
        except library.HTTPException as no:
            caught.append(no)
            discord.changed()

    bot.tree.clear_commands(guild=None)
    bot.on_interaction = on_interaction  # type: ignore[attr-defined]
    old = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    async with running(discord, bot):
        first = await discord.interact(slash("x", at=old))
        await discord.first_response(first)
        await discord.redeliver(first)
        await discord.until(lambda: len(caught) == 1)
        late = await discord.interact(slash("x"), seconds_ago=3.1)
        await discord.until(lambda: len(caught) == 2)
    assert [(no.status, no.code) for no in caught] == [(400, 40060), (404, 10062)]
    assert (first.refused, late.refused, late.responses) == ([40060], [10062], [])
    assert abs(moments[0] - old) < dt.timedelta(seconds=1)


async def test_an_expired_token_is_refused(discord: Discord, bot: Bot) -> None:
    asked = await discord.interact(slash("go", {"what": "run"}))
    await discord.first_response(asked)
    hook = library.Webhook.partial(int(BOT), asked.token, client=bot)
    await hook.edit_message(int(asked.original.id), content="x")  # type: ignore[union-attr]
    asked.expire()
    assert await refusal(hook.send("too late")) == (404, 10015)
    asked.expire(50027)
    assert await refusal(hook.send("too late")) == (401, 50027)


async def test_a_nonce_is_good_once(discord: Discord, bot: Bot) -> None:
    channel = await channel_of(bot)
    first = await channel.send("one", nonce="n1")
    again = await channel.send("one", nonce="n1")
    other = await channel.send("one", nonce="n2")
    assert first.id == again.id != other.id
    assert len(discord.posted) == 2


async def test_a_message_is_answered_changed_read_and_deleted(discord: Discord, bot: Bot) -> None:
    channel = await channel_of(bot)
    said = await discord.say(mention("status"))
    await discord.until(lambda: bot.heard)
    reply = await bot.heard[0].reply("fine", file=library.File(io.BytesIO(b"x"), "x.txt"))
    await reply.edit(content="better", view=panel())
    message = discord.posted[0]
    assert (message.reference, message.content, message.pinged) == (said, "better", {"user:1"})
    assert (message.files, len(message.edits)) == ({"x.txt": b"x"}, 1)
    assert await reply.attachments[0].read() == b"x"
    read = [one async for one in channel.history(limit=10, after=library.Object(int(said)))]
    assert [one.content for one in read] == ["better"]
    assert [one.id async for one in channel.history(limit=1, before=reply)] == [int(said)]
    around = [one.id async for one in channel.history(limit=3, around=reply)]
    assert set(around) == {int(said), reply.id}
    assert (await channel.fetch_message(reply.id)).reference.resolved.content == "<@100> status"
    await reply.delete()
    assert message.deleted
    assert await refusal(channel.fetch_message(reply.id)) == (404, 10008)
    assert await refusal(bot.heard[0].edit(content="mine")) == (403, 50005)
    discord.delete_message(said)
    assert await refusal(bot.heard[0].reply("gone")) == (400, 50035)


async def test_what_people_say_and_what_a_bot_may_read_of_it(discord: Discord, bot: Bot) -> None:
    discord.echo = False
    discord.roles["1"] = ["900"]
    named = mention("stop", channel=THREAD)
    await discord.say(named)
    await discord.say(channel_message("secret", "2"))
    await discord.say(direct_message("psst", "3"))
    await discord.say(bot_message("beep"))
    await discord.say(webhook_message("news"))
    await discord.send("MESSAGE_UPDATE", edited(named, f"<@{BOT}> go"))
    await discord.until(lambda: bot.edits)
    first, secret, direct, beep, news = bot.heard
    assert bot.user in first.mentions
    assert isinstance(first.channel, library.Thread)
    assert isinstance(first.author, library.Member)
    assert [role.name for role in first.author.roles] == ["@everyone", "role900"]
    assert (secret.content, secret.author.name) == ("", "ben")
    assert (direct.content, direct.guild, direct.channel.id) == ("psst", None, 603)
    assert beep.author.bot
    assert news.webhook_id == 195
    assert bot.edits[0].content == "<@100> go"


async def test_faults_come_once_and_in_order(discord: Discord, bot: Bot) -> None:
    channel = await channel_of(bot)
    posts = "/channels/*/messages"
    discord.fail("POST", posts, TooMany(0.05))
    await channel.send("waited for")
    discord.fail("POST", posts, TooMany(0.05, via=False))
    assert (await refusal(channel.send("raised")))[0] == 429
    discord.fail("POST", posts, Refused(403, 50013, "No"))
    assert await refusal(channel.send("refused")) == (403, 50013)
    discord.fail("POST", posts, Slow(0.1))
    before = time.monotonic()
    await channel.send("slow")
    assert 0.1 <= time.monotonic() - before < 1
    discord.fail("POST", posts, Broken(503, effect=True))
    assert (await refusal(channel.send("broken")))[0] == 503
    discord.fail("POST", posts, Cut(effect=True))
    with pytest.raises((ClientError, OSError)):
        await channel.send("cut after")
    discord.fail("POST", posts, Cut(effect=False))
    with pytest.raises((ClientError, OSError)):
        await channel.send("cut before")
    await channel.send("well")
    sent = ["waited for", "slow", "broken", "cut after", "well"]
    assert [one.content for one in discord.posted] == sent
    statuses = [call.status for call in discord.called("POST", posts)]
    assert statuses == [429, 200, 429, 403, 200, 503, 0, 0, 200]


async def test_a_response_that_answers_500_is_tried_again_and_found_given(
    discord: Discord, bot: Bot
) -> None:
    discord.fail("POST", "/interactions/*", Broken(500, effect=True))
    asked = await discord.interact(slash("go", {"what": "run"}))
    await discord.until(lambda: asked.refused)
    assert (asked.refused, len(asked.responses)) == ([40060], 1)


async def test_pings(discord: Discord, bot: Bot) -> None:
    channel = await channel_of(bot)
    text = "@everyone <@1> <@2> <@&900>"
    discord.outsiders = {"2"}
    await channel.send(text)
    await channel.send(text, allowed_mentions=NONE)
    some = library.AllowedMentions(everyone=False, roles=False, users=[library.Object(1)])
    await channel.send(text, allowed_mentions=some)
    discord.deny(CHANNEL, "MENTION_EVERYONE")
    await channel.send(text)
    assert [one.pinged for one in discord.posted] == [
        {"everyone", "user:1", "role:900"},
        set(),
        {"user:1"},
        {"user:1"},
    ]
    asked = await discord.interact(slash("go", {"what": "twice"}))
    await discord.until(lambda: asked.followups)
    hook = library.Webhook.partial(int(BOT), asked.token, client=bot)
    await hook.send(text)
    assert asked.followups[-1].pinged == {"user:1"}


async def test_ids_tell_when_they_were_made() -> None:
    ids = [int(snowflake()) for _ in range(1000)]
    assert ids == sorted(set(ids))
    assert abs(library.utils.utcnow() - library.utils.snowflake_time(ids[0])).seconds < 2
