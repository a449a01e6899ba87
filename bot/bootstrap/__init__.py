"""The composition root: the one place that joins the product with its adapters and its store."""

import asyncio
import getpass
import importlib
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from adapters import terminal
from adapters.demo import DEMO_REPOSITORY, DEMO_SETTINGS, make_repository
from adapters.presence import PresenceFiles
from adapters.terminal import Terminal
from adapters.workshop import LocalWorkshop
from adapters.worktrees import Worktrees
from bot import config, log, notices
from bot.attendant import Inside
from bot.bootstrap.state import hide_from_git, kept_place, make
from bot.commands import USAGES, House
from bot.conduct import Conductor
from bot.dispatcher import Dispatcher
from bot.errors import ConfigurationError
from bot.heart import Post
from bot.hosts import Host
from bot.locks import ConversationLocks
from bot.ports import Presence, Store
from bot.presence import SharedPresence, name_of
from bot.run import Run
from bot.worker import Worker
from store.database import Database, is_shared, open_database, sqlite_file
from store.inline import InlineStore
from store.schema import bring_up_to_date
from store.transaction import Terms

if TYPE_CHECKING:
    from adapters.engine.engine import EngineWaker

_DAY_SECONDS = 86400.0
_MISSED_BEATS = 3
"""A process of which so many heartbeats are missing is taken for gone."""


@dataclass(frozen=True, slots=True)
class Installation:
    """Baton as configured here, its database up to date; nothing runs yet."""

    settings: config.Settings
    host: str
    state: Path
    database: Database
    waker: "EngineWaker | None"
    conductor: Conductor
    workshop: LocalWorkshop
    presence: PresenceFiles

    def dispatcher(self, store: Store, owner: str = "") -> Dispatcher:
        """A dispatcher on this store, in a process of this name."""
        return Dispatcher(store, self.conductor, ConversationLocks(), owner)

    def inside(self, service: "Service") -> Inside:
        """What a platform's door needs of this process."""
        presence: Presence = self.presence
        if self.shared:
            heart = service.worker.heart
            presence = SharedPresence(self.place, self.presence, service.store, heart)
        return Inside(
            store=service.store,
            dispatcher=service.dispatcher,
            presence=presence,
            owner=service.worker.post.name,
        )

    def woken(self, worker: Worker) -> AbstractAsyncContextManager[None]:
        """Inside of this a worker hears at once of what other hosts want of it."""
        if self.waker is None:
            return nullcontext()
        # Imported here because its libraries are an extra that only PostgreSQL needs.
        from bot.bootstrap.engine import woken

        return woken(self.waker.engine, self.database, worker)

    def described(self) -> Host:
        """This host as it is now."""
        has = {
            name: workflow.repository
            for name, workflow in self.conductor.house.catalogue.items()
            if is_repository(workflow.repository)
        }
        root = str((self.state / "worktrees").resolve())
        return Host(self.host, self.place, root, has)

    @property
    def place(self) -> str:
        """Where this is, by a name that no other place has."""
        return kept_place(self.state / "worktrees")

    @property
    def shared(self) -> bool:
        """Whether other hosts may use the same database."""
        return is_shared(self.settings.database.url)

    def inline_store(self) -> InlineStore:
        """The store of a process that carries out one command."""
        return InlineStore(self.database)

    def post(self, *, concurrency: int | None = None) -> Post:
        """A new worker's post in this process."""
        runner = self.settings.runner
        return Post(
            name=name_of(self.place, os.getpid(), secrets.token_hex(3)),
            host=self.host,
            pid=os.getpid(),
            concurrency=runner.concurrency if concurrency is None else concurrency,
            heartbeat_seconds=runner.heartbeat_seconds,
            lease_seconds=runner.lease_seconds,
            presence_seconds=self.database.terms.presence_seconds,
            describe=self.described,
            shared=self.shared,
            auto_resume=runner.auto_resume,
        )


