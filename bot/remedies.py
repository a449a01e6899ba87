"""What Slack or Discord is set up without, a sentence each: what is wrong, and what mends it."""

# --- Slack -----------------------------------------------------------------------------------


def unusable_command(command: str) -> str:
    """A slash command has a form that Slack does not take."""
    return (
        f"{command!r} cannot be a slash command: it needs a slash and then up to 31 characters"
        " without spaces and capitals. Nothing was printed; choose another name."
    )


def built_in_command(command: str) -> str:
    """A slash command has the name of one of Slack's own."""
    return (
        f"{command} is one of Slack's own commands, and Slack refuses a manifest that has it."
        " Nothing was printed; choose another name."
    )


def same_command_twice(command: str) -> str:
    """Two slash commands have one name."""
    return f"{command} is named twice. Nothing was printed; give each command a name of its own."


def no_public_url() -> str:
    """Slack is to call Baton, and nobody said where."""
    return (
        "server.public_url is no web address, and Slack must be told where to reach Baton. Nothing"
        " was printed; set it to something like https://baton.example.com."
    )


def not_installed() -> str:
    """Somebody talks to Baton in a workspace whose token it does not have."""
    return (
        "Baton is not installed in this workspace, or was removed from it. Nothing changed; who"
        " looks after the app can install it again."
    )


def token_missing(setting: str, remedy: str) -> str:
    """A token is not set."""
    return f"{setting} is empty, and Slack cannot work without it. {remedy}"


def token_misplaced(setting: str, kind: str, held: str) -> str:
    """A token of the one kind was put where the other belongs."""
    return (
        f"{setting} holds {held}, not {kind}. The one that begins with xoxb- belongs in"
        " SLACK_BOT_TOKEN, the one that begins with xapp- in SLACK_APP_TOKEN."
    )


def token_unlike(setting: str, kind: str, begins: str, remedy: str) -> str:
    """What stands there is no token of this kind."""
    return f"{setting} is not {kind}: those begin with {begins}. {remedy}"


def token_broken(setting: str, remedy: str) -> str:
    """Something got into a token while it was copied."""
    return f"{setting} has a character in it that no token has, such as a space. {remedy}"


def token_refused(platform: str, setting: str, why: str, remedy: str) -> str:
    """A platform does not take a token."""
    return f"{platform} refuses {setting}: {why}. {remedy}"


def token_unproven(platform: str, setting: str, code: str) -> str:
    """A platform was not able to say whether a token is good."""
    return f"{platform} could not check {setting} just now ({code}). Try again in a minute."


def scope_missing(scope: str, disabled: str, *, required: bool) -> str:
    """The app was installed without a scope."""
    rest = "so nothing works" if required else "the rest works"
    return (
        f"The bot token lacks the scope {scope}: Baton cannot {disabled}; {rest}. Put what"
        " baton slack-manifest prints on the app's page App Manifest, and reinstall the app."
    )


def no_signing_secret() -> str:
    """Slack's requests could not be told from forged ones."""
    return (
        "slack.signing_secret is empty: Baton could not tell Slack's requests from forged ones,"
        " and takes none. Put the signing secret from the app's page Basic Information into"
        " SLACK_SIGNING_SECRET."
    )


def unusable_address() -> str:
    """The address of the API is none, or has a password in it."""
    return (
        "slack.api_url cannot be used: it should look like https://slack.com/api/, with no name or"
        " password in it."
    )


def unreachable(platform: str, host: str, why: str) -> str:
    """There is no way to a platform from here."""
    return (
        f"{platform}'s API at {host} cannot be reached: {why}. Check {platform.lower()}.api_url,"
        " the network, and the proxy if HTTPS_PROXY or HTTP_PROXY names one."
    )


def not_the_api(platform: str, host: str, status: int) -> str:
    """Something answers there that does not talk as the platform does."""
    return (
        f"{host} did not answer as {platform}'s API does (HTTP status {status}). Check"
        f" {platform.lower()}.api_url; if it is right, try again later."
    )


# --- Discord ---------------------------------------------------------------------------------


def no_discord_application() -> str:
    """`discord-invite` cannot know whom to invite."""
    return (
        "discord.token is empty or no bot token, so there is no telling which application that is."
        " Put the bot's token into DISCORD_TOKEN, or name the application:"
        " baton discord-invite APPLICATION_ID."
    )


def discord_token_remedy() -> str:
    """Where a bot's token comes from."""
    return (
        "Reset the token on the application's page Bot in Discord's developer portal, and put it"
        " into DISCORD_TOKEN."
    )


def discord_nowhere(address: str) -> str:
    """The bot is in no server."""
    return f"Baton is in no Discord server yet. Add it to yours with {address}."


def discord_not_in(guild_id: int, address: str) -> str:
    """The bot is not in a server that is named."""
    return (
        f"discord.guild_ids names {guild_id}, and Baton is not in that server. Add it with"
        f" {address}, or take the number out."
    )


def discord_without_commands(guild: str, address: str) -> str:
    """The bot was added without its commands."""
    return (
        f"In the server {guild} Baton may not register its commands, so /resume is not offered"
        f" there. Add it once more with {address}."
    )


def discord_may_not(guild: str, permission: str, use: str, address: str) -> str:
    """The bot lacks a permission in a server."""
    return (
        f"In the server {guild} Baton lacks the permission {permission}: it cannot {use}. Give it"
        f" to Baton's role, or add Baton once more with {address}."
    )


def discord_channel_closed(channel_id: str) -> str:
    """An access list names a channel that the bot does not see."""
    return (
        f"The access lists name discord-channel:{channel_id}, and Baton sees no such channel. Give"
        " its role View Channel there, or take the entry out."
    )
