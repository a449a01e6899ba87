"""What a worktree holds, on its page: git may take its time, and nobody waits for it."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from adapters.web import changes
from adapters.web.changes import Changes
from bot.run import Change, Run, Worktree
from tests.runs import run_of
from tests.web.house import Web

RUN = run_of("x", Change("cli:ana", "cli", 0.0))
SLOW = """#!/bin/sh
case "$*" in *diff*|*status*) while [ ! -e {gate} ]; do sleep 0.05; done;; esac
exec {git} "$@"
"""


class Git:
    """Tells what it is made to tell, once it may, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.told = "first"
        self.may = asyncio.Event()

    async def __call__(self, _run: Run) -> str:
        self.asked += 1
        await self.may.wait()
        return self.told


async def test_whoever_looks_at_the_same_time_asks_git_once() -> None:
    git = Git()
    known = Changes(git)
    looking = [asyncio.create_task(known.of(RUN, 10)) for _ in range(10)]
    assert await known.of(RUN, 0) == ""
    git.may.set()
    assert await asyncio.gather(*looking) == ["first"] * 10
    assert await known.of(RUN, 10) == "first"
    assert git.asked == 1


async def test_what_was_told_before_is_shown_while_git_takes_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(changes, "_FRESH_SECONDS", 0)
    git = Git()
    git.may.set()
    known = Changes(git)
    assert await known.of(RUN, 10) == "first"
    git.may.clear()
    git.told = "second"
    assert await known.of(RUN, 0) == "first"
    git.may.set()
    assert await known.of(RUN, 10) == "second"


async def test_what_goes_wrong_is_logged_and_shows_nothing(fresh: Web) -> None:
    async def break_down(_run: Run) -> str:
        raise PermissionError("planted")

    assert await Changes(break_down).of(RUN, 10) == ""
    assert [one["event"] for one in fresh.logged() if "planted" in one.get("traceback", "")] == [
        "web.changes_failed"
    ]


async def test_only_so_many_worktrees_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_MOST_KNOWN", 2)
    git = Git()
    git.may.set()
    known = Changes(git)
    for number in range(5):
        await known.of(run_of("x", RUN.requested, worktree=Worktree("here", f"/{number}")), 10)
    assert len(known._known) == 2
    assert not known._asking


async def test_a_cancel_is_answered_while_git_stands_still(
    fresh: Web, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, slow = tmp_path / "gate", tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text(SLOW.format(gate=gate, git=shutil.which("git")))
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    browser = await fresh.browser()
    run_id = fresh.put("failed", path=str(repository))
    (repository / "new.txt").touch()
    async with asyncio.timeout(2.5):
        page = await browser.get(f"/runs/{run_id}")
        answer = await browser.send(f"/runs/{run_id}/cancel", epoch="2")
    assert (page.status, answer.status) == (200, 200)
    assert "new.txt" not in answer.text
    gate.touch()
    async with asyncio.timeout(10):
        while "?? new.txt" not in (await browser.get(f"/runs/{run_id}")).text:
            await asyncio.sleep(0.05)