def install(config_file: str | None, host: str | None = None) -> Installation:
    """Read the configuration and bring the database up to date.

    Raises ConfigurationError and SchemaError, each with a sentence for whoever set this up.
    """
    settings, file = config.current(config_file, DEMO_SETTINGS)
    return installed(settings, file.parent if file else Path(), host)


def installed(settings: config.Settings, beside: Path, host: str | None = None) -> Installation:
    """The installation of these settings; relative repositories are looked for beside a file."""
    state = _state(settings)
    shared = is_shared(settings.database.url)
    waker = _waker(settings.database.url) if shared else None
    database = open_database(settings.database.url, _terms(settings.runner), waker=waker)
    if shared:
        make(state)
    log.write_to(state / "baton.log")
    bring_up_to_date(database)
    hide_from_git(state)
    here = host or settings.runner.host or kept_place(state / "worktrees")
    worktrees = Worktrees(state / "worktrees", here)
    grace_seconds = settings.runner.grace_seconds
    workshop = LocalWorkshop(worktrees, state / "logs", grace_seconds, shared=shared)
    catalogue = {name: w.workflow(name, beside) for name, w in settings.workflows.items()}
    house = House(here, shared, catalogue, worktrees, workshop.log_path, USAGES)
    conductor = Conductor(house, settings.access.policy())
    presence = PresenceFiles(state / "presence")
    return Installation(settings, here, state, database, waker, conductor, workshop, presence)


def _waker(url: str) -> "EngineWaker":
    """What wakes workers on other hosts. Raises ConfigurationError where it is not installed."""
    try:
        # Imported here because its libraries are an extra that only this kind of database needs.
        from bot.bootstrap.engine import waker_for
    except ModuleNotFoundError as missing:
        raise ConfigurationError(notices.no_library("postgres", str(missing.name))) from missing
    return waker_for(url)


def _state(settings: config.Settings) -> Path:
    """Where this host keeps worktrees and logs: beside its database, where that is a file."""
    if is_shared(settings.database.url):
        return Path(settings.runner.directory)
    return sqlite_file(settings.database.url).parent


def _terms(runner: config.RunnerSettings) -> Terms:
    return Terms(
        lease_seconds=runner.lease_seconds,
        presence_seconds=min(runner.lease_seconds, _MISSED_BEATS * runner.heartbeat_seconds),
        orphan_seconds=runner.orphan_after_days * _DAY_SECONDS,
    )


