"""A real Chromium that looks at a real Baton.

The browser is started once for all, and what belongs to it lives in the loop of the session; the
tests here say so by their mark.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.conftest import Person
from tests.web.browsing.stage import CHROMIUM, Visitor, empty_repository, person, visiting, watched
from tests.web.house import Web, opened

# Runs that a test leaves behind go on, and must not keep those of the next one waiting.
WORKERS = 24


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """The machine's own browser; none is ever downloaded."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium, chromium-browser or google-chrome on the PATH")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], headless=True
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def web(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> AsyncIterator[Web]:
    """One Baton for all; each test has people and runs of its own."""
    place = tmp_path_factory.mktemp("browsing")
    async with opened(watched(place, empty_repository(place)), concurrency=WORKERS) as web:
        yield web
        web.assert_clean_log()


@pytest.fixture
def ben(web: Web) -> Person:
    """Somebody who is busy with the same runs in a terminal."""
    return person(web)


@pytest_asyncio.fixture(loop_scope="session")
async def ana(web: Web, chromium: Browser) -> AsyncIterator[Visitor]:
    """Somebody who signed in as an operator."""
    async with visiting(chromium, web.base) as visitor:
        await visitor.takes_session(web, "operator")
        yield visitor


@pytest_asyncio.fixture(loop_scope="session")
async def stranger(web: Web, chromium: Browser) -> AsyncIterator[Visitor]:
    """Somebody who has not signed in."""
    async with visiting(chromium, web.base) as visitor:
        yield visitor


@pytest_asyncio.fixture(loop_scope="session")
async def plain(web: Web, chromium: Browser) -> AsyncIterator[Visitor]:
    """An operator whose browser runs no JavaScript."""
    async with visiting(chromium, web.base, scripted=False) as visitor:
        await visitor.takes_session(web, "operator")
        yield visitor
