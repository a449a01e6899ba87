"""The app commands of Baton, as people type them in Discord, and when they are registered.

Discord keeps the definitions and limits how often they change (docs.discord.com:
interactions/application-commands), so they are sent only when they are not what was sent before.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Coroutine, Mapping
from pathlib import Path
from typing import Any, Protocol

import discord
from discord import app_commands

from adapters.discord.inbound import Interaction
from bot import log
from bot.commands.offering import Choice

_LONGEST_CHOICE = 100
_EVERYWHERE = "everywhere"
_RUN_OPTION = "Which run: its id, or choose one"


class Listener(Protocol):
    """Who takes what is typed."""

    async def typed(
        self, interaction: Interaction, verb: str, values: Mapping[str, str | None]
    ) -> None:
        """Somebody used a command."""

    async def choices(self, interaction: Interaction, verb: str, typed: str) -> list[Choice]:
        """Somebody types an option; what fits."""

    async def outdated(self, interaction: Interaction) -> None:
        """Somebody used a command in a form that Baton does not know (any more)."""


class Commands(app_commands.CommandTree[discord.Client]):
    """Every command, with a listener behind it."""

    def __init__(self, client: discord.Client, listener: Listener) -> None:
        super().__init__(
            client,
            allowed_contexts=app_commands.AppCommandContext(guild=True, dm_channel=True),
            allowed_installs=app_commands.AppInstallationType(guild=True, user=False),
        )
        self._listener = listener
        for verb, about in _ABOUT_A_RUN.items():
            self.add_command(_about_a_run(listener, verb, about))
        self.add_command(_run(listener))
        for verb, about in _ALONE.items():
            self.add_command(_alone(listener, verb, about))

    async def interaction_check(self, interaction: Interaction, /) -> bool:
        """Options that are not known, or are of another kind, tell of an older form.

        discord.py would leave them out, and a cancel of a named run would be one of any run.
        """
        data: Mapping[str, Any] = interaction.data or {}
        command = self.get_command(str(data.get("name")))
        known = {one.name: one.type.value for one in getattr(command, "parameters", ())}
        if all(known.get(one["name"]) == one["type"] for one in data.get("options", ())):
            return True
        if interaction.type is discord.InteractionType.application_command:
            await self._listener.outdated(interaction)
        return False

    async def on_error(
        self, interaction: Interaction, error: app_commands.AppCommandError, /
    ) -> None:
        """Discord may offer an older form for some minutes; all else is a fault of ours."""
        if not isinstance(
            error, app_commands.CommandNotFound | app_commands.CommandSignatureMismatch
        ):
            log.fault("command.take_failed", error, delivery=str(interaction.id))
        await self._listener.outdated(interaction)

    async def register(self, guild_ids: Collection[int], kept: Path) -> None:
        """Send the definitions to these guilds, or everywhere, where they are not there yet.

        `kept` remembers what was sent where, so that a place that is no longer named is cleared.
        """
        definition = [command.to_dict(self) for command in self.get_commands()]
        digest = hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()
        own = f"{self.client.application_id}:"
        wanted = {f"{own}{place}": digest for place in guild_ids or (_EVERYWHERE,)}
        sent = _read(kept)
        for place in sorted(wanted.keys() | {one for one in sent if one.startswith(own)}):
            if sent.get(place) == wanted.get(place):
                continue
            if await self._send(place, definition if place in wanted else []):
                rest = _without(sent, place)
                sent = {**rest, place: digest} if place in wanted else rest
                _write(kept, sent)

    async def _send(self, place: str, definition: list[dict[str, Any]]) -> bool:
        guild = place.partition(":")[2]
        application = self.client.application_id or 0
        http: Any = self.client.http
        try:
            if guild == _EVERYWHERE:
                await http.bulk_upsert_global_commands(application, payload=definition)
            else:
                await http.bulk_upsert_guild_commands(application, int(guild), payload=definition)
        except discord.HTTPException as error:
            log.event("discord.register_rejected", place=guild, reason=str(error.code))
            return False
        log.event("discord.register_completed", place=guild, commands=len(definition))
        return True


def _read(kept: Path) -> dict[str, str]:
    try:
        found = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(place): str(digest) for place, digest in found.items()}


def _without(sent: Mapping[str, str], place: str) -> dict[str, str]:
    return {other: digest for other, digest in sent.items() if other != place}


def _write(kept: Path, sent: Mapping[str, str]) -> None:
    kept.write_text(json.dumps(sent, indent=1), encoding="utf-8")


_ABOUT_A_RUN = {
    "resume": "Go on with a run that failed or was interrupted, or pass its gate",
    "cancel": "End a run, or decline its gate",
    "release": "Free the worktree of a cancelled run by hand",
    "status": "Where a run stands",
    "logs": "The last output of a run",
    "history": "Who asked what of a run",
}
_ALONE = {"runs": "Every run, newest first", "help": "What Baton understands"}

_Command = app_commands.Command[Any, ..., Any]
_Choices = list[app_commands.Choice[str]]
_Completer = Callable[[Interaction, str], Coroutine[Any, Any, _Choices]]


def _about_a_run(listener: Listener, verb: str, about: str) -> _Command:
    async def command(interaction: Interaction, run: str | None = None) -> None:
        await listener.typed(interaction, verb, {"run": run})

    made: _Command = app_commands.Command(name=verb, description=about, callback=command)
    app_commands.describe(run=_RUN_OPTION)(made)
    made.autocomplete("run")(_completer(listener, verb))
    return made


def _run(listener: Listener) -> _Command:
    async def command(
        interaction: Interaction, workflow: str, arguments: str | None = None
    ) -> None:
        await listener.typed(interaction, "run", {"workflow": workflow, "arguments": arguments})

    made: _Command = app_commands.Command(
        name="run", description="Start a run of a workflow", callback=command
    )
    app_commands.describe(
        workflow="Which workflow", arguments="branch=NAME and other key=value, if it takes any"
    )(made)
    made.autocomplete("workflow")(_completer(listener, "run"))
    return made


def _alone(listener: Listener, verb: str, about: str) -> _Command:
    async def command(interaction: Interaction) -> None:
        await listener.typed(interaction, verb, {})

    return app_commands.Command(name=verb, description=about, callback=command)


def _completer(listener: Listener, verb: str) -> _Completer:
    async def complete(interaction: Interaction, typed: str) -> _Choices:
        found = await listener.choices(interaction, verb, typed)
        return [
            app_commands.Choice(name=_fitting(one.label), value=one.value[:_LONGEST_CHOICE])
            for one in found
        ]

    return complete


def _fitting(label: str) -> str:
    return label if len(label) <= _LONGEST_CHOICE else f"{label[: _LONGEST_CHOICE - 1]}…"
