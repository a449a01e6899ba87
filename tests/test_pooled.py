"""Baton behind a pooler that hands out another connection for each transaction."""

import asyncio
from collections.abc import Iterator

import pytest

from bot.bootstrap import Installation, serving
from store.database import open_database
from tests.conftest import Person
from tests.pooler import pooler
from tests.postgres import Postgres
from tests.store.factories import TERMS


@pytest.fixture
def database_url(postgres: Postgres) -> Iterator[str]:
    """A database of this test, through a pooler."""
    url = postgres.empty()
    with pooler(url) as pooled:
        yield pooled
    postgres.drop(url)


async def test_a_life_through_a_pooler(installation: Installation) -> None:
    """The tables are made, a step fails and is done anew, a gate is passed, a run is cancelled."""
    assert installation.database.is_pooled()
    async with serving(installation) as service:
        ana = Person(service)
        flaky, gated, slow = [
            await ana.starts(f"/run {name}") for name in ("flaky", "gated", "slow")
        ]
        await ana.sees_status(flaky, "failed")
        assert (await ana.says(f"/resume {flaky}")).word == "resumed"
        await ana.sees_status(flaky, "completed")
        for _ in range(2):
            await ana.sees_status(gated, "paused")
            assert (await ana.says(f"/resume {gated}")).word == "resumed"
        await ana.sees_status(gated, "completed")
        await ana.sees(slow, lambda run: run.attempt == 1)
        assert (await ana.says(f"/cancel {slow}")).word == "cancelled"
        await ana.sees_status(slow, "cancelled")


async def test_many_callers_through_a_pooler_have_one_winner(installation: Installation) -> None:
    async with serving(installation) as service:
        ana = Person(service)
        run_id = await ana.starts("/run failing")
        await ana.sees_status(run_id, "failed")
    async with serving(installation, concurrency=0) as service:
        people = [Person(service, f"p{number}") for number in range(40)]
        answers = await asyncio.gather(*[one.says(f"/resume {run_id}") for one in people])
        words = sorted(answer.word for answer in answers)
        assert words == ["already_running"] * 39 + ["resumed"]


def test_a_database_without_a_pooler_is_known_as_such(url: str) -> None:
    database = open_database(url, TERMS)
    assert not database.is_pooled()
    database.close()
