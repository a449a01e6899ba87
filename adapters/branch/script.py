"""What the script is asked for, and what it answers."""

import argparse
import json
import traceback
from pathlib import Path

from adapters.branch.git import GitError, KilledError, RefusedError, say
from adapters.branch.prepare import prepare
from adapters.branch.push import push
from adapters.branch.wish import Wish

_FAILURES = (RefusedError, GitError, KilledError, OSError)


def main() -> int:
    """Does what the arguments ask for, writes the result, returns the exit code."""
    given = _arguments()
    result = Path(given.result)
    result.unlink(missing_ok=True)
    answer, code = _prepared(given) if given.errand == "prepare" else _pushed(given)
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(answer), encoding="utf-8")
    return code


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    errands = parser.add_subparsers(dest="errand", required=True)
    preparing = errands.add_parser("prepare", allow_abbrev=False)
    preparing.add_argument("--repository", required=True, type=Path)
    preparing.add_argument("--base", required=True)
    preparing.add_argument("--commit")
    preparing.add_argument("--seconds", type=float, default=120.0)
    pushing = errands.add_parser("push", allow_abbrev=False)
    pushing.add_argument("--seconds", type=float, default=60.0)
    for errand in (preparing, pushing):
        errand.add_argument("--branch", required=True)
        errand.add_argument("--path", required=True, type=Path)
        errand.add_argument("--result", required=True, type=Path)
    return parser.parse_args()


def _prepared(given: argparse.Namespace) -> tuple[dict[str, str | None], int]:
    """0 when the worktree stands on its branch."""
    wish = Wish(
        repository=given.repository,
        base=given.base,
        branch=given.branch,
        path=given.path,
        commit=given.commit,
        seconds=given.seconds,
    )
    notices: list[str] = []
    reason = None
    try:
        prepare(wish, notices)
    except _FAILURES as error:
        reason = _reason(error, "Git could not prepare the worktree; the run's log says why.")
    notice = " ".join(dict.fromkeys(notices)) or None
    _say_all(notice, reason)
    return {"reason": reason, "notice": notice}, 0 if reason is None else 1


def _pushed(given: argparse.Namespace) -> tuple[dict[str, str | None], int]:
    """0 whatever came of it: the run goes on."""
    commit = reason = None
    try:
        commit = push(given.path, given.branch, given.seconds)
    except _FAILURES as error:
        otherwise = f"Branch `{given.branch}` could not be pushed; the run's log says why."
        reason = _reason(error, otherwise)
    return {"commit": commit, "reason": reason}, 0


def _reason(error: Exception, otherwise: str) -> str:
    """The sentence that says why it did not work."""
    if isinstance(error, RefusedError):
        return str(error)
    if isinstance(error, FileNotFoundError) and error.filename == "git":
        return "Git is not installed on this host."
    say("".join(traceback.format_exception(error)))
    return otherwise


def _say_all(*sentences: str | None) -> None:
    for sentence in filter(None, sentences):
        say(sentence)
