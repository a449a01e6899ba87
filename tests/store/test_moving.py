"""A SQLite file moves into an empty PostgreSQL database: everything, exactly, or nothing."""

import math
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from slack_sdk.oauth.installation_store import Installation
from slack_sdk.oauth.installation_store.sqlalchemy import AsyncSQLAlchemyInstallationStore
from sqlalchemy import insert

from bot.access import Role
from bot.conversation import Door
from bot.errors import ConfigurationError, SchemaError
from bot.hosts import Host
from bot.keys import Session, Token
from bot.outcome import Answer, AuditEvent, Word
from bot.ports import DatabaseUnavailableError, Transaction
from bot.records import Card
from bot.run import Change
from bot.watching import Wanted
from store import postgres_tables
from store.database import Database, open_database
from store.moving import (
    DiffersError,
    EncodingError,
    FilledError,
    ForeignError,
    Moved,
    UnfitError,
    move,
    still,
)
from store.schema import CURRENT
from store.sqlite import SqliteDatabase
from store.tables import cards, events, outputs, runs, steps, workers
from tests.pooler import pooler
from tests.postgres import Postgres
from tests.store.factories import (
    BEGAN,
    HOST,
    STATES,
    TERMS,
    Clock,
    new_run,
    put,
    write,
)
from tests.store.mover import POINTS

ODD = {
    "emoji": "🎉 déjà vu, e\u0301, 日本語, \U0010ffff",
    "quotes": 'it\'s "quoted"; DROP TABLE runs; --',
    "backslashes": "\\ \\N \\. \\n \\x41 \\",
    "NULL of COPY": "\\N",
    "end of COPY": "\\.",
    "lines": "one\r\ntwo\rthree\nfour\tfive",
    "steering": "\x01\x1b[31m\x7f\u202e\ufeff",
    "percent": "100%s %(name)s :name {} $1",
    "empty": "",
    "blanks": "  ",
    "long": "long " * 400_000,
}
ODD_FLOATS = (BEGAN + 0.1, 0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.0, math.inf)
STAYS_BEHIND = {"workers", "alembic_version", "sqlite_sequence"}


def silent(_table: str, _done: int, _total: int, *, compared: bool) -> None:
    """Nobody watches."""


@pytest.fixture
def source(tmp_path: Path, empty_file: Path, clock: Clock) -> Iterator[SqliteDatabase]:
    """What is to be moved; it has nothing in it yet."""
    database = SqliteDatabase(Path(shutil.copy(empty_file, tmp_path / "baton.db")), TERMS, clock)
    yield database
    database.close()


@pytest.fixture
def target(postgres: Postgres, clock: Clock) -> Iterator[Database]:
    """Where to; its tables are empty."""
    url = postgres.up_to_date()
    with closing(open_database(url, TERMS, clock)) as database:
        yield database
    postgres.drop(url)


@pytest.fixture
def blank(postgres_url: str, clock: Clock) -> Iterator[Database]:
    """The same; it has no tables yet."""
    with closing(open_database(postgres_url, TERMS, clock)) as database:
        yield database


def moved(source: SqliteDatabase, target: Database) -> Moved:
    with still(source) as held:
        return move(held, target, silent)


# --- what there is to move -------------------------------------------------------------------


def _put_runs(source: Database) -> list[str]:
    return [
        *(put(source, state, shown_version=1) for state in STATES),
        *(
            put(
                source,
                "failed",
                error=text or "x",
                notice=text,
                requested_name=text,
                branch=text[:100],
            )
            for text in ODD.values()
        ),
        *(put(source, "completed", changed_at=x, last_activity_at=x) for x in ODD_FLOATS),
        put(source, "completed", claim=2**40, shown_version=3, pushed="c0ffee"),
    ]


