"""Preparations killed at any moment, and repeated."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from tests.adapters.houses import MADE, Hosts, House, git
from tests.adapters.steps import PATIENCE_SECONDS, until

FILES = 200
ROUNDS = [pytest.param(10, id="short"), pytest.param(30, id="long", marks=pytest.mark.soak)]


def _kill_all(process: "subprocess.Popen[bytes]") -> None:
    os.killpg(process.pid, signal.SIGKILL)


def _kill_git(process: "subprocess.Popen[bytes]") -> None:
    """Only git; the preparation finds out.

    Twice, by the group: a git that was just being started has lost its parent by then, and would
    go on writing into a worktree that is being made again.
    """
    for _ in range(2):
        for pid in psutil.pids():
            with suppress(ProcessLookupError):
                if pid != process.pid and os.getpgid(pid) == process.pid:
                    os.kill(pid, signal.SIGKILL)


def _cut_short(
    house: House,
    branch: str,
    seconds: float,
    kill: Callable[..., None],
    commit: str | None = None,
) -> None:
    with subprocess.Popen(
        house.command(branch, commit=commit),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
                return
            kill(process)
            process.wait(PATIENCE_SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("kill", [_kill_all, _kill_git])
@pytest.mark.parametrize("rounds", ROUNDS)
def test_killed_at_any_moment_and_repeated(
    house: House, rounds: int, kill: Callable[..., None]
) -> None:
    for number in range(FILES):
        (house.repository / f"file-{number}").write_text(f"{number}\n" * 1000)
    house.commit(house.repository, "second", "two")
    begun = time.monotonic()
    assert house.prepare("measured") == MADE
    life = time.monotonic() - begun
    chance = random.Random(rounds)
    for number in range(rounds):
        branch = f"round/{number}"
        for _ in range(2):
            _cut_short(house, branch, chance.uniform(0, life), kill)
        assert house.prepare(branch).reason is None, house.said
        assert house.stands(branch)
        if kill is _kill_all:
            assert house.asides() == []
        # A git that is killed while it takes back its own half-made worktree leaves a directory
        # that it does not know any more. Nobody can tell it from a person's, so it is kept.
        assert not list((house.repository / ".git").rglob("*.lock"))


@pytest.mark.parametrize("rounds", ROUNDS)
def test_killed_while_taking_up_loses_nothing(house: House, rounds: int) -> None:
    begun = time.monotonic()
    assert house.prepare() == MADE
    life = time.monotonic() - begun
    (house.place() / "precious").write_text("uncommitted")
    chance = random.Random(rounds)
    for _ in range(rounds):
        _cut_short(house, "work", chance.uniform(0, life), _kill_all)
        assert (house.place() / "precious").read_text() == "uncommitted"
    assert "1 uncommitted change" in str(house.prepare().notice)
    assert house.asides() == []


def test_killed_git_at_its_work_leaves_a_half_made_worktree_that_is_made_again(
    house: House,
) -> None:
    """A checkout that never ends (a filter waits), so that the kill hits halfway for sure."""
    (house.repository / ".gitattributes").write_text("slow filter=slow\n")
    house.commit(house.repository, "slow", "content")
    git(house.repository, "config", "filter.slow.smudge", "sleep 1000; cat")
    command = house.command()
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, start_new_session=True
    ) as process:
        try:
            until((house.place() / ".git").exists)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    git(house.repository, "config", "--unset", "filter.slow.smudge")
    assert house.prepare().reason is None, house.said
    assert house.stands()
    assert house.asides() == []
    assert (house.place() / "slow").read_text() == "content"


# A run that comes from another host


class Arrival(NamedTuple):
    """A host to which a run comes, and what must be there in the end.

    `precious`: this host has an uncommitted file. `lost`: a commit that was never pushed.
    """

    house: House
    branch: str
    commit: str
    precious: bool = False
    lost: str | None = None

    def check(self) -> None:
        """Prepares it in peace; all is there, and each thing once."""
        assert self.house.prepare(self.branch, commit=self.commit).reason is None, self.house.said
        assert self.house.stands(self.branch)
        place = self.house.place(self.branch)
        assert git(place, "rev-parse", "HEAD") == self.commit
        kept = [path.parent for path in place.parent.glob(f"{place.name}*/precious")]
        assert len(kept) == self.precious
        stood = self.lost or git(self.house.repository, "rev-parse", f"{self.commit}~")
        for aside in kept:
            assert aside != place
            assert git(aside, "status", "--porcelain") == "A  precious"
            assert git(aside, "rev-parse", "HEAD") == stood
        if self.lost:
            name = f"baton/kept/{self.branch}-{self.lost[:10]}"
            assert git(self.house.repository, "rev-parse", name) == self.lost
        assert git(self.house.repository, "for-each-ref", "refs/baton") == ""


def _anew(hosts: Hosts, branch: str) -> Arrival:
    return Arrival(hosts.b, branch, hosts.begun(branch))


def _behind(hosts: Hosts, branch: str) -> Arrival:
    return Arrival(hosts.a, branch, hosts.gone_on(branch))


def _dirty(hosts: Hosts, branch: str) -> Arrival:
    commit = hosts.gone_on(branch)
    (hosts.a.place(branch) / "precious").write_text("staged")
    git(hosts.a.place(branch), "add", "precious")
    return Arrival(hosts.a, branch, commit, precious=True)


def _diverged(hosts: Hosts, branch: str) -> Arrival:
    commit = hosts.gone_on(branch)
    lost = hosts.a.commit(hosts.a.place(branch), "never", "pushed")
    (hosts.a.place(branch) / "precious").write_text("staged")
    git(hosts.a.place(branch), "add", "precious")
    return Arrival(hosts.a, branch, commit, precious=True, lost=lost)


ARRIVALS: list[Callable[[Hosts, str], Arrival]] = [_anew, _behind, _dirty, _diverged]


@pytest.mark.parametrize("arrive", ARRIVALS)
@pytest.mark.parametrize("kill", [_kill_all, _kill_git])
@pytest.mark.parametrize(
    "rounds", [pytest.param(1, id="short"), pytest.param(30, id="long", marks=pytest.mark.soak)]
)
def test_killed_while_a_run_comes_from_another_host(
    hosts: Hosts, rounds: int, kill: Callable[..., None], arrive: Callable[[Hosts, str], Arrival]
) -> None:
    arrival = arrive(hosts, "measured")
    begun = time.monotonic()
    arrival.check()
    life = time.monotonic() - begun
    chance = random.Random(rounds)
    for number in range(rounds):
        arrival = arrive(hosts, f"round/{number}")
        for _ in range(2):
            _cut_short(arrival.house, arrival.branch, chance.uniform(0, life), kill, arrival.commit)
        arrival.check()


KILLED_GIT = """#!/bin/sh
echo >> {calls}
[ $(wc -l < {calls}) -ne {fatal} ] || kill -KILL 0
exec {git} "$@"
"""


@pytest.mark.parametrize("arrive", ARRIVALS)
@pytest.mark.parametrize(
    "stride", [pytest.param(16, id="short"), pytest.param(1, id="long", marks=pytest.mark.soak)]
)
def test_killed_between_any_two_git_commands_while_a_run_comes(
    hosts: Hosts,
    monkeypatch: pytest.MonkeyPatch,
    arrive: Callable[[Hosts, str], Arrival],
    stride: int,
) -> None:
    calls, fake = hosts.directory / "calls", hosts.directory / "bin" / "git"
    real = shutil.which("git")
    fake.parent.mkdir()
    for fatal in range(2 + ARRIVALS.index(arrive) % stride, 100, stride):
        arrival = arrive(hosts, f"round/{fatal}")
        calls.write_text("")
        fake.write_text(KILLED_GIT.format(calls=calls, fatal=fatal, git=real))
        fake.chmod(0o755)
        with monkeypatch.context() as watched:
            watched.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
            _cut_short(arrival.house, arrival.branch, PATIENCE_SECONDS, _kill_all, arrival.commit)
        arrival.check()
        if len(calls.read_text()) < fatal:
            return
    pytest.fail("it never came to its end")


@pytest.mark.parametrize("rounds", ROUNDS)
def test_killed_while_pushing(hosts: Hosts, rounds: int) -> None:
    tip = hosts.begun()
    command = _pushing(hosts.a)
    begun = time.monotonic()
    assert hosts.a.push().commit == tip
    life = time.monotonic() - begun
    chance = random.Random(rounds)
    for number in range(rounds):
        tip = hosts.a.commit(hosts.a.place(), f"more-{number}", "text")
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as push:
            with suppress(subprocess.TimeoutExpired):
                push.wait(chance.uniform(0, life))
            with suppress(ProcessLookupError):
                os.killpg(push.pid, signal.SIGKILL)
        _unlock(hosts.origin)
        assert hosts.a.push().commit == tip, hosts.a.said
        assert git(hosts.origin, "rev-parse", "work") == tip


def _pushing(house: House) -> tuple[str, ...]:
    worktree = house.worktrees.place(str(house.repository), "work")
    return house.worktrees.pushing(worktree=worktree, branch="work", result=house.result)


def _unlock(origin: Path) -> None:
    """A remote on the same disk is killed with the push; no other is."""
    for lock in origin.rglob("*.lock"):
        lock.unlink()
