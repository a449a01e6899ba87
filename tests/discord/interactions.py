"""First responses to interactions, and all that may follow one."""

import time

from tests.discord import messages, shapes
from tests.discord.limits import wrong_with_choices, wrong_with_modal
from tests.discord.messages import Answer, Asked
from tests.discord.records import (
    AUTOCOMPLETE,
    COMPONENT,
    EPHEMERAL,
    LOADING,
    MODAL,
    Channel,
    Interaction,
    Json,
    Response,
    SentMessage,
    snowflake,
)
from tests.discord.state import DiscordError, State, refuse

SAY, DEFER, DEFER_CHANGE, CHANGE, CHOICES, ASK = 4, 5, 6, 7, 8, 9
KEPT_FLAGS = messages.KEPT_FLAGS | EPHEMERAL
# Each type of response with the types of interaction that it suits.
SUITS = {
    SAY: {2, COMPONENT, MODAL},
    DEFER: {2, COMPONENT, MODAL},
    DEFER_CHANGE: {COMPONENT, MODAL},
    CHANGE: {COMPONENT, MODAL},
    CHOICES: {AUTOCOMPLETE},
    ASK: {2, COMPONENT},
}


def respond(state: State, asked: Asked) -> Answer:
    """POST /interactions/{id}/{token}/callback."""
    interaction_id, token = asked.parts
    interaction = state.interactions.get(token)
    if interaction is None or interaction.id != interaction_id:
        raise DiscordError(404, 10062, "Unknown interaction")
    try:
        _take(state, interaction, asked)
    except DiscordError as no:
        interaction.refused.append(no.code)
        raise
    if asked.query.get("with_response", "false").lower() not in {"1", "true"}:
        return Answer(204)
    return Answer(200, _callback(state, interaction))


def _take(state: State, interaction: Interaction, asked: Asked) -> None:
    if interaction.responses:
        raise DiscordError(400, 40060, "Interaction has already been acknowledged.")
    if interaction.age > state.seconds_to_respond or interaction.is_over():
        raise DiscordError(404, 10062, "Unknown interaction")
    kind, data = asked.body.get("type"), asked.body.get("data") or {}
    if interaction.type not in SUITS.get(kind, ()):
        code = "INTERACTION_TYPE_INVALID"
        refuse([("type", code, f"Response {kind} does not suit interaction {interaction.type}")])
    inner = Asked(asked.parts, data, asked.query, asked.uploads)
    if kind in {SAY, DEFER}:
        interaction.original = _first_message(state, interaction, kind, inner)
    elif kind in {CHANGE, DEFER_CHANGE}:
        interaction.original = _clicked(state, interaction)
        if kind == CHANGE:
            _edit(state, interaction, interaction.original, inner)
    elif kind == CHOICES:
        refuse(wrong_with_choices(data.get("choices")))
    else:
        refuse(wrong_with_modal(data))
    files = {one.name: one.content for one in asked.uploads.values()}
    interaction.responses.append(Response(time.monotonic(), kind, data, files))


def _first_message(state: State, interaction: Interaction, kind: int, asked: Asked) -> SentMessage:
    if kind == SAY:
        return _message(state, interaction, asked, (asked.body.get("flags") or 0) & KEPT_FLAGS)
    flags = (asked.body.get("flags") or 0) & EPHEMERAL | LOADING
    message = _blank(interaction, flags)
    state.keep(message)
    state.tell_of_message("MESSAGE_CREATE", message)
    return message


def _clicked(state: State, interaction: Interaction) -> SentMessage:
    """The message whose button was used, private or not."""
    shown = interaction.payload.get("message") or {}
    message = state.messages.get(str(shown.get("id")))
    if message is None or message.deleted:
        raise DiscordError(404, 10008, "Unknown Message")
    return message


