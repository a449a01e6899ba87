"""The manifest is one that Slack takes: its fields, limits and names, in both modes."""

import json
import re
from pathlib import Path
from typing import Any, Literal

import pytest

from adapters.slack.manifest import REQUIRED_SCOPES, SCOPES, SHORTCUT, manifest
from bot.errors import ConfigurationError

PUBLIC = "https://baton.example.com"
SOCKET = manifest(mode="socket", public_url="")
HTTP = manifest(mode="http", public_url=f"{PUBLIC}/")
OAUTH = manifest(mode="http", public_url=PUBLIC, oauth=True)
ALL = pytest.mark.parametrize("app", [SOCKET, HTTP, OAUTH], ids=["socket", "http", "oauth"])


@ALL
def test_it_is_json_with_the_sections_that_slack_knows(app: dict[str, Any]) -> None:
    assert json.loads(json.dumps(app)) == app
    assert set(app) == {"display_information", "features", "oauth_config", "settings"}


@ALL
def test_what_people_see_keeps_within_the_limits(app: dict[str, Any]) -> None:
    seen = app["display_information"]
    assert seen["name"] == "Baton"
    assert len(seen["name"]) <= 35
    assert 1 <= len(seen["description"]) <= 140
    assert 175 <= len(seen["long_description"]) <= 4000
    assert re.fullmatch(r"#[0-9a-fA-F]{6}", seen["background_color"])


@ALL
def test_the_bot_is_online_and_can_be_written_to(app: dict[str, Any]) -> None:
    features = app["features"]
    assert features["bot_user"] == {"display_name": "Baton", "always_online": True}
    assert features["app_home"]["messages_tab_enabled"] is True
    assert features["app_home"]["messages_tab_read_only_enabled"] is False


@ALL
def test_the_commands_keep_within_the_limits(app: dict[str, Any]) -> None:
    commands = app["features"]["slash_commands"]
    assert [c["command"] for c in commands] == ["/resume", "/cancel", "/baton"]
    for command in commands:
        assert re.fullmatch(r"/[a-z-]{1,31}", command["command"])
        assert 1 <= len(command["description"]) <= 2000
        assert 1 <= len(command["usage_hint"]) <= 1000
        assert command["should_escape"] is False


@ALL
def test_the_shortcut_keeps_within_the_limits(app: dict[str, Any]) -> None:
    (shortcut,) = app["features"]["shortcuts"]
    assert shortcut["type"] == "message"
    assert shortcut["callback_id"] == SHORTCUT == "baton_run"
    assert shortcut["name"] == "Resume or cancel run"
    assert len(shortcut["name"]) <= 24
    assert len(shortcut["callback_id"]) <= 255
    assert 1 <= len(shortcut["description"]) <= 150


@ALL
def test_every_scope_is_asked_for_and_explained(app: dict[str, Any]) -> None:
    scopes = app["oauth_config"]["scopes"]
    assert scopes == {"bot": list(SCOPES)}
    assert all(re.fullmatch(r"[a-z_]+(:[a-z]+)?", scope) for scope in SCOPES)
    assert all(use and not use.endswith(".") for use in SCOPES.values())
    assert {"commands", "chat:write", "app_mentions:read"} == REQUIRED_SCOPES < set(SCOPES)


def test_the_documentation_explains_every_scope_in_the_same_words() -> None:
    page = Path(__file__).parent.parent.parent / "docs" / "slack.md"
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    explained = [row.replace("`", "").strip("| ").split(" | ") for row in rows]
    for scope, use in SCOPES.items():
        assert [scope, use] in explained


@ALL
def test_it_hears_what_is_said_to_it_and_no_channel(app: dict[str, Any]) -> None:
    settings = app["settings"]
    heard = {"app_mention", "message.im", "app_uninstalled", "tokens_revoked"}
    assert set(settings["event_subscriptions"]["bot_events"]) == heard
    assert settings["interactivity"]["is_enabled"] is True
    assert settings["org_deploy_enabled"] is False
    # Slack takes an event only with the scope to read it.
    assert {"app_mentions:read", "im:history"} <= set(app["oauth_config"]["scopes"]["bot"])


def addresses(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [address for part in value.values() for address in addresses(part)]
    if isinstance(value, list):
        return [address for part in value for address in addresses(part)]
    return [value] if isinstance(value, str) and "://" in value else []


def test_in_socket_mode_slack_calls_no_address() -> None:
    assert SOCKET["settings"]["socket_mode_enabled"] is True
    assert SOCKET["settings"]["token_rotation_enabled"] is False
    assert addresses(SOCKET) == []


def test_over_http_slack_calls_one_address_for_everything() -> None:
    settings = HTTP["settings"]
    assert settings["socket_mode_enabled"] is False
    assert settings["token_rotation_enabled"] is False
    assert settings["event_subscriptions"]["request_url"] == f"{PUBLIC}/slack/events"
    assert settings["interactivity"]["request_url"] == f"{PUBLIC}/slack/events"
    assert {c["url"] for c in HTTP["features"]["slash_commands"]} == {f"{PUBLIC}/slack/events"}
    assert "redirect_urls" not in HTTP["oauth_config"]


@pytest.mark.parametrize("mode", ["socket", "http"])
def test_oauth_has_its_redirect_and_rotates_tokens(mode: Literal["socket", "http"]) -> None:
    app = manifest(mode=mode, public_url=PUBLIC, oauth=True)
    assert app["oauth_config"]["redirect_urls"] == [f"{PUBLIC}/slack/oauth_redirect"]
    assert app["settings"]["token_rotation_enabled"] is True


@pytest.mark.parametrize(("mode", "oauth"), [("http", False), ("http", True), ("socket", True)])
@pytest.mark.parametrize("public_url", ["", "baton.example.com", "https://", "https://a b"])
def test_an_address_that_slack_could_not_call_is_refused(
    mode: Literal["socket", "http"], oauth: bool, public_url: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"server\.public_url"):
        manifest(mode=mode, public_url=public_url, oauth=oauth)


def test_commands_can_have_other_names() -> None:
    app = manifest(
        mode="socket",
        public_url="",
        resume_command="/baton-resume",
        cancel_command="/baton-cancel",
        root_command="/staging",
    )
    named = [c["command"] for c in app["features"]["slash_commands"]]
    assert named == ["/baton-resume", "/baton-cancel", "/staging"]
    assert "/staging help" in app["display_information"]["long_description"]


@pytest.mark.parametrize("name", ["/status", "/me", "/join", "/remind", "/invite_people", "/s"])
def test_a_command_of_slack_itself_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is one of Slack's own"):
        manifest(mode="socket", public_url="", resume_command=name)


@pytest.mark.parametrize("name", ["", "/", "resume", "/Resume", "/re sume", "//", f"/{'r' * 32}"])
def test_a_command_that_slack_does_not_take_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be a slash command"):
        manifest(mode="socket", public_url="", cancel_command=name)


def test_a_command_named_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="/resume is named twice"):
        manifest(mode="socket", public_url="", cancel_command="/resume")
