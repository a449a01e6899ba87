"""Slack as a door: what slack-bolt hands over goes to the attendant.

Bolt acknowledges an event before its listener runs, so what was said is made durable before
that, in a middleware; the work itself begins once Slack has its acknowledgement.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext
from slack_bolt.response import BoltResponse

from adapters.slack.inbound import OWN_ACTION, CommandNames, message_of
from adapters.slack.manifest import SHORTCUT
from bot.attendant import Attendant
from bot.conversation import Door, Message
from bot.ports import DatabaseUnavailableError

_SAID = "baton_said"


class SlackDoor:
    """Takes what people say in Slack."""

    def __init__(self, attendant: Attendant, names: CommandNames) -> None:
        self._attendant = attendant
        self._names = names

    def attach(self, app: AsyncApp) -> None:
        """Have this app hand over all that is said to Baton."""
        app.middleware(self._receive)
        for listen in (
            app.command(re.compile(".*")),
            app.action(OWN_ACTION),
            app.shortcut(SHORTCUT),
            app.event("app_mention"),
            app.event("message"),
        ):
            listen(self._begin)

    async def _receive(
        self,
        body: Mapping[str, Any],
        context: AsyncBoltContext,
        next: Callable[[], Awaitable[BoltResponse]],  # noqa: A002 - Bolt passes it by this name
    ) -> BoltResponse | None:
        """Make what was said durable before anything else; what is known already ends here."""
        message = message_of(body, self._names)
        if message is None:
            return await next()
        try:
            fresh = await self._attendant.receive(message)
        except DatabaseUnavailableError as error:
            return self._not_received(message, error)
        if fresh:
            context[_SAID] = message
        return await next()

    def _not_received(self, message: Message, error: DatabaseUnavailableError) -> BoltResponse:
        """An event comes again if it is not acknowledged; a command or a click does not."""
        if message.door is Door.SLACK_MENTION:
            return BoltResponse(status=503, body="")
        self._attendant.apologise(message, error)
        return BoltResponse(status=200, body="")

    async def _begin(self, ack: AsyncAck, context: AsyncBoltContext) -> None:
        await ack()
        message = context.get(_SAID)
        if message is not None:
            self._attendant.begin(message)
