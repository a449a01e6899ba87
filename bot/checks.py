"""`check`, `migrate`, `move`: whether everything that is configured works, and where it is kept."""

import argparse
import asyncio
import json
import shutil
import sys
import time
from collections.abc import Iterator

from bot import bootstrap, directions, notices
from bot.bootstrap.repositories import has_base, is_demo
from bot.errors import ConfigurationError

_FAILED = 1
_QUIET_SECONDS = 1.0


def migrate(options: argparse.Namespace) -> int:
    """Every command brings the database up to date; this one only says so."""
    bootstrap.install(options.config)
    print(notices.up_to_date())
    return 0


def move(options: argparse.Namespace) -> int:
    """Move everything into an empty PostgreSQL database."""
    try:
        # Imported here because its driver is an extra that only this needs.
        from bot.bootstrap.moving import NotMovedError, moved  # noqa: PLC0415 - see above
    except ModuleNotFoundError as missing:
        raise ConfigurationError(directions.no_driver(str(missing.name))) from missing
    try:
        print(moved(options.config, options.to, _Progress()))
    except NotMovedError as refused:
        print(str(refused), file=sys.stderr)
        return _FAILED
    return 0


class _Progress:
    """Says how far it is, but not more often than a person reads."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, table: str, done: int, total: int, *, compared: bool) -> None:
        now = time.monotonic()
        if total and now - self._said >= _QUIET_SECONDS:
            self._said = now
            print(directions.progress(table, done, total, compared=compared), file=sys.stderr)


def slack_manifest(options: argparse.Namespace) -> int:
    """Print the manifest of the Slack app, for the settings as they are."""
    print(json.dumps(bootstrap.slack_manifest(options.config), indent=2))
    return 0


def discord_invite(options: argparse.Namespace) -> int:
    """Print the address where Baton is added to a Discord server."""
    print(bootstrap.discord_invite(options.config, options.application))
    return 0


def check(options: argparse.Namespace) -> int:
    """Name everything that would keep a run from working; 0 when there is nothing."""
    installation = bootstrap.install(options.config)
    platforms = asyncio.run(bootstrap.platform_problems(installation))
    problems = [*_problems(installation), *platforms]
    for problem in problems:
        print(problem)
    if not problems:
        print(notices.all_well(sorted(installation.conductor.house.catalogue)))
    return 1 if problems else 0


def _problems(installation: bootstrap.Installation) -> Iterator[str]:
    server = installation.settings.server
    if server.in_the_clear:
        yield notices.open_to_all(server.host)
    git = shutil.which("git") is not None
    if not git:
        yield notices.no_git()
    for workflow in installation.conductor.house.catalogue.values():
        if is_demo(workflow.repository):
            continue
        if not bootstrap.is_repository(workflow.repository):
            yield notices.no_repository(workflow.name, workflow.repository)
        elif git and not has_base(workflow):
            yield notices.no_base(workflow.name, workflow.base, workflow.repository)
