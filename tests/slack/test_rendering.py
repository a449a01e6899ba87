"""Whatever people and processes write: nothing in Slack is live, nothing breaks its limits."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.slack import blocks
from bot import replies
from bot.card import headline, news
from bot.conversation import Door
from bot.outcome import Answer, Outcome, Word, answer_of
from bot.run import Change, Run, RunStatus
from bot.words import clean, who
from tests.runs import run_of as shown_run
from tests.slack.limits import MOST_TEXT, MOST_TEXT_OF_UPDATE, wrong_with
from tests.slack.records import Json
from tests.slack.stage import nodes

NOW = 1_700_000_000.0
EVIL = (
    "<!channel>",
    "<!here>",
    "<!everyone|all>",
    "<@U1>",
    "<#C1>",
    "<!subteam^S1>",
    "<!date^1^{date}|x>",
    "<https://evil.example|click>",
    "https://evil.example/a?b=c&d=e",
    "see HTTP://evil.example, or (ftp://evil.example)",
    "slack://open",
    "www.evil.example",
    "(WWW.evil.example/x)",
    "mailto:eve@evil.example",
    "tel:+4912345",
    "*bold* _it_ ~gone~ `code`",
    "```\nblock\n```",
    "&lt;!channel&gt; &amp;lt;!here&amp;gt;",
    ":smile: :skull:",
    "\u202egnp.exe\u2066hidden\u2069",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 a\u200bb\ufeffc",
    "htt\u200bps://evil.example <\u200b!channel>",
    "one\r\ntwo\n\nthree\ttab",
    "\x00\x07\x1b[31m\x7f\x9b",
    "",
    "   ",
    "\u200b",
    "x" * 5_000,
    "<" * 5_000,
    "&" * 5_000,
    '"' * 5_000,
    "\\" * 5_000,
    "\n" * 5_000,
    "https://e.example " * 300,
    "\U0001f600" * 5_000,
)
text = st.one_of(
    st.sampled_from(EVIL),
    st.text(max_size=200),
    st.lists(st.sampled_from([*'<>!@#|&*`~:/\n\\" ', "channel", "http", "www.", *EVIL[:16]])).map(
        "".join
    ),
)
some = settings(max_examples=60, deadline=None)
corpus = pytest.mark.parametrize("evil", EVIL, ids=range(len(EVIL)))

LIVE = re.compile(
    r"[<>]|(?i:\b[a-z][a-z0-9+.-]*://)|(?i:\bwww\.(?=\w))|(?i:\b(mailto|tel):[^\s\u200b])"
)
ENTITY = re.compile(r"&(?!(amp|lt|gt);)")
OURS = re.compile(r"[A-Za-z ]{1,20} <!date\^\d+\^\{ago\}\|[^<>|&]+>")
HIDING = re.compile("[\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
OUR_BREAK = re.compile(r"(?<=[.:])\u200b")
"""What takes the life out of an address."""


# --- what must hold --------------------------------------------------------------------------


def strings(tree: Any) -> Iterator[str]:
    """Every string that Slack is given."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, list | dict):
        for inner in tree.values() if isinstance(tree, dict) else tree:
            yield from strings(inner)


def assert_dead(message: str, shown: Sequence[Json]) -> None:
    """Nothing in the text, nor in any field that Slack parses, does more than be read."""
    assert not LIVE.search(message), LIVE.search(message)
    assert not ENTITY.search(message)
    for node in nodes(list(shown)):
        kind = node.get("type")
        assert kind not in {"link", "broadcast", "usergroup", "channel", "markdown", "emoji"}
        assert kind != "mrkdwn" or OURS.fullmatch(node["text"]), node
        assert node.get("emoji") is not True


def assert_readable(message: str, shown: Sequence[Json]) -> None:
    """Text for everything, and nothing in it that hides or steers."""
    assert message
    for said in [OUR_BREAK.sub("", message), *strings(list(shown))]:
        assert said
        assert not HIDING.search(said), HIDING.search(said)
        assert not [one for one in said if unicodedata.category(one) == "Cc" and one not in "\n\t"]


def check(message: str, shown: list[Json], most_text: int = MOST_TEXT) -> None:
    """The message and its blocks can be posted, and are harmless."""
    assert_dead(message, shown)
    assert_readable(message, shown)
    assert wrong_with(message, shown, most_text) is None


# --- what is said ----------------------------------------------------------------------------


def run_of(evil: str, *, actor: str = "slack:U1", **more: Any) -> Run:
    """A run in which everything that may be is this text."""
    by = Change(actor, Door.SLACK_SLASH, NOW, evil or None)
    facts: Json = {"workflow": "W" * 64, "conversation": "slack:T1:C1"}
    return shown_run(evil, by, **facts | more)


