"""The long-lived processes: `serve`, `worker`, `chat`."""

import argparse
import asyncio
import sys
import time

from bot import bootstrap, notices
from bot.bootstrap import Installation
from bot.ports import DatabaseUnavailableError

_DATABASE_SECONDS = 60.0
_AGAIN_SECONDS = 1.0


def _installed(options: argparse.Namespace) -> Installation:
    """Baton as configured; a database that does not answer yet is waited for."""
    host = getattr(options, "host", None)
    until = time.monotonic() + _DATABASE_SECONDS
    told = False
    while True:
        try:
            return bootstrap.install(options.config, host)
        except DatabaseUnavailableError as error:
            if time.monotonic() > until:
                raise
            if not told:
                print(notices.no_database_yet(str(error), _DATABASE_SECONDS), file=sys.stderr)
            told = True
        time.sleep(_AGAIN_SECONDS)


def serve(options: argparse.Namespace) -> int:
    """Answer everywhere that is configured, and work on runs; lines only from a terminal."""
    installation = _installed(options)
    return asyncio.run(_serve(installation))


async def _serve(installation: Installation) -> int:
    async with (
        bootstrap.serving(installation) as service,
        bootstrap.platforms(installation, service) as joined,
        bootstrap.web(installation, service, joined) as address,
    ):
        _tell_barred(service)
        print(address, flush=True)
        with bootstrap.stop_signals() as stopped:
            await _first(_tell_problems(installation), stopped.wait())
            if sys.stdin.isatty():
                talk = bootstrap.talk(installation, service, bootstrap.login_name())
                await _first(talk, stopped.wait())
            else:
                print(notices.serving(joined.names), flush=True)
                await stopped.wait()
        _farewell(service)
    return 0


async def _tell_problems(installation: Installation) -> None:
    for problem in await bootstrap.platform_problems(installation):
        # It may be mended while Baton is up, or pass by itself: this is no reason to stop.
        print(problem, file=sys.stderr)


def work(options: argparse.Namespace) -> int:
    """Only work on runs."""
    return asyncio.run(_work(_installed(options), options.drain))


async def _work(installation: Installation, drain: bool) -> int:  # noqa: FBT001 - the flag of the command line
    async with bootstrap.serving(installation, wait_for_runs=drain) as service:
        with bootstrap.stop_signals() as stopped:
            _tell_barred(service)
            post = service.worker.post
            print(notices.working(post.host, post.concurrency), flush=True)
            await stopped.wait()
        _farewell(service, waits=drain)
    return 0


def chat(options: argparse.Namespace) -> int:
    """Talk in this terminal, or through a pipe, with a worker of its own."""
    return asyncio.run(_chat(_installed(options), options.wait))


async def _chat(installation: Installation, wait_seconds: float | None) -> int:
    async with bootstrap.serving(installation) as service:
        with bootstrap.stop_signals() as stopped:
            if sys.stdin.isatty():
                talk = bootstrap.talk(installation, service, bootstrap.login_name())
            else:
                talk = bootstrap.answer_pipe(service, bootstrap.login_name(), wait_seconds)
            await _first(talk, stopped.wait())
        _farewell(service)
    return 0


async def _first(*works: object) -> None:
    """Wait until the first of these is over; the others are cancelled."""
    waits = [asyncio.ensure_future(work) for work in works]  # type: ignore[call-overload]
    done, rest = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for waiting in rest:
        waiting.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    for finished in done:
        finished.result()


def _tell_barred(service: bootstrap.Service) -> None:
    if service.worker.heart.barred:
        print(notices.host_taken(service.worker.post.host), file=sys.stderr)


def _farewell(service: bootstrap.Service, *, waits: bool = False) -> None:
    if not service.worker.idle:
        print(notices.stopping(waits=waits), flush=True)
