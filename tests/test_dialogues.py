"""What is said and what is answered: exactly one answer to each line, or none to plain talk."""

import pytest

from bot.commands import COMMANDS
from bot.conversation import Author, Conversation, Door, Invocation, Message
from bot.parser import Answered, NotForUs, parse
from tests.conftest import Person

DIALOGUES = {
    "nothing to do": [
        ("/resume", "nothing_here", "There is nothing to resume in this conversation."),
        ("/cancel", "nothing_here", "There is nothing to cancel in this conversation."),
        ("/status", "nothing_here", "There is nothing to show in this conversation."),
        ("/runs", "shown", "There are no runs yet. Start one with /run WORKFLOW."),
    ],
    "misunderstandings": [
        ("/resum", "invalid", "“/resum” is not a command. Did you mean resume?"),
        ("/frobnicate now", "invalid", "“/frobnicate” is not a command."),
        ("hello there", "invalid", "“hello” is not a command. Nothing changed;"),
        ("/bogus", "invalid", "“/bogus” is not a command. Nothing changed;"),
        ("/cancle", "invalid", "“/cancle” is not a command. Did you mean cancel?"),
        ("/hlep", "invalid", "“/hlep” is not a command. Did you mean help?"),
        ("/run", "invalid", "Which workflow?"),
        ("/run nope", "invalid", "There is no workflow “nope”."),
        ("/run quick fast", "invalid", "I cannot read “fast”"),
        ("/run quick =x", "invalid", "I cannot read “=x”"),
        ("/run quick a=1 A=2", "invalid", "“A” is given twice"),
        ("/run quick a=1\0b=2", "invalid", "There is a NUL character in that message"),
        ("/run quick a='1", "invalid", "A quotation mark is left open."),
        ("/run quick branch=-x", "invalid", "“-x” cannot be the name of a branch."),
        ("/run quick branch=a..b", "invalid", "“a..b” cannot be the name of a branch."),
        ("/run quick a=" + "x" * 33_000, "invalid", "The arguments are larger than 32 KiB."),
        ("/resume " + "x" * 40_000, "invalid", "That message is longer than 40,000 characters"),
        ("/resume '; DROP TABLE runs; --", "not_found", "There is no run “'; DROP TABLE runs; --”"),
        ("/cancel ../../etc/passwd", "not_found", "There is no run “../../etc/passwd”. Nothing"),
        ("/cancel \x1b[2J\u202eabcd", "not_found", "There is no run “[2J abcd”. Nothing"),
        ("/resume 😀😀😀😀", "not_found", "There is no run “😀😀😀😀”. Nothing"),
    ],
    "claim and cancel without a worker": [
        ("/run quick", "started", "Started quick RUN: 2 steps on branch baton/RUN."),
        ("/resume RUN", "already_running", "quick RUN was already claimed by ben in a terminal"),
        ("/resume", "already_running", "quick RUN was already claimed by ben in a terminal"),
        ("/status", "shown", "quick RUN is waiting for a free worker."),
        ("/cancel", "cancelled", "Cancelled quick RUN. Nothing of it is running;"),
        ("/cancel RUN", "already_cancelled", "quick RUN was already cancelled by ben"),
        ("/resume RUN", "not_resumable", "quick RUN was cancelled by ben in a terminal"),
        ("/release RUN", "nothing_here", "quick RUN holds no worktree"),
        ("/logs RUN", "shown", "quick RUN has no output yet."),
        ("/history RUN", "shown", "History of quick RUN:"),
        ("/help", "shown", "What I understand:"),
    ],
    "one branch, two runs": [
        ("/run quick branch=shared", "started", "Started quick RUN"),
        ("/run slow branch=shared", "worktree_busy", "The worktree of branch shared is held by"),
        ("/cancel", "cancelled", "Cancelled quick RUN."),
        ("/run slow branch=shared", "started", "Started slow RUN"),
    ],
    "several candidates": [
        ("/run quick", "started", "Started quick RUN"),
        ("/run quick", "started", "Started quick RUN"),
        ("/cancel", "ambiguous", "Which one? Nothing changed."),
        ("/status", "shown", ""),
    ],
}


@pytest.fixture
def database_url(url: str) -> str:
    """Each kind of database in turn."""
    return url


@pytest.mark.parametrize("name", DIALOGUES)
async def test_dialogue(ben: Person, name: str) -> None:
    run_id = "none"
    for said, word, begins in DIALOGUES[name]:
        answer = await ben.says(said.replace("RUN", run_id))
        run_id = answer.run_id or run_id
        assert answer.word == word, (said, answer.reply)
        assert answer.reply.startswith(begins.replace("RUN", run_id)), (said, answer.reply)


async def test_every_id_shown_is_taken_by_its_prefix(ben: Person) -> None:
    run_id = await ben.starts("/run quick")
    for length in range(4, 9):
        assert (await ben.says(f"/status {run_id[:length]}")).run_id == run_id
    assert (await ben.says(f"/status {run_id[:3]}")).word == "not_found"


async def test_the_same_delivery_is_answered_again(ben: Person) -> None:
    first = await ben.says("/run quick", delivery="terminal:ben:1")
    again = await ben.says("/run quick", delivery="terminal:ben:1")
    assert again == first
    other = await ben.says("/cancel", delivery="terminal:ben:1")
    assert other.word == "invalid"
    assert "used before" in other.reply
    assert (await ben.says("/status")).run_id == first.run_id


PLAIN_TALK = ["", "   ", "\x00\x07"]
IN_PASSING = ["cancel the deploy please", "run out of coffee", "I resume work", "status quo is bad"]


@pytest.mark.parametrize("text", PLAIN_TALK)
def test_nothing_said_is_not_for_us(text: str) -> None:
    assert isinstance(parse(message(text), COMMANDS), NotForUs)


@pytest.mark.parametrize("text", IN_PASSING)
def test_unaddressed_speech_is_never_a_command(text: str) -> None:
    assert isinstance(parse(message(text, addressed=False), COMMANDS), NotForUs)
    assert not isinstance(parse(message(text), COMMANDS), NotForUs)


@pytest.mark.parametrize(
    "text", ["resume", "/resume", "RESUME abcd", "cancel k3f9x2ab", "run demo"]
)
def test_whole_commands_need_no_mention(text: str) -> None:
    assert isinstance(parse(message(text, addressed=False), COMMANDS), Invocation)


def test_the_longest_message_is_read() -> None:
    assert isinstance(parse(message("/run " + "x" * 39_995), COMMANDS), Invocation)
    assert isinstance(parse(message("/run " + "x" * 39_996), COMMANDS), Answered)


def message(text: str, *, addressed: bool = True) -> Message:
    return Message(
        text=text,
        conversation=Conversation("terminal:ana"),
        author=Author("terminal:ana"),
        door=Door.TERMINAL,
        addressed=addressed,
    )
