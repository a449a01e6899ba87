"""A house for each test, on a PostgreSQL database of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crashes.house import House
from tests.crashes.team import Notes, a_team

MakeHouse = Callable[[str], House]


@pytest.fixture
def make_house(tmp_path: Path, repository: Path) -> Iterator[MakeHouse]:
    """Makes the house of a database; whoever is taken on in it is killed at the end of the test."""
    with a_team() as team:
        yield lambda url: House(url, team, Notes(tmp_path / "told"), tmp_path, repository)


@pytest.fixture
def house(make_house: MakeHouse, postgres_url: str) -> House:
    """A house whose database the first process brings up to date."""
    return make_house(postgres_url)
