"""What Baton says of itself to whoever runs it on this machine; replies are in bot.replies."""

from collections.abc import Iterable, Sequence

from bot.words import those


def waits() -> str:
    """A command takes longer than one would think."""
    return "Waiting for the database: others may keep it locked, or it takes its time..."


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


def working(host: str, concurrency: int) -> str:
    """`worker` is ready."""
    of = f"the runs of {host}" if concurrency else "no runs, since runner.concurrency is 0"
    return f"Working on {of}. Stop with Ctrl-C or SIGTERM."


def host_taken(host: str) -> str:
    """Another machine goes by the name of this one."""
    return (
        f"Another machine works as host {host} already, so this one starts no runs until that has"
        " ended. Give each machine a name of its own: runner.host, or worker --host."
    )


def no_database_yet(reason: str, seconds: float) -> str:
    """A long-lived process waits for its database."""
    return f"The database cannot be used yet: {reason}. Trying again for {seconds:.0f} seconds."


def no_database(reason: str, reference: str) -> str:
    """A command, or a process that waited, ends without its database."""
    return (
        f"The database cannot be used: {reason}. Nothing was done; see database.url. The log has"
        f" more under {reference}."
    )


def no_directory(path: object, reason: str) -> str:
    """There is no place for worktrees and logs."""
    return (
        f"runner.directory: {path} cannot be made ({reason.lower()}). Nothing was started; name"
        " another directory."
    )


def usage_error(message: str, program: str) -> str:
    """The words of the command line cannot be used."""
    return f"{program}: {message}. Nothing was done; {program} --help lists what there is."


def nothing_given() -> str:
    """A word is empty where one was meant to stand."""
    return "it is empty, as a variable of the shell is that was not set"


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


def no_base(workflow: str, base: str, repository: str) -> str:
    """`check`: there is nothing from which a run could start."""
    return (
        f"workflows.{workflow}.base: git finds no {base!r} in {repository}, from which new branches"
        " start. Name a branch that is there, or make this one."
    )


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


def token_made(name: str, role: str) -> str:
    """`token create` did its work; the token itself comes after this."""
    return (
        f"Made the token {name} with the role {role}. It is shown this once; revoke it with baton"
        f" token revoke {name}."
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
    return (
        f"There is no token {name} that opens anything. Nothing changed; baton token list shows"
        " them all."
    )


def no_tokens() -> str:
    """`token list` has nothing to show."""
    return "There are no tokens yet. Make one: baton token create NAME --role operator."


def token_line(name: str, role: str, made: str, used: str) -> str:
    """One token in one line."""
    return f"{name}  {role}  made {made}, {used}"


def no_token_rights(needed: str, who_can: Sequence[str], actor: str) -> str:
    """The local command line may not do this here (access.local)."""
    return (
        f"That needs the role {needed}, and access.local gives less. Nothing changed. Who can, at"
        f" this command line: {those(who_can)}. Your id for the access list is {actor}."
    )
