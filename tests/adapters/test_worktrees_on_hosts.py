"""A run that goes from host to host: its worktree comes along, and nothing on any host is lost."""

import shutil
from pathlib import Path

import pytest

from adapters.branch import prepare
from adapters.branch.remote import fetched_ref
from adapters.branch.wish import Wish
from bot.workshop import Prepared
from tests.adapters.houses import MADE, Hosts, House, git

REST = "what was not pushed stays where the run worked before."
ANEW = f"The worktree was made anew on this host from branch `work` as it was last pushed; {REST}"
FORWARD = f"The worktree was brought forward to branch `work` as it was last pushed; {REST}"
LOCK_DELETED = "A git lock that a killed command had left was deleted."


def _aside(house: House) -> tuple[str, Path]:
    """The notice of the one worktree that was set aside, and where it is."""
    (aside,) = house.asides()
    return (
        "The worktree that was here was kept, with all that was in it, beside the new one as "
        f"`{aside.name}`."
    ), aside


def _head(directory: Path) -> str:
    return git(directory, "rev-parse", "HEAD")


# To another host


def test_made_anew_on_another_host_which_goes_on(hosts: Hosts) -> None:
    tip = hosts.begun()
    assert hosts.b.prepare(commit=tip) == Prepared(reason=None, notice=ANEW)
    assert hosts.b.stands()
    assert _head(hosts.b.place()) == tip
    assert (hosts.b.place() / "step-1").exists()
    assert hosts.b.prepare(commit=tip) == MADE
    hosts.step(hosts.b, "step-2")
    assert git(hosts.b.repository, "for-each-ref", "refs/baton") == ""
    assert "branch." not in git(hosts.b.repository, "config", "--list").replace("branch.main", "")


def test_more_than_the_wanted_commit_may_have_been_pushed(hosts: Hosts) -> None:
    tip = hosts.begun()
    later = hosts.pushed_by_hand("later")
    assert hosts.b.prepare(commit=tip).notice == ANEW
    assert _head(hosts.b.place()) == later


def test_what_has_the_wanted_commit_asks_no_remote(hosts: Hosts) -> None:
    tip = hosts.begun()
    hosts.origin.rename(hosts.directory / "gone")
    (hosts.a.place() / "precious").write_text("uncommitted")
    one = "The worktree had 1 uncommitted change; it was left as it is."
    assert hosts.a.prepare(commit=tip) == Prepared(reason=None, notice=one)
    hosts.a.commit(hosts.a.place(), "never", "pushed")
    assert hosts.a.prepare(commit=tip) == MADE


@pytest.mark.parametrize("branch", ["feature/ä-b", "a.b/c.d", "x" * 200, "';$(id)`id`", "+main"])
def test_odd_branch_names(hosts: Hosts, branch: str) -> None:
    tip = hosts.gone_on(branch)
    (hosts.a.place(branch) / "precious").write_text("uncommitted")
    hosts.a.commit(hosts.a.place(branch), "never", "pushed")
    assert hosts.a.prepare(branch, commit=tip).reason is None, hosts.a.said
    assert hosts.a.stands(branch)
    assert _head(hosts.a.place(branch)) == tip
    assert git(hosts.a.repository, "branch", "--list", "baton/kept/*") != ""


def test_branches_whose_fetched_heads_could_be_in_each_other_s_way(hosts: Hosts) -> None:
    tip = hosts.begun("topic")
    git(hosts.b.repository, "update-ref", fetched_ref("refs/heads/topic"), "HEAD")
    assert hosts.b.prepare("topic", commit=tip).reason is None
    git(hosts.origin, "update-ref", "-d", "refs/heads/topic")
    git(hosts.b.repository, "worktree", "remove", str(hosts.b.place("topic")))
    for host in (hosts.a, hosts.b):
        git(host.repository, "update-ref", "--no-deref", "-d", "refs/heads/topic")
    more = hosts.begun("topic/more")
    assert hosts.b.prepare("topic/more", commit=more).reason is None, hosts.b.said


