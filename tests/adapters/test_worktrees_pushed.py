"""Branches pushed after a step: to which remote, and what people are told where it fails."""

import os
import signal
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from adapters.branch import git as git_of_script
from adapters.branch.git import Git, say
from bot.supervision import EndingKind
from bot.workshop import Pushed
from tests.adapters.houses import MADE, Hosts, House, git, silent_remote
from tests.adapters.steps import PATIENCE_SECONDS, Steps

NOWHERE = Pushed(commit=None, reason=None)


def _hook(repository: Path, name: str, text: str) -> None:
    hook = repository / "hooks" / name
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{text}\n")
    hook.chmod(0o755)


def _head(repository: Path, branch: str = "work") -> str:
    return git(repository, "rev-parse", f"refs/heads/{branch}")


def _not_pushed(why: str) -> Pushed:
    return Pushed(commit=None, reason=f"Branch `work` could not be pushed to `origin`: {why}.")


# Pushing


def test_what_a_step_committed_is_pushed(hosts: Hosts) -> None:
    assert hosts.a.prepare() == MADE
    tip = hosts.a.commit(hosts.a.place(), "second", "two")
    (hosts.a.place() / "third").write_text("not committed")
    assert hosts.a.push() == Pushed(commit=tip, reason=None)
    assert _head(hosts.origin) == tip
    assert "[new branch]" in hosts.a.said
    assert (hosts.a.place() / "third").read_text() == "not committed"


def test_new_branch_without_a_commit_is_pushed_all_the_same(hosts: Hosts) -> None:
    assert hosts.a.prepare() == MADE
    assert hosts.a.push() == Pushed(commit=_head(hosts.a.repository), reason=None)
    assert _head(hosts.origin) == _head(hosts.a.repository)


def test_again_says_nothing(hosts: Hosts) -> None:
    tip = hosts.begun()
    assert hosts.a.push() == Pushed(commit=tip, reason=None)
    assert hosts.a.said == ""


@pytest.mark.parametrize("branch", ["feature/ä-b", "a.b/c.d", "x" * 200, "';$(id)`id`", "+main"])
def test_odd_branch_names(hosts: Hosts, branch: str) -> None:
    tip = hosts.begun(branch)
    assert _head(hosts.origin, branch) == tip
    assert "branch." not in git(hosts.a.repository, "config", "--list")


def test_branch_is_pushed_whatever_a_step_checked_out(hosts: Hosts) -> None:
    tip = hosts.begun()
    git(hosts.a.place(), "checkout", "--quiet", "-b", "other")
    hosts.a.commit(hosts.a.place(), "third", "three")
    assert hosts.a.push() == Pushed(commit=tip, reason=None)
    assert git(hosts.origin, "branch", "--list", "other") == ""


# Which remote


def test_no_remote(house: House) -> None:
    assert house.prepare() == MADE
    assert house.push() == NOWHERE
    assert house.said == ""


def test_remote_that_is_nowhere_is_none(house: House) -> None:
    git(house.repository, "config", "remote.origin.prune", "true")
    git(house.repository, "config", "remote.pushDefault", "origin")
    assert house.prepare() == MADE
    assert house.push() == NOWHERE


REMOTES = {
    "the branch's push remote": ("branch.work.pushRemote=it", "remote.pushDefault=origin"),
    "the one for all pushes": ("remote.pushDefault=it", "branch.work.remote=origin"),
    "the branch's own": ("branch.work.remote=it",),
}


@pytest.mark.parametrize("settings", REMOTES.values(), ids=list(REMOTES))
def test_remote_of_git_s_settings_comes_before_origin(
    hosts: Hosts, settings: tuple[str, ...]
) -> None:
    it = hosts.directory / "it.git"
    git(hosts.directory, "init", "--quiet", "--bare", str(it))
    git(hosts.a.repository, "remote", "add", "it", str(it))
    for setting in settings:
        git(hosts.a.repository, "config", *setting.split("="))
    tip = hosts.begun()
    assert _head(it) == tip
    assert git(hosts.origin, "branch", "--list", "work") == ""


@pytest.mark.parametrize("name", [".", "missing"])
def test_setting_that_names_no_remote_does_not_count(hosts: Hosts, name: str) -> None:
    git(hosts.a.repository, "config", "branch.work.remote", name)
    tip = hosts.begun()
    assert _head(hosts.origin) == tip


