"""Discord as a door: what was typed, clicked or said goes to the attendant."""

import time
from collections.abc import Mapping

import discord

from adapters.discord.inbound import Clerk, Interaction
from adapters.discord.interactions import FIRST_ANSWER_SECONDS, Interactions
from adapters.discord.shown import ASK, KEEP, Shown, question, said
from bot import faults, log, replies
from bot.attendant import Attendant
from bot.board import PostGoneError, PostLaterError, PostRefusedError
from bot.commands.offering import Choice
from bot.conversation import Message
from bot.dispatcher import Dispatcher, Overdue
from bot.ports import DatabaseUnavailableError
from bot.words import clean

_SUSPECT_SECONDS = FIRST_ANSWER_SECONDS - 0.5


class DiscordDoor:
    """Takes what people type and click in Discord."""

    def __init__(
        self, attendant: Attendant, dispatcher: Dispatcher, interactions: Interactions, clerk: Clerk
    ) -> None:
        self._attendant = attendant
        self._dispatcher = dispatcher
        self._interactions = interactions
        self._clerk = clerk

    # --- app commands ------------------------------------------------------------------------

    async def typed(
        self, interaction: Interaction, verb: str, values: Mapping[str, str | None]
    ) -> None:
        """Somebody used a command."""
        await self._take(interaction, self._clerk.typed(interaction, verb, values))

    async def choices(self, interaction: Interaction, verb: str, typed: str) -> list[Choice]:
        """Somebody types an option: what fits, and may be used by them."""
        message = self._clerk.typed(interaction, verb, {})
        found = await self._dispatcher.choices(message, verb, typed)
        return [Choice(clean(one.label, len(one.label)), one.value) for one in found]

    async def outdated(self, interaction: Interaction) -> None:
        """Somebody used a command in a form that is not known (any more)."""
        await self._tell(self._clerk.typed(interaction, "help", {}), replies.outdated_command())

    # --- clicks ------------------------------------------------------------------------------

    async def clicked(self, interaction: Interaction, act: str, value: str) -> None:
        """Somebody clicked a button that stands for this run at this epoch."""
        if act == KEEP:
            run_id = value.partition(":")[0]
            message = self._clerk.clicked(interaction, "status", value)
            await self._tell(message, replies.kept(run_id))
        elif act == ASK:
            await self._ask(interaction, value)
        else:
            await self._take(interaction, self._clerk.clicked(interaction, act, value))

    async def chosen(self, interaction: Interaction, verb: str, value: str) -> None:
        """Somebody chose a run: that is a click, but for a cancel, which is asked about."""
        await self.clicked(interaction, ASK if verb == "cancel" else verb, value)

    async def _ask(self, interaction: Interaction, value: str) -> None:
        message = self._clerk.clicked(interaction, "cancel", value)
        try:
            run = await self._dispatcher.to_confirm(message)
        except DatabaseUnavailableError as error:
            self._attendant.apologise(message, error)
            return
        if run is None:
            await self._take(interaction, message)
        else:
            await self._show(message, question(run))

    async def unknown(self, interaction: Interaction) -> None:
        """Somebody clicked what is none of Baton's buttons."""
        message = self._clerk.clicked(interaction, "help", "")
        await self._tell(message, replies.unknown_button())

    # --- talk --------------------------------------------------------------------------------

    async def said(self, message: discord.Message, own_id: int) -> None:
        """Somebody wrote a message that Baton can read."""
        meant = self._clerk.said(message, own_id)
        if meant is not None:
            await self._receive(meant, None)

    # --- work --------------------------------------------------------------------------------

    async def _take(self, interaction: Interaction, message: Message) -> None:
        """Received at once; what Discord brings late is carried out only if it is recent."""
        if not self._interactions.open(message):
            return
        late = await self._late(interaction, message)
        if not await self._receive(message, late):
            self._interactions.close(message)

    async def _late(self, interaction: Interaction, message: Message) -> Overdue | None:
        """How late it is, where Discord has given up waiting for an answer.

        A gateway that was away brings what it missed. Clocks differ, so it is Discord that tells:
        it takes no first answer any more.
        """
        age_seconds = time.time() - interaction.created_at.timestamp()
        if age_seconds < _SUSPECT_SECONDS:
            return None
        try:
            if await self._interactions.defer(message):
                return None
        except PostLaterError as error:
            log.event("reply.defer_rejected", delivery=message.delivery, reason=str(error))
            return None
        excuse = faults.delivered_late()
        return Overdue(message, age_seconds, done=False, again=False, excuse=excuse)

    async def _receive(self, message: Message, late: Overdue | None) -> bool:
        """Whether it is ours to carry out."""
        try:
            fresh = await self._attendant.receive(message)
        except DatabaseUnavailableError as error:
            self._attendant.apologise(message, error)
            return True
        if fresh:
            self._attendant.begin(message, late)
        return fresh

    async def _tell(self, message: Message, reply: str) -> None:
        await self._show(message, said(reply))

    async def _show(self, message: Message, shown: Shown) -> None:
        """Answer what is no command; who sees nothing of it clicks again."""
        try:
            await self._interactions.offer(message, shown)
        except (PostGoneError, PostLaterError, PostRefusedError) as error:
            log.event("reply.send_rejected", delivery=message.delivery, reason=str(error))