@pytest.mark.parametrize("how", ["--depth=1", "--bare", "--no-local"])
def test_clone_of_any_kind(hosts: Hosts, how: str) -> None:
    tip = hosts.begun()
    shutil.rmtree(hosts.b.repository)
    git(hosts.b.directory, "clone", "--quiet", how, f"file://{hosts.origin}", "repository")
    if how == "--bare":
        git(hosts.b.repository, "update-ref", "-d", "refs/heads/work")
    assert hosts.b.prepare(commit=tip).notice == ANEW
    assert hosts.b.stands()
    hosts.step(hosts.b, "step-2")


def test_remote_of_git_s_settings_comes_before_origin(hosts: Hosts) -> None:
    git(hosts.directory, "init", "--quiet", "--bare", "fork.git")
    for host in (hosts.a, hosts.b):
        git(host.repository, "remote", "add", "fork", str(hosts.directory / "fork.git"))
        git(host.repository, "config", "remote.pushDefault", "fork")
    tip = hosts.begun()
    assert git(hosts.origin, "branch", "--list", "work") == ""
    assert hosts.b.prepare(commit=tip).notice == ANEW


# Back to a host that is behind


def test_clean_worktree_goes_forward(hosts: Hosts) -> None:
    (hosts.a.repository / ".git" / "info" / "exclude").write_text("cache\n")
    tip = hosts.gone_on()
    (hosts.a.place() / "cache").write_text("ignored")
    assert hosts.a.prepare(commit=tip) == Prepared(reason=None, notice=FORWARD)
    assert hosts.a.stands()
    assert _head(hosts.a.place()) == tip
    assert (hosts.a.place() / "cache").read_text() == "ignored"
    assert hosts.a.asides() == []
    assert hosts.a.prepare(commit=tip) == MADE
    hosts.step(hosts.a, "step-3")


def test_locked_worktree_goes_forward(hosts: Hosts) -> None:
    tip = hosts.gone_on()
    git(hosts.a.repository, "worktree", "lock", "--reason", "mine", str(hosts.a.place()))
    assert hosts.a.prepare(commit=tip).notice == FORWARD


def test_branch_without_a_worktree_goes_forward(hosts: Hosts) -> None:
    tip = hosts.gone_on()
    git(hosts.a.repository, "worktree", "remove", str(hosts.a.place()))
    assert hosts.a.prepare(commit=tip) == Prepared(reason=None, notice=ANEW)
    assert hosts.a.stands()
    assert _head(hosts.a.place()) == tip


@pytest.mark.parametrize("branch_too", [False, True])
def test_deleted_worktree_is_made_from_what_was_pushed(hosts: Hosts, *, branch_too: bool) -> None:
    tip = hosts.gone_on()
    shutil.rmtree(hosts.a.place())
    if branch_too:
        git(hosts.a.repository, "update-ref", "-d", "refs/heads/work")
    prepared = hosts.a.prepare(commit=tip)
    assert prepared.reason is None, hosts.a.said
    assert "had been deleted" in str(prepared.notice)
    assert str(prepared.notice).endswith(ANEW)
    assert hosts.a.stands()
    assert _head(hosts.a.place()) == tip


def test_uncommitted_changes_are_set_aside(hosts: Hosts) -> None:
    tip = hosts.gone_on()
    first = _head(hosts.a.place())
    (hosts.a.place() / "precious").write_text("staged")
    git(hosts.a.place(), "add", "precious")
    (hosts.a.place() / "first").write_text("changed")
    before = git(hosts.a.place(), "status", "--porcelain")
    prepared = hosts.a.prepare(commit=tip)
    notice, aside = _aside(hosts.a)
    assert prepared == Prepared(reason=None, notice=f"{notice} {ANEW}")
    assert hosts.a.stands()
    assert _head(hosts.a.place()) == tip
    assert git(aside, "status", "--porcelain") == before
    assert _head(aside) == first
    assert git(aside, "branch", "--show-current") == ""
    listed = git(hosts.a.repository, "worktree", "list", "--porcelain").splitlines()
    assert f"worktree {aside}" in listed
    assert not any(line.startswith("prunable") for line in listed)
    hosts.step(hosts.a, "step-3")


