"""A database that an older Baton made is brought up to date, and loses nothing."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from alembic.command import upgrade
from alembic.config import Config

from bot.run import RunStatus
from store import schema
from store.database import Database, sqlite_file
from store.schema import bring_up_to_date
from store.sqlite import SqliteDatabase
from tests.store.factories import TERMS, get

_RUN = {
    "id": "oldoldol", "workflow": "deploy", "channel": "terminal:ana", "epoch": 2, "claim": 1,
    "conversation": "terminal:ana", "status": "failed", "host": "here", "path": "/w/1",
    "repository": "/r", "base": "main", "branch": "b", "arguments": "{}", "steps_done": 0,
    "plan": json.dumps([["build", "make", None, None]]), "attempt": 1, "error": "exit code 1",
    "requested_by": "terminal:ana", "requested_door": "terminal", "created_at": 1.0,
    "changed_by": "terminal:ana", "changed_door": "terminal", "changed_at": 2.0, "version": 7,
}  # fmt: skip


def _first_version(database: Database) -> None:
    """Make the tables as the first Baton had them."""
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).with_name("migrations")))
    with database.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        upgrade(config, "0001")


def _fill(file: Path) -> None:
    columns, places = ", ".join(_RUN), ", ".join(f":{name}" for name in _RUN)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(f"INSERT INTO runs ({columns}) VALUES ({places})", _RUN)  # noqa: S608 - all ours
        connection.execute("INSERT INTO cards VALUES ('oldoldol', 'terminal:ana', NULL, 5)")
        connection.execute(
            "INSERT INTO deliveries VALUES ('cli:ana:1', 'f', 'done', 1.0, NULL, '{}')"
        )


def test_runs_cards_and_deliveries_of_the_first_version_live_on(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "baton.db", TERMS)
    _first_version(database)
    _fill(sqlite_file(database.url))
    bring_up_to_date(database)
    assert database.version() == schema.CURRENT
    run = get(database, "oldoldol")
    assert (run.status, run.requested.name) == (RunStatus.FAILED, None)
    due = database.read(lambda tx: list(tx.cards.due("terminal:ana", "terminal:ana", "")))
    assert [card.run for card in due] == [run]
    assert database.read(lambda tx: tx.deliveries.get("cli:ana:1")) is not None
    assert database.read(lambda tx: list(tx.deliveries.due())) == []
    database.close()
