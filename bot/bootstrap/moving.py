"""Joins what `baton move` needs: a stopped SQLite installation, an empty PostgreSQL database."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from adapters.demo import DEMO_SETTINGS
from bot import config, directions, log
from bot.bootstrap import Installation, installed
from bot.errors import ConfigurationError
from bot.ports import DatabaseUnavailableError
from store.database import is_shared, open_database, sqlite_file
from store.moving import (
    DiffersError,
    EncodingError,
    FilledError,
    ForeignError,
    Moved,
    Source,
    Tell,
    UnfitError,
    move,
    still,
)
from store.sqlite import SqliteDatabase

_REFUSALS: Mapping[type[Exception], Callable[..., str]] = {
    FilledError: directions.not_empty,
    ForeignError: directions.not_ours,
    UnfitError: directions.unfit,
    DiffersError: directions.differs,
}


class NotMovedError(Exception):
    """Nothing was moved; the sentence says why and what to do."""


def moved(config_file: str | None, url: str, tell: Tell) -> str:
    """Move everything there; returns what was moved, and what to do next.

    Raises NotMovedError, ConfigurationError and SchemaError, each with a sentence, and
    DatabaseUnavailableError where the SQLite file cannot be used.
    """
    settings, config_used = config.current(config_file, DEMO_SETTINGS)
    file = _file_of(settings)
    if not is_shared(url):
        raise ConfigurationError(directions.no_target(directions.expected_target()))
    installation = installed(settings, config_used.parent if config_used else Path())
    with log.span("baton.move") as span:
        done = _moved(installation, url, tell)
        span.fields |= {"rows": sum(done.counts.values())}
    state = installation.state.resolve()
    steps = directions.next_steps(
        url,
        file.resolve(),
        str(state),
        state_is_set=state == Path(settings.runner.directory).resolve(),
    )
    return f"{directions.moved(url, done.counts, done.mended)}\n{steps}"


def _file_of(settings: config.Settings) -> Path:
    """The file that is to be moved. Nothing is made where there is none."""
    if is_shared(settings.database.url):
        raise ConfigurationError(directions.moved_before())
    file = sqlite_file(settings.database.url)
    if not file.exists():
        raise ConfigurationError(directions.nothing_to_move(file))
    return file


def _moved(installation: Installation, url: str, tell: Tell) -> Moved:
    database = installation.database
    assert isinstance(database, SqliteDatabase)  # noqa: S101 - its configuration names a file
    with closing(database), still(database) as source:
        _refuse_living(installation, source)
        with _said_of_target(), closing(open_database(url, database.terms)) as target:
            return move(source, target, tell)


def _refuse_living(installation: Installation, source: Source) -> None:
    """Nobody can write any more, so those who are found now are all there are."""
    alive = {*source.living(), *map(_process_of, installation.presence.alive())}
    if alive:
        seconds = installation.database.terms.presence_seconds
        raise NotMovedError(directions.still_alive(alive, seconds))


def _process_of(name: str) -> tuple[str, int]:
    """Host and pid; see bot.presence.name_of."""
    host, pid, _ = name.rsplit("-", 2)
    return host, int(pid)


@contextmanager
def _said_of_target() -> Iterator[None]:
    """What is wrong with the target is said of it, not of the database in the configuration."""
    try:
        yield
    except tuple(_REFUSALS) as error:
        raise NotMovedError(_REFUSALS[type(error)](*error.args)) from error
    except DatabaseUnavailableError as error:
        said = directions.target_unavailable(str(error)) if error.certain else directions.unsure()
        raise NotMovedError(said) from error
    except EncodingError as error:
        why = directions.other_encoding(str(error))
        raise ConfigurationError(directions.no_target(why)) from error
    except ConfigurationError as error:
        why = str(error).removeprefix("database.url: ")
        raise ConfigurationError(directions.no_target(why)) from error
