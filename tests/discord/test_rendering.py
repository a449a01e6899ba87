"""Whatever people and processes write: nothing in Discord is live, nothing breaks its limits."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from adapters.discord import shown as rendering
from adapters.discord.shown import Shown, answer, card, question, said, title
from adapters.discord.text import LONGEST_CONTENT, fitted, moment
from bot import replies
from bot.card import buttons, news
from bot.commands import COMMANDS
from bot.conversation import Door
from bot.history import history
from bot.outcome import Answer, AuditEvent, Outcome, Word, answer_of
from bot.run import Change, Run, RunStatus
from bot.words import who
from tests.discord.evil import corpus, some, text
from tests.discord.limits import wrong_with
from tests.discord.markdown import FENCE, live_in_message
from tests.discord.payloads import buttons_of, options_of
from tests.discord.records import Json
from tests.runs import run_of as shown_run

NOW = 1_700_000_000.0
HIDING = re.compile("[\u061c\u200c-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


# --- what must hold --------------------------------------------------------------------------


def strings(tree: Any) -> Iterator[str]:
    """Every string that Discord is given."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, list | dict):
        for inner in tree.values() if isinstance(tree, dict) else tree:
            yield from strings(inner)


def assert_readable(shown: str) -> None:
    """Nothing that hides or steers; our joiners only take the life out of something."""
    assert not HIDING.search(shown), HIDING.search(shown)
    assert not [one for one in shown if unicodedata.category(one) == "Cc" and one not in "\n\t"]


def check(shown: Shown) -> None:
    """The message can be posted, and is harmless."""
    body = shown.body
    assert list(wrong_with(body, 0)) == []
    assert body["allowed_mentions"] == {"parse": []}
    assert shown.content.strip()
    assert live_in_message(shown.content) is None, (live_in_message(shown.content), shown.content)
    for one in strings([shown.content, shown.components]):
        assert one
        assert_readable(one)


# --- what is shown ---------------------------------------------------------------------------


def run_of(evil: str, *, actor: str = "discord:1", **more: Any) -> Run:
    """A run in which everything that may be is this text."""
    by = Change(actor, Door.DISCORD_SLASH, NOW, evil or None)
    facts: Json = {"workflow": "W_" * 32, "conversation": "discord:700:500"}
    return shown_run(evil, by, **facts | more)


_ON: Json = {"resumable": False}
_OVER: Json = _ON | {"error": None}
STATES: dict[str, tuple[Json, list[str]]] = {
    "failed": ({}, ["Resume", "Cancel", "Log"]),
    "paused": (
        {"status": RunStatus.PAUSED, "steps_done": 1, "error": None},
        ["Resume", "Cancel", "Log"],
    ),
    "running": ({"status": RunStatus.RUNNING, "worker": "w", **_ON}, ["Cancel", "Log"]),
    "silent": (
        {"status": RunStatus.RUNNING, "worker": "w", "stale": True},
        ["Resume", "Cancel", "Log"],
    ),
    "pending": ({"status": RunStatus.PENDING, **_ON}, ["Cancel", "Log"]),
    "claimed": ({"status": RunStatus.RUNNING, **_ON}, ["Cancel", "Log"]),
    "stopping": ({"status": RunStatus.CANCELLED, "held": True, **_OVER}, ["Log"]),
    "unproven": ({"status": RunStatus.CANCELLED, "held": True, **_ON}, ["Log"]),
    "cancelled": ({"status": RunStatus.CANCELLED, **_OVER}, []),
    "completed": ({"status": RunStatus.COMPLETED, "steps_done": 2, **_OVER}, []),
}
each_state = pytest.mark.parametrize("state", STATES)


def run_in(state: str, evil: str = "x", **more: Any) -> Run:
    return run_of(evil, **STATES[state][0] | more)


def cards_are_harmless(evil: str) -> None:
    for state in STATES:
        check(card(run_in(state, evil)))
        check(question(run_in(state, evil)))


def news_are_harmless(evil: str) -> None:
    for state in STATES:
        told = news(run_in(state, evil), NOW, Door.DISCORD_SLASH)
        content = fitted(told, 1_900)
        check(Shown(content, []))
        assert live_in_message(f"<@1> {content}") is None


