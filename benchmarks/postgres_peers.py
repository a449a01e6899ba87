"""The other sides of a command's figure on PostgreSQL: its statements without Baton.

They are those that the driver really gets from Baton, caught once and sent again with the names
of other runs: by pgbench, which is PostgreSQL's own and written in C, and by a program of threads
that knows nothing but psycopg. Either sends them one after the other, each with its own answer.
"""

import re
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

RUNS_EACH = 10_000
_FIRST = 10_000_000
CAUGHT = "zzzzzzzz"
"""The run whose command is caught."""
_SCRIPT = rf"""\set number :number + 1
\set run {_FIRST} + {RUNS_EACH} * :client_id + :number
"""
_LITERAL = re.compile(r"(E?)'((?:[^'\\]|''|\\.)*)'")
_PROCESSED = re.compile(r"transactions actually processed: (\d+)")
_TPS = re.compile(r"tps = ([\d.]+)")


def name_of(caller: int, number: int) -> str:
    """The id of the run that this caller resumes as its `number`th."""
    return str(_FIRST + RUNS_EACH * caller + number)


def _about(value: Any, name: str) -> Any:  # noqa: ANN401 - whatever the driver takes
    """A value with the name of another run in it."""
    if isinstance(value, str):
        return value.replace(CAUGHT, name)
    if isinstance(value, Jsonb):
        return Jsonb(_about(value.obj, name))
    if isinstance(value, Mapping):
        return {key: _about(each, name) for key, each in value.items()}
    if isinstance(value, list):
        return [_about(each, name) for each in value]
    if isinstance(value, tuple):
        make = getattr(value, "_make", tuple)
        return make(_about(each, name) for each in value)
    return value


@dataclass(frozen=True, slots=True)
class Sent:
    """One statement, or several in one message, as the driver got it."""

    sql: str
    values: Any = None

    def about(self, name: str) -> Any:  # noqa: ANN401 - as the driver takes them
        """Its values for another run."""
        return _about(self.values, name)

    def for_pgbench(self, cursor: psycopg.ClientCursor[Any]) -> str:
        """As lines of its script; several statements in one message stay in one."""
        if self.values is not None:
            return _LITERAL.sub(_of_any_run, cursor.mogrify(self.sql, self.values)) + "\n;\n"
        if ";" not in self.sql:
            return f"{self.sql};\n"
        lines = self.sql.replace("; ", ";\n")
        return f"\\startpipeline\n{lines};\n\\endpipeline\n"


def _of_any_run(literal: re.Match[str]) -> str:
    """A literal for pgbench, which takes the words behind colons for its variables."""
    escaped, inner = literal.groups()
    if ":" in inner:
        inner = inner if escaped else inner.replace("\\", r"\\")
        escaped, inner = "E", inner.replace(":", r"\x3a")
    written = f"{escaped}'{inner}'"
    return f"replace({written}, '{CAUGHT}', :run)" if CAUGHT in inner else written


@contextmanager
def catching() -> Iterator[list[Sent]]:
    """Every statement that the driver gets meanwhile."""
    caught: list[Sent] = []

    def note(self: Any, query: Any, values: Any = None, **how: Any) -> Any:  # noqa: ANN401 - the driver's
        caught.append(Sent(str(query), values))
        return execute(self, query, values, **how)

    def note_each(self: Any, query: Any, values: Sequence[Any], **how: Any) -> None:  # noqa: ANN401 - the driver's
        caught.extend(Sent(str(query), each) for each in values)
        executemany(self, query, values, **how)

    def note_commit(self: Any) -> None:  # noqa: ANN401 - the driver's
        caught.append(Sent("COMMIT"))
        commit(self)

    driver: tuple[Any, Any] = (psycopg.Cursor, psycopg.Connection)
    cursor, connection = driver
    execute, executemany, commit = cursor.execute, cursor.executemany, connection.commit
    cursor.execute, cursor.executemany, connection.commit = note, note_each, note_commit
    try:
        yield caught
    finally:
        cursor.execute, cursor.executemany, connection.commit = execute, executemany, commit


@dataclass(frozen=True, slots=True)
class Done:
    """What was carried out, and how much of it a second."""

    number: int
    rate: float


def pgbench(
    program: Path, url: str, statements: Iterable[Sent], callers: int, seconds: float
) -> Done:
    """What pgbench's callers carry out; it counts in whole seconds."""
    with psycopg.connect(url) as connection, psycopg.ClientCursor(connection) as cursor:
        lines = [statement.for_pgbench(cursor) for statement in statements]
    asked = [f"--client={callers}", f"--jobs={min(callers, 2)}", f"--time={max(1, round(seconds))}"]
    options = ["--no-vacuum", "--protocol=prepared", "--define=number=-1", "--file=-"]
    ended = subprocess.run(
        [program, *asked, *options, url],
        input=_SCRIPT + "".join(lines),
        capture_output=True,
        text=True,
        check=False,
    )
    processed, rate = _PROCESSED.search(ended.stdout), _TPS.search(ended.stdout)
    assert processed, ended.stderr
    assert rate, ended.stderr
    return Done(int(processed[1]), float(rate[1]))


def threads(url: str, statements: Sequence[Sent], callers: int, seconds: float) -> Done:
    """What so many threads carry out, each on a connection of its own."""
    begin = threading.Barrier(callers + 1)

    def work(caller: int, connection: psycopg.Connection[Any]) -> int:
        begin.wait()
        until = time.perf_counter() + seconds
        for number in range(RUNS_EACH):
            _carry_out(connection, statements, name_of(caller, number))
            if time.perf_counter() >= until:
                return number + 1
        raise AssertionError("there are not enough runs")

    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(callers))
        working = []
        for caller in range(callers):
            connection = psycopg.connect(url, autocommit=True)
            working.append(pool.submit(work, caller, stack.enter_context(connection)))
        begin.wait()
        begun = time.perf_counter()
        number = sum(each.result() for each in working)
        return Done(number, number / (time.perf_counter() - begun))


def _carry_out(connection: psycopg.Connection[Any], statements: Sequence[Sent], name: str) -> None:
    for statement in statements:
        with connection.cursor() as cursor:
            # Several statements in one message cannot be prepared; everything else may be.
            prepare = None if statement.values else False
            cursor.execute(statement.sql.encode(), statement.about(name), prepare=prepare)
            rows = cursor.fetchall() if cursor.description else None
        assert rows or not statement.sql.startswith("UPDATE"), "the command lost"