def test_only_remote_by_any_name(hosts: Hosts) -> None:
    git(hosts.a.repository, "remote", "rename", "origin", "team/it.s")
    tip = hosts.begun()
    assert _head(hosts.origin) == tip


def test_several_remotes(hosts: Hosts) -> None:
    git(hosts.a.repository, "remote", "rename", "origin", "one")
    git(hosts.a.repository, "remote", "add", "two", str(hosts.origin))
    assert hosts.a.prepare() == MADE
    assert hosts.a.push().reason == (
        "The repository has several remotes, and none of them is `origin`. Say with git's setting "
        "`remote.pushDefault` where branch `work` belongs."
    )


def test_remote_without_a_name(hosts: Hosts) -> None:
    git(hosts.a.repository, "config", "branch.work.pushRemote", str(hosts.origin))
    hosts.begun()
    hosts.origin.rename(hosts.directory / "moved")
    assert hosts.a.push().reason == (
        "Branch `work` could not be pushed to its remote: the remote cannot be reached, or is no "
        "repository."
    )


# What a remote says


def test_commits_that_are_not_here_are_not_overwritten(hosts: Hosts) -> None:
    hosts.begun()
    theirs = hosts.pushed_by_hand("theirs")
    hosts.a.commit(hosts.a.place(), "ours", "of the run")
    outrun = _not_pushed("the remote refused it, since it has commits that are not here")
    assert hosts.a.push() == outrun
    git(hosts.a.repository, "fetch", "--quiet")
    assert hosts.a.push() == outrun
    assert _head(hosts.origin) == theirs
    assert git(hosts.a.repository, "for-each-ref", "refs/baton") == ""


def test_what_somebody_pushed_on_top_is_no_reason_to_worry(hosts: Hosts) -> None:
    tip = hosts.begun()
    theirs = hosts.pushed_by_hand("theirs")
    assert hosts.a.push() == Pushed(commit=tip, reason=None)
    assert _head(hosts.origin) == theirs
    assert _head(hosts.a.repository) == tip


@pytest.mark.parametrize("name", ["pre-receive", "update"])
def test_hook_of_the_remote_refuses(hosts: Hosts, name: str) -> None:
    _hook(hosts.origin, name, "echo words of the hook; exit 1")
    assert hosts.a.prepare() == MADE
    assert hosts.a.push() == _not_pushed("the remote refused it; the run's log says why")
    assert "words of the hook" in hosts.a.said


def test_hook_of_the_user_refuses(hosts: Hosts) -> None:
    _hook(hosts.a.repository / ".git", "pre-push", "echo words of the hook; exit 1")
    assert hosts.a.prepare() == MADE
    assert hosts.a.push() == _not_pushed("the run's log says why")
    assert "words of the hook" in hosts.a.said
    assert git(hosts.origin, "branch", "--list", "work") == ""


def test_branch_that_is_checked_out_there(hosts: Hosts) -> None:
    git(hosts.b.repository, "checkout", "--quiet", "-b", "work")
    git(hosts.a.repository, "remote", "set-url", "origin", str(hosts.b.repository))
    assert hosts.a.prepare() == MADE
    hosts.a.commit(hosts.a.place(), "second", "two")
    assert hosts.a.push() == _not_pushed("it is checked out there")


UNREACHABLE = {
    "moved": "/nowhere/at/all.git",
    "refuses": "git://127.0.0.1:1/it.git",
    "no such name": "https://name:secret@nowhere.invalid/it.git",
}


@pytest.mark.parametrize("url", UNREACHABLE.values(), ids=list(UNREACHABLE))
def test_unreachable(hosts: Hosts, url: str) -> None:
    git(hosts.a.repository, "remote", "set-url", "origin", url)
    assert hosts.a.prepare() == MADE
    assert hosts.a.push() == _not_pushed("the remote cannot be reached, or is no repository")
    assert "secret" not in hosts.a.said


