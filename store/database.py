"""What every kind of database does for the store, and which kind a URL means."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sqlalchemy import Connection

from bot.errors import ConfigurationError
from bot.ports import Store, Transaction, Waker, Watch
from store.transaction import Terms

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")

Change = Callable[[Transaction], Any]
"""What is to be done in a transaction."""

_SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql://", "postgres://")
_EXPECTED = (
    "database.url: expected something like sqlite:///.baton/baton.db or"
    " postgresql://baton@db.example.com/baton"
)


class LoopStore(Store, Protocol):
    """A store that serves one event loop: `start` before use, `close` after it."""

    def start(self) -> None:
        """Call it in the event loop that will wait for it."""

    async def close(self) -> None:
        """Carry out what was asked for, then close every connection."""


class Database(Protocol):
    """Transactions, carried out in the calling thread."""

    kind: str
    url: str
    terms: Terms

    def connect(self) -> AbstractContextManager[Connection]:
        """A connection; the caller begins and ends its transactions."""

    def write(self, changes: Sequence[Change]) -> list[Any]:
        """Carry out changes durably; returns each one's result or exception."""

    def read(self, look: Callable[[Transaction], T]) -> T:
        """Run `look` on one snapshot, without waiting for writers."""

    def bring_to(self, version: str) -> None:
        """See store.schema.bring_up_to_date."""

    def version(self) -> str | None:
        """The migration that the tables are at; None where there are none yet.

        Raises DatabaseUnavailableError.
        """

    def open_engine(self) -> "AsyncEngine":
        """An engine for what has its own way with the database; the caller disposes of it."""

    def is_pooled(self) -> bool:
        """Whether a pooler is between; then nothing can be kept on a connection, nor listened to.

        Raises DatabaseUnavailableError.
        """

    def open_store(self) -> LoopStore:
        """A store for one event loop, which this database belongs to from then on."""

    def watch(self) -> Watch:
        """A new watch; it tells of everything that is committed from now on."""

    def close(self) -> None:
        """Close every connection."""


def is_shared(url: str) -> bool:
    """Whether processes of other hosts may use this database, too."""
    return url.startswith(_POSTGRESQL)


def sqlite_file(url: str) -> Path:
    """The file that a database URL names. Raises ConfigurationError for any other URL."""
    path = url.removeprefix(_SQLITE)
    if path in {url, ""}:
        raise ConfigurationError(_EXPECTED)
    return Path(path)


def open_database(
    url: str,
    terms: Terms,
    clock: Callable[[], float] | None = None,
    waker: Waker | None = None,
) -> Database:
    """The database that a URL names; nothing is connected yet.

    `clock` stands in for the database's own. `waker` hears of every claim before it is
    committed, where there are other hosts to be woken. Raises ConfigurationError.
    """
    if is_shared(url):
        # Imported here because its driver is an extra that only this kind needs.
        from store.postgres import PostgresDatabase  # noqa: PLC0415 - see above

        return PostgresDatabase(url, terms, clock, waker)
    from store.sqlite import SqliteDatabase  # noqa: PLC0415 - so that neither costs the other

    return SqliteDatabase(sqlite_file(url), terms, clock)
