"""What PostgreSQL's errors mean: whether to try again, and what people are told."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoneFreeError

from bot.ports import DatabaseUnavailableError

_OUR_FAULT = (
    psycopg.IntegrityError,
    psycopg.ProgrammingError,
    psycopg.DataError,
    # What is too long for an index, or has too many parts.
    errors.ProgramLimitExceeded,
)
_REPEATABLE = (errors.DeadlockDetected, errors.SerializationFailure)
_BUSY = (*_REPEATABLE, errors.LockNotAvailable, errors.QueryCanceled)
_OF_NO_USE = (
    psycopg.InterfaceError,
    errors.ReadOnlySqlTransaction,
    errors.IdleInTransactionSessionTimeout,
)
_REASONS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    (_BUSY, "other processes kept it locked"),
    ((errors.TooManyConnections,), "it has no connection left"),
    ((errors.ReadOnlySqlTransaction,), "it may not be written to"),
    ((errors.DiskFull,), "its disk is full"),
    (
        (errors.InvalidPassword, errors.InvalidAuthorizationSpecification),
        "it does not let this Baton in",
    ),
    ((errors.InvalidCatalogName,), "there is no database of that name"),
    ((errors.InsufficientPrivilege,), "this Baton may not use its tables"),
    ((errors.OperatorIntervention,), "it is being stopped or started"),
    ((psycopg.OperationalError, psycopg.InterfaceError), "it does not answer"),
)


_REFUSALS = {
    "too many clients": "it has no connection left",
    "too many connections": "it has no connection left",
    "no more connections": "it has no connection left",
    "remaining connection slots": "it has no connection left",
    "authentication failed": "it does not let this Baton in",
    "no password supplied": "it does not let this Baton in",
    "pg_hba.conf": "it does not let this Baton in",
    "does not exist": "there is no such database or user",
    "starting up": "it is being stopped or started",
    "shutting down": "it is being stopped or started",
}
"""What it says where it does not even connect: those errors have no code, only words."""


_LASTING = {"it does not let this Baton in", "there is no such database or user"}


def _refusal(error: BaseException) -> str | None:
    said = str(error)
    return next((words for part, words in _REFUSALS.items() if part in said), None)


def original(error: BaseException) -> BaseException:
    """The driver's error, also where SQLAlchemy wrapped it."""
    return (error.orig or error) if isinstance(error, DBAPIError) else error


def is_repeatable(error: BaseException) -> bool:
    """Whether doing the whole again is the remedy, if it is sure that nothing happened."""
    return isinstance(original(error), _REPEATABLE) or is_passing(error)


def is_passing(error: BaseException) -> bool:
    """Whether a connection that is made anew may do better."""
    return breaks_connection(error) and _refusal(original(error)) not in _LASTING


def breaks_connection(error: BaseException) -> bool:
    """Whether a connection that met this is of no use any more."""
    met = original(error)
    lost = isinstance(met, psycopg.OperationalError) and not isinstance(met, _BUSY + _OUR_FAULT)
    return lost or isinstance(met, _OF_NO_USE)


def unavailable(error: BaseException) -> DatabaseUnavailableError | None:
    """The database's error in words that people may read; None where it is a fault of ours."""
    met = original(error)
    if isinstance(met, NoneFreeError):
        return DatabaseUnavailableError("other processes kept it locked", busy=True)
    if isinstance(met, errors.ProgramLimitExceeded):
        return None
    for kinds, words in _REASONS:
        if isinstance(met, kinds):
            refusal = _refusal(met) if getattr(met, "sqlstate", None) is None else None
            return DatabaseUnavailableError(refusal or words, busy=isinstance(met, _BUSY))
    if isinstance(met, psycopg.DatabaseError) and not isinstance(met, _OUR_FAULT):
        return DatabaseUnavailableError("it reported an error", busy=False)
    return None


@contextmanager
def translated() -> Iterator[None]:
    """Driver errors become ours here, once."""
    try:
        yield
    except (DBAPIError, psycopg.Error, NoneFreeError) as error:
        told = unavailable(error)
        if told is None:
            raise
        raise told from error