class _Closed(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", "Basic")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass


def test_nobody_is_asked_for_a_password(hosts: Hosts) -> None:
    with HTTPServer(("127.0.0.1", 0), _Closed) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/it.git"
            git(hosts.a.repository, "remote", "set-url", "origin", url)
            assert hosts.a.prepare() == MADE
            assert hosts.a.push() == _not_pushed("the remote does not let this host in")
        finally:
            server.shutdown()


def test_credentials_do_not_get_into_the_log(hosts: Hosts) -> None:
    url = "https://name:sec@ret@nowhere.invalid/it.git"
    git(hosts.a.repository, "config", "branch.work.pushRemote", url)
    assert hosts.a.prepare() == MADE
    assert str(hosts.a.push().reason).startswith("Branch `work` could not be pushed to its remote:")
    assert "https://***@nowhere.invalid/it.git" in hosts.a.said
    assert "name" not in hosts.a.said
    assert "ret@" not in hosts.a.said


def test_masks(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    say("to ssh://me@host/@scope 'https://token:x@host' and git@host:path \udcff")
    said = b"to ssh://***@host/@scope 'https://***@host' and git@host:path \xff\n"
    assert capfdbinary.readouterr().out == said


# Time


def test_remote_that_hangs(hosts: Hosts) -> None:
    assert hosts.a.prepare() == MADE
    with silent_remote(hosts.a):
        begun = time.monotonic()
        assert hosts.a.push("work", "--seconds=0.5") == _not_pushed(
            "it took longer than 0.5 seconds"
        )
        assert time.monotonic() - begun < PATIENCE_SECONDS / 2


def test_hook_that_hangs(hosts: Hosts) -> None:
    hung = hosts.directory / "hung"
    _hook(hosts.a.repository / ".git", "pre-push", f"echo $$ > {hung}; exec sleep 1000")
    assert hosts.a.prepare() == MADE
    try:
        assert hosts.a.push("work", "--seconds=0.5") == _not_pushed(
            "it took longer than 0.5 seconds"
        )
    finally:
        subprocess.run(
            ["kill", "-KILL", hung.read_text().strip()], check=False, capture_output=True
        )


def test_git_that_does_not_listen_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = tmp_path / "git"
    deaf.write_text(
        f"#!/bin/sh\ntrap '' TERM\necho $$ > {tmp_path}/pid\nwhile :; do sleep 0.05; done\n"
    )
    deaf.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(git_of_script, "_GRACE_SECONDS", 0.1)
    assert Git(tmp_path).run("push", seconds=0.3).code is None
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


# Faults


def test_worktree_that_is_gone(hosts: Hosts) -> None:
    gone = Pushed(commit=None, reason="Branch `work` could not be pushed; the run's log says why.")
    assert hosts.a.push() == gone
    assert "cannot change to" in hosts.a.said


def test_branch_that_is_gone(hosts: Hosts) -> None:
    hosts.begun()
    git(hosts.a.repository, "update-ref", "-d", "refs/heads/work")
    assert "could not be pushed" in str(hosts.a.push().reason)


def test_git_is_not_installed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    assert house.prepare() == MADE
    with monkeypatch.context() as no_path:
        no_path.setenv("PATH", str(house.directory))
        assert house.push().reason == "Git is not installed on this host."


def test_result_of_a_push_that_was_cut_short(house: House) -> None:
    cut = Pushed(commit=None, reason="The push was cut short.")
    assert house.worktrees.push_result(house.result) == cut
    for content in ("", "{", "[]", '"x"', '{"commit": null}', "\xff"):
        house.result.write_text(content, encoding="latin-1")
        assert house.worktrees.push_result(house.result) == cut


async def test_under_a_supervisor(hosts: Hosts) -> None:
    tip = hosts.begun()
    steps = Steps(hosts.directory / "steps")
    worktree = hosts.a.worktrees.place(str(hosts.a.repository), "work")
    pushing = hosts.a.worktrees.pushing(worktree=worktree, branch="work", result=hosts.a.result)
    ending = await steps.end_of(*pushing, env=dict(os.environ))
    assert (ending.kind, ending.exit_code) == (EndingKind.EXITED, 0)
    assert hosts.a.worktrees.push_result(hosts.a.result) == Pushed(commit=tip, reason=None)


def test_the_script_needs_nothing_that_is_installed(hosts: Hosts) -> None:
    tip = hosts.begun()
    worktree = hosts.a.worktrees.place(str(hosts.a.repository), "work")
    pushing = hosts.a.worktrees.pushing(worktree=worktree, branch="work", result=hosts.a.result)
    subprocess.run([pushing[0], "-S", *pushing[1:]], check=True, cwd=hosts.directory)
    assert hosts.a.worktrees.push_result(hosts.a.result) == Pushed(commit=tip, reason=None)