def runs_of(evil: str) -> list[Run]:
    """The same in every state."""
    on: Json = {"resumable": False}
    over = on | {"error": None}
    return [
        run_of(evil),
        run_of(evil, status=RunStatus.PAUSED, steps_done=1, error=None),
        run_of(evil, status=RunStatus.RUNNING, worker="w", **on),
        run_of(evil, status=RunStatus.RUNNING, worker="w", stale=True),
        run_of(evil, status=RunStatus.PENDING, **on),
        run_of(evil, status=RunStatus.CANCELLED, held=True, **on),
        run_of(evil, status=RunStatus.CANCELLED, **over),
        run_of(evil, status=RunStatus.COMPLETED, steps_done=2, **over),
    ]


def cards_are_harmless(evil: str) -> None:
    for run in runs_of(evil):
        check(blocks.escaped(headline(run, NOW)), blocks.card(run), MOST_TEXT_OF_UPDATE)


def news_are_harmless(evil: str) -> None:
    for run in runs_of(evil):
        told = news(run, NOW, Door.SLACK_MENTION)
        check(blocks.escaped(told), blocks.said(told))
        called = blocks.called("U1", told)
        check(blocks.escaped(told), called)
        users = [node["user_id"] for node in nodes(called) if node.get("type") == "user"]
        assert users == ["U1"]


def answers_are_harmless(evil: str) -> None:
    run = run_of(evil)
    slash, shortcut = Door.SLACK_SLASH, Door.SLACK_SHORTCUT
    told = [
        replies.status(run, NOW, slash, " No worker."),
        replies.unknown_command(evil, None),
        replies.unknown_workflow(evil, [evil]),
        replies.not_found(evil, slash, fenced=True),
        replies.moved_on(run, 1, run.changed, NOW, slash),
        replies.worktree_busy(evil, run, NOW, slash, run),
        replies.run_list([run] * 20, NOW, more=True, door=slash),
        evil or "nothing",
    ]
    for reply in told:
        answer = answer_of(Outcome(word=Word.SHOWN, reply=reply, run=run))
        check(blocks.escaped(reply), blocks.answer(answer, "status"))
        check(blocks.escaped(reply), [*blocks.said(reply), blocks.aside(who(run.changed))])
    shown = answer_of(Outcome(word=Word.SHOWN, reply=told[0], run=run))
    check(blocks.escaped(replies.status(run, NOW, shortcut)), blocks.choice(shown, [run]))


def logs_are_harmless(evil: str) -> None:
    for lines in ([evil], [evil] * 20, []):
        run = run_of(evil)
        answer = answer_of(Outcome(word=Word.SHOWN, reply=replies.log_tail(run, lines), run=run))
        check(blocks.escaped(answer.reply), blocks.answer(answer, "logs"))


def several(evil: str, verb: str, word: Word) -> Answer:
    candidates = tuple(run_of(evil, id=f"abcd23{number:02}") for number in range(25))
    reply = replies.which_run(verb, candidates, NOW, more=True, door=Door.SLACK_SLASH)
    return answer_of(Outcome(word=word, reply=reply, candidates=candidates))


def pickers_are_harmless(evil: str) -> None:
    for verb in ("resume", "cancel", "logs"):
        answer = several(evil, verb, Word.AMBIGUOUS)
        shown = blocks.answer(answer, verb)
        check(blocks.escaped(answer.reply), shown)
        assert [node for node in nodes(shown) if node.get("type") == "static_select"]
    answer = several(evil, "status", Word.SHOWN)
    check(blocks.escaped(answer.reply), blocks.choice(answer, []))


KINDS = [
    cards_are_harmless,
    news_are_harmless,
    answers_are_harmless,
    logs_are_harmless,
    pickers_are_harmless,
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


@some
@given(evil=text)
def test_top_level_text_says_what_was_written(evil: str) -> None:
    """Escaping loses nothing that can be seen."""
    told = OUR_BREAK.sub("", blocks.escaped(evil))
    back = told.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    seen = clean(evil, len(evil) + 1)
    assert back == seen or (back.endswith("…") and seen.startswith(back[:-1]))


def test_buttons_tell_the_run_and_its_epoch_in_their_limits() -> None:
    run = run_of("x" * 5_000)
    found = [node for node in nodes(blocks.card(run)) if node.get("type") == "button"]
    assert [node["value"] for node in found] == ["abcd2345:999999999"] * 3
    assert all(len(node["accessibility_label"]) <= 75 for node in found)


def test_a_requester_from_elsewhere_is_no_mention() -> None:
    run = run_of("<@U2>", actor="cli:<@U2>")
    check(blocks.escaped(headline(run, NOW)), blocks.card(run))
    assert not [node for node in nodes(blocks.card(run)) if node.get("type") == "user"]
