"""The app manifest: all that Slack is told of Baton when the app is made, in one paste."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from bot import remedies
from bot.errors import ConfigurationError

SCOPES: Mapping[str, str] = {
    "commands": "take slash commands and the message shortcut",
    "chat:write": "answer, and keep the card of a run up to date",
    "app_mentions:read": "read the messages that mention it",
    "im:history": "read what people say to it in a direct message",
    "channels:history": "find its card again in a public channel after a posting was cut",
    "groups:history": "find its card again in a private channel after a posting was cut",
    "mpim:history": "find its card again in a group message after a posting was cut",
    "users:read": "show people by name, and tell guests from members",
    "usergroups:read": "give access to a user group (slack-group:S...)",
}
"""Every scope of the bot, and what Baton can do with it and cannot do without it."""

REQUIRED_SCOPES = frozenset({"commands", "chat:write", "app_mentions:read"})
"""Without these nothing works; without any other, only what its line in SCOPES says."""

SHORTCUT = "baton_run"
"""The callback id of the message shortcut."""

EVENTS_PATH = "/slack/events"
REDIRECT_PATH = "/slack/oauth_redirect"

_BUILT_IN = re.compile(
    r"""/(active|apps|archive|away|call|close|collapse|contacts|dm|dnd|expand|feed|feedback|huddle
      |invite|invite_people|join|keys|kick|leave|me|msg|mute|open|part|prefs|remind|remove|rename
      |s|search|shortcuts|shrug|star|status|topic|who)""",
    re.VERBOSE,
)
_COMMAND = re.compile(r"/[^\s/A-Z]{1,31}")
_WEB_ADDRESS = re.compile(r"https?://[^\s/]+\S*")


def manifest(  # noqa: PLR0913 - one for each setting that it depends on
    *,
    mode: Literal["socket", "http"],
    public_url: str,
    resume_command: str = "/resume",
    cancel_command: str = "/cancel",
    root_command: str = "/baton",
    oauth: bool = False,
) -> dict[str, Any]:
    """The manifest to paste; its fields and limits are those of docs.slack.dev: App manifest.

    Raises ConfigurationError where Slack would refuse what it makes.
    """
    if (mode == "http" or oauth) and not _WEB_ADDRESS.fullmatch(public_url):
        raise ConfigurationError(remedies.no_public_url())
    base = public_url.rstrip("/")
    # Slack calls no address in Socket Mode, and then must not be given one.
    called = {} if mode == "socket" else {"request_url": base + EVENTS_PATH}
    redirects = {"redirect_urls": [base + REDIRECT_PATH]} if oauth else {}
    return {
        "display_information": _display_information(root_command),
        "features": {
            "app_home": {
                "home_tab_enabled": False,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": "Baton", "always_online": True},
            "shortcuts": [_shortcut()],
            "slash_commands": _slash_commands(resume_command, cancel_command, root_command, called),
        },
        "oauth_config": {**redirects, "scopes": {"bot": list(SCOPES)}},
        "settings": _settings(called, socket_mode=mode == "socket", oauth=oauth),
    }


def _display_information(root_command: str) -> dict[str, str]:
    """What people see of the app; a long description has 175 characters or more."""
    return {
        "name": "Baton",
        "description": "Resume and cancel long workflow runs from Slack.",
        "long_description": (
            "Baton looks after long workflow runs that work in git worktrees. When a run fails,"
            " waits for an answer or loses its machine, say so here: one of you resumes or cancels"
            " it, and the others are told who did. Each run has one card, kept up to date in the"
            f" channel where it was started. {root_command} help lists what you can say. Baton"
            " reads only what is said to it, and never pings a channel."
        ),
        "background_color": "#1f3a5f",
    }


def _shortcut() -> dict[str, str]:
    """The way to a run from a message, which also works in threads."""
    return {
        "name": "Resume or cancel run",
        "type": "message",
        "callback_id": SHORTCUT,
        "description": "Resume or cancel the run that this message is about",
    }


def _slash_commands(
    resume: str, cancel: str, root: str, called: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The commands; Slack sends each to its own address (docs.slack.dev: Slash commands)."""
    wanted = [
        (resume, "Go on with a run, or pass its gate", "[RUN]"),
        (cancel, "End a run, or decline its gate", "[RUN]"),
        (root, "Everything that Baton can do", "help | run WORKFLOW [key=value ...] | status"),
    ]
    _refuse_unfit([command for command, _, _ in wanted])
    address = {"url": called["request_url"]} if called else {}
    return [
        {
            "command": command,
            "description": description,
            "usage_hint": hint,
            "should_escape": False,
            **address,
        }
        for command, description, hint in wanted
    ]


def _refuse_unfit(commands: list[str]) -> None:
    """Slack refuses a whole manifest for one command that it cannot have."""
    for position, command in enumerate(commands):
        if not _COMMAND.fullmatch(command):
            raise ConfigurationError(remedies.unusable_command(command))
        if _BUILT_IN.fullmatch(command):
            raise ConfigurationError(remedies.built_in_command(command))
        if command in commands[:position]:
            raise ConfigurationError(remedies.same_command_twice(command))


def _settings(called: Mapping[str, str], *, socket_mode: bool, oauth: bool) -> dict[str, Any]:
    """How Slack reaches Baton. The events are those said to it and the loss of a workspace.

    Only tokens that OAuth gave can be rotated by Baton (docs.slack.dev: Using token rotation).
    """
    return {
        "event_subscriptions": {
            **called,
            "bot_events": ["app_mention", "message.im", "app_uninstalled", "tokens_revoked"],
        },
        "interactivity": {"is_enabled": True, **called},
        "org_deploy_enabled": False,
        "socket_mode_enabled": socket_mode,
        "token_rotation_enabled": oauth,
    }
