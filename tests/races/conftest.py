"""Processes for the races, started once, and a file for each race."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.database import Database
from store.schema import bring_up_to_date
from tests.races.crew import Crew
from tests.store.factories import TERMS


@pytest.fixture(scope="package")
def crew() -> Iterator[Crew]:
    """Eight processes; a race may use fewer."""
    with Crew(8) as crew:
        yield crew


@pytest.fixture(scope="package")
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
def database(file: Path) -> Iterator[Database]:
    """This test's database, by the real clock."""
    database = Database(file, TERMS)
    yield database
    database.close()
