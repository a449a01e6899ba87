"""A database with runs in it, and messages about them."""

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from adapters.worktrees import Worktrees
from bot.access import EVERYONE, Policy, Role
from bot.commands import USAGES, House
from bot.conduct import Conductor
from bot.conversation import Author, Conversation, Door, Message
from store.database import Database, sqlite_file
from store.schema import bring_up_to_date
from store.sqlite import SqliteDatabase
from store.transaction import Terms

HOST = "bench"
TERMS = Terms(lease_seconds=60.0, presence_seconds=30.0, orphan_seconds=3 * 86400.0)
COLUMNS = (
    *("id", "workflow", "conversation", "channel", "status", "epoch", "claim", "worker"),
    *("lease_expires_at", "last_activity_at", "host", "path", "held_host", "held_path"),
    *("repository", "base", "branch", "arguments", "plan", "steps_done", "attempt"),
    *("requested_by", "requested_door", "created_at", "changed_by", "changed_door", "changed_at"),
    "version",
)
_PLACES = ", ".join("?" * len(COLUMNS))
_INSERT = f"INSERT INTO runs ({', '.join(COLUMNS)}) VALUES ({_PLACES})"  # noqa: S608 - all ours
_PLAN = '[["build", "make build", null, null], ["test", "make test", null, 600.0]]'
FAILED_AGAIN = (
    "UPDATE runs SET status = 'failed', worker = NULL, lease_expires_at = NULL,"
    " held_host = NULL, held_path = NULL"
)

Row = tuple[str | int | float | None, ...]


def database_in(folder: Path) -> Database:
    """A new database with the tables that every Baton has."""
    database = SqliteDatabase(folder / "baton.db", TERMS)
    bring_up_to_date(database)
    return database


def conductor_in(folder: Path, *, shared: bool = False) -> Conductor:
    """The rules of a house where everybody may do everything."""
    places = Worktrees(folder / "worktrees", HOST)
    house = House(HOST, shared, {}, places, folder.joinpath, USAGES)
    return Conductor(house, Policy({EVERYONE: Role.ADMIN}, Role.NONE))


def run_name(number: int) -> str:
    """The id of the run with this number."""
    return f"{number:08x}"


def run_row(number: int | str, conversation: str, status: str = "failed") -> Row:
    """A run that is in nobody's hands; one that runs has a worker with a fresh lease."""
    name = number if isinstance(number, str) else run_name(number)
    at = time.time() - 86400 + (0 if isinstance(number, str) else number / 1000)
    leased, path = status == "running", f"/worktrees/{name}"
    return (
        *(name, "release", conversation, Conversation(conversation).channel, status, 1),
        *(0 if isinstance(number, str) else number, "bench:1" if leased else None),
        *(time.time() + 86400 if leased else None, at, HOST, path),
        *((HOST, path) if leased else (None, None)),
        *("/repository", "main", f"baton/{name}", "{}", _PLAN, 1, 1),
        *("api:bench", "api", at, "worker:bench:1", "worker", at, 1),
    )


@contextmanager
def by_hand(database: Database) -> Iterator[sqlite3.Connection]:
    """A connection for what is not timed, and so need not be durable; commits at the end."""
    with closing(sqlite3.connect(sqlite_file(database.url))) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-262144")
        with connection:
            yield connection
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def fill(database: Database, rows: Iterable[Row]) -> None:
    """Put these runs in."""
    with by_hand(database) as connection:
        connection.executemany(_INSERT, rows)


def fail_again(connection: sqlite3.Connection, *names: str) -> None:
    """Undo what a command did to these runs."""
    connection.executemany(f"{FAILED_AGAIN} WHERE id = ?", [(name,) for name in names])


def restore(database: Database) -> None:
    """Let every run have failed, and forget what was said about them."""
    with by_hand(database) as connection:
        connection.execute(f"{FAILED_AGAIN} WHERE status <> 'failed'")
        connection.execute("DELETE FROM events")
        connection.execute("DELETE FROM deliveries")


def message(text: str, conversation: str, delivery: str | None = None) -> Message:
    """This text, said through the API."""
    return Message(
        text=text,
        conversation=Conversation(conversation),
        author=Author("api:bench"),
        door=Door.API,
        delivery=delivery,
    )