def told_of(evil: str) -> Iterator[str]:
    """Replies that hold what somebody wrote."""
    run = run_of(evil)
    slash, mention = Door.DISCORD_SLASH, Door.DISCORD_MENTION
    event = AuditEvent(at=NOW, actor="discord:1", door=slash, verb="run", outcome="started")
    yield replies.status(run, NOW, slash, " No worker.")
    yield replies.unknown_command(evil, None)
    yield replies.unknown_workflow(evil, [evil])
    yield replies.bad_argument(evil)
    yield replies.bad_branch(evil)
    yield replies.not_found(evil, slash, fenced=True)
    yield replies.moved_on(run, 1, run.changed, NOW, mention)
    yield replies.worktree_busy(evil, run, NOW, slash, run)
    yield replies.run_list([run] * 20, NOW, more=True, door=mention)
    yield replies.started(run)
    yield history(run, [replace(event, name=evil, detail=evil)] * 5, NOW)
    yield replies.help_text([("run", "start")], {"a": evil}, slash)


def answers_are_harmless(evil: str) -> None:
    run = run_of(evil)
    for reply in told_of(evil):
        check(said(reply))
        check(said(reply, who(run.changed)))


def logs_are_harmless(evil: str) -> None:
    for lines in ([evil], [evil] * 20, []):
        run = run_of(evil)
        reply = replies.log_tail(run, lines)
        check(answer(answer_of(Outcome(word=Word.SHOWN, reply=reply, run=run)), "logs"))


def several(evil: str, verb: str, count: int = 25) -> Answer:
    candidates = tuple(run_of(evil, id=f"abcd23{number:02}") for number in range(count))
    reply = replies.which_run(verb, candidates, NOW, more=True, door=Door.DISCORD_SLASH)
    return answer_of(Outcome(word=Word.AMBIGUOUS, reply=reply, candidates=candidates))


def choices_are_harmless(evil: str) -> None:
    for verb in rendering.CHOSEN:
        shown = answer(several(evil, verb), verb)
        check(shown)
        assert len(options_of(shown.components)) == 25


KINDS = [
    cards_are_harmless,
    news_are_harmless,
    answers_are_harmless,
    logs_are_harmless,
    choices_are_harmless,
]
each = pytest.mark.parametrize("harmless", KINDS, ids=lambda kind: kind.__name__)


@each
@corpus
def test_the_corpus_is_harmless(harmless: Any, evil: str) -> None:
    harmless(evil)


@each
@some
@given(evil=text)
def test_anything_is_harmless(harmless: Any, evil: str) -> None:
    harmless(evil)


@pytest.mark.parametrize("word", Word)
def test_every_outcome_can_be_answered_to_every_command(word: Word) -> None:
    run = run_of("**@everyone**")
    for reply in told_of("**@everyone**"):
        outcome = Outcome(word=word, reply=reply, run=run, by=run.changed, candidates=(run,))
        for verb in (*COMMANDS, ""):
            shown = answer(answer_of(outcome), verb)
            check(shown)
            chosen = word is Word.AMBIGUOUS and verb in rendering.CHOSEN
            assert bool(options_of(shown.components)) is chosen


# --- long ones -------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", ["x", "*", "\U0001f600", "line\n"])
def test_a_long_answer_comes_whole_as_a_file(sign: str) -> None:
    whole = sign * 3_000
    shown = said(whole, "ana in Discord")
    check(shown)
    assert shown.content.endswith("\n-# ana in Discord")
    assert shown.attachment is not None
    assert shown.attachment.text == whole
    assert re.fullmatch(r"[\w.-]+\.txt", shown.attachment.name)
    assert shown.body["attachments"] == [{"id": 0, "filename": shown.attachment.name}]
    assert len(shown.content) > LONGEST_CONTENT // 2


