"""The Web API: what each method answers."""

import base64
import json
import secrets
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.slack import messages
from tests.slack.messages import Asked
from tests.slack.records import APP, BOT, BOT_ID, Json, View
from tests.slack.state import SlackError, State

SECONDS_OF_A_TRIGGER = 3


async def read(request: web.Request) -> Json:
    """What a call holds: query, form and JSON alike, with the token under "token"."""
    values: Json = dict(request.query)
    if request.content_type == "application/json":
        values |= await request.json()
    elif request.can_read_body:
        values |= dict(await request.post())
    for name in ("attachments", "blocks", "metadata", "view"):
        if isinstance(values.get(name), str) and values[name]:
            values[name] = json.loads(values[name])
    kind, _, credential = request.headers.get("Authorization", "").partition(" ")
    if kind == "Bearer":
        values["token"] = credential
    elif kind == "Basic":
        name, _, secret = base64.b64decode(credential).decode().partition(":")
        values |= {"client_id": name, "client_secret": secret}
    return values


def perform(state: State, method: str, values: Json, token: str) -> Json:
    """What a call does and answers."""
    if method == "oauth.v2.access":
        return _access(state, values)
    if method == "apps.connections.open":
        return _open_connection(state, token)
    if method not in METHODS:
        raise SlackError("unknown_method")
    if not token:
        raise SlackError("not_authed")
    if token not in state.tokens:
        raise SlackError("invalid_auth")
    act, needed = METHODS[method]
    if needed and not needed & state.scopes:
        provided = ",".join(sorted(state.scopes))
        raise SlackError("missing_scope", needed=",".join(sorted(needed)), provided=provided)
    return act(state, Asked(method, values, token, state.tokens[token]))


def _test_auth(state: State, asked: Asked) -> Json:
    return {
        "ok": True,
        "url": f"https://{asked.team.lower()}.slack.example/",
        "team": f"Team {asked.team}",
        "user": "baton",
        "team_id": asked.team,
        "user_id": BOT,
        "bot_id": BOT_ID,
        "app_id": APP,
        "is_enterprise_install": False,
    }


def _open_connection(state: State, token: str) -> Json:
    if not token:
        raise SlackError("not_authed")
    if token in state.tokens:
        raise SlackError("not_allowed_token_type")
    if token not in state.app_tokens:
        raise SlackError("invalid_auth")
    address = state.base.replace("http", "ws", 1)
    return {"ok": True, "url": f"{address}/link/?ticket={secrets.token_hex(8)}&app_id={APP}"}


def _open_conversation(state: State, asked: Asked) -> Json:
    users = str(asked.values.get("users") or "").split(",")
    if len(users) != 1 or not users[0]:
        raise SlackError("users_list_not_supplied")
    return {"ok": True, "channel": {"id": state.direct(asked.team, users[0]).id}}


def _tell_user(state: State, asked: Asked) -> Json:
    user = str(asked.values.get("user"))
    if user not in state.users:
        raise SlackError("user_not_found")
    known = state.users[user]
    profile = {"real_name": known.get("real_name"), "display_name": known.get("name")}
    told = {"id": user, "team_id": asked.team, "profile": profile, **known}
    return {"ok": True, "user": told}


def _list_group(state: State, asked: Asked) -> Json:
    group = str(asked.values.get("usergroup"))
    if group not in state.groups:
        raise SlackError("no_such_subteam")
    return {"ok": True, "users": state.groups[group]}


def _open_view(state: State, asked: Asked) -> Json:
    trigger, view = str(asked.values.get("trigger_id")), asked.values.get("view")
    if not isinstance(view, dict):
        raise SlackError("invalid_arguments")
    if trigger not in state.triggers:
        raise SlackError("invalid_trigger_id")
    if trigger in {opened.trigger_id for opened in state.views}:
        raise SlackError("exchanged_trigger_id")
    if time.monotonic() - state.triggers[trigger] > SECONDS_OF_A_TRIGGER:
        raise SlackError("expired_trigger_id")
    state.views.append(View(trigger, view, asked.token))
    return {"ok": True, "view": {"id": f"V{len(state.views)}", "team_id": asked.team, **view}}


def _access(state: State, values: Json) -> Json:
    """A code or a refresh token, each good once, for a token of a workspace."""
    if values.get("client_id") != state.client_id:
        raise SlackError("invalid_client_id")
    if values.get("client_secret") != state.client_secret:
        raise SlackError("bad_client_secret")
    if values.get("grant_type") == "refresh_token":
        team = state.refresh_tokens.pop(str(values.get("refresh_token")), None)
        if team is None:
            raise SlackError("invalid_refresh_token")
        return _granted(state, team, rotates=True)
    team = state.codes.pop(str(values.get("code")), None)
    if team is None:
        raise SlackError("invalid_code")
    return _granted(state, team, rotates=state.rotation)


def _granted(state: State, team: str, *, rotates: bool) -> Json:
    number = next(state.numbers)
    token = f"xoxe.xoxb-{number}" if rotates else f"xoxb-{team}-{number}"
    state.tokens[token] = team
    granted: Json = {
        "ok": True,
        "app_id": APP,
        "authed_user": {"id": "U1"},
        "scope": ",".join(sorted(state.scopes)),
        "token_type": "bot",
        "access_token": token,
        "bot_user_id": BOT,
        "team": {"id": team, "name": f"Team {team}"},
        "enterprise": None,
        "is_enterprise_install": False,
    }
    if rotates:
        state.refresh_tokens[f"xoxe-{number}"] = team
        granted |= {"refresh_token": f"xoxe-{number}", "expires_in": 43_200}
    return granted


Method = Callable[[State, Asked], dict[str, Any]]
WRITES = {"chat:write"}
READS = {"channels:history", "groups:history", "im:history", "mpim:history"}

# Each method with the scopes of which it needs one.
METHODS: dict[str, tuple[Method, set[str]]] = {
    "auth.test": (_test_auth, set()),
    "chat.delete": (messages.delete, WRITES),
    "chat.postEphemeral": (messages.post_ephemeral, WRITES),
    "chat.postMessage": (messages.post_message, WRITES),
    "chat.update": (messages.update, WRITES),
    "conversations.history": (messages.history, READS),
    "conversations.open": (_open_conversation, {"im:write", "mpim:write"}),
    "conversations.replies": (messages.replies, READS),
    "usergroups.users.list": (_list_group, {"usergroups:read"}),
    "users.info": (_tell_user, {"users:read"}),
    "views.open": (_open_view, set()),
}
