"""Commands in worktrees, each under a supervisor process of its own (see adapters/supervisor)."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import ExitStack, suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import IO

from bot.supervision import Ending, EndingKind, Order

_SCRIPT = Path(__file__).with_name("supervisor") / "__main__.py"
_CLEANINGS = 3
_REAP_SECONDS = 0.002
_FAREWELL_SECONDS = 2.0
_LONGEST_ANSWER_BYTES = 1 << 20
# What a Python may need to start; nothing else of the worker's environment, and no secret.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")


async def supervise(order: Order) -> "Supervised":
    """Starts a supervisor on this order. Raises OSError if there is none; then nothing happened.

    What a supervisor that fails has to say is in a file beside the log, `<log>.supervisor`.
    """
    return Supervised(order, await _Supervisor.started(order))


class Supervised:
    """An order under way.

    Cancelling `ending` ends the waiting, not the command. What ends the command besides `stop`
    is the end of the loop or of the worker, however it comes.
    """

    def __init__(self, order: Order, supervisor: "_Supervisor") -> None:
        self._order = order
        self._supervisor = supervisor
        self._stop_asked = False
        self._ending = asyncio.create_task(self._ended())

    def stop(self) -> None:
        self._stop_asked = True
        self._supervisor.stop()

    async def ending(self) -> Ending:
        return await asyncio.shield(self._ending)

    async def _ended(self) -> Ending:
        ending = await self._supervisor.told() or await self._cleaned_up()
        return replace(ending, stopped=ending.stopped or self._stop_asked)

    async def _cleaned_up(self) -> Ending:
        """The supervisor died without a word: has another one stop what it left."""
        cleaning = replace(self._order, command=None, closes=False)
        reason = "The supervisor died, and so did those that should have stopped what it left."
        for _ in range(_CLEANINGS):
            try:
                told = await (await _Supervisor.started(cleaning)).told()
            except OSError as error:
                reason = f"The supervisor died, and no other could be started: {error.strerror}."
                continue
            if told is not None:
                return replace(told, kind=_AFTER_LOSS[told.kind])
        return Ending(kind=EndingKind.NOT_GONE, reason=reason)


_AFTER_LOSS = {
    EndingKind.CLEAN: EndingKind.LOST,
    EndingKind.SUPERSEDED: EndingKind.SUPERSEDED,
} | dict.fromkeys(
    (EndingKind.NOT_GONE, EndingKind.ERROR, EndingKind.EXITED, EndingKind.LOST),
    EndingKind.NOT_GONE,
)
"""What the ending of a cleaning says about the command whose supervisor was lost."""


class _Supervisor:
    """One supervisor process and the two pipes to it.

    Not asyncio's own subprocess: that one kills the process when the loop is closed, and a
    killed supervisor cannot stop its tree.
    """

    def __init__(
        self,
        order: Order,
        process: subprocess.Popen[bytes],
        words: asyncio.WriteTransport,
        answers: asyncio.StreamReader,
        reading: asyncio.ReadTransport,
    ) -> None:
        self._order = order
        self._process = process
        self._words = words
        self._answers = answers
        self._reading = reading
        self._words.write(_line(order))

    @classmethod
    async def started(cls, order: Order) -> "_Supervisor":
        """Raises OSError. Awaits nothing once there is a process, so none can be forgotten."""
        loop = asyncio.get_running_loop()
        answers = asyncio.StreamReader(limit=_LONGEST_ANSWER_BYTES)
        with ExitStack() as theirs, ExitStack() as mine:
            hears, asks = _pipe(reader=theirs, writer=mine)
            listens, tells = _pipe(reader=mine, writer=theirs)
            words, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, asks)
            mine.callback(words.abort)
            reading, _ = await loop.connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(answers), listens
            )
            mine.callback(reading.close)
            process = _process(hears, tells, theirs.enter_context(_complaints(order)))
            mine.pop_all()
        return cls(order, process, words, answers, reading)

    def stop(self) -> None:
        if not self._words.is_closing():
            self._words.write(b"stop\n")

    async def told(self) -> Ending | None:
        """Waits until the supervisor tells how the order ended; None if it dies before."""
        ending = None
        try:
            while ending is None and (line := await self._answers.readline()):
                ending = _ending(line)
            await self._reaped()
        finally:
            self._words.close()
            self._reading.close()
        with suppress(OSError):
            complaints = _complaints_path(self._order)
            if complaints.stat().st_size == 0:
                complaints.unlink()
        return ending

    async def _reaped(self) -> None:
        """All is told or lost by now, so one that does not end at once is only in the way."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                while self._process.poll() is None:  # noqa: ASYNC110 - it tells nobody but poll
                    await asyncio.sleep(_REAP_SECONDS)
                return
        self._process.kill()
        self._process.wait()


def _pipe(*, reader: ExitStack, writer: ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    """A pipe whose ends no other child inherits; each is closed by its stack."""
    reads, writes = os.pipe()
    return (
        reader.enter_context(open(reads, "rb", buffering=0)),  # noqa: PTH123 - a descriptor
        writer.enter_context(open(writes, "wb", buffering=0)),  # noqa: PTH123 - same
    )


def _process(
    words: IO[bytes], answers: IO[bytes], complaints: IO[bytes]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-X", "utf8", _SCRIPT],
        stdin=words,
        stdout=answers,
        stderr=complaints,
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        start_new_session=True,
    )


def _complaints_path(order: Order) -> Path:
    return order.log.with_name(order.log.name + ".supervisor")


def _complaints(order: Order) -> IO[bytes]:
    """Where the supervisor's traceback goes; nowhere if that cannot be written."""
    path = _complaints_path(order)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")
    return Path(os.devnull).open("ab")


def _line(order: Order) -> bytes:
    paths = {name: str(getattr(order, name).absolute()) for name in ("lock", "cwd", "log")}
    values = {field.name: getattr(order, field.name) for field in fields(order)}
    return json.dumps({**values, "env": dict(order.env), **paths}).encode() + b"\n"


def _ending(line: bytes) -> Ending | None:
    """What this line of a supervisor says, if it says how the order ended."""
    try:
        told = json.loads(line)
    except ValueError:  # it was killed while it spoke
        return None
    if told.pop("event") != "ended":
        return None
    told["kind"] = EndingKind(told["kind"])
    told["survivors"] = tuple(told["survivors"])
    return Ending(**told)