def test_a_short_answer_has_no_file_and_takes_an_earlier_one_away() -> None:
    for text_ in ("short", "x" * LONGEST_CONTENT, "*" * (LONGEST_CONTENT // 2)):
        shown = said(text_)
        check(shown)
        assert shown.attachment is None
        assert shown.body["attachments"] == []


@pytest.mark.parametrize("line", ["plain " * 20, "`" * 150, "\\" * 150, "```" * 40])
def test_a_long_log_shows_its_end_and_comes_as_a_file(line: str) -> None:
    lines = [f"{number:02} {line}" for number in range(20)]
    run = run_of("x")
    reply = replies.log_tail(run, lines)
    shown = answer(answer_of(Outcome(word=Word.SHOWN, reply=reply, run=run)), "logs")
    check(shown)
    assert shown.attachment is not None
    assert shown.attachment.text == "\n".join(lines)
    assert shown.attachment.name == "log-abcd2345.txt"
    last = shown.content.removesuffix(f"\n{FENCE}").replace("\u200b", "").splitlines()[-1]
    assert last.removeprefix("…") in lines[-1]
    assert shown.content.startswith("The last 20 lines of ")


def test_a_short_log_is_shown_whole() -> None:
    run = run_of("x", workflow="w")
    reply = replies.log_tail(run, ["# one", "*two*"])
    shown = answer(answer_of(Outcome(word=Word.SHOWN, reply=reply, run=run)), "logs")
    assert shown.attachment is None
    assert shown.content == "The last 2 lines of w abcd2345:\n```\n# one\n*two*\n```"


def test_many_candidates_are_listed_as_far_as_they_go_and_can_all_be_chosen() -> None:
    shown = answer(several("x" * 500, "resume"), "resume")
    check(shown)
    values = {value for _, value in options_of(shown.components).values()}
    assert values == {f"abcd23{number:02}:999999999" for number in range(25)}


# --- cards -----------------------------------------------------------------------------------


@each_state
def test_a_card_says_in_words_how_far_the_run_is(state: str) -> None:
    run = run_in(state)
    heading, progress, words, *_ = card(run).content.split("\n")
    assert heading == title(run)
    assert "`abcd2345`" in heading
    bar, done = progress.split("  ")
    assert bar == "■" * run.steps_done + "□" * (2 - run.steps_done)
    assert done == f"{run.steps_done} of 2 steps done"
    assert words


@each_state
def test_a_card_says_who_asked_and_since_when(state: str) -> None:
    run = run_in(state, branch="fix/a_b")
    last = card(run).content.rpartition("\n")[2]
    assert last.startswith("-# Asked for by x in Discord, on branch fix/a\\_b")
    assert re.findall(r"(started|last change) <t:1700000000:R>", last) == [
        "started",
        "last change",
    ]
    assert ("took " in last) is (run.final and not run.held)
    assert not re.search(r"\d (s|min|h|d) ago", card(run).content), "it would not stay true"


def test_moments_are_told_by_the_reader_s_own_clock() -> None:
    assert moment(1_700_000_000.9) == "<t:1700000000:R>"


@each_state
def test_a_card_has_the_buttons_of_its_state(state: str) -> None:
    run = run_in(state)
    found = buttons_of(card(run).components)
    assert list(found) == STATES[state][1] == [button.label for button in buttons(run)]
    acts = {"Resume": "resume", "Cancel": "ask", "Log": "logs"}
    for label, custom_id in found.items():
        assert custom_id == f"baton:{acts[label]}:abcd2345:999999999"


def test_the_question_before_a_cancel_can_be_answered_with_two_buttons() -> None:
    shown = question(run_in("running"))
    assert "Cancel this run?" in shown.content
    assert "abcd2345" in shown.content
    assert buttons_of(shown.components) == {
        "Cancel run": "baton:cancel:abcd2345:999999999",
        "Keep running": "baton:keep:abcd2345:999999999",
    }


@each_state
@pytest.mark.parametrize("count", [60, 400])
def test_a_card_of_many_steps_and_long_texts_loses_none_of_its_lines(
    state: str, count: int
) -> None:
    run = run_in(state, "*" * 3_000)
    steps = (run.steps[0],) * (count - 1) + run.steps[1:]
    done = {"paused": count - 1, "completed": count}.get(state, 0)
    shown = card(replace(run, steps=steps, steps_done=done))
    check(shown)
    assert f"{done} of {count} steps done" in shown.content
    last = shown.content.rpartition("\n")[2]
    assert re.search(r"^-# .*last change <t:1700000000:R>", last)
    assert list(buttons_of(shown.components)) == STATES[state][1]


def test_a_requester_from_elsewhere_is_no_mention() -> None:
    check(card(run_of("<@2>", actor="cli:<@2>")))