@dataclass(frozen=True, slots=True)
class Service:
    """What a long-lived process works with; `connected` tells of each platform whether it is."""

    store: Store
    dispatcher: Dispatcher
    worker: Worker
    connected: dict[str, Callable[[], bool]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Platform:
    """A chat platform: its name, its section and extra, and whether it is configured."""

    name: str
    extra: str
    used: Callable[[config.Settings], bool]

    def joined(self) -> ModuleType:
        """What joins it with the rest; imported only by a Baton that talks there.

        Raises ConfigurationError where its libraries are not installed.
        """
        try:
            return importlib.import_module(f"bot.bootstrap.{self.extra}")
        except ModuleNotFoundError as missing:
            reason = notices.no_library(self.extra, str(missing.name))
            raise ConfigurationError(reason) from missing


SLACK = Platform("Slack", "slack", lambda settings: settings.slack.used)
DISCORD = Platform("Discord", "discord", lambda settings: settings.discord.used)
_PLATFORMS = (SLACK, DISCORD)


def slack_manifest(config_file: str | None) -> Mapping[str, Any]:
    """What Slack wants to know of Baton, for these settings; the database is not touched."""
    made: Mapping[str, Any] = SLACK.joined().slack_manifest(config_file)
    return made


def discord_invite(config_file: str | None, application_id: str | None) -> str:
    """The address where Baton is added to a Discord server; the database is not touched."""
    made: str = DISCORD.joined().invite(config_file, application_id)
    return made


def _used(installation: Installation) -> Iterator[Platform]:
    return (platform for platform in _PLATFORMS if platform.used(installation.settings))


async def platform_problems(installation: Installation) -> list[str]:
    """A sentence for each thing that would keep a configured platform from working."""
    problems: list[str] = []
    for platform in _used(installation):
        problems += await platform.joined().diagnosed(installation)
    return problems


@dataclass(frozen=True, slots=True)
class Joined:
    """The platforms that are answered: their names, and what each wants to be called at."""

    names: Sequence[str]
    mounted: Sequence[Any]


@asynccontextmanager
async def platforms(installation: Installation, service: Service) -> AsyncIterator[Joined]:
    """Every chat platform that is configured is answered inside of this."""
    async with AsyncExitStack() as doors:
        names, mounted = [], []
        for platform in _used(installation):
            door = platform.joined().platform(installation, service)
            mounted += await doors.enter_async_context(door)
            names.append(platform.name)
        yield Joined(names, mounted)


@asynccontextmanager
async def web(
    installation: Installation, service: Service, joined: Joined
) -> AsyncIterator[str | None]:
    """The web is answered inside of this; yields what to tell whoever started it."""
    # Imported here because a command that only looks or changes a row does not need it.
    from bot.bootstrap.pages import web as listening

    async with listening(installation, service, joined.mounted) as told:
        yield told


@asynccontextmanager
async def serving(
    installation: Installation, *, concurrency: int | None = None, wait_for_runs: bool = False
) -> AsyncIterator[Service]:
    """A store, a dispatcher and an embedded worker; at the end the worker drains."""
    if DEMO_REPOSITORY in {s.repository for s in installation.settings.workflows.values()}:
        await asyncio.to_thread(make_repository, Path(DEMO_REPOSITORY))
    store = installation.database.open_store()
    store.start()
    worker = Worker(installation.post(concurrency=concurrency), store, installation.workshop)
    working = asyncio.create_task(worker.work())
    writing = asyncio.create_task(log.keep_written())
    name = worker.post.name
    try:
        await worker.heart.known.wait()
        with (
            installation.presence.hold(name),
            log.span("baton.service", host=installation.host, worker=name),
        ):
            async with installation.woken(worker):
                yield Service(store, installation.dispatcher(store, name), worker)
    finally:
        worker.leave(wait=wait_for_runs)
        await working
        await store.close()
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        log.write_out()


def login_name() -> str:
    """The name under which this person speaks, unless they give another."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "local"


def is_repository(path: str) -> bool:
    """Whether there is a git repository, with a worktree of its own or without."""
    return (Path(path) / ".git").exists() or (Path(path) / "HEAD").exists()


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """An event that SIGTERM and Ctrl-C set."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        yield stopped
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _terminal(service: Service, name: str) -> Terminal:
    return Terminal(name, service.dispatcher, service.store, time.time)


async def talk(installation: Installation, service: Service, name: str) -> None:
    """Talk with the person at this terminal until they leave."""
    greeting = notices.greeting(installation.conductor.house.catalogue)
    await terminal.prompt(_terminal(service, name), greeting)


async def answer_pipe(service: Service, name: str, wait_seconds: float | None) -> None:
    """Answer what comes through standard input until it ends."""
    await terminal.read_pipe(_terminal(service, name), sys.stdin, wait_seconds)


async def carry_through(service: Service, run: Run, *, quiet: bool) -> Run:
    """Work on a run that this process claimed until it settles; Ctrl-C interrupts it."""
    service.worker.adopt(run)
    with stop_signals() as stopped:
        leaving = asyncio.create_task(stopped.wait())

        def leave(_task: object) -> None:
            service.worker.leave(wait=False)

        leaving.add_done_callback(leave)
        with terminal.live(time.time, quiet=quiet) as show:
            seen = await terminal.follow(service.store, run.id, show=show)
        leaving.remove_done_callback(leave)
        leaving.cancel()
    return seen or run
