"""A Baton with its web: one for all tests of a module, and fresh ones for those that break it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.conftest import git
from tests.web.house import Web, installation_for, opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def web(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Web]:
    """Shared by a module whose tests use names and runs of their own; its log ends clean."""
    place = tmp_path_factory.mktemp("web")
    repository = place / "repository"
    repository.mkdir()
    git(repository, "init", "-q", "-b", "main")
    git(repository, "commit", "-q", "--allow-empty", "-m", "begin")
    async with opened(installation_for(place, repository)) as web:
        yield web
        web.assert_clean_log()


@pytest.fixture
async def fresh(tmp_path: Path, repository: Path) -> AsyncIterator[Web]:
    """For one test alone; that test looks at the log itself."""
    async with opened(installation_for(tmp_path, repository)) as web:
        yield web


@pytest.fixture
async def working(tmp_path: Path, repository: Path) -> AsyncIterator[Web]:
    """The same with a worker; the others only answer."""
    async with opened(installation_for(tmp_path, repository), concurrency=1) as web:
        yield web
