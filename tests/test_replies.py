"""What a reply says beside what happened: why, and what to do next."""

from bot import notices, replies
from bot.access import Role, granted
from bot.conversation import Author, Conversation, Door, Message
from bot.keys import Token, digest
from bot.ports import Transaction
from tests.conftest import Person


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
