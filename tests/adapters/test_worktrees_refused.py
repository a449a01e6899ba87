"""A run that comes to a host where its worktree cannot be had: told why, and nothing changed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bot.workshop import Pushed
from tests.adapters.houses import Hosts, House, git, silent_remote


def _all_of(house: House) -> tuple[str, str, list[str]]:
    """All that a refusal must leave as it is."""
    return (
        git(house.repository, "for-each-ref"),
        git(house.repository, "worktree", "list", "--porcelain"),
        sorted(str(path) for path in (house.directory / "worktrees").rglob("*")),
    )


def _refused(house: House, commit: str, *more: str) -> str:
    before = _all_of(house)
    prepared = house.prepare("work", "main", commit, *more)
    assert prepared.reason is not None
    assert prepared.notice is None
    assert _all_of(house) == before
    return prepared.reason


# What people do stays


def test_branch_checked_out_by_somebody(hosts: Hosts) -> None:
    tip = hosts.gone_on()
    git(hosts.a.repository, "worktree", "remove", str(hosts.a.place()))
    git(hosts.a.repository, "checkout", "--quiet", "work")
    assert "checked out in another worktree, `repository`" in _refused(hosts.a, tip)


def test_branch_under_a_rebase_elsewhere(hosts: Hosts) -> None:
    tip = hosts.gone_on()
    git(hosts.a.repository, "worktree", "remove", str(hosts.a.place()))
    git(hosts.a.repository, "checkout", "--quiet", "work")
    _rebase(hosts.a.repository)
    assert "checked out in another worktree" in _refused(hosts.a, tip)


def test_branch_under_a_rebase_in_its_worktree(hosts: Hosts) -> None:
    tip = hosts.gone_on()
    _rebase(hosts.a.place())
    assert "is on no branch now" in _refused(hosts.a, tip)


def _rebase(directory: Path) -> None:
    editor = "sequence.editor=sed -i.bak s/^pick/edit/"
    git(directory, "-c", editor, "rebase", "--quiet", "--interactive", "HEAD~1")


def test_worktree_switched_to_another_branch(hosts: Hosts) -> None:
    tip = hosts.gone_on()
    git(hosts.a.place(), "checkout", "--quiet", "-b", "other")
    assert "is on `other` now" in _refused(hosts.a, tip)


def test_locked_worktree_is_not_set_aside(hosts: Hosts) -> None:
    tip, _ = hosts.diverged()
    git(hosts.a.repository, "worktree", "lock", "--reason", "mine", str(hosts.a.place()))
    assert "someone locked it by hand" in _refused(hosts.a, tip)
    git(hosts.a.repository, "worktree", "unlock", str(hosts.a.place()))
    assert hosts.a.prepare(commit=tip).reason is None


def test_branch_in_the_way_of_what_is_kept(hosts: Hosts) -> None:
    tip, lost = hosts.diverged()
    git(hosts.a.repository, "branch", "baton")
    assert _refused(hosts.a, tip) == (
        f"Branch `baton/kept/work-{lost[:10]}` cannot be made: there is a branch whose name is "
        "the first part of it, or begins with it and a slash."
    )


# What cannot be had


def _lacks(commit: str, why: str) -> str:
    return (
        f"The run's work up to commit `{commit[:10]}` is not on this host, and could not be "
        f"fetched{why}. Start a worker on the host that worked on it before, or push branch "
        "`work` by hand, then resume."
    )


FAULTS: dict[str, tuple[Callable[[Hosts], object], str]] = {
    "remote moved": (
        lambda hosts: hosts.origin.rename(hosts.directory / "moved"),
        " from `origin`: the remote cannot be reached, or is no repository",
    ),
    "no remote": (
        lambda hosts: git(hosts.b.repository, "remote", "remove", "origin"),
        ": the repository has no remote",
    ),
    "branch deleted": (
        lambda hosts: git(hosts.origin, "update-ref", "-d", "refs/heads/work"),
        " from `origin`: there is no such branch",
    ),
    "branch set back": (
        lambda hosts: git(hosts.origin, "update-ref", "refs/heads/work", "main"),
        " from `origin`: the branch there does not have it",
    ),
}


@pytest.mark.parametrize(("fault", "why"), FAULTS.values(), ids=list(FAULTS))
def test_commit_that_cannot_be_had(
    hosts: Hosts, fault: Callable[[Hosts], object], why: str
) -> None:
    tip = hosts.begun()
    fault(hosts)
    assert _refused(hosts.b, tip) == _lacks(tip, why)
    git(hosts.b.repository, "branch", "work")
    assert _refused(hosts.b, tip) == _lacks(tip, why)


def test_commit_that_is_nowhere_leaves_what_stands_here(hosts: Hosts) -> None:
    hosts.begun()
    (hosts.a.place() / "precious").write_text("uncommitted")
    nowhere = "0123456789" * 4
    why = " from `origin`: the branch there does not have it"
    assert _refused(hosts.a, nowhere) == _lacks(nowhere, why)
    assert hosts.a.prepare().reason is None


def test_remote_that_hangs(hosts: Hosts) -> None:
    tip = hosts.begun()
    with silent_remote(hosts.b):
        why = " from `origin`: it took longer than 0.5 seconds"
        assert _refused(hosts.b, tip, "--seconds=0.5") == _lacks(tip, why)


def test_several_remotes(hosts: Hosts) -> None:
    tip = hosts.begun()
    git(hosts.b.repository, "remote", "rename", "origin", "one")
    git(hosts.b.repository, "remote", "add", "two", str(hosts.origin))
    assert "several remotes" in _refused(hosts.b, tip)


def test_pushed_by_hand_as_told(hosts: Hosts) -> None:
    tip = hosts.begun()
    git(hosts.origin, "update-ref", "-d", "refs/heads/work")
    _refused(hosts.b, tip)
    assert hosts.a.push() == Pushed(commit=tip, reason=None)
    assert hosts.b.prepare(commit=tip).reason is None
    assert hosts.b.stands()
