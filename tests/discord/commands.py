"""Application commands: global ones, and those of a guild."""

from tests.discord.limits import wrong_with_command, wrong_with_commands
from tests.discord.messages import Answer, Asked
from tests.discord.records import APP, Json, snowflake
from tests.discord.state import DiscordError, State, refuse


def listed(state: State, asked: Asked) -> Answer:
    return Answer(200, list(_scope(state, asked).values()))


def replace(state: State, asked: Asked) -> Answer:
    """PUT: these, and no others; one that stays keeps its id."""
    scope = _scope(state, asked)
    refuse(wrong_with_commands(asked.body))
    before = {_key(one): one for one in scope.values()}
    after = [_made(asked, one, before.get(_key(one))) for one in asked.body]
    scope.clear()
    scope |= {one["id"]: one for one in after}
    return Answer(200, after)


def create(state: State, asked: Asked) -> Answer:
    """POST: a new one, in place of any of its name."""
    scope = _scope(state, asked)
    refuse(wrong_with_command(asked.body))
    known = next((one for one in scope.values() if _key(one) == _key(asked.body)), None)
    if known is None:
        refuse(wrong_with_commands([*scope.values(), asked.body]))
    made = _made(asked, asked.body, known)
    scope[made["id"]] = made
    return Answer(200 if known else 201, made)


def read(state: State, asked: Asked) -> Answer:
    return Answer(200, _one(state, asked))


def change(state: State, asked: Asked) -> Answer:
    known = _one(state, asked)
    after = known | asked.body
    refuse(wrong_with_command(after))
    made = _made(asked, after, known)
    _scope(state, asked)[made["id"]] = made
    return Answer(200, made)


def delete(state: State, asked: Asked) -> Answer:
    del _scope(state, asked)[_one(state, asked)["id"]]
    return Answer(204)


def find(state: State, name: str, guild: str | None) -> Json | None:
    """The command that a person means by a name: the guild's own before the global one."""
    for scope in ([guild] if guild else []) + [""]:
        for one in state.commands[scope].values():
            if one["name"] == name:
                return one
    return None


def _scope(state: State, asked: Asked) -> dict[str, Json]:
    if asked.parts[0] != APP:
        raise DiscordError(403, 20012, "You are not authorized to perform this action")
    if asked.guild and asked.guild not in state.guilds:
        raise DiscordError(403, 50001, "Missing Access")
    return state.commands[asked.guild]


def _one(state: State, asked: Asked) -> Json:
    found = _scope(state, asked).get(asked.parts[-1])
    if found is None:
        raise DiscordError(404, 10063, "Unknown application command")
    return found


def _key(command: Json) -> tuple[int, str]:
    return command.get("type") or 1, command["name"]


def _made(asked: Asked, command: Json, known: Json | None) -> Json:
    made: Json = {
        "id": known["id"] if known else snowflake(),
        "application_id": APP,
        "version": snowflake(),
        "type": 1,
        "default_member_permissions": None,
        "dm_permission": True,
        "nsfw": False,
        "contexts": None,
        "integration_types": [0],
        "options": [],
        "description": "",
    }
    made |= {key: value for key, value in command.items() if key not in {"id", "version"}}
    if asked.guild:
        made["guild_id"] = asked.guild
    if known and {**known, "version": ""} == {**made, "version": ""}:
        made["version"] = known["version"]
    return made
