"""Processes for the races, started once, and a database for each race, of each kind."""

from collections.abc import Iterator

import pytest

from store.database import Database, open_database
from tests.races.crew import Crew
from tests.store.factories import TERMS


@pytest.fixture(scope="package")
def crew() -> Iterator[Crew]:
    """Eight processes; a race may use fewer."""
    with Crew(8) as crew:
        yield crew


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """This test's database, by the real clock."""
    database = open_database(url, TERMS)
    yield database
    database.close()
