"""What happened to a run, in words."""

from dataclasses import replace
from typing import Any

import pytest

from bot.history import told
from bot.outcome import AuditEvent, Word

WORKER = AuditEvent(at=0.0, actor="worker:h1:12:ab", door="worker", verb="", outcome="")
ANA = replace(WORKER, actor="slack:U1", name="Ana", door="slack-slash")


def event(verb: str, outcome: str, by: AuditEvent, **more: Any) -> AuditEvent:
    return replace(by, verb=verb, outcome=outcome, **more)


@pytest.mark.parametrize(
    ("happened", "words"),
    [
        (event("run", "started", ANA), "Asked for by Ana in Slack"),
        (event("start", "running", WORKER), "Taken up by the worker on h1"),
        (event("pause", "paused", WORKER, detail="ship?"), "Waits at gate: ship?"),
        (event("fail", "failed", WORKER, detail="exit code 1"), "Failed: exit code 1"),
        (event("move", "running", WORKER), "Moved to another host, since its own was silent"),
        (
            event("resume", "resumed", ANA, from_status="failed", detail="exit code 1"),
            "Resumed by Ana in Slack",
        ),
        (
            event("resume", "resumed", ANA, from_status="paused", detail="passed gate ship?"),
            "Resumed by Ana in Slack, which passed gate ship?",
        ),
        (
            event("resume", "running", WORKER, detail="exit code 1"),
            "Resumed by itself after the interruption",
        ),
        (
            event("cancel", "already_cancelled", ANA),
            "Ana in Slack asked to cancel it, and it was cancelled already",
        ),
        (
            event("resume", "denied", ANA, name="{who}"),
            "{who} in Slack asked to resume it, and was refused",
        ),
    ],
)
def test_what_happened_is_told(happened: AuditEvent, words: str) -> None:
    assert told(happened) == words


@pytest.mark.parametrize("word", Word)
def test_every_outcome_has_words(word: Word) -> None:
    assert "Ana in Slack" in told(event("resume", word, ANA))
