"""Processes that are killed, frozen and thawed."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests.races.crew import forkserver

DEADLINE_SECONDS = 40.0
_LOOK_AGAIN_SECONDS = 0.04


@dataclass
class Team:
    """Each member does what it was taken on for until it is killed."""

    members: list[BaseProcess] = field(default_factory=list)

    def take_on(self, function: Callable[..., None], *arguments: Any) -> BaseProcess:
        """A new member, which carries out this."""
        member = forkserver().Process(target=function, args=arguments, daemon=True)
        member.start()
        self.members.append(member)
        return member

    def kill(self, member: BaseProcess) -> None:
        """SIGKILL, also where it is frozen."""
        self.members.remove(member)
        member.kill()
        member.join()

    def dismiss(self, member: BaseProcess) -> int | None:
        """SIGTERM; its exit code."""
        self.members.remove(member)
        member.terminate()
        member.join()
        return member.exitcode


@contextmanager
def a_team() -> Iterator[Team]:
    """A team of nobody yet; whoever is left in it is killed at the end."""
    team = Team()
    try:
        yield team
    finally:
        for member in list(team.members):
            team.kill(member)


def send(member: BaseProcess, number: signal.Signals) -> None:
    """Send a signal to a member that may be gone."""
    with suppress(ProcessLookupError):
        os.kill(member.pid or 0, number)


def eventually(holds: Callable[[], bool], seconds: float = DEADLINE_SECONDS) -> bool:
    """Whether this holds within so many seconds."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_AGAIN_SECONDS)
    return True


@dataclass(frozen=True)
class Notes:
    """A file to which many processes add lines; a killed one leaves no half of a line."""

    file: Path

    def add(self, *words: object) -> None:
        line = " ".join(str(word) for word in words)
        note = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(note, f"{line}\n".encode())
        os.close(note)

    def lines(self) -> list[str]:
        return self.file.read_text().splitlines() if self.file.exists() else []
