"""Every transition in every state, and the edges of what can be resumed."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from bot.conversation import Conversation
from bot.ports import Move, Transaction, WorktreeHeldError
from bot.run import Change, Run, RunStatus, Step, Worktree
from store import schema
from store.database import Database, open_database
from store.sqlite import SqliteDatabase
from store.tables import metadata, runs
from store.transitions import TRANSITIONS, Verb
from tests.postgres import Postgres
from tests.store.factories import (
    BEGAN,
    CONVERSATION,
    HOST,
    LEASE_SECONDS,
    ORPHAN_SECONDS,
    STATES,
    TERMS,
    WORKER,
    Clock,
    get,
    impossible,
    living,
    new_run,
    put,
    row_of,
    write,
)

BEN = Change("slack:U2", "slack-button", BEGAN)
Apply = Callable[[Transaction, Run, int], Run | None]
OPEN = frozenset(STATES) - {"completed", "cancelled", "stopping", "abandoned", "unproven"}
RUNNING = frozenset(name for name, state in STATES.items() if state.status is RunStatus.RUNNING)
HELD_CANCELLED = frozenset({"stopping", "abandoned", "unproven"})
STALE = frozenset({"claimed long ago", "claimed, never active", "silent", "silent, told"})

ALLOWED: Mapping[Verb, frozenset[str]] = {
    Verb.RESUME: STALE | {"paused", "failed"},
    Verb.CANCEL: OPEN,
    Verb.RELEASE: frozenset({"abandoned", "unproven"}),
    Verb.MOVE: frozenset({"pending"}),
    Verb.START: frozenset({"pending", "claimed", "claimed long ago", "claimed, never active"}),
    Verb.ATTEMPT: RUNNING,
    Verb.STEP_DONE: RUNNING,
    Verb.NOTICE: RUNNING,
    Verb.PAUSE: RUNNING,
    Verb.COMPLETE: RUNNING,
    Verb.FAIL: RUNNING,
    Verb.STOPPED: HELD_CANCELLED,
    Verb.UNPROVEN: HELD_CANCELLED,
    Verb.LOST: frozenset({"silent"}),
}
"""The table of the design, written down a second time."""

APPLY: Mapping[Verb, Apply] = {
    Verb.RESUME: lambda tx, run, epoch: tx.claims.resume(run.id, BEN, epoch, None),
    Verb.CANCEL: lambda tx, run, epoch: tx.claims.cancel(run.id, BEN, epoch),
    Verb.RELEASE: lambda tx, run, epoch: tx.claims.release(run.id, BEN, epoch),
    Verb.MOVE: lambda tx, run, epoch: tx.claims.move(
        replace(run, epoch=epoch), Move(Worktree("there", run.worktree.path), "/there"), "moved"
    ),
    Verb.START: lambda tx, run, epoch: tx.work.start(run.id, epoch, "here:2:b"),
    Verb.ATTEMPT: lambda tx, run, epoch: tx.work.attempt(replace(run, epoch=epoch)),
    Verb.STEP_DONE: lambda tx, run, epoch: tx.work.step_done(replace(run, epoch=epoch), 0),
    Verb.NOTICE: lambda tx, run, epoch: tx.work.notice(replace(run, epoch=epoch), "look"),
    Verb.PAUSE: lambda tx, run, epoch: tx.work.pause(replace(run, epoch=epoch)),
    Verb.COMPLETE: lambda tx, run, epoch: tx.work.complete(replace(run, epoch=epoch)),
    Verb.FAIL: lambda tx, run, epoch: tx.work.fail(replace(run, epoch=epoch), "exit code 3", 3),
    Verb.STOPPED: lambda tx, run, epoch: tx.work.stopped(run.id, epoch),
    Verb.UNPROVEN: lambda tx, run, epoch: tx.work.unproven(run.id, epoch, "not gone"),
    Verb.LOST: lambda tx, run, epoch: tx.work.lost(replace(run, epoch=epoch)),
}


def carry_out(database: Database, verb: Verb, run_id: str, epoch: int | None = None) -> Run | None:
    run = get(database, run_id)
    used = run.epoch if epoch is None else epoch
    done = write(database, lambda tx: APPLY[verb](tx, run, used))
    assert done is None or isinstance(done, Run)
    return done


_free = {"held_host": None, "held_path": None}
_active = {"last_activity_at": BEGAN}
_changed_by_ben = {"changed_by": BEN.actor, "changed_door": BEN.door, "changed_at": BEGAN}


def _by_worker(was: Mapping[str, Any]) -> dict[str, Any]:
    actor = f"worker:{was['worker']}"
    return {"changed_by": actor, "changed_door": "worker", "changed_at": BEGAN}


WRITES: Mapping[Verb, Callable[[dict[str, Any]], dict[str, Any]]] = {
    Verb.RESUME: lambda was: {
        "status": "running",
        "epoch": was["epoch"] + 1,
        "claim": was["claim"] + 1,
        "worker": None,
        "lease_expires_at": None,
        "lost_at": None,
        "held_host": HOST,
        "held_path": was["path"],
        "steps_done": was["steps_done"] + (was["status"] == "paused"),
        "attempt": 0 if was["status"] == "paused" else was["attempt"],
        "error": None,
        **_changed_by_ben,
        **_active,
    },
    Verb.CANCEL: lambda was: {
        "status": "cancelled",
        **({} if was["worker"] else _free),
        **_changed_by_ben,
    },
    Verb.RELEASE: lambda _was: {**_free, "error": None, **_changed_by_ben},
    Verb.MOVE: lambda was: {
        "epoch": was["epoch"] + 1,
        "claim": was["claim"] + 1,
        "host": "there",
        "repository": "/there",
        "held_host": "there",
        "notice": "moved",
        **_active,
    },
    Verb.START: lambda _was: {
        "status": "running",
        "worker": "here:2:b",
        "lease_expires_at": BEGAN + LEASE_SECONDS,
        **_active,
    },
    Verb.ATTEMPT: lambda was: {"attempt": was["attempt"] + 1, **_active},
    Verb.STEP_DONE: lambda was: {"steps_done": was["steps_done"] + 1, "attempt": 0, **_active},
    Verb.NOTICE: lambda _was: {"notice": "look", **_active},
    Verb.PAUSE: lambda was: {"status": "paused", **_free, **_by_worker(was), **_active},
    Verb.COMPLETE: lambda was: {"status": "completed", **_free, **_by_worker(was), **_active},
    Verb.FAIL: lambda was: {
        "status": "failed",
        "error": "exit code 3",
        **_free,
        **_by_worker(was),
        **_active,
    },
    Verb.STOPPED: lambda _was: {**_free, "error": None},
    Verb.UNPROVEN: lambda _was: {"error": "not gone", "lease_expires_at": None},
    Verb.LOST: lambda _was: {"lost_at": BEGAN},
}
"""What each transition writes beside `version`; everything else must stay as it was."""


def test_the_tables_here_know_every_transition() -> None:
    assert set(ALLOWED) == set(APPLY) == set(WRITES) == set(TRANSITIONS) == set(Verb)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("verb", Verb)
def test_transition(database: Database, verb: Verb, state: str) -> None:
    run_id = put(database, state)
    was = row_of(database, run_id)
    done = carry_out(database, verb, run_id)
    now = row_of(database, run_id)
    assert (done is not None) == (state in ALLOWED[verb])
    if done is None:
        assert now == was
    else:
        assert now == {**was, **WRITES[verb](was), "version": was["version"] + 1}
        assert impossible(now) is None
        assert get(database, run_id) == done


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("off", [-1, 1])
def test_another_epoch_changes_nothing(database: Database, verb: Verb, off: int) -> None:
    ids = [put(database, state) for state in sorted(ALLOWED[verb])]
    for run_id in ids:
        was = row_of(database, run_id)
        assert carry_out(database, verb, run_id, was["epoch"] + off) is None
        assert row_of(database, run_id) == was


@pytest.mark.parametrize("verb", [Verb.RESUME, Verb.CANCEL, Verb.RELEASE])
def test_who_saw_no_epoch_is_not_held_to_one(database: Database, verb: Verb) -> None:
    for state in ALLOWED[verb]:
        run_id = put(database, state)
        claims = {
            Verb.RESUME: lambda tx, run_id=run_id: tx.claims.resume(run_id, BEN, None, None),
            Verb.CANCEL: lambda tx, run_id=run_id: tx.claims.cancel(run_id, BEN, None),
            Verb.RELEASE: lambda tx, run_id=run_id: tx.claims.release(run_id, BEN, None),
        }
        assert write(database, claims[verb]) is not None


def test_resume_and_start_in_one(database: Database) -> None:
    run_id = put(database, "failed")
    run = write(database, lambda tx: tx.claims.resume(run_id, BEN, None, "here:3:c"))
    assert (run.worker, run.lease_expires_at) == ("here:3:c", BEGAN + LEASE_SECONDS)
    assert carry_out(database, Verb.START, run_id) is None


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"held": False}, "claimed and not held"),
        ({"lease_expires_at": None}, "at work without a lease"),
        ({"worker": None}, "a lease without a worker"),
        ({"status": "failed"}, "settled and held"),
        ({"status": "pending"}, "pending and started"),
        ({"epoch": 0}, "numbers"),
    ],
)
def test_the_factory_refuses_what_cannot_be(
    database: Database, columns: dict[str, Any], why: str
) -> None:
    with pytest.raises(AssertionError, match=why):
        put(database, "working", **columns)


# --- what can be resumed: look-up, list and swap agree -------------------------------------------


def looked_up(database: Database) -> set[str]:
    found = database.read(
        lambda tx: tx.runs.of_conversation(CONVERSATION, list(RunStatus), resumable=True)
    )
    return {run.id for run in found}


def listed(database: Database) -> set[str]:
    found = database.read(lambda tx: tx.runs.recent(None, None))
    return {run.id for run in found if run.resumable}


def swapped(database: Database, run_id: str) -> bool:
    return write(database, lambda tx: tx.claims.resume(run_id, BEN, None, None)) is not None


def test_look_up_list_and_swap_agree_in_every_state(database: Database) -> None:
    ids = {put(database, state): state for state in STATES}
    found = {ids[run_id] for run_id in looked_up(database)}
    assert found == {ids[run_id] for run_id in listed(database)} == ALLOWED[Verb.RESUME]
    assert {state for run_id, state in ids.items() if swapped(database, run_id)} == found
    assert looked_up(database) == listed(database) == set()


@pytest.mark.parametrize(
    ("state", "after"),
    [
        ("working", LEASE_SECONDS),
        ("claimed", ORPHAN_SECONDS),
    ],
)
def test_the_edge_of_stale(database: Database, clock: Clock, state: str, after: float) -> None:
    run_id = put(database, state)
    for just_before in (after - 0.001, after):
        clock.now = BEGAN + just_before
        assert not get(database, run_id).stale
        assert looked_up(database) == listed(database) == set()
        assert not swapped(database, run_id)
    clock.now = BEGAN + after + 0.001
    assert get(database, run_id).stale
    assert looked_up(database) == listed(database) == {run_id}
    assert swapped(database, run_id)
    assert looked_up(database) == listed(database) == set()
    assert not swapped(database, run_id)


@pytest.mark.parametrize("days", [0.5, 3, 30])
def test_the_orphan_days_are_bound_values(file: Path, clock: Clock, days: float) -> None:
    terms = replace(TERMS, orphan_seconds=days * 86400)
    database = SqliteDatabase(file, terms, clock)
    run_id = put(database, "claimed")
    clock.now = BEGAN + days * 86400
    assert looked_up(database) == listed(database) == set()
    assert not swapped(database, run_id)
    clock.now += 1
    assert looked_up(database) == listed(database) == {run_id}
    assert swapped(database, run_id)
    database.close()


def test_a_pending_claim_is_never_stale(database: Database, clock: Clock) -> None:
    run_id = put(database, "pending")
    clock.now = BEGAN + 100 * ORPHAN_SECONDS
    assert looked_up(database) == listed(database) == set()
    assert not swapped(database, run_id)


def test_a_heartbeat_keeps_a_run_from_being_stale(database: Database, clock: Clock) -> None:
    run_id = put(database, "working")
    clock.now = BEGAN + LEASE_SECONDS
    beaten = write(database, lambda tx: tx.work.beat(living(WORKER), {run_id: 2}))
    assert beaten == {run_id}
    clock.now += LEASE_SECONDS
    assert not swapped(database, run_id)
    clock.now += 0.001
    assert swapped(database, run_id)


def test_a_heartbeat_of_an_earlier_epoch_renews_nothing(database: Database, clock: Clock) -> None:
    """The same process may have started the run anew while an old execution still beats."""
    run_id = put(database, "working")
    was = row_of(database, run_id)
    clock.now += 1
    assert write(database, lambda tx: tx.work.beat(living(WORKER), {run_id: 1})) == set()
    assert row_of(database, run_id) == was


# --- gates -------------------------------------------------------------------------------------


def test_a_button_drawn_at_one_gate_cannot_pass_the_next(database: Database) -> None:
    gates = (Step(name="one", gate="One?"), Step(name="two", gate="Two?"))
    write(
        database,
        lambda tx: tx.claims.insert(replace(new_run("gateruns", "g"), steps=gates), BEN, "w"),
    )
    drawn = write(database, lambda tx: tx.work.pause(get(database, "gateruns")))
    assert (drawn.step.name, drawn.epoch) == ("one", 1)
    passed = write(database, lambda tx: tx.claims.resume("gateruns", BEN, drawn.epoch, "w"))
    assert passed.step.name == "two"
    again = write(database, lambda tx: tx.work.pause(passed))
    for verb in (Verb.RESUME, Verb.CANCEL):
        assert carry_out(database, verb, "gateruns", drawn.epoch) is None
    assert get(database, "gateruns") == again
    assert write(database, lambda tx: tx.claims.resume("gateruns", BEN, again.epoch, None))


# --- worktrees and claim numbers -----------------------------------------------------------------


@pytest.mark.parametrize(
    "state", ["pending", "claimed", "working", "silent", *sorted(HELD_CANCELLED)]
)
def test_a_held_worktree_is_not_claimed_again(database: Database, state: str) -> None:
    holder = put(database, state, path="/worktrees/shared")
    waits = put(database, "failed", path="/worktrees/shared")
    was = row_of(database, waits)
    with pytest.raises(WorktreeHeldError):
        write(database, lambda tx: tx.claims.resume(waits, BEN, None, None))
    with pytest.raises(WorktreeHeldError):
        write(database, lambda tx: tx.claims.insert(new_run("another1", "shared"), BEN, None))
    assert row_of(database, waits) == was
    assert looked_up(database) >= {waits}
    worktree = Worktree(HOST, "/worktrees/shared")
    found = database.read(lambda tx: tx.runs.holder_of(worktree))
    assert found is not None
    assert found.id == holder


def test_the_index_itself_forbids_two_holders(database: Database) -> None:
    first = put(database, "working")
    row = {**row_of(database, first), "id": "another1"}
    with database.connect() as connection, pytest.raises(IntegrityError, match="held_path"):
        connection.execute(insert(runs), row)


def test_the_same_path_on_another_host_is_another_worktree(database: Database) -> None:
    put(database, "working", path="/worktrees/shared")
    put(database, "working", path="/worktrees/shared", host="there")


@pytest.mark.parametrize("state", ["cancelled", "completed", "paused", "failed"])
def test_a_run_that_holds_nothing_stands_in_nobodys_way(database: Database, state: str) -> None:
    put(database, state, path="/worktrees/shared")
    waits = put(database, "failed", path="/worktrees/shared")
    assert swapped(database, waits)


def _fail(tx: Transaction, run: Run) -> Run | None:
    return tx.work.fail(run, "no", 1)


def test_claim_numbers_rise_across_runs(database: Database) -> None:
    write(database, lambda tx: tx.claims.insert(new_run("first111", "a"), BEN, None))
    write(database, lambda tx: tx.claims.insert(new_run("second11", "b"), BEN, "w"))
    second = get(database, "second11")
    write(database, lambda tx: tx.work.fail(second, "no", 1))
    claims = [get(database, run_id).claim for run_id in ("first111", "second11")]
    for _ in range(3):
        run = write(database, lambda tx: tx.claims.resume("second11", BEN, None, "w"))
        write(database, partial(_fail, run=run))
        claims.append(run.claim)
    assert claims == sorted(set(claims))


# --- look-ups ------------------------------------------------------------------------------------


def test_a_prefix_of_four_finds_and_an_exact_id_beats_it(database: Database) -> None:
    for run_id in ("abcdefgh", "abcdxyzw", "abcd"):
        put(database, "failed", id=run_id)

    def found(reference: str) -> set[str]:
        return {run.id for run in database.read(lambda tx: tx.runs.find(reference, None))}

    assert found("abcde") == {"abcdefgh"}
    assert found("abcdx") == {"abcdxyzw"}
    assert found("abcd") == {"abcd"}
    assert found("abc") == found("abcdefghi") == set()


ODD = [
    "\U0010ffff" * 4,
    "abc\U0010ffff",
    "abc\ud7ff",
    "abc\udcff",
    "ab\0cd",
    "%%%%",
    "____",
    "'--'",
]


@pytest.mark.parametrize("reference", ODD, ids=ascii)
def test_a_reference_may_be_any_text(database: Database, reference: str) -> None:
    put(database, "failed")
    assert list(database.read(lambda tx: tx.runs.find(reference, None))) == []
    assert list(database.read(lambda tx: tx.runs.find(reference, ("slack:T1:", "slack:T1;")))) == []


def test_a_thread_sees_its_own_and_a_channel_its_threads_too(database: Database) -> None:
    channel, thread = "slack:T1:C1", "slack:T1:C1:171.2"
    plain = put(database, "failed")
    inside = put(database, "failed", conversation=thread)
    put(database, "failed", conversation="slack:T1:C2", channel="slack:T1:C2")

    def seen(key: str) -> set[str]:
        found = database.read(
            lambda tx: tx.runs.of_conversation(Conversation(key), [RunStatus.FAILED])
        )
        return {run.id for run in found}

    assert seen(channel) == {plain, inside}
    assert seen(thread) == {inside}


# --- the schema ----------------------------------------------------------------------------------


def test_the_newest_migration_is_the_current_one() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).with_name("migrations")))
    assert ScriptDirectory.from_config(config).get_heads() == [schema.CURRENT]


def test_the_migrations_make_the_tables(database: Database) -> None:
    assert database.version() == schema.CURRENT
    with database.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": _is_ours})
        assert compare_metadata(context, metadata) == []


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """slack_sdk's tables are compared with its own description; the engine makes its own."""
    return kind != "table" or not (name or "").startswith(("slack_", "procrastinate_"))


