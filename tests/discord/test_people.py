"""Who may, and what is a command at all: strangers are told privately, bots are not heard."""

from collections.abc import Sequence
from pathlib import Path

from tests.discord.double import Discord
from tests.discord.payloads import (
    bot_message,
    buttons_of,
    channel_message,
    click,
    direct_message,
    edited,
    mention,
    webhook_message,
)
from tests.discord.records import (
    BOT,
    BOT_ROLE,
    CHANNEL,
    CHANNEL_2,
    GUILD,
    OTHER_CHANNEL,
    OTHER_GUILD,
    THREAD,
    Json,
)
from tests.discord.talk import Talk, directly, public, talking

REFUSAL = "Nothing changed"


async def nothing_was_heard(talk: Talk, what: str = "") -> None:
    """A later command is answered, and nothing else was since the last one."""
    posted, received = len(talk.discord.posted), len(talk.received())
    told = await talk.says("help", user="7")
    assert talk.discord.posted[posted:] == [told], what
    assert len(talk.received()) == received + 1, what


async def is_as_it_was(talk: Talk, run_id: str) -> bool:
    """Whether nobody claimed or changed a run that was put there."""
    run = await talk.gets(run_id, lambda run: True)
    return (run.status, run.epoch, run.version) == ("paused", 2, 3)


# --- people ----------------------------------------------------------------------------------


