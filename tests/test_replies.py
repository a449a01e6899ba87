"""What a reply says beside what happened: why, and what to do next."""

import pytest

from bot import notices, replies
from bot.access import Role, granted
from bot.bootstrap import Installation
from bot.conversation import Author, Conversation, Door, Message
from bot.keys import Token, digest
from bot.ports import Transaction
from bot.run import Change, RunStatus
from tests.conftest import Person
from tests.runs import run_of
from tests.store.factories import put


async def test_whoever_finds_a_claim_waiting_hears_that_nobody_will_start_it(ben: Person) -> None:
    run_id = await ben.starts("/run quick")
    how = "No worker is running, so it waits: start one with baton worker."
    for said in (f"/resume {run_id}", "/resume", "/status"):
        assert (await ben.says(said)).reply.endswith(how), said
    late = await ben.says(f"/cancel {run_id}", seen_epoch=7)
    assert "has moved on since you looked" in late.reply
    assert late.reply.endswith(how)


async def test_nothing_is_said_of_workers_where_one_lives(ana: Person) -> None:
    run_id = await ana.starts("/run slow")
    await ana.sees_status(run_id, "running")
    for said, more in ((f"/resume {run_id}", {}), (f"/cancel {run_id}", {"seen_epoch": 7})):
        assert "No worker" not in (await ana.says(said, **more)).reply


TOKENS = [("ana", Role.OPERATOR), ("adm", Role.ADMIN), ("eva", Role.VIEWER), ("old", Role.ADMIN)]


async def refused(ben: Person) -> str:
    """What somebody hears who may only look and asks for a run through the API."""
    message = Message(
        text="run quick",
        conversation=Conversation("api:eva"),
        author=Author("api:eva", granted(Role.VIEWER)),
        door=Door.API,
    )
    answer = await ben.service.dispatcher.handle(message)
    assert answer is not None
    assert answer.word == "denied"
    return answer.reply


async def test_a_refusal_names_those_whose_tokens_are_enough(ben: Person) -> None:
    def add(tx: Transaction) -> None:
        for at, (name, role) in enumerate(TOKENS):
            token = Token(name=name, role=role, created_at=float(at), created_by="cli:x")
            tx.keys.add_token(token, digest(name))
        tx.keys.revoke("old")

    await ben.service.store.write(add)
    who = "the local command line, ana (by a token), adm (by a token)"
    assert f"Who can: {who}. Your id for the access list is api:eva." in await refused(ben)


async def test_a_refusal_names_a_handful_and_counts_the_rest(ben: Person) -> None:
    def add(tx: Transaction) -> None:
        for at in range(7):
            token = Token(name=f"t{at}", role=Role.ADMIN, created_at=float(at), created_by="cli:x")
            tx.keys.add_token(token, digest(str(at)))

    await ben.service.store.write(add)
    assert "t3 (by a token) and 3 more. Your id" in await refused(ben)


def test_a_worker_that_works_on_nothing_says_so() -> None:
    assert notices.working("here", 2).startswith("Working on the runs of here.")
    assert notices.working("here", 0).startswith("Working on no runs, since runner.concurrency is")


def test_a_refusal_says_that_nobody_can_without_a_second_colon() -> None:
    told = replies.denied(Role.NONE, Role.OPERATOR, [], "slack:U1", "run")
    assert "Who can: nobody yet, since the configuration names no one. Your id" in told


async def test_a_prefix_that_is_too_short_is_told_how_long_it_has_to_be(ben: Person) -> None:
    run_id = await ben.starts("/run quick")
    more = "A run is named by 4 characters of its id or more."
    short, none = await ben.says(f"/status {run_id[:3]}"), await ben.says("/status 9999")
    assert (short.word, none.word) == ("not_found", "not_found")
    assert more in short.reply
    assert more not in none.reply


def test_here_is_said_where_not_every_run_is_looked_for() -> None:
    assert "“9999” here." in replies.not_found("9999", Door.SLACK_SLASH, fenced=True)
    assert "“9999”. " in replies.not_found("9999", Door.CLI, fenced=False)


@pytest.mark.parametrize(
    ("door", "lead"), [(Door.CLI, "baton "), (Door.SLACK_SLASH, "/baton "), (Door.TERMINAL, "/")]
)
def test_what_to_do_next_is_spelled_as_it_is_typed(door: Door, lead: str) -> None:
    by = Change("cli:ben", Door.CLI, 0.0)
    for status in (RunStatus.CANCELLED, RunStatus.COMPLETED):
        over = run_of("b", by, status=status)
        assert f"with {lead}run deploy branch=b." in replies.not_resumable(over, by, 9.0, door)
    under_way = run_of("b", by, status=RunStatus.RUNNING, worker="w")
    assert f"with {lead}status abcd2345." in replies.already_running(under_way, by, 9.0, door)


async def test_status_says_who_cancelled_a_run(ben: Person) -> None:
    run_id = await ben.starts("/run quick")
    await ben.says(f"/cancel {run_id}")
    assert "\n  cancelled by ben in a terminal, just now" in (await ben.says("/status")).reply


async def test_status_names_who_cancelled_and_not_who_released(
    ben: Person, installation: Installation
) -> None:
    run_id = put(installation.database, "working")
    assert (await ben.says(f"/cancel {run_id}")).word == "cancelled"
    await ben.service.store.write(lambda tx: tx.work.unproven(run_id, 2, "not provably gone"))
    assert (await Person(ben.service, "eva").says(f"/release {run_id}")).word == "released"
    assert "\n  cancelled by ben in a terminal" in (await ben.says(f"/status {run_id}")).reply


async def test_a_gate_is_told_alike_by_status_and_card(ana: Person) -> None:
    run_id = await ana.starts("/run gated")
    await ana.sees_status(run_id, "paused")
    reply = (await ana.says("/status")).reply
    assert reply.startswith(f"gated {run_id} waits at step 1 of 3, ask: Go?\n")
    assert f"  /resume {run_id} passes the gate, /cancel {run_id} declines it" in reply
    late = await ana.says(f"/resume {run_id}", seen_epoch=7)
    assert "; it waits at step 1 of 3, ask: Go? Nothing changed." in late.reply
