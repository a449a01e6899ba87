"""What the log says: structured events named `{domain}.{action}_{state}`.

The reason goes into fields, never into the name; a `started` always ends in `completed`, `failed`
or `rejected`. Ids and durations are logged, message text and tokens never.
"""

import asyncio
import json
import logging
import secrets
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_WRITTEN_SECONDS = 0.2
_LOGGER = logging.getLogger("baton")


def event(name: str, **fields: object) -> None:
    """Write one event; `name` has the form `{domain}.{action}_{state}`."""
    _LOGGER.info(name, extra={"fields": fields})


def reference() -> str:
    """A new reference that joins a sentence a person reads with its event in the log."""
    return secrets.token_hex(4)


class Span:
    """A started event that has not ended yet; `reject` ends it with a reason."""

    def __init__(self, fields: dict[str, object]) -> None:
        self.fields = fields
        self.state = "completed"

    def reject(self, reason: str) -> None:
        """The action was refused, for this reason."""
        self.state = "rejected"
        self.fields["reason"] = reason


@contextmanager
def span(action: str, **fields: object) -> Iterator[Span]:
    """Log `{action}_started`, then how the action ended, with its duration.

    An exception ends it as failed and goes on.
    """
    event(f"{action}_started", **fields)
    begun = time.monotonic()
    under_way = Span(dict(fields))
    try:
        yield under_way
    except BaseException as error:
        under_way.state = "failed"
        under_way.fields["reason"] = type(error).__name__
        raise
    finally:
        milliseconds = round((time.monotonic() - begun) * 1000, 1)
        event(f"{action}_{under_way.state}", duration_ms=milliseconds, **under_way.fields)


def fault(name: str, error: BaseException, **fields: object) -> str:
    """Log an unexpected error with its traceback; returns the reference to show to people."""
    shown = reference()
    trace = "".join(traceback.format_exception(error))
    fields |= {"reference": shown, "reason": type(error).__name__, "traceback": trace}
    _LOGGER.error(name, extra={"fields": fields})
    return shown


class _Lines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = getattr(record, "fields", {})
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        entry = {"at": at, "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps(entry | fields, default=str)


class _Gathering(logging.FileHandler):
    """Gathers lines until `write_out`, a fault or the end of the process.

    To flush each one costs more than the line itself.
    """

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        if record.levelno >= logging.ERROR:
            self.write_out()

    def flush(self) -> None:
        """Not yet."""

    def write_out(self) -> None:
        """Bring what was gathered into the file."""
        super().flush()


def write_out() -> None:
    """Bring every event so far into the file."""
    for handler in _LOGGER.handlers:
        if isinstance(handler, _Gathering):
            handler.write_out()


async def keep_written() -> None:
    """Bring events into the file now and again, until cancelled."""
    while True:
        await asyncio.sleep(_WRITTEN_SECONDS)
        write_out()


def write_to(path: Path) -> None:
    """Send every event to this file from now on; the file is made when the first one comes."""
    handler = _Gathering(path, encoding="utf-8", delay=True)
    handler.setFormatter(_Lines())
    for earlier in _LOGGER.handlers:
        earlier.close()
    _LOGGER.handlers = [handler]
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False
    # Nobody reads these of our lines; the standard library's own advice for speed.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