async def test_a_stranger_is_told_privately_what_to_put_in_the_list(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with talking(discord, tmp_path, repository) as talk:
        told = await talk.says("run", {"workflow": "quick"}, user="9")
        assert "no access list names you" in told.content
        assert told.content.endswith("Your id for the access list is discord:9.")
        assert REFUSAL in told.content
        answer = await talk.hears(mention("run quick", user="8"))
        assert answer in directly(discord, "8")
        assert "discord:8" in answer.content
        answer = await talk.hears(direct_message("run quick", user="6"))
        assert answer in directly(discord, "6")
        assert "discord:6" in answer.content
        assert public(discord) == []
        assert await talk.runs() == set()
        assert talk.audit("denied") == [
            ("discord:9", "run", "discord-slash"),
            ("discord:8", "run", "discord-mention"),
            ("discord:6", "run", "discord-mention"),
        ]


async def test_a_stranger_who_clicks_is_told_so_and_changes_nothing(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with talking(discord, tmp_path, repository) as talk:
        run_id, card = await talk.has("paused")
        shown = card.content
        for label in ("Resume", "Cancel", "Log"):
            told = await talk.told(click(card, label, user="9"))
            assert "discord:9" in told.content, label
            assert REFUSAL in told.content
            assert buttons_of(told.components) == {}
        assert await is_as_it_was(talk, run_id)
        assert card.content == shown


async def test_a_viewer_and_an_operator_may_not_do_everything(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with talking(discord, tmp_path, repository) as talk:
        told = await talk.says("run", {"workflow": "quick"}, user="3")
        assert "your role is viewer" in told.content
        told = await talk.says("release", {"run": "abcd1234"}, user="1")
        assert "your role is operator" in told.content
        assert "no runs yet" in (await talk.says("runs", user="3")).content
        assert [actor for actor, _, _ in talk.audit("denied")] == ["discord:3", "discord:1"]


async def test_everyone_means_the_members_of_the_named_guilds(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    sections: Json = {"access": {"operators": ["everyone"]}, "discord": {"guild_ids": [int(GUILD)]}}
    async with talking(discord, tmp_path, repository, **sections) as talk:
        for channel in (CHANNEL, THREAD):
            assert "no runs yet" in (await talk.says("runs", user="4", channel=channel)).content
        elsewhere: Json = {"guild": OTHER_GUILD, "channel": OTHER_CHANNEL}
        for where in (elsewhere, {"guild": None}):
            told = await talk.says("runs", user="4", **where)
            assert "no access list names you" in told.content, where
        for said in (mention("runs", user="4", **elsewhere), direct_message("runs", user="4")):
            answer = await talk.hears(said)
            assert answer in directly(discord, "4")
            assert "no access list names you" in answer.content
        assert {actor for actor, _, _ in talk.audit("denied")} == {"discord:4"}


async def test_without_named_guilds_everyone_means_every_member_and_no_direct_conversation(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    access = {"viewers": ["everyone"], "operators": ["discord:1"]}
    async with talking(discord, tmp_path, repository, access=access) as talk:
        elsewhere: Json = {"guild": OTHER_GUILD, "channel": OTHER_CHANNEL}
        assert "no runs yet" in (await talk.says("runs", user="4", **elsewhere)).content
        told = await talk.says("runs", user="4", guild=None)
        assert "no access list names you" in told.content
        told = await talk.says("runs", user="1", guild=None)
        assert "no runs yet" in told.content


async def test_roles_give_a_role_in_their_guild(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    discord.roles["4"] = ["900"]
    discord.add_role("950", guild=OTHER_GUILD)
    discord.roles["5"] = ["950"]
    access = {"operators": ["discord-role:900"], "viewers": ["discord-role:950"]}
    async with talking(discord, tmp_path, repository, access=access) as talk:
        assert await talk.starts("quick", user="4")
        assert await talk.starts("quick", user="4", channel=THREAD)
        answer = await talk.hears(mention("status nonsense", user="4"))
        assert "There is no run" in answer.content
        elsewhere: Json = {"guild": OTHER_GUILD, "channel": OTHER_CHANNEL}
        assert "no runs yet" in (await talk.says("runs", user="5", **elsewhere)).content
        others: Sequence[Json] = ({"user": "5"}, {"user": "4", **elsewhere})
        for where in (*others, {"user": "4", "guild": None}):
            told = await talk.says("runs", **where)
            assert "no access list names you" in told.content, where
        discord.roles["4"] = []
        assert "no access list" in (await talk.says("runs", user="4")).content


async def test_a_channel_gives_a_role_to_who_speaks_there_and_in_its_threads(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    access = {"operators": [f"discord-channel:{CHANNEL}"], "viewers": ["discord:7"]}
    async with talking(discord, tmp_path, repository, access=access) as talk:
        for channel in (CHANNEL, THREAD):
            key = f"discord:{GUILD}:{channel}"
            _, card = await talk.has("paused", conversation=key)
            resumed = (await talk.does(click(card, "Resume", user="8"))).original
            assert resumed is not None
            assert "Passed gate" in resumed.content
            assert await talk.starts("gated", user="9", channel=channel)
        answer = await talk.hears(mention("status nonsense", user="9", channel=THREAD))
        assert "There is no run" in answer.content
        told = await talk.says("runs", user="9", channel=CHANNEL_2)
        assert "no access list names you" in told.content


async def test_a_thread_gives_a_role_in_itself_only(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    access = {"viewers": [f"discord-channel:{THREAD}"]}
    async with talking(discord, tmp_path, repository, access=access) as talk:
        assert "no runs yet" in (await talk.says("runs", channel=THREAD)).content
        assert "no access list" in (await talk.says("runs", channel=CHANNEL)).content


async def test_who_takes_no_direct_messages_is_told_so_where_it_was_asked(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    discord.no_dms = {"1", "9"}
    async with talking(discord, tmp_path, repository) as talk:
        elsewhere = f"discord:{GUILD}:{CHANNEL_2}"
        run_id = talk.puts("paused", conversation=elsewhere, channel=elsewhere)
        for text in ("runs", f"logs {run_id}", f"status {run_id}", "help"):
            asked = mention(text)
            answer = await talk.hears(asked)
            assert answer.channel == CHANNEL, text
            assert answer.reference == asked["id"]
            assert "take no direct messages" in answer.content
            assert run_id not in answer.content
        answer = await talk.hears(mention("runs", user="9"))
        assert answer.channel == CHANNEL
        assert "discord:9" in answer.content
        assert "Who can" in answer.content


# --- messages that are no commands -----------------------------------------------------------

NOT_MEANT = {
    "another bot": bot_message(f"<@{BOT}> run quick"),
    "Baton itself": bot_message(f"<@{BOT}> run quick", user=BOT),
    "a webhook": webhook_message(f"<@{BOT}> run quick"),
    "a bot directly": bot_message("run quick", channel="60190", guild=None),
    "a mention in the middle": mention(f"could you <@{BOT}> run quick"),
    "a mention at the end": mention(f"run quick <@{BOT}>"),
    "somebody else first": mention(f"<@2> <@{BOT}> run quick"),
    "everyone": channel_message("@everyone run quick", readable=True) | {"mention_everyone": True},
    "everyone first": mention(f"@everyone <@{BOT}> run quick") | {"mention_everyone": True},
    "here": channel_message("@here run quick", readable=True) | {"mention_everyone": True},
    "its role": channel_message(f"<@&{BOT_ROLE}> run quick", readable=True)
    | {"mention_roles": [BOT_ROLE]},
    "nobody": channel_message("run quick", readable=True),
    "nobody, unreadable": channel_message("run quick"),
    "a pin": mention("run quick") | {"type": 6},
    "a boost": mention("run quick") | {"type": 8},
    "plain talk directly": direct_message("how are you?"),
    "speech directly": direct_message("cancel the meeting"),
    "nothing directly": direct_message(""),
}


async def test_what_is_not_said_to_baton_by_a_person_is_no_command(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    access = {"admins": ["everyone", "discord:1", "discord:7", "discord:190", f"discord:{BOT}"]}
    async with talking(discord, tmp_path, repository, access=access) as talk:
        for what, said in NOT_MEANT.items():
            await discord.say(said)
            await nothing_was_heard(talk, what)


async def test_an_edited_message_is_no_new_command(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with talking(discord, tmp_path, repository) as talk:
        first = channel_message("hm")
        await discord.say(first)
        await discord.send("MESSAGE_UPDATE", edited(first, f"<@{BOT}> run quick"))
        await nothing_was_heard(talk)
        again = mention("status nonsense")
        await talk.hears(again)
        await discord.send("MESSAGE_UPDATE", edited(again, f"<@{BOT}> run quick"))
        assert "no runs yet" in (await talk.says("runs")).content


async def test_a_mention_at_the_beginning_is_a_command_however_it_is_written(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    plain = ("help", "/help", "HELP", "")
    async with talking(discord, tmp_path, repository) as talk:
        for text in (*plain, f"<@{BOT}>help", f"  <@!{BOT}>, help ", f"<@{BOT}>:\nhelp"):
            answer = await talk.hears(mention(text))
            assert answer in directly(discord, "1")
            assert "What I understand" in answer.content
