"""What the members of a crew do: each opens the file for itself, as another Baton would."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import update

from bot.commands import COMMANDS
from bot.conversation import Invocation, Message
from bot.dispatcher import Dispatcher
from bot.locks import ConversationLocks
from bot.outcome import Answer
from bot.parser import parse
from bot.ports import Transaction
from bot.run import Change, Run
from store.database import open_database
from store.schema import bring_up_to_date
from store.tables import runs
from tests.races.crew import Gate
from tests.races.linear import Operation
from tests.store.factories import TERMS, conductor, message

Told = tuple[str, Mapping[str, Any]]


def boot(gate: Gate, urls: Sequence[str]) -> list[str | None]:
    """Bring each file up to date; the version that it has then."""
    found = []
    for url in urls:
        database = open_database(url, TERMS)
        gate()
        bring_up_to_date(database)
        found.append(database.version())
        with database.connect() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM runs")
        database.close()
    return found


def swap(gate: Gate, url: str, name: str, ids: Sequence[str]) -> dict[str, Any]:
    """Try to resume each run at the same moment as the others; what came of each."""
    database = open_database(url, TERMS)
    results = {}
    for run_id in ids:
        gate()
        by = Change(f"cli:{name}", "cli", time.time())
        claim = partial(_resume, run_id=run_id, by=by)
        result = database.write([claim])[0]
        results[run_id] = repr(result) if isinstance(result, Exception) else result
    database.close()
    return results


def _resume(tx: Transaction, run_id: str, by: Change) -> int | None:
    run = tx.claims.resume(run_id, by, None, None)
    return run.epoch if run else None


def look_then_swap(gate: Gate, url: str, name: str, ids: Sequence[str]) -> dict[str, Any]:
    """What Baton must never do: look whether the run is free, then take it."""
    results = {}
    database = open_database(url, TERMS)
    with database.connect() as connection:
        for run_id in ids:
            gate()
            run = database.read(partial(_get, run_id=run_id))
            time.sleep(0.005)
            taken = run.epoch + 1 if run.status == "failed" else None
            if taken:
                values = {"status": "running", "epoch": taken, "changed_by": f"cli:{name}"}
                with connection.begin():
                    connection.execute(update(runs).where(runs.c.id == run_id).values(values))
            results[run_id] = taken
    database.close()
    return results


def _get(tx: Transaction, run_id: str) -> Run:
    run = tx.runs.get(run_id)
    assert run is not None
    return run


def say_locked(gate: Gate, url: str, lines: Sequence[Sequence[Message]]) -> list[list[Told]]:
    """Say the messages of each line at once, line after line; what each was told."""
    return asyncio.run(_say(gate, url, lines, locked=True))


def say_unlocked(gate: Gate, url: str, lines: Sequence[Sequence[Message]]) -> list[list[Told]]:
    """The same, with nothing going through the lock of the conversation."""
    return asyncio.run(_say(gate, url, lines, locked=False))


async def _say(
    gate: Gate, url: str, lines: Sequence[Sequence[Message]], *, locked: bool
) -> list[list[Told]]:
    store = open_database(url, TERMS).open_store()
    store.start()
    rules = conductor(Path("unused"))
    dispatcher = Dispatcher(store, rules, ConversationLocks(), "")

    async def one(said: Message) -> Told:
        if locked:
            answer = await dispatcher.handle(said)
        else:
            change = partial(rules.change, invocation=_parsed(said))
            answer = await store.write(change)
        assert answer is not None
        return answer.reply, answer.body

    told = []
    for line in lines:
        gate()
        told.append(list(await asyncio.gather(*[one(said) for said in line])))
    await store.close()
    return told


def _parsed(said: Message) -> Invocation:
    parsed = parse(said, COMMANDS)
    assert isinstance(parsed, Invocation)
    return parsed


# --- cancel against finish against resume --------------------------------------------------------


def one_verb(gate: Gate, url: str, verb: str, ids: Sequence[str], seed: int) -> list[Operation]:
    """Do the same verb to each run, at nearly the same moment as the others do theirs."""
    chance = random.Random(seed)
    database = open_database(url, TERMS)
    rules = conductor(Path("unused"))
    runs = database.read(lambda tx: {run_id: tx.runs.get(run_id) for run_id in ids})
    done = []
    for run_id in ids:
        run = runs[run_id]
        assert run is not None
        change = _verb(rules.change, verb, run)
        gate()
        time.sleep(chance.choice((0, 0, 0.001, 0.002, 0.004)))
        began = time.monotonic_ns()
        [result] = database.write([change])
        ended = time.monotonic_ns()
        if isinstance(result, Exception):
            raise result
        done.append(Operation(verb, run_id, result, began, ended))
    database.close()
    return done


def _verb(
    carry_out: Callable[[Transaction, Invocation], Answer], verb: str, run: Run
) -> Callable[[Transaction], str]:
    if verb in {"resume", "cancel"}:
        invocation = _parsed(message(f"{verb} {run.id}", verb))
        return lambda tx: carry_out(tx, invocation).word
    settle: dict[str, Callable[[Transaction], Run | None]] = {
        "fail": lambda tx: tx.work.fail(run, "exit code 1", 1),
        "complete": lambda tx: tx.work.complete(run),
    }
    if verb in settle:
        return lambda tx: "done" if settle[verb](tx) else "stop"
    return lambda tx: status_of(tx.runs.get(run.id))


def status_of(run: Run | None) -> str:
    """The run in the words of the checker."""
    assert run is not None
    return f"{run.status}{' stopping' if run.stopping else ''} {run.epoch}"