def test_set_aside_again_and_again(hosts: Hosts) -> None:
    hosts.gone_on()
    for number in range(3):
        tip = hosts.step(hosts.b, f"more-{number}")
        (hosts.a.place() / "precious").write_text(str(number))
        assert hosts.a.prepare(commit=tip).reason is None
        assert hosts.a.stands()
    assert [(aside / "precious").read_text() for aside in hosts.a.asides()] == ["0", "1", "2"]
    assert {git(aside, "status", "--porcelain") for aside in hosts.a.asides()} == {"?? precious"}


def test_ignored_file_in_the_way_is_not_overwritten(hosts: Hosts) -> None:
    (hosts.a.repository / ".git" / "info" / "exclude").write_text("step-2\n")
    tip = hosts.gone_on()
    (hosts.a.place() / "step-2").write_text("precious")
    assert hosts.a.prepare(commit=tip).notice == f"{_aside(hosts.a)[0]} {ANEW}"
    assert (_aside(hosts.a)[1] / "step-2").read_text() == "precious"
    assert (hosts.a.place() / "step-2").read_text() == "step-2"


def test_merge_under_way_is_set_aside(hosts: Hosts) -> None:
    tip = hosts.gone_on()
    git(hosts.a.repository, "checkout", "--quiet", "-b", "other", "work~")
    hosts.a.commit(hosts.a.repository, "of-other", "text")
    git(hosts.a.place(), "merge", "--quiet", "--no-commit", "-s", "ours", "other")
    assert hosts.a.prepare(commit=tip).notice == f"{_aside(hosts.a)[0]} {ANEW}"
    assert hosts.a.stands()
    assert git(_aside(hosts.a)[1], "rev-parse", "MERGE_HEAD") != ""


def test_setting_that_makes_merges_something_else(hosts: Hosts) -> None:
    tip = hosts.gone_on()
    git(hosts.a.repository, "config", "branch.work.mergeOptions", "--squash")
    assert hosts.a.prepare(commit=tip).notice == f"{_aside(hosts.a)[0]} {ANEW}"
    assert hosts.a.stands()
    assert _head(hosts.a.place()) == tip


def test_branch_deleted_under_its_worktree(hosts: Hosts) -> None:
    tip = hosts.gone_on()
    git(hosts.a.repository, "update-ref", "-d", "refs/heads/work")
    assert hosts.a.prepare(commit=tip).notice == f"{_aside(hosts.a)[0]} {ANEW}"
    assert hosts.a.stands()
    assert (_aside(hosts.a)[1] / "step-1").exists()


def test_half_made_worktree_that_is_behind(hosts: Hosts) -> None:
    tip = hosts.gone_on()
    own = Path(git(hosts.a.place(), "rev-parse", "--absolute-git-dir"))
    (own / "locked").write_text("initializing")
    assert hosts.a.prepare(commit=tip) == Prepared(reason=None, notice=ANEW)
    assert hosts.a.stands()
    assert _head(hosts.a.place()) == tip
    assert hosts.a.asides() == []


# Back to a host that has what was never pushed