def _put_beside(tx: Transaction, ids: Sequence[str]) -> None:
    for number, (key, text) in enumerate(ODD.items()):
        tx.deliveries.receive(f"slack:{key}:{text[:100]}", {"text": text}, f"{HOST}:{number}:a")
        tx.deliveries.done(
            f"cli:{key}", text[:100], Answer(Word.SHOWN, text, {"reply": text, "n": number})
        )
        tx.audit.add(_event(tx, run=ids[number], detail=text, name=text))
    refusal = _event(tx, outcome="denied", run=None)
    for _ in range(3):
        tx.audit.refused(refusal)
    for number, name in enumerate(("ci", "old")):
        tx.keys.add_token(
            Token(name=name, role=Role.OPERATOR, created_at=tx.now, created_by="cli:ana"),
            f"{number:064}",
        )
    tx.keys.revoke("old")
    tx.keys.used(f"{0:064}")
    open_ = Session(name="ana", role=Role.ADMIN, expires_at=tx.now + 9, token=f"{0:064}")
    tx.keys.open_session(open_, "a" * 64)
    tx.keys.open_session(Session(name="ben", role=Role.VIEWER, expires_at=tx.now - 1), "b" * 64)
    tx.hosts.announce(Host(HOST, "place", "/worktrees", {"deploy": ODD["emoji"]}))


def _event(tx: Transaction, **more: Any) -> AuditEvent:
    words: dict[str, Any] = {"actor": "slack:U1", "verb": "resume", "outcome": "resumed", **more}
    return AuditEvent(at=tx.now, door=Door.SLACK_SLASH, **words)


def _put_rows(source: Database, ids: Sequence[str]) -> None:
    shown = [
        {"run_id": run, "channel": "slack:T1:C1", "message": str(number), "news": text,
         "mentioned": bool(number % 2)}
        for number, (run, text) in enumerate(zip(ids, ODD.values(), strict=False))
    ]  # fmt: skip
    attempts = [
        {"run_id": ids[0], "position": 0, "attempt": number, "name": "build", "epoch": 1,
         "started_at": BEGAN + number, "ended_at": ended, "exit_code": code}
        for number, (ended, code) in enumerate([(BEGAN + 1.1, -9), (None, None), (BEGAN, 255)])
    ]  # fmt: skip
    gone = {"name": "here:1:a", "host": HOST, "pid": 1, "lease_expires_at": BEGAN - 1}
    with source.connect() as connection, connection.begin():
        connection.execute(insert(cards), shown)
        connection.execute(insert(steps), attempts)
        connection.execute(insert(workers), gone)
        connection.execute(
            insert(outputs),
            {"run_id": ids[0], "start": 2**33, "content": bytes(range(256)), "at": BEGAN},
        )


def _add_event(tx: Transaction, verb: str) -> None:
    tx.audit.add(_event(tx, verb=verb))


async def _install_in_slack(database: Database, team: str) -> None:
    engine = database.open_engine()
    await AsyncSQLAlchemyInstallationStore("c1", engine).async_save(
        Installation(
            app_id="A1", user_id="U1", team_id=team, team_name="Zoë's \\ 'team'", bot_id="B1",
            bot_token="xoxb-1", bot_scopes=["chat:write"], bot_token_expires_at=int(BEGAN),
            is_enterprise_install=team == "T2", installed_at=BEGAN + 0.123456,
        )
    )  # fmt: skip
    await engine.dispose()


async def fill(source: Database) -> list[str]:
    """Every kind of row that there can be."""
    ids = _put_runs(source)
    write(source, lambda tx: _put_beside(tx, ids))
    _put_rows(source, ids)
    for team in ("T1", "T2"):
        await _install_in_slack(source, team)
    with closing(sqlite3.connect(source.url.removeprefix("sqlite:///"))) as raw, raw:
        raw.execute("INSERT INTO slack_oauth_states VALUES (7, 's', '2023-11-14 22:13:20.000001')")
    return ids


# --- what is there after the move ------------------------------------------------------------


