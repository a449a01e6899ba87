"""An engine on a database of its own; nothing but Baton's own log may say anything."""

import gc
import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from adapters.engine.engine import Engine
from tests.engine.house import Crew, made


@pytest.fixture
def queues(postgres_url: str) -> str:
    """The address of a database with queues and nothing in them."""
    return made(postgres_url)


@pytest.fixture
async def engine(queues: str) -> AsyncIterator[Engine]:
    """A running engine."""
    engine = Engine(queues)
    async with engine.running():
        yield engine


@pytest.fixture
def crew() -> Crew:
    """Somebody who takes up wakes."""
    return Crew()


class _Events(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.names.append(record.getMessage())


@pytest.fixture
def events() -> Iterator[list[str]]:
    """The names of the events in Baton's log."""
    logger, handler = logging.getLogger("baton"), _Events()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler.names
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture(autouse=True)
def _silent(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    gc.collect()  # asyncio tells of an exception that nobody asked for when its task goes
    heard = [
        (record.name, record.getMessage())
        for when in ("setup", "call", "teardown")
        for record in caplog.get_records(when)
        if record.name != "baton" and record.levelno >= logging.INFO
    ]
    assert not heard