@pytest.mark.parametrize(
    ("number", "words"), [(1, "1 commit {}; it is"), (2, "2 commits {}; they are")]
)
def test_commits_that_were_never_pushed_are_kept(hosts: Hosts, number: int, words: str) -> None:
    tip, lost = hosts.diverged(number)
    (hosts.a.place() / "precious").write_text("uncommitted")
    prepared = hosts.a.prepare(commit=tip)
    kept = f"baton/kept/work-{lost[:10]}"
    told = words.format("on this host that nobody pushed")
    notice, aside = _aside(hosts.a)
    assert prepared.notice == (f"Branch `work` had {told} kept on branch `{kept}`. {notice} {ANEW}")
    assert git(hosts.a.repository, "rev-parse", kept) == lost
    assert _head(aside) == lost
    assert (aside / "precious").read_text() == "uncommitted"
    assert hosts.a.stands()
    assert _head(hosts.a.place()) == tip
    hosts.step(hosts.a, "step-3")
    assert git(hosts.origin, "branch", "--list", "baton/*") == ""


def test_commits_that_were_kept_before(hosts: Hosts) -> None:
    tip, lost = hosts.diverged()
    git(hosts.a.repository, "worktree", "remove", str(hosts.a.place()))
    git(hosts.a.repository, "branch", f"baton/kept/work-{lost[:10]}", lost)
    assert "1 commit on this host" in str(hosts.a.prepare(commit=tip).notice)
    assert hosts.a.stands()
    assert hosts.a.asides() == []


def test_history_of_its_own(hosts: Hosts) -> None:
    tip = hosts.begun()
    git(hosts.b.repository, "checkout", "--quiet", "--orphan", "work")
    lost = hosts.b.commit(hosts.b.repository, "mine", "all mine")
    git(hosts.b.repository, "checkout", "--quiet", "main")
    assert "1 commit on this host" in str(hosts.b.prepare(commit=tip).notice)
    assert git(hosts.b.repository, "rev-parse", f"baton/kept/work-{lost[:10]}") == lost


# Cut short


@pytest.mark.parametrize("ref", ["refs/heads/work", fetched_ref("refs/heads/work")])
def test_lock_that_a_killed_preparation_left_is_deleted(hosts: Hosts, ref: str) -> None:
    tip = hosts.begun()
    lock = hosts.b.repository / ".git" / f"{ref}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    assert hosts.b.prepare(commit=tip).notice == f"{LOCK_DELETED} {ANEW}"


def test_locks_in_a_worktree_that_is_set_aside_are_deleted(hosts: Hosts) -> None:
    tip, _ = hosts.diverged()
    own = Path(git(hosts.a.place(), "rev-parse", "--absolute-git-dir"))
    (own / "HEAD.lock").touch()
    (own / "index.lock").touch()
    assert LOCK_DELETED in str(hosts.a.prepare(commit=tip).notice)
    hosts.a.commit(_aside(hosts.a)[1], "again", "works again")


@pytest.mark.parametrize("moment", ["write_bytes", "rename"])
@pytest.mark.parametrize("pushed", [True, False])
def test_killed_while_it_sets_a_worktree_aside(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch, moment: str, *, pushed: bool
) -> None:
    tip, lost = (hosts.gone_on(), "") if pushed else hosts.diverged()
    (hosts.a.place() / "precious").write_text("staged")
    git(hosts.a.place(), "add", "precious")
    first = _head(hosts.a.place())
    wish = Wish(
        repository=hosts.a.repository, base="main", branch="work", path=hosts.a.place(), commit=tip
    )
    with monkeypatch.context() as killed:
        killed.setattr(Path, moment, _killed)
        with pytest.raises(KeyboardInterrupt):
            prepare.prepare(wish, [])
    assert hosts.a.prepare(commit=tip).reason is None, hosts.a.said
    assert hosts.a.stands()
    assert _head(hosts.a.place()) == tip
    (aside,) = hosts.a.asides()
    assert _head(aside) == first
    assert git(aside, "status", "--porcelain") == "A  precious"
    if lost:
        assert git(hosts.a.repository, "rev-parse", f"baton/kept/work-{lost[:10]}") == lost


def _killed(*_: object) -> None:
    raise KeyboardInterrupt
