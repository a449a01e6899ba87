"""The small words that every reply and card is made of: who, when, how far, in what state."""

import re
from collections.abc import Callable, Mapping, Sequence

from bot.conversation import Door, Message
from bot.run import Change, Run, RunStatus

_FROM = {
    Door.SLACK_SLASH: "in Slack",
    Door.SLACK_MENTION: "in Slack",
    Door.SLACK_BUTTON: "with a button in Slack",
    Door.SLACK_SHORTCUT: "with a shortcut in Slack",
    Door.DISCORD_SLASH: "in Discord",
    Door.DISCORD_BUTTON: "with a button in Discord",
    Door.DISCORD_MENTION: "in Discord",
    Door.WEB: "on the web page",
    Door.API: "through the API",
    Door.CLI: "from the command line",
    Door.TERMINAL: "in a terminal",
    Door.WORKER: "",
}
_LEAD = {
    Door.CLI: "baton ",
    Door.API: "baton ",
    Door.WEB: "baton ",
    Door.SLACK_SLASH: "/baton ",
    Door.SLACK_MENTION: "@Baton ",
    Door.SLACK_BUTTON: "@Baton ",
    Door.SLACK_SHORTCUT: "@Baton ",
    Door.DISCORD_MENTION: "@Baton ",
}
_SHOWN_OF_UNTRUSTED = 80
_MOST_NAMED = 5
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


def spelled(door: Door, verb: str, rest: str = "") -> str:
    """A command as it is typed at this door."""
    return f"{_LEAD.get(door, '/')}{verb} {rest}".rstrip()


def clean(text: str, limit: int) -> str:
    """Text without what steers or hides other text, short enough for its place."""
    seen = _UNSEEN.sub(" ", text)
    return seen if len(seen) <= limit else seen[: limit - 1] + "…"


def quoted(text: str) -> str:
    """Text that somebody typed, short enough to read back, in quotes."""
    line = " ".join(text.split())
    return f"“{line if len(line) <= _SHOWN_OF_UNTRUSTED else line[:_SHOWN_OF_UNTRUSTED] + '…'}”"


def who(change: Change) -> str:
    """Who made a change and from where: “ana from the command line”."""
    platform, _, rest = change.actor.partition(":")
    if platform == "worker":
        return "the worker"
    shown = change.actor if platform in {"slack", "discord"} else rest
    return f"{change.name or shown} {_FROM[Door(change.door)]}"


def by_author(message: Message) -> str:
    """Whose doing a message is, and from where."""
    author = message.author
    return who(Change(author.actor, message.door, 0.0, author.name))


def those(names: Sequence[str]) -> str:
    """The people of whom a refusal says that they can, a handful at most."""
    if not names:
        return "nobody yet, since the configuration names no one"
    more = len(names) - _MOST_NAMED
    shown = ", ".join(names[:_MOST_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown


def age(seconds: float) -> str:
    """A duration in one unit: 4 s, 12 min, 3 h, 2 d."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"


def ago(at: float, now: float) -> str:
    """How long ago something was."""
    return f"{age(now - at)} ago" if now - at >= 1 else "just now"


def by_whom(change: Change, now: float) -> str:
    """Who made a change, from where and when."""
    return f"{who(change)}, {ago(change.at, now)}"


def name_of(run: Run) -> str:
    """A run as people call it: its workflow and its id."""
    return f"{run.workflow} {run.id}"


def position_of(run: Run) -> str:
    """How far a run is: “step 2 of 4, test”."""
    name = run.step.name if run.step else "the end"
    return f"step {min(run.steps_done + 1, len(run.steps))} of {len(run.steps)}, {name}"


def state(run: Run, now: float | None) -> str:
    """Where a run stands, in words; without a `now` they stay true as time goes by."""
    if run.stopping:
        return run.error or "cancelled; its processes are being stopped"
    if run.stale:
        seen = run.last_activity_at
        since = f" for {age(now - seen)}" if now is not None and seen is not None else ""
        return f"interrupted at {position_of(run)}: its worker has not been heard of{since}"
    if run.waiting_for_worker:
        return "waiting for a free worker"
    return _STATES[run.status](run)


def stands(run: Run, now: float | None) -> str:
    """The same as the rest of a sentence about the run: “is running step 2 of 4, test”."""
    words = state(run, now)
    return words if words.startswith(("waits", "failed", "completed")) else f"is {words}"


def ended(words: str) -> str:
    """Words as a sentence with its end: a question that they end with has one already."""
    return words if words.endswith((".", "?", "!")) else f"{words}."


def _all_steps(count: int) -> str:
    return "its only step" if count == 1 else f"all {count} steps"


def steps(count: int) -> str:
    """So many steps."""
    return "1 step" if count == 1 else f"{count} steps"


def _running(run: Run) -> str:
    again = f" (attempt {run.attempt})" if run.attempt > 1 else ""
    return f"running {position_of(run)}{again}"


def _paused(run: Run) -> str:
    question = run.step.gate if run.step else ""
    return f"waits at {position_of(run)}: {question}"


_STATES: Mapping[RunStatus, Callable[[Run], str]] = {
    RunStatus.PENDING: lambda _run: "waiting for a free worker",
    RunStatus.RUNNING: _running,
    RunStatus.PAUSED: _paused,
    RunStatus.FAILED: lambda run: f"failed at {position_of(run)}: {run.error}",
    RunStatus.COMPLETED: lambda run: f"completed, {_all_steps(len(run.steps))} done",
    RunStatus.CANCELLED: lambda _run: "cancelled, worktree free",
}
