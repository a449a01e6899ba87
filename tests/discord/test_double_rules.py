"""What Discord refuses, the double refuses with the same status and code."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import discord as library
import pytest

from tests.discord.double import Discord, SentMessage
from tests.discord.payloads import autocomplete, click, slash
from tests.discord.records import CHANNEL, GUILD, OTHER_CHANNEL, THREAD

BUTTON = {"type": 2, "style": 1, "label": "Go", "custom_id": "go"}
OPTION = {"label": "One", "value": "1"}
MENU = {"type": 3, "custom_id": "menu", "options": [OPTION]}
V2 = 1 << 15
TEXT = {"type": 10, "content": "words"}
COMMAND = {"name": "go", "description": "Go"}
COMMANDS = "/applications/100/commands"
POSTS = f"/channels/{CHANNEL}/messages"


def row(*inside: dict[str, Any]) -> dict[str, Any]:
    return {"type": 1, "components": list(inside)}


class Caller:
    """A client with no opinions."""

    def __init__(self, discord: Discord, session: aiohttp.ClientSession) -> None:
        self.discord, self.session = discord, session

    async def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        headers = {"Authorization": f"Bot {more.pop('token', 'token')}"}
        url = self.discord.api_url + path
        async with self.session.request(
            method, url, json=body, headers=headers, params=more
        ) as answer:
            assert answer.status == 204 or answer.headers["Content-Type"] == "application/json"
            told: Any = await answer.json() if answer.status != 204 else None
            return (answer.status, told["code"]) if answer.status >= 400 else told


@pytest.fixture
async def call(discord: Discord) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession() as session:
        yield Caller(discord, session)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, 50006),
        ({"content": " \n"}, 50006),
        ({"content": "x" * 2001}, 50035),
        ({"content": "x", "nonce": "n" * 26}, 50035),
        ({"content": "x", "embeds": [{}] * 11}, 50035),
        ({"embeds": [{"description": "x" * 4001}, {"description": "x" * 2000}]}, 50035),
        ({"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1"]}}, 50035),
        ({"components": [row(BUTTON)] * 6}, 50035),
        ({"components": [row(BUTTON), row(BUTTON)]}, 50035),
        ({"components": [row(*[BUTTON | {"custom_id": str(n)} for n in range(6)])]}, 50035),
        ({"components": [row(BUTTON | {"label": "x" * 81})]}, 50035),
        ({"components": [row(BUTTON | {"label": ""})]}, 50035),
        ({"components": [row(BUTTON | {"custom_id": "x" * 101})]}, 50035),
        ({"components": [row(BUTTON | {"custom_id": ""})]}, 50035),
        ({"components": [row(MENU, BUTTON)]}, 50035),
        ({"components": [row(MENU | {"options": []})]}, 50035),
        ({"components": [row(MENU | {"options": [OPTION, OPTION]})]}, 50035),
        ({"components": [row(MENU | {"options": [OPTION | {"label": "x" * 101}]})]}, 50035),
        ({"components": [TEXT]}, 50035),
        ({"components": [TEXT], "content": "x", "flags": V2}, 50035),
        ({"components": [TEXT] * 41, "flags": V2}, 50035),
        ({"components": [TEXT | {"content": "x" * 2001}] * 2, "flags": V2}, 50035),
        ({"components": [BUTTON], "flags": V2}, 50035),
        ({"content": "x", "message_reference": {"message_id": "1"}}, 50035),
    ],
)
async def test_messages(call: Caller, discord: Discord, body: Any, code: int) -> None:
    assert await call("POST", POSTS, body) == (400, code)
    assert not discord.posted


async def test_components_v2(call: Caller, discord: Discord) -> None:
    section = {"type": 9, "components": [TEXT], "accessory": BUTTON}
    box = {"type": 17, "components": [section, row(BUTTON | {"custom_id": "b"})]}
    sent = await call("POST", POSTS, {"components": [box], "flags": V2})
    assert discord.posted[0].v2
    assert await call("PATCH", f"{POSTS}/{sent['id']}", {"content": "x"}) == (400, 50035)
    assert click(discord.posted[0], "Go #2")["data"]["custom_id"] == "b"


@pytest.mark.parametrize(
    "command",
    [
        COMMAND | {"name": "Go"},
        COMMAND | {"name": "x" * 33},
        COMMAND | {"description": ""},
        COMMAND | {"description": "x" * 101},
        COMMAND | {"options": [COMMAND | {"name": f"o{n}", "type": 3} for n in range(26)]},
        COMMAND
        | {
            "options": [
                COMMAND | {"name": "a", "type": 3},
                COMMAND | {"name": "b", "type": 3, "required": True},
            ]
        },
    ],
)
async def test_commands_that_break_rules(call: Caller, command: Any) -> None:
    assert await call("POST", COMMANDS, command) == (400, 50035)
    assert await call("PUT", COMMANDS, [command]) == (400, 50035)


async def test_commands(call: Caller, discord: Discord) -> None:
    made = await call("POST", COMMANDS, COMMAND)
    again = await call("POST", COMMANDS, COMMAND | {"description": "Go on"})
    assert (made["id"], again["description"]) == (again["id"], "Go on")
    both = await call("PUT", COMMANDS, [COMMAND, COMMAND | {"name": "halt"}])
    assert [one["name"] for one in await call("GET", COMMANDS)] == ["go", "halt"]
    assert both[0]["id"] == made["id"]
    assert await call("PUT", COMMANDS, [COMMAND, COMMAND]) == (400, 50035)
    changed = await call("PATCH", f"{COMMANDS}/{made['id']}", {"description": "No"})
    assert changed["description"] == "No"
    assert await call("DELETE", f"{COMMANDS}/{made['id']}") is None
    assert await call("GET", f"{COMMANDS}/{made['id']}") == (404, 10063)
    local = f"/applications/100/guilds/{GUILD}/commands"
    [own] = await call("PUT", local, [COMMAND])
    assert own["guild_id"] == GUILD
    asked = await discord.interact(slash("go resume", {"run": "r1", "force": True}))
    assert asked.payload["data"]["id"] == own["id"]
    assert asked.payload["data"]["options"] == [
        {
            "name": "resume",
            "type": 1,
            "options": [
                {"name": "run", "type": 3, "value": "r1"},
                {"name": "force", "type": 5, "value": True},
            ],
        }
    ]
    assert await call("PUT", "/applications/100/guilds/799/commands", []) == (403, 50001)


async def test_channels_that_do_not_take_a_message(call: Caller, discord: Discord) -> None:
    said = {"content": "x"}
    discord.no_dms.add("3")
    direct = await call("POST", "/users/@me/channels", {"recipient_id": "3"})
    assert await call("POST", f"/channels/{direct['id']}/messages", said) == (403, 50007)
    assert await call("POST", "/channels/599/messages", said) == (404, 10003)
    discord.delete_channel(OTHER_CHANNEL)
    assert await call("GET", f"/channels/{OTHER_CHANNEL}") == (404, 10003)
    discord.deny(CHANNEL, "SEND_MESSAGES")
    assert await call("POST", POSTS, said) == (403, 50013)
    assert (await call("POST", f"/channels/{THREAD}/messages", said))["content"] == "x"
    discord.deny(CHANNEL, "SEND_MESSAGES_IN_THREADS")
    assert await call("POST", f"/channels/{THREAD}/messages", said) == (403, 50013)
    discord.deny(CHANNEL, "VIEW_CHANNEL")
    assert await call("POST", POSTS, said) == (403, 50001)
    assert await call("GET", POSTS) == (403, 50001)
    discord.allow(CHANNEL, "VIEW_CHANNEL", "SEND_MESSAGES")
    assert (await call("POST", POSTS, said))["content"] == "x"
    assert await call("GET", "/users/@me", token="other") == (401, 0)
    assert await call("GET", "/nowhere") == (404, 0)


async def test_history_that_may_not_be_read(call: Caller, discord: Discord) -> None:
    sent = await call("POST", POSTS, {"content": "x"})
    discord.deny(CHANNEL, "READ_MESSAGE_HISTORY")
    assert await call("GET", POSTS) == []
    assert await call("GET", f"{POSTS}/{sent['id']}") == (403, 50013)
    reply = {"content": "y", "message_reference": {"message_id": sent["id"]}}
    assert await call("POST", POSTS, reply) == (403, 160002)
    assert (await call("PATCH", f"{POSTS}/{sent['id']}", {"content": "z"}))["content"] == "z"


async def test_threads(call: Caller, discord: Discord) -> None:
    path = f"/channels/{THREAD}"
    sent = await call("POST", f"{path}/messages", {"content": "x"})
    discord.set_thread(THREAD, archived=True)
    edit = ("PATCH", f"{path}/messages/{sent['id']}", {"content": "y"})
    assert await call(*edit) == (400, 50083)
    await call("POST", f"{path}/messages", {"content": "wakes it"})
    assert not discord.channels[THREAD].archived
    discord.set_thread(THREAD, archived=True, locked=True)
    assert await call("POST", f"{path}/messages", {"content": "x"}) == (403, 50083)
    assert await call("PATCH", path, {"archived": False}) == (403, 50013)
    discord.set_thread(THREAD, archived=True)
    opened = await call("PATCH", path, {"archived": False})
    assert not opened["thread_metadata"]["archived"]
    assert await call("PATCH", path, {"archived": True}) == (403, 50013)


async def test_permissions_show_everywhere(call: Caller, discord: Discord) -> None:
    discord.deny(CHANNEL, "ATTACH_FILES")
    denied = library.Permissions(attach_files=True).value
    shown = await call("GET", f"/channels/{CHANNEL}")
    assert shown["permission_overwrites"][0]["deny"] == str(denied)
    asked = await discord.interact(slash("go"))
    assert not int(asked.payload["app_permissions"]) & denied
    assert int(asked.payload["member"]["permissions"]) & denied
    guild = await call("GET", f"/guilds/{GUILD}")
    assert guild["roles"] == await call("GET", f"/guilds/{GUILD}/roles")
    discord.roles["1"] = ["900"]
    discord.outsiders.add("2")
    assert (await call("GET", f"/guilds/{GUILD}/members/1"))["roles"] == ["900"]
    assert await call("GET", f"/guilds/{GUILD}/members/2") == (404, 10007)
    assert len(await call("GET", "/users/@me/guilds")) == 2


async def shown(discord: Discord, call: Caller, **data: Any) -> SentMessage:
    asked = await discord.interact(slash("go"))
    path = f"/interactions/{asked.id}/{asked.token}/callback"
    body = {"content": "x", "components": [row(BUTTON)], **data}
    await call("POST", path, {"type": 4, "data": body})
    assert asked.original
    return asked.original


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (6, {}),
        (7, {"content": "x"}),
        (8, {"choices": []}),
        (4, {"content": "x" * 2001}),
        (9, {"custom_id": "m", "title": "x" * 46, "components": [row(BUTTON)]}),
        (3, {}),
    ],
)
async def test_responses_that_do_not_suit_a_command(
    call: Caller, discord: Discord, kind: int, data: Any
) -> None:
    asked = await discord.interact(slash("go"))
    path = f"/interactions/{asked.id}/{asked.token}/callback"
    assert await call("POST", path, {"type": kind, "data": data}) == (400, 50035)
    assert await call("POST", path, {"type": 5, "data": {"flags": 64}}) is None
    assert asked.original
    assert asked.original.loading
    assert not asked.answered


async def test_the_first_followup_takes_the_place_of_thinking(
    call: Caller, discord: Discord
) -> None:
    asked = await discord.interact(slash("go", channel="601", guild=None))
    hook = f"/webhooks/100/{asked.token}"
    assert await call("POST", hook, {"content": "early"}) == (404, 10015)
    path = f"/interactions/{asked.id}/{asked.token}/callback"
    told = await call("POST", path, {"type": 5, "data": {"flags": 64}}, with_response="1")
    assert told["interaction"]["response_message_loading"]
    await call("POST", hook, {"content": "now", "flags": 0})
    original = asked.original
    assert original
    assert (original.content, original.ephemeral) == ("now", True)
    assert not asked.followups
    second = await call("POST", hook, {"content": "more"})
    await call("PATCH", f"{hook}/messages/{second['id']}", {"content": "less"})
    assert asked.followups[0].content == "less"
    await call("DELETE", f"{hook}/messages/@original")
    assert original.deleted
    assert await call("GET", f"{hook}/messages/@original") == (404, 10008)
    assert await call("POST", path.replace(asked.id, "1"), {"type": 5}) == (404, 10062)


async def test_a_private_message_is_nobody_elses(call: Caller, discord: Discord) -> None:
    private = await shown(discord, call, flags=64)
    assert await call("GET", f"{POSTS}/{private.id}") == (404, 10008)
    clicked = await discord.interact(click(private, "go", at=1_700_000_000))
    path = f"/interactions/{clicked.id}/{clicked.token}/callback"
    await call("POST", path, {"type": 7, "data": {"content": "y"}})
    assert (private.content, private.ephemeral, private.components) == ("y", True, [row(BUTTON)])


@pytest.mark.parametrize(
    "choice",
    [
        {"name": "", "value": "1"},
        {"name": "x" * 101, "value": "1"},
        {"name": "x", "value": "x" * 101},
    ],
)
async def test_choices(call: Caller, discord: Discord, choice: Any) -> None:
    typing = await discord.interact(autocomplete("go", {}, "run"))
    path = f"/interactions/{typing.id}/{typing.token}/callback"
    good = {"name": "x", "value": "1"}
    for choices in ([choice], [good] * 26):
        assert await call("POST", path, {"type": 8, "data": {"choices": choices}}) == (400, 50035)
    assert await call("POST", path, {"type": 4, "data": {"content": "x"}}) == (400, 50035)
    assert await call("POST", path, {"type": 8, "data": {"choices": [good] * 25}}) is None