async def told(database: Database) -> dict[str, Any]:
    """What Baton's own reads say of everything."""

    def look(tx: Transaction) -> dict[str, Any]:
        found = tx.runs.recent(None, None)
        return {
            "runs": found,
            "one by one": [tx.runs.get(run.id) for run in found],
            "by a prefix": tx.runs.find("r00000", None),
            "page": tx.watching.page(Wanted(), 10, None),
            "attempts": [tx.watching.attempts(run.id) for run in found],
            "events": [tx.audit.of(run.id) for run in found],
            "all events": tx.watching.events_since(0),
            "live": tx.watching.live(),
            "stale": tx.watching.stale_leases(),
            "counts": tx.watching.counts(),
            "due": tx.deliveries.due(),
            "done": [tx.deliveries.get(f"cli:{key}") for key in ODD],
            "cards": [(card.run.id, card.mentioned) for card in tx.cards.due("a", "z", "")],
            "messages": [tx.cards.message_of(run.id) for run in found],
            "survey": tx.work.survey("here:1:a", HOST, 100),
            "tokens": tx.keys.tokens(),
            "sessions": [tx.keys.session(digest * 64) for digest in "ab"],
        }

    engine = database.open_engine()
    store = AsyncSQLAlchemyInstallationStore("c1", engine)
    kept = [
        await store.async_find_installation(enterprise_id=None, team_id=team, user_id="U1")
        for team in ("T1", "T2")
    ]
    await engine.dispose()
    installations = [one.__dict__ | {"custom_values": {}} for one in kept if one]
    return database.read(look) | {"installations": installations}


def tables_of(file: Path) -> dict[str, list[str]]:
    """Every table that is to be moved, with its columns."""
    with closing(sqlite3.connect(file)) as raw:
        names = raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            name: [row[1] for row in raw.execute(f"PRAGMA table_info({name})")]
            for (name,) in names
            if name not in STAYS_BEHIND
        }