@pytest.mark.usefixtures("file")
def test_the_migrations_make_the_same_sql(database: Database, tmp_path: Path) -> None:
    """Autogenerate does not see conditions of indexes, so the stored SQL is compared as well."""
    made = SqliteDatabase(tmp_path / "made.db", TERMS)
    with made.connect() as connection, connection.begin():
        metadata.create_all(connection)
    assert _schema(made) == _schema(database)
    made.close()


def test_both_kinds_have_the_same_conditions_of_indexes(postgres: Postgres) -> None:
    database = open_database(postgres.up_to_date(), TERMS)
    with database.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
        )
        partial = {row.indexname for row in rows if " WHERE " in row.indexdef}
    expected = {
        index.name
        for table in metadata.tables.values()
        for index in table.indexes
        if index.dialect_options["postgresql"]["where"] is not None
    }
    assert {name for name in partial if "procrastinate" not in name} == expected
    database.close()


def test_text_is_compared_by_its_code_points(postgres: Postgres) -> None:
    """Ids and conversations are looked up by their beginnings, whatever language is set there."""
    database = open_database(postgres.up_to_date(), TERMS)
    with database.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND collation_name IS DISTINCT FROM 'C'"
            " AND data_type IN ('text', 'character varying')"
        )
        found = {row.table_name for row in rows}
    assert found & set(metadata.tables) == set()
    database.close()


def _schema(database: Database) -> set[tuple[str, tuple[str, ...]]]:
    """What everything is made of; added columns stand last in a table, so the order is no part."""
    asked = (
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'alembic%'"
        " AND name NOT LIKE 'slack%'"
    )
    with database.connect() as connection:
        rows = connection.exec_driver_sql(asked)
        return {(row.name, tuple(sorted(_parts(row.sql)))) for row in rows}


def _parts(sql: str) -> list[str]:
    plain = " ".join(sql.split()).replace(" ,", ",").replace("( ", "(").replace(" )", ")")
    return [part.strip() for part in plain.replace("(", ",", 1).removesuffix(")").split(",")]
