"""What Baton says of itself to whoever runs it on this machine; replies are in bot.replies."""

from collections.abc import Iterable, Sequence


def plain_talk() -> str:
    """A line at the terminal that holds nothing to answer."""
    return "Say a command; /help lists them."


def greeting(workflows: Iterable[str]) -> str:
    """The first lines that a person at the terminal sees."""
    names = ", ".join(sorted(workflows)) or "none yet: see config.example.toml"
    return f"Baton is ready. Workflows: {names}. Try /run, /resume, /cancel, /help. Ctrl-D leaves."


def stopping(*, waits: bool) -> str:
    """Baton was asked to stop while runs are under way."""
    if waits:
        return "Stopping once the runs under way have settled; nothing new is started."
    return "Stopping: the runs under way are interrupted; each can be resumed."


def serving(platforms: Sequence[str]) -> str:
    """`serve` is ready, and there is nobody at its terminal."""
    where = f" Answering in {', '.join(platforms)}." if platforms else ""
    return f"Baton is ready.{where} Stop it with Ctrl-C or SIGTERM."


def working(host: str) -> str:
    """`worker` is ready."""
    return f"Working on the runs of {host}. Stop with Ctrl-C or SIGTERM."


def host_taken(host: str) -> str:
    """Another machine goes by the name of this one."""
    return (
        f"Another machine works as host {host} already, so this one starts no runs until that has"
        " ended. Give each machine a name of its own: runner.host, or worker --host."
    )


def no_database_yet(reason: str, seconds: float) -> str:
    """A long-lived process waits for its database."""
    return f"The database cannot be used yet: {reason}. Trying again for {seconds:.0f} seconds."


def no_database(reason: str) -> str:
    """A command, or a process that waited, ends without its database."""
    return f"The database cannot be used: {reason}. Nothing was done; see database.url."


def usage_error(message: str, program: str) -> str:
    """The words of the command line cannot be used."""
    return f"{program}: {message}. Nothing was done; {program} --help lists what there is."


def newer_database(version: str) -> str:
    """The database was changed by a newer Baton."""
    return (
        f"This database was made by a newer Baton (its version is {version}). Nothing was"
        " changed; install that Baton again, or name another database."
    )


def up_to_date() -> str:
    """`migrate` did its work."""
    return "The database is up to date."


def all_well(workflows: Sequence[str]) -> str:
    """`check` found nothing to complain of."""
    return f"All is well. Workflows: {', '.join(workflows) or 'none configured yet'}."


def no_git() -> str:
    """`check`: git is missing."""
    return "git is not installed, or not on the PATH: no worktree can be made. Install it."


def no_repository(workflow: str, repository: str) -> str:
    """`check`: a workflow has no repository."""
    return f"workflows.{workflow}.repository: there is no git repository at {repository}."


def no_library(extra: str, missing: str) -> str:
    """A platform is configured whose libraries are not installed."""
    return (
        f"{missing} is not installed, so Baton cannot talk there. Nothing was started; install"
        f" baton-bot[{extra}], or take the section {extra} out of the configuration."
    )


# --- the web ---------------------------------------------------------------------------------


def web_at(address: str) -> str:
    """The web page is up."""
    return f"The web page is at {address}."


def sign_in_at(address: str) -> str:
    """The same on this machine, with a link that opens it once."""
    return f"The web page is up; this link signs you in, once: {address}"


def no_web(host: str, port: int, reason: str) -> str:
    """Something else listens there; chat and runs go on without the web."""
    return (
        f"There is no web page: {host}, port {port}, cannot be used ({reason.lower()}). Everything"
        " else is up; another server.port would mend it."
    )


def address_taken(host: str, port: int, reason: str) -> str:
    """A platform has to call Baton there."""
    return (
        f"server: {host}, port {port}, cannot be used ({reason.lower()}), and Slack calls Baton"
        " there. Nothing was started; free it, or choose another server.port."
    )


def open_to_all(host: str) -> str:
    """The page would be served to other machines in the clear."""
    return (
        f"server.host is {host}, which other machines can reach, and server.public_url is no https"
        " address: tokens would cross the network in the clear. Nothing was started. Put Baton"
        " behind a proxy with a certificate and set server.public_url, or listen on 127.0.0.1."
    )


def no_live_worker() -> str:
    """Why Baton is not ready: nothing would start."""
    return "no worker of this host has been heard of"


def other_tables() -> str:
    """Why Baton is not ready: the database is another version's now."""
    return "another Baton has changed the tables since this one started"


def nothing_heard() -> str:
    """Why Baton is not ready: whoever listens to events hears nothing."""
    return "no change has been told of for too long"


def not_connected() -> str:
    """Why Baton is not ready: a platform brings nothing."""
    return "not connected"


# --- tokens ----------------------------------------------------------------------------------


def token_made(name: str, role: str, token: str) -> str:
    """`token create` did its work; the token is the last word."""
    return (
        f"Made the token {name} with the role {role}. It is shown this once; revoke it with baton"
        f" token revoke {name}.\n{token}"
    )


def token_name_taken(name: str) -> str:
    """There is such a token already."""
    return (
        f"There is a token {name} already. Nothing was made; choose another name, or revoke that"
        f" one first: baton token revoke {name}."
    )


def bad_token_name(name: str) -> str:
    """This cannot be a name."""
    return (
        f"{name!r} cannot be the name of a token: up to 64 letters, digits, dots, hyphens and"
        " underscores, beginning with a letter or digit. Nothing was made."
    )


def token_revoked(name: str) -> str:
    """`token revoke` did its work."""
    return f"Revoked the token {name}: it opens nothing any more, nor do the pages opened with it."


def no_such_token(name: str) -> str:
    """There is nothing to revoke."""
    return f"There is no token {name}. Nothing changed; baton token list shows them."


def no_tokens() -> str:
    """`token list` has nothing to show."""
    return "There are no tokens yet. Make one: baton token create NAME --role operator."


def token_line(name: str, role: str, made: str, used: str) -> str:
    """One token in one line."""
    return f"{name}  {role}  made {made}, {used}"


def no_token_rights(needed: str) -> str:
    """The local command line may not do this here (access.local)."""
    return f"That needs the role {needed}, and access.local gives less. Nothing changed."


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
