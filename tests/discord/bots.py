"""A small bot made with the real client library, for the double's own tests."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from typing import Any

import discord as library
import pytest
from discord import app_commands

from tests.discord.double import Discord
from tests.discord.records import CHANNEL


class Bot(library.Client):
    """A bot with one command, one button and one menu."""

    def __init__(self, discord: Discord, **options: Any) -> None:
        super().__init__(intents=library.Intents.default(), **options)
        self.discord = discord
        self.tree = app_commands.CommandTree(self)
        self.tree.add_command(app_commands.Command(name="go", description="Go", callback=go))
        self.heard: list[library.Message] = []
        self.edits: list[library.Message] = []
        self.resumed = 0

    async def on_message(self, message: library.Message) -> None:
        self.heard.append(message)
        self.discord.changed()

    async def on_message_edit(self, _before: library.Message, after: library.Message) -> None:
        self.edits.append(after)
        self.discord.changed()

    async def on_resumed(self) -> None:
        self.resumed += 1
        self.discord.changed()

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Not the five seconds that the real Discord wants between two."""


async def suggest(_: library.Interaction, so_far: str) -> list[app_commands.Choice[str]]:
    return [app_commands.Choice(name=f"{so_far}1", value="r1")]


@app_commands.autocomplete(what=suggest)
async def go(interaction: library.Interaction, what: str) -> None:
    if what == "later":
        await interaction.response.defer(ephemeral=True)
        file = library.File(io.BytesIO(b"log"), "log.txt")
        await interaction.edit_original_response(content="done", attachments=[file])
    elif what == "twice":
        await interaction.response.send_message("first")
        await interaction.followup.send("second", ephemeral=True)
    else:
        await interaction.response.send_message(f"{what} <@1>", view=panel(), ephemeral=True)


def panel() -> library.ui.View:
    view = library.ui.View(timeout=None)
    button: library.ui.Button[Any] = library.ui.Button(label="Stop", custom_id="stop:r1")
    button.callback = stop  # type: ignore[method-assign]
    options = [library.SelectOption(label=f"Run {one}", value=one) for one in ("r1", "r2")]
    menu: library.ui.Select[Any] = library.ui.Select(custom_id="pick", options=options)
    menu.callback = pick  # type: ignore[method-assign]
    return view.add_item(button).add_item(menu)


async def stop(interaction: library.Interaction) -> None:
    await interaction.response.edit_message(content=f"stopped by {interaction.user}", view=None)


async def pick(interaction: library.Interaction) -> None:
    assert interaction.data
    await interaction.response.defer()
    await interaction.followup.send(f"picked {interaction.data.get('values')}")


@contextlib.asynccontextmanager
async def running(discord: Discord, bot: Bot, sessions: int = 1) -> AsyncIterator[Bot]:
    await bot.login(discord.token)
    task = asyncio.create_task(bot.connect())
    try:
        await discord.connected(sessions)
        yield bot
    finally:
        await bot.close()
        await task


async def channel_of(bot: Bot, channel: str = CHANNEL) -> Any:
    found = bot.get_channel(int(channel))
    assert found is not None
    return found


async def refusal(call: Any) -> tuple[int, int]:
    with pytest.raises(library.HTTPException) as caught:
        await call
    return caught.value.status, caught.value.code
