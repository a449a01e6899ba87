"""A database of one's own for each test: a real file, with a clock that a test sets."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.database import Database
from store.schema import bring_up_to_date
from tests.store.factories import TERMS, Clock


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An up-to-date database without any run, to be copied."""
    file = tmp_path_factory.mktemp("empty") / "baton.db"
    database = Database(file, TERMS)
    bring_up_to_date(database)
    database.close()
    return file


@pytest.fixture
def file(empty_file: Path, tmp_path: Path) -> Path:
    """The file of this test's database."""
    return Path(shutil.copy(empty_file, tmp_path / "baton.db"))


@pytest.fixture
def clock() -> Clock:
    """The clock of this test's database."""
    return Clock()


@pytest.fixture
def database(file: Path, clock: Clock) -> Iterator[Database]:
    """This test's database."""
    database = Database(file, TERMS, clock)
    yield database
    database.close()
