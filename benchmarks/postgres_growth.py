"""The same as benchmarks/growth.py on PostgreSQL."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial

from benchmarks.figures import Effort, Figure
from benchmarks.growth import Table, compared, rows, sizes
from benchmarks.server import Server, by_hand, fail_again, fill, server


@contextmanager
def _table(running: Server, size: int) -> Iterator[Table]:
    database = running.database(f"with_{size}")
    fill(database, rows(size))
    with by_hand(database) as hand, closing(database):
        yield Table(size, database, partial(fail_again, hand))


def measure(effort: Effort) -> Iterator[Figure]:
    """A large table beside a small one."""
    with server(effort.place("postgres_growth")) as running, ExitStack() as stack:
        small, large = (stack.enter_context(_table(running, size)) for size in sizes(effort))
        yield from compared(effort, small, large, "postgres_growth")