def rows_in_file(file: Path, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """What SQLite holds, as it is."""
    expired = f" WHERE expires_at > {BEGAN}" if table == "sessions" else ""
    with closing(sqlite3.connect(file)) as raw:
        words = f"SELECT {', '.join(columns)} FROM {table}{expired}"  # noqa: S608 - all ours
        return sorted(raw.execute(words).fetchall(), key=repr)


def rows_on_server(url: str, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """What PostgreSQL holds, in SQLite's words."""
    names = SQL(", ").join(map(Identifier, columns))
    with psycopg.connect(url) as connection:
        words = SQL("SELECT {} FROM {}").format(names, Identifier(table))
        return sorted((tuple(map(_plain, row)) for row in connection.execute(words)), key=repr)


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return value.isoformat(" ", "microseconds") if isinstance(value, datetime) else value


def filled(url: str) -> list[str]:
    """The tables that have a row."""
    with psycopg.connect(url) as connection:
        names = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            " AND tablename <> 'alembic_version'"
        ).fetchall()
        return [
            name
            for (name,) in names
            if connection.execute(SQL("SELECT 1 FROM {} LIMIT 1").format(Identifier(name))).rowcount
        ]


def alter(url: str, words: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(words.encode())


# --- everything arrives ----------------------------------------------------------------------


async def test_baton_reads_the_same_after_the_move(
    source: SqliteDatabase, target: Database
) -> None:
    await fill(source)
    before = await told(source)
    moved(source, target)
    after = await told(target)
    for what, value in before.items():
        assert after[what] == value, what
    assert len(before["runs"]) > len(STATES) + len(ODD)
    assert all(before[what] for what in ("attempts", "due", "cards", "installations"))
    assert before["sessions"][0] is not None


async def test_every_value_of_every_table_arrives_as_it_was(
    source: SqliteDatabase, blank: Database
) -> None:
    await fill(source)
    done = moved(source, blank)
    tables = tables_of(source.file)
    assert set(done.counts) == set(tables)
    for table, columns in tables.items():
        sent = rows_in_file(source.file, table, columns)
        assert rows_on_server(blank.url, table, columns) == sent, table
        assert done.counts[table] == len(sent) > 0, table
    assert done.mended == {}
    assert rows_on_server(blank.url, "workers", ["name"]) == []
    assert blank.version() == CURRENT


async def test_the_file_is_left_as_it_was(source: SqliteDatabase, target: Database) -> None:
    await fill(source)

    def dump() -> list[str]:
        with closing(sqlite3.connect(source.file)) as raw:
            return list(raw.iterdump())

    before = dump()
    moved(source, target)
    assert dump() == before


async def test_numbers_go_on_above_those_that_were_moved(
    source: SqliteDatabase, target: Database
) -> None:
    await fill(source)
    last = source.read(lambda tx: tx.watching.last_event())
    moved(source, target)

    def start(tx: Transaction) -> int:
        by = Change("cli:ana", Door.CLI, tx.now)
        tx.audit.add(_event(tx, run="newnewne"))
        return tx.claims.insert(new_run("newnewne", "new"), by, None).claim

    assert write(target, start) == 2**40 + 1
    assert target.read(lambda tx: tx.watching.last_event()) == last + 1
    await _install_in_slack(target, "T3")
    for table, highest in {"slack_bots": 3, "slack_installations": 3}.items():
        assert max(rows_on_server(target.url, table, ["id"])) == (highest,)
    alter(target.url, "INSERT INTO slack_oauth_states (state, expire_at) VALUES ('t', now())")
    assert max(rows_on_server(target.url, "slack_oauth_states", ["id"])) == (8,)


async def test_it_moves_whatever_the_database_s_own_settings_are(
    source: SqliteDatabase, target: Database
) -> None:
    await fill(source)
    name = target.url.split("@/")[1].split("?")[0]
    for setting in (
        *("extra_float_digits = 0", "datestyle = 'German'", "client_encoding = 'LATIN1'"),
        *("timezone = 'Asia/Kolkata'", "bytea_output = 'escape'"),
        *("default_transaction_isolation = 'serializable'", "lc_messages = 'C'"),
    ):
        alter(target.url, f"ALTER DATABASE {name} SET {setting}")
    moved(source, target)
    alter(target.url, f"ALTER DATABASE {name} RESET ALL")
    for table, columns in tables_of(source.file).items():
        sent = rows_in_file(source.file, table, columns)
        assert rows_on_server(target.url, table, columns) == sent, table


async def test_it_moves_through_a_pooler(source: SqliteDatabase, blank: Database) -> None:
    await fill(source)
    with pooler(blank.url) as url, closing(open_database(url, TERMS)) as pooled:
        done = moved(source, pooled)
    for table, columns in tables_of(source.file).items():
        assert len(rows_on_server(blank.url, table, columns)) == done.counts[table], table


def test_an_empty_installation_moves_too(source: SqliteDatabase, target: Database) -> None:
    done = moved(source, target)
    assert set(done.counts.values()) == {0}
    by = Change("cli:ana", Door.CLI, BEGAN)
    run = write(target, lambda tx: tx.claims.insert(new_run("newnewne", "new"), by, None))
    assert run.claim == 1


def test_a_nul_is_replaced_and_told(source: SqliteDatabase, target: Database) -> None:
    odd = [put(source, "failed", error="a\x00b\x00", notice="\x00") for _ in range(2)]
    put(source, "failed")
    done = moved(source, target)
    assert {table: sorted(keys) for table, keys in done.mended.items()} == {"runs": odd}
    for run_id in odd:
        run = target.read(lambda tx, run_id=run_id: tx.runs.get(run_id))  # type: ignore[misc]
        assert run is not None
        assert (run.error, run.notice) == ("a\ufffdb\ufffd", "\ufffd")


def test_cards_are_kept_on_where_they_are(source: SqliteDatabase, target: Database) -> None:
    run_id = put(source, "failed", shown_version=1)
    with source.connect() as connection, connection.begin():
        connection.execute(insert(cards), {"run_id": run_id, "channel": "slack:T1:C1"})
    moved(source, target)
    due = target.read(lambda tx: tx.cards.due("slack:T1:C1", "slack:T1:C1", ""))
    assert [type(card) for card in due] == [Card]
    assert due[0].run.id == run_id


# --- nobody else meanwhile -------------------------------------------------------------------


def test_living_processes_are_named(source: SqliteDatabase, clock: Clock) -> None:
    rows = [
        {"name": f"h{pid}", "host": f"host-{pid}", "pid": pid, "lease_expires_at": BEGAN + pid}
        for pid in (-1, 1, 2)
    ]
    with source.connect() as connection, connection.begin():
        connection.execute(insert(workers), rows)
    with still(source) as held:
        assert held.living() == {("host-1", 1), ("host-2", 2)}
    clock.now += 10
    with still(source) as held:
        assert held.living() == set()


def test_nobody_changes_either_side_meanwhile(source: SqliteDatabase, target: Database) -> None:
    put(source, "failed")
    refused = []

    def try_to_write(_table: str, _done: int, _total: int, *, compared: bool) -> None:
        with (
            closing(sqlite3.connect(source.file, timeout=0, isolation_level=None)) as raw,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            raw.execute("BEGIN IMMEDIATE")
        with psycopg.connect(target.url, autocommit=True) as other:
            other.execute("SET lock_timeout = '1ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute("DELETE FROM runs")
        refused.append(compared)

    with still(source) as held:
        move(held, target, try_to_write)
    assert {True, False} == set(refused)


def test_of_two_moves_into_one_database_one_is_refused(
    source: SqliteDatabase, target: Database, tmp_path: Path
) -> None:
    put(source, "failed")
    with (
        closing(sqlite3.connect(source.file)) as raw,
        closing(sqlite3.connect(tmp_path / "b")) as b,
    ):
        raw.backup(b)
    other = SqliteDatabase(tmp_path / "b", TERMS)
    came: list[object] = []

    def try_too() -> None:
        with closing(open_database(target.url, TERMS)) as again:
            try:
                came.append(moved(other, again))
            except (FilledError, DatabaseUnavailableError) as error:
                came.append(str(error))

    rival = threading.Thread(target=try_too)

    def begin(_table: str, _done: int, _total: int, *, compared: bool) -> None:
        if not rival.ident:
            rival.start()

    with still(source) as held:
        move(held, target, begin)
    rival.join()
    other.close()
    assert came in (["runs"], ["other processes kept it locked"])
    assert len(rows_on_server(target.url, "runs", ["id"])) == 1


# --- what is refused, and then nothing was moved ---------------------------------------------


FILLINGS = {
    "runs": "INSERT INTO runs SELECT 'r', '', '', '', '', 1, 1, NULL, NULL, NULL, NULL, '', '',"
    " NULL, NULL, '', '', '', '', '', 0, 0, NULL, NULL, '', '', 1, '', '', 1, 1",
    "hosts": "INSERT INTO hosts VALUES ('h', '', '', '{}')",
    "workers": "INSERT INTO workers VALUES ('h', '', 1, 1, 1)",
    "slack_oauth_states": "INSERT INTO slack_oauth_states VALUES (1, 's', now())",
    "procrastinate_jobs": "INSERT INTO procrastinate_jobs (task_name, queue_name)"
    " VALUES ('t', 'q')",
}


@pytest.mark.parametrize("table", FILLINGS)
def test_a_database_that_is_not_empty_is_refused(
    source: SqliteDatabase, target: Database, table: str
) -> None:
    put(source, "failed")
    alter(target.url, FILLINGS[table])
    with pytest.raises(FilledError, match=f"^{table}$"):
        moved(source, target)
    assert filled(target.url)[:1] == [table]


def test_a_second_move_is_refused(source: SqliteDatabase, target: Database) -> None:
    put(source, "failed")
    moved(source, target)
    put(source, "failed")
    with pytest.raises(FilledError, match="runs"):
        moved(source, target)
    assert len(rows_on_server(target.url, "runs", ["id"])) == 1


def test_an_older_baton_s_rows_are_refused_before_its_tables_are_changed(
    source: SqliteDatabase, target: Database
) -> None:
    alter(target.url, FILLINGS["hosts"])
    alter(target.url, "UPDATE alembic_version SET version_num = '0004'")
    with pytest.raises(FilledError, match="hosts"):
        moved(source, target)
    assert target.version() == "0004"


def test_a_newer_baton_s_tables_are_left_alone(source: SqliteDatabase, target: Database) -> None:
    alter(target.url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaError):
        moved(source, target)
    assert target.version() == "9999"


@pytest.mark.parametrize("table", ["runs", "procrastinate_jobs"])
def test_another_program_s_tables_are_left_alone(
    source: SqliteDatabase, blank: Database, table: str
) -> None:
    alter(blank.url, f"CREATE TABLE {table} (id integer)")
    with pytest.raises(ForeignError, match=table):
        moved(source, blank)
    assert blank.version() is None


def test_a_database_that_cannot_hold_every_character_is_refused(
    source: SqliteDatabase, postgres: Postgres
) -> None:
    url = postgres.url("latin")
    postgres._sql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with closing(open_database(url, TERMS)) as latin, pytest.raises(EncodingError, match="LATIN1"):
        moved(source, latin)
    postgres.drop(url)


def test_an_old_server_is_refused(
    source: SqliteDatabase, blank: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_tables, "_OLDEST", 990000)
    with pytest.raises(ConfigurationError, match="PostgreSQL 99 or later"):
        moved(source, blank)
    assert blank.version() is None


@pytest.mark.parametrize("fixture", ["blank", "target"])
def test_a_read_only_database_is_refused(
    source: SqliteDatabase, request: pytest.FixtureRequest, fixture: str
) -> None:
    put(source, "failed")
    target: Database = request.getfixturevalue(fixture)
    name = target.url.split("@/")[1].split("?")[0]
    alter(target.url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(DatabaseUnavailableError, match="it may not be written to"):
        moved(source, target)
    assert filled(target.url) == []


def test_a_text_too_long_for_an_index_is_named(source: SqliteDatabase, target: Database) -> None:
    long = "".join(str(n * n) for n in range(9999))
    run_id = put(source, "failed", branch=long)
    with pytest.raises(UnfitError, match=f"'runs', '{run_id}'"):
        moved(source, target)
    assert filled(target.url) == []


def test_a_row_that_postgresql_does_not_take_is_named(
    source: SqliteDatabase, target: Database
) -> None:
    with closing(sqlite3.connect(source.file)) as raw, raw:
        raw.execute("INSERT INTO tokens VALUES ('a', 'b', 'operator', 1, 'c', NULL, NULL)")
        raw.execute("INSERT INTO tokens VALUES ('d', 'e', 'a far too long role', 1, 'c', 1, 1)")
    with pytest.raises(UnfitError) as refused:
        moved(source, target)
    assert refused.value.args == ("tokens", "d", "value too long for type character varying(16)")
    assert filled(target.url) == []


MEDDLERS = {
    "a value": "NEW.actor := 'somebody'; RETURN NEW;",
    "a bit of a number": "NEW.at := NEW.at + 0.0000003; RETURN NEW;",
    "a row": "IF NEW.id = 2 THEN RETURN NULL; END IF; RETURN NEW;",
}


@pytest.mark.parametrize("what", MEDDLERS)
def test_what_arrives_changed_is_not_kept(
    source: SqliteDatabase, target: Database, what: str
) -> None:
    put(source, "failed")
    for verb in ("run", "resume", "cancel"):
        write(source, partial(_add_event, verb=verb))
    alter(
        target.url,
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql"
        f" AS $$BEGIN {MEDDLERS[what]} END$$",
    )
    alter(
        target.url,
        "CREATE TRIGGER meddles BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION meddle()",
    )
    with pytest.raises(DiffersError, match="events"):
        moved(source, target)
    assert filled(target.url) == []
    alter(target.url, "DROP TRIGGER meddles ON events")
    moved(source, target)


def test_a_commit_without_an_answer_is_told_as_such(
    source: SqliteDatabase, target: Database
) -> None:
    put(source, "failed")
    alter(
        target.url,
        "CREATE FUNCTION vanish() RETURNS trigger LANGUAGE plpgsql"
        " AS $$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END$$",
    )
    alter(
        target.url,
        "CREATE CONSTRAINT TRIGGER vanishes AFTER INSERT ON runs DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION vanish()",
    )
    with pytest.raises(DatabaseUnavailableError) as lost:
        moved(source, target)
    assert not lost.value.certain
    alter(target.url, "DROP TRIGGER vanishes ON runs")
    assert moved(source, target).counts["runs"] == 1


# --- crashes ---------------------------------------------------------------------------------


def many_runs(source: SqliteDatabase, count: int) -> None:
    """So many runs, each with two steps, three events and a card."""
    put(source, "completed")
    with source.connect() as connection, connection.begin():
        row = connection.execute(runs.select()).mappings().one()
        numbers = range(2, count + 1)
        connection.execute(
            insert(runs), [{**row, "id": f"m{n:07d}", "claim": row["claim"] + n} for n in numbers]
        )
        for n in range(2):
            connection.execute(
                insert(steps),
                [{"run_id": f"m{i:07d}", "position": n, "attempt": 1, "name": "build", "epoch": 1,
                  "started_at": BEGAN + i / 7, "ended_at": BEGAN + i, "exit_code": 0}
                 for i in numbers],
            )  # fmt: skip
        for verb in ("run", "resume", "cancel"):
            connection.execute(
                insert(events),
                [{"at": BEGAN + i / 3, "actor": "slack:U1", "door": "slack-slash", "verb": verb,
                  "outcome": "shown", "run_id": f"m{i:07d}"} for i in numbers],
            )  # fmt: skip
        connection.execute(
            insert(cards),
            [{"run_id": f"m{i:07d}", "channel": "c", "message": str(i)} for i in numbers],
        )


@pytest.mark.parametrize("point", [*POINTS, "after the commit"])
def test_a_kill_leaves_nothing_and_the_move_is_made_again(
    source: SqliteDatabase, target: Database, point: str
) -> None:
    many_runs(source, 1100)
    words = [sys.executable, "-m", "tests.store.mover", str(source.file), target.url, point]
    killed = subprocess.run(words, check=False, capture_output=True, text=True, timeout=50)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    if point == "after the commit":
        with pytest.raises(FilledError):
            moved(source, target)
    else:
        assert filled(target.url) == []
        moved(source, target)
    for table, columns in tables_of(source.file).items():
        sent = rows_in_file(source.file, table, columns)
        assert rows_on_server(target.url, table, columns) == sent, table


def test_a_server_that_dies_in_the_middle_leaves_nothing(
    source: SqliteDatabase, target: Database
) -> None:
    many_runs(source, 1100)

    def end_connections(_table: str, _done: int, _total: int, *, compared: bool) -> None:
        alter(
            target.url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )

    with still(source) as held, pytest.raises(DatabaseUnavailableError) as gone:
        move(held, target, end_connections)
    assert gone.value.certain
    assert filled(target.url) == []
    moved(source, target)


# --- how fast --------------------------------------------------------------------------------


def test_thousands_of_runs_move_in_seconds(
    source: SqliteDatabase, target: Database, record_property: Callable[[str, object], None]
) -> None:
    many_runs(source, 5_000)
    told: list[tuple[str, int, int, bool]] = []

    def tell(table: str, done: int, total: int, *, compared: bool) -> None:
        told.append((table, done, total, compared))

    began = perf_counter()
    with still(source) as held:
        done = move(held, target, tell)
    seconds = perf_counter() - began
    rows = sum(done.counts.values())
    record_property("rows a second", round(rows / seconds))
    assert done.counts["runs"] == 5_000
    assert seconds < 10, seconds
    assert [done for table, done, _, compared in told if table == "runs" and not compared] == [
        *range(0, 5_001, 1000)
    ]