def _blank(interaction: Interaction, flags: int) -> SentMessage:
    payload = interaction.payload
    metadata = {
        "id": interaction.id,
        "type": interaction.type,
        "user": shapes.user(interaction.user),
        "authorizing_integration_owners": payload["authorizing_integration_owners"],
    }
    if "message" in payload:
        metadata["interacted_message_id"] = payload["message"]["id"]
    return SentMessage(
        interaction.channel,
        snowflake(),
        flags=flags,
        guild=payload.get("guild_id"),
        interaction=interaction.id,
        metadata=metadata,
        audience=interaction.user if flags & EPHEMERAL else None,
    )


def _message(state: State, interaction: Interaction, asked: Asked, flags: int) -> SentMessage:
    messages.check(asked.body, flags, files=bool(asked.uploads))
    message = _blank(interaction, flags)
    messages.fill(state, message, asked, _place(state, interaction), regular=False)
    state.keep(message)
    state.tell_of_message("MESSAGE_CREATE", message)
    return message


def _edit(state: State, interaction: Interaction, message: SentMessage, asked: Asked) -> None:
    messages.edit(state, message, asked, _place(state, interaction), regular=False)


def _place(state: State, interaction: Interaction) -> Channel:
    """Where an interaction happened; it may be answered though the bot sees nothing there."""
    known = state.channels.get(interaction.channel)
    return known or Channel(interaction.channel, interaction.payload.get("guild_id"))


def _callback(state: State, interaction: Interaction) -> Json:
    response, original = interaction.responses[0], interaction.original
    told: Json = {"id": interaction.id, "type": interaction.type}
    resource: Json = {"type": response.type}
    if original:
        told["response_message_id"] = original.id
        told["response_message_loading"] = original.loading
        told["response_message_ephemeral"] = original.ephemeral
        if response.type != DEFER_CHANGE:
            resource["message"] = state.show(original)
    return {"interaction": told, "resource": resource}


def _open(state: State, asked: Asked) -> Interaction:
    """The interaction whose token lets one say more."""
    interaction = state.interactions.get(asked.parts[1])
    if interaction is None or not interaction.responses:
        raise DiscordError(404, 10015, "Unknown Webhook")
    over = interaction.is_over()
    if over == 50027:
        raise DiscordError(401, 50027, "Invalid Webhook Token")
    if over:
        raise DiscordError(404, over, "Unknown Webhook")
    return interaction


def _wanted(interaction: Interaction, message_id: str) -> SentMessage:
    original = interaction.original
    if message_id == "@original" or (original and original.id == message_id):
        found = original
    else:
        found = next((one for one in interaction.followups if one.id == message_id), None)
    if found is None or found.deleted:
        raise DiscordError(404, 10008, "Unknown Message")
    return found


def read(state: State, asked: Asked) -> Answer:
    message = _wanted(_open(state, asked), asked.parts[2])
    return Answer(200, state.show(message))


def change(state: State, asked: Asked) -> Answer:
    interaction = _open(state, asked)
    message = _wanted(interaction, asked.parts[2])
    _edit(state, interaction, message, asked)
    return Answer(200, state.show(message))


def delete(state: State, asked: Asked) -> Answer:
    message = _wanted(_open(state, asked), asked.parts[2])
    if message.ephemeral:
        message.deleted = True
    else:
        state.delete_message(message.id)
    return Answer(204)


def follow(state: State, asked: Asked) -> Answer:
    """POST /webhooks/{app}/{token}: the first one after "thinking" takes its place."""
    interaction = _open(state, asked)
    original = interaction.original
    if interaction.responses[0].type == DEFER and original and original.loading:
        _edit(state, interaction, original, asked)
        return Answer(200, state.show(original))
    message = _message(state, interaction, asked, (asked.body.get("flags") or 0) & KEPT_FLAGS)
    if original and message.metadata:
        message.metadata["original_response_message_id"] = original.id
    interaction.followups.append(message)
    return Answer(200, state.show(message))
