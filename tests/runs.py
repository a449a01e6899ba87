"""Runs as values, for what shows them and never changes them."""

from dataclasses import replace
from typing import Any

from bot.run import Change, Run, RunStatus, Step, Worktree


def run_of(text: str, by: Change, **more: Any) -> Run:
    """A run in which everything that people and processes write is this text."""
    step = Step(name=text[:80] or "step", command="true")
    facts: dict[str, Any] = {
        "id": "abcd2345",
        "workflow": "deploy",
        "conversation": "cli:ana",
        "status": RunStatus.FAILED,
        "epoch": 999_999_999,
        "claim": 1,
        "worker": None,
        "lease_expires_at": None,
        "last_activity_at": by.at,
        "worktree": Worktree("here", "/somewhere"),
        "held": False,
        "repository": "/somewhere",
        "base": "main",
        "branch": text,
        "arguments": {"note": text},
        "steps": (step, replace(step, command=None, gate=text)),
        "steps_done": 0,
        "attempt": 2,
        "error": text,
        "notice": text,
        "requested": by,
        "changed": by,
        "version": 1,
        "pushed": None,
        "stale": False,
        "resumable": True,
    }
    return Run(**facts | more)
