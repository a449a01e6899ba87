"""A Baton installation of one's own for each test: a real file, a real repository."""

import asyncio
import functools
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from bot.bootstrap import Installation, Service, installed, serving
from bot.config import Settings
from bot.conversation import Author, Conversation, Door, Message
from bot.outcome import Answer
from bot.run import Run
from store.database import open_database, sqlite_file
from store.schema import bring_up_to_date
from tests.postgres import Postgres, server
from tests.store.factories import TERMS

FAST = {"heartbeat_seconds": 0.5, "lease_seconds": 3, "grace_seconds": 1, "host": "here"}
DEADLINE_SECONDS = 30


def git(repository: Path, *words: str) -> str:
    """What git says."""
    done = subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@t", *words],
        cwd=repository,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit on main."""
    path = tmp_path / "repository"
    path.mkdir()
    git(path, "init", "-q", "-b", "main")
    (path / "a").write_text("a\n")
    git(path, "add", "a")
    git(path, "commit", "-q", "-m", "begin")
    return path


_TOLD = "$BATON_RUN_ID $BATON_EPOCH $BATON_STEP $BATON_ATTEMPT"
WORKFLOWS: dict[str, list[dict[str, Any]]] = {
    "quick": [{"name": "one", "run": "echo one"}, {"name": "two", "run": "echo two"}],
    "flaky": [
        {"name": "one", "run": "echo one"},
        {"name": "two", "run": '[ "$BATON_ATTEMPT" -gt 1 ]'},
        {"name": "three", "run": "echo three"},
    ],
    "gated": [
        {"name": "ask", "gate": "Go?"},
        {"name": "ask again", "gate": "Sure?"},
        {"name": "go", "run": "echo gone"},
    ],
    "slow": [{"name": "wait", "run": "echo waiting; sleep 300"}],
    "stubborn": [
        {"name": "wait", "run": "trap '' TERM; (trap '' TERM; setsid sleep 300) & sleep 300"}
    ],
    "limited": [{"name": "wait", "run": "sleep 300", "timeout_seconds": 0.5}],
    "told": [{"name": "tell", "run": f"echo {_TOLD} >> $BATON_ARG_TO"}],
    "waits": [{"name": "tell", "run": f"echo {_TOLD} >> $BATON_ARG_TO; sleep 300"}],
    "failing": [{"name": "no", "run": "exit 3"}],
}


@functools.cache
def _up_to_date() -> bytes:
    """The file of a database without any run: to make its tables takes a tenth of a second."""
    with TemporaryDirectory() as directory:
        file = Path(directory) / "baton.db"
        database = open_database(f"sqlite:///{file}", TERMS)
        bring_up_to_date(database)
        database.close()
        return file.read_bytes()


def lay_down(file: Path) -> Path:
    """Have an up-to-date database there, unless there is any."""
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.write_bytes(_up_to_date())
    return file


def settings_for(tmp_path: Path, repository: Path, **sections: dict[str, Any]) -> Settings:
    """Settings with every workflow above, and an up-to-date database."""
    workflows = {
        name: {"repository": str(repository), "steps": steps} for name, steps in WORKFLOWS.items()
    }
    settings = Settings.model_validate(
        {
            "database": {"url": f"sqlite:///{tmp_path / 'state' / 'baton.db'}"},
            "runner": {**FAST, "directory": str(tmp_path / "state")},
            "workflows": workflows,
            **sections,
        }
    )
    if settings.database.url.startswith("sqlite"):
        lay_down(sqlite_file(settings.database.url))
    return settings


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, started when the first test wants one."""
    # A socket's path must be short, so it is not below pytest's own directories.
    with TemporaryDirectory(prefix="baton-") as directory, server(Path(directory)) as running:
        yield running


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """The address of a database without tables."""
    url = postgres.empty()
    yield url
    postgres.drop(url)


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An up-to-date database without any run, to be copied."""
    return lay_down(tmp_path_factory.mktemp("empty") / "baton.db")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an up-to-date database, of each kind in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{lay_down(tmp_path / 'baton.db')}"
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    url = postgres.up_to_date()
    yield url
    postgres.give_back(url)


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """The address of a database that is yet to be made; folders and files may have another."""
    return f"sqlite:///{tmp_path / 'state' / 'baton.db'}"


@pytest.fixture
def installation(tmp_path: Path, repository: Path, database_url: str) -> Installation:
    """Baton, configured, with nothing running."""
    settings = settings_for(tmp_path, repository, database={"url": database_url})
    return installed(settings, tmp_path)


@dataclass
class Person:
    """Somebody who talks to Baton in a terminal of their own."""

    service: Service
    name: str = "ana"
    seen_epoch: int | None = None

    async def says(self, text: str, **more: Any) -> Answer:
        """The one answer to what this person says."""
        actor = f"terminal:{self.name}"
        message = Message(
            text=text,
            conversation=Conversation(actor),
            author=Author(actor),
            door=Door.TERMINAL,
            **more,
        )
        answer = await self.service.dispatcher.handle(message)
        assert answer is not None
        return answer

    async def starts(self, text: str) -> str:
        """Say something that starts a run; its id."""
        answer = await self.says(text)
        assert answer.word == "started", answer.reply
        assert answer.run_id
        return answer.run_id

    async def sees(self, run_id: str, holds: Callable[[Run], bool]) -> Run:
        """Wait until this holds for the run."""
        watch = self.service.store.watch()
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while True:
                    run = await self.service.store.read(lambda tx: tx.runs.get(run_id))
                    assert run is not None
                    if holds(run):
                        return run
                    await watch.changed(1)
        finally:
            watch.close()

    async def sees_status(self, run_id: str, status: str) -> Run:
        """Wait until the run has this status and holds no worktree that it should not."""
        return await self.sees(
            run_id, lambda run: run.status == status and (status == "running" or not run.held)
        )


@pytest.fixture
async def ana(installation: Installation) -> AsyncIterator[Person]:
    """A person, with a worker in the same process."""
    async with serving(installation) as service:
        yield Person(service)


@pytest.fixture
async def ben(installation: Installation) -> AsyncIterator[Person]:
    """A person whose Baton has no worker: what he claims waits."""
    async with serving(installation, concurrency=0) as service:
        yield Person(service, "ben")
