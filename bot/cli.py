"""The command line: one more door, and the switch that starts Baton."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from bot import __version__, faults, notices
from bot.access import Role
from bot.commands import COMMANDS
from bot.errors import ConfigurationError, SchemaError
from bot.outcome import EXIT_CODES, Outcome, Word, outcome_json
from bot.ports import DatabaseUnavailableError
from bot.words import clean

_SERVICES = {
    "serve": "answer everywhere that is configured, and work on runs",
    "worker": "only work on runs",
    "chat": "talk with Baton in this terminal, or through a pipe",
}
_CHECKS = {
    "check": "look whether everything that is configured can work",
    "migrate": "bring the database up to date and say so",
    "move": "move everything from SQLite into an empty PostgreSQL database",
    "slack-manifest": "print what Slack wants to know of Baton when the app is made",
    "discord-invite": "print the address where Baton is added to a Discord server",
}


_TOKENS = {
    "create": "make a token, and print it as the last word",
    "list": "every token, its role and its last use",
    "revoke": "have a token open nothing any more",
}


_AS = "default: your login name"
_JSON = "print one JSON object"


class _UsageError(Exception):
    """The words of the command line cannot be used; the sentence says why."""


class _Parser(argparse.ArgumentParser):
    """Answers a wrong line in one sentence instead of a page."""

    def error(self, message: str) -> NoReturn:
        raise _UsageError(notices.usage_error(message, self.prog))


def _read(words: Sequence[str]) -> argparse.Namespace:
    """The options that these words are. Raises _UsageError."""
    parser = _parser()
    options, left = parser.parse_known_args(words)
    # Arguments of `run` may stand among its options; argparse takes those that stand together.
    more = [word for word in left if word != "--"]
    if more and (options.verb != "run" or any(word.startswith("-") for word in more)):
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    if more:
        options.words += more
    return options


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="baton", description="Resume and cancel long runs in git worktrees.")
    parser.add_argument("--version", action="version", version=f"baton {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, about in _SERVICES.items():
        _service_options(verbs.add_parser(verb, help=about), verb)
    for verb, about in _CHECKS.items():
        _check_options(verbs.add_parser(verb, help=about), verb)
    _token_options(verbs.add_parser("token", help="make, list and revoke tokens for the API"))
    for verb, command in COMMANDS.items():
        if verb != "help":
            _command_options(verbs.add_parser(verb, help=command.meaning), verb)
    return parser


def _given(word: str) -> str:
    """A word in which there is something: a variable of the shell that is not set leaves none."""
    if not clean(word, len(word)).strip():
        raise argparse.ArgumentTypeError(notices.nothing_given())
    return word


def _common(parser: argparse.ArgumentParser) -> None:
    where = "default: $BATON_CONFIG, else ./config.toml if it is there"
    parser.add_argument("--config", type=_given, metavar="PATH", help=where)


def _service_options(parser: argparse.ArgumentParser, verb: str) -> None:
    _common(parser)
    if verb == "worker":
        parser.add_argument("--host", metavar="NAME", help="work in this host's name")
        parser.add_argument(
            "--drain", action="store_true", help="when stopped, let the runs under way finish"
        )
    if verb == "chat":
        parser.add_argument(
            "--wait", type=float, metavar="SECONDS", help="read the next line after this at most"
        )


def _check_options(parser: argparse.ArgumentParser, verb: str) -> None:
    _common(parser)
    if verb == "discord-invite":
        parser.add_argument(
            "application", nargs="?", metavar="APPLICATION_ID", help="default: the token's"
        )
    if verb == "move":
        parser.add_argument(
            "--to", required=True, metavar="URL", help="such as postgresql://baton@host/baton"
        )


def _token_options(parser: argparse.ArgumentParser) -> None:
    _token_common(parser)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action, about in _TOKENS.items():
        # What stands before the action counts, unless it stands behind it, too.
        chosen = actions.add_parser(action, help=about, argument_default=argparse.SUPPRESS)
        _token_common(chosen)
        if action != "list":
            chosen.add_argument("name", metavar="NAME", help="what the token is called")
        if action == "create":
            roles = [role.word for role in Role if role]
            chosen.add_argument("--role", required=True, choices=roles, help="what it may do")


def _token_common(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--as", dest="speaker", type=_given, metavar="NAME", help=_AS)
    parser.add_argument("--json", action="store_true", help=_JSON)


def _command_options(parser: argparse.ArgumentParser, verb: str) -> None:
    _common(parser)
    parser.add_argument("--as", dest="name", type=_given, metavar="NAME", help=_AS)
    if verb == "run":
        parser.add_argument("words", nargs="*", metavar="WORKFLOW [key=value]")
    elif verb != "runs":
        how_many = 1 if verb == "release" else "?"
        parser.add_argument("words", type=_given, nargs=how_many, metavar="RUN", default=[])
    if COMMANDS[verb].changes:
        about = "a repeat with this id has no effect"
        parser.add_argument("--delivery", type=_given, metavar="ID", help=about)
        parser.add_argument("--epoch", type=int, metavar="N", help="only if it is still at this")
        parser.add_argument("--here", action="store_true", help="work on it in this process")
    if verb == "logs":
        parser.add_argument("-f", dest="follow", action="store_true", help="until it settles")
    else:
        parser.add_argument("--json", action="store_true", help=_JSON)


def main(words: Sequence[str] | None = None) -> int:
    """Run `baton` with these words; returns the exit code."""
    given = sys.argv[1:] if words is None else words
    as_json = "--json" in given
    try:
        options = _read(given)
        return _entry(options.verb)(options)
    except BrokenPipeError:
        # Whoever read our output has had enough; nothing is wrong.
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130
    except _EXPECTED as error:
        return _failed(error, as_json=as_json)
    except Exception as error:
        if as_json:
            _failed(error, as_json=True)
        raise


_EXPECTED = (_UsageError, ConfigurationError, SchemaError, DatabaseUnavailableError)


def _failed(error: Exception, *, as_json: bool) -> int:
    """Say why nothing came of it; returns the exit code."""
    word, sentence = _explained(error)
    if as_json:
        print(json.dumps(outcome_json(Outcome(word=word, reply=sentence))))
    else:
        print(sentence, file=sys.stderr)
    return EXIT_CODES[word]


def _explained(error: Exception) -> tuple[Word, str]:
    if isinstance(error, SchemaError):
        return Word.INVALID, notices.newer_database(str(error))
    if isinstance(error, (_UsageError, ConfigurationError)):
        return Word.INVALID, str(error)
    from bot import log

    reference = log.fault("baton.command_failed", error)
    if not isinstance(error, DatabaseUnavailableError):
        return Word.ERROR, faults.unexpected(reference)
    if not error.certain:
        return Word.ERROR, faults.database_lost(str(error), reference)
    word = Word.BUSY if error.busy else Word.ERROR
    return word, notices.no_database(str(error), reference)


def _entry(verb: str) -> Callable[[argparse.Namespace], int]:
    """What carries out a verb; each kind is imported only when it is used."""
    if verb in _SERVICES:
        from bot import service

        kinds: Mapping[str, Callable[[argparse.Namespace], int]] = {
            "serve": service.serve,
            "worker": service.work,
            "chat": service.chat,
        }
        return kinds[verb]
    if verb in _CHECKS:
        from bot import checks

        return {
            "check": checks.check,
            "migrate": checks.migrate,
            "move": checks.move,
            "slack-manifest": checks.slack_manifest,
            "discord-invite": checks.discord_invite,
        }[verb]
    if verb == "token":
        from bot import tokens

        return tokens.token
    from bot import once

    return once.command
