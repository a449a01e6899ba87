"""A database of one's own for each test, of each kind, with a clock that a test sets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from store.database import Database, open_database, sqlite_file
from tests.store.factories import TERMS, Clock


@pytest.fixture
def clock() -> Clock:
    """The clock of this test's database."""
    return Clock()


@pytest.fixture
def database(url: str, clock: Clock) -> Iterator[Database]:
    """This test's database."""
    database = open_database(url, TERMS, clock)
    yield database
    database.close()


@pytest.fixture
def file(url: str) -> Path:
    """The file of this test's database; a test that wants it is about SQLite alone."""
    if not url.startswith("sqlite"):
        pytest.skip("there is no file")
    return sqlite_file(url)
