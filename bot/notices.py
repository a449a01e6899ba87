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
