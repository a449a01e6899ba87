"""Where worktrees are, how they are made, and when they are refused: all by real git."""

import shutil
from pathlib import Path

import pytest

from adapters.worktrees import Worktrees
from tests.adapters.houses import MADE, House, git

# Places


def test_a_place_for_every_branch_of_every_repository(tmp_path: Path) -> None:
    worktrees = Worktrees(tmp_path, "here")
    branches = ["a/b", "a-b", "A-b", "a b", "ä", "ö", "..", "-", "x" * 300, "x" * 301]
    repositories = [str(tmp_path / name) for name in ("one", "One", "deep/one")]
    places = [worktrees.place(r, b) for r in repositories for b in branches]
    assert len({place.path.lower() for place in places}) == len(places)
    locks = {str(worktrees.lock_path(place)).lower() for place in places}
    assert len(locks) == len(places)
    for place in places:
        path = Path(place.path)
        assert path.is_relative_to(tmp_path.resolve())
        assert path.name.isascii()
        assert len(path.name) < 100
        assert not worktrees.lock_path(place).is_relative_to(path)


def test_one_place_however_the_repository_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    worktrees = Worktrees(tmp_path / "root", "here")
    ways = [str(tmp_path / "real"), str(tmp_path / "link"), "~/real", "real/", "./link/../real"]
    assert len({worktrees.place(way, "work") for way in ways}) == 1


# Making


def test_new_branch_from_its_base(house: House) -> None:
    start = git(house.repository, "rev-parse", "HEAD")
    assert house.prepare() == MADE
    assert house.stands()
    assert git(house.place(), "rev-parse", "HEAD") == start
    assert (house.place() / "first").read_text() == "one"


@pytest.mark.parametrize("branch", ["feature/ä-b", "a/b/c", "x" * 200, "';$(id)`id`"])
def test_odd_branch_names(house: House, branch: str) -> None:
    assert house.prepare(branch) == MADE
    assert house.stands(branch)


@pytest.mark.parametrize(
    "branch", ["", "-b", "HEAD", "a..b", "a~1", "refs/", "@{-1}", "a\nb", "a b"]
)
def test_no_branch_name(house: House, branch: str) -> None:
    assert "cannot be the name of a branch" in str(house.prepare(branch).reason)
    assert git(house.repository, "branch", "--format=%(refname)") == "refs/heads/main"


def test_existing_branch_is_taken_as_it_is(house: House) -> None:
    git(house.repository, "checkout", "--quiet", "-b", "work")
    tip = house.commit(house.repository, "second", "two")
    git(house.repository, "checkout", "--quiet", "main")
    assert house.prepare(base="missing") == MADE
    assert house.stands()
    assert git(house.place(), "rev-parse", "HEAD") == tip


def test_base_branch_comes_before_a_tag_of_its_name(house: House) -> None:
    git(house.repository, "tag", "release")
    git(house.repository, "checkout", "--quiet", "-b", "release")
    tip = house.commit(house.repository, "second", "two")
    git(house.repository, "checkout", "--quiet", "main")
    assert house.prepare(base="release") == MADE
    assert git(house.place(), "rev-parse", "HEAD") == tip


def test_base_may_be_a_commit(house: House) -> None:
    start = git(house.repository, "rev-parse", "HEAD")
    house.commit(house.repository, "second", "two")
    assert house.prepare(base=start) == MADE
    assert git(house.place(), "rev-parse", "HEAD") == start


def test_base_of_a_remote_is_not_tracked(house: House) -> None:
    git(house.directory, "clone", "--quiet", str(house.repository), "clone")
    house.repository = house.directory / "clone"
    assert house.prepare(base="origin/main") == MADE
    assert house.stands()
    assert "branch.work" not in git(house.repository, "config", "--list")


def test_again_changes_nothing(house: House) -> None:
    assert house.prepare() == MADE
    tip = house.commit(house.place(), "second", "two")
    house.commit(house.repository, "third", "of main")
    assert house.prepare() == MADE
    assert house.stands()
    assert git(house.place(), "rev-parse", "HEAD") == tip


def test_bare_repository(house: House) -> None:
    bare = house.directory / "bare.git"
    git(house.directory, "clone", "--quiet", "--bare", str(house.repository), str(bare))
    house.repository = bare
    assert house.prepare() == MADE
    assert house.stands()
    assert house.prepare() == MADE


def test_variables_of_a_git_command_around_do_not_redirect(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = House(_directory(house.directory / "other"))
    monkeypatch.setenv("GIT_DIR", str(other.repository / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.repository))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.repository / "index"))
    prepared = house.prepare()
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name)
    assert prepared == MADE
    assert house.stands()
    assert git(other.repository, "branch", "--list", "work") == ""


def _directory(path: Path) -> Path:
    path.mkdir()
    return path


def test_hook_that_fails_is_told(house: House) -> None:
    hook = house.repository / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho words of the hook >&2\nexit 3\n")
    hook.chmod(0o755)
    prepared = house.prepare()
    assert prepared.reason is None
    assert "post-checkout hook failed" in str(prepared.notice)
    assert "words of the hook" in house.said
    assert house.stands()


# Refusing


def test_missing_base(house: House) -> None:
    prepared = house.prepare(base="nowhere")
    assert prepared.reason == (
        "Branch `work` does not exist, and neither does `nowhere`, from which it would be made."
    )
    assert not house.place().exists()


@pytest.mark.parametrize("base", ["", "--all", "-n1", "HEAD^{tree}"])
def test_odd_base(house: House, base: str) -> None:
    assert "does not exist" in str(house.prepare(base=base).reason)


def test_missing_repository(house: House) -> None:
    shutil.rmtree(house.repository)
    reason = house.prepare().reason
    assert reason == "The repository `repository` is missing on this host."


def test_directory_that_is_no_repository(house: House) -> None:
    shutil.rmtree(house.repository / ".git")
    assert house.prepare().reason == "`repository` is not a git repository."


def test_directory_inside_a_repository_is_no_repository(house: House) -> None:
    house.repository = _directory(house.repository / "inside")
    assert house.prepare().reason == "`inside` is not a git repository."


def test_git_is_not_installed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as no_path:
        no_path.setenv("PATH", str(house.directory))
        assert house.prepare().reason == "Git is not installed on this host."


def test_empty_repository(house: House) -> None:
    shutil.rmtree(house.repository)
    git(house.directory, "init", "--quiet", "--initial-branch=main", "repository")
    reason = house.prepare().reason
    assert reason == "The repository `repository` has no commit yet. Make the first one."


def test_branch_in_the_way_of_its_name(house: House) -> None:
    git(house.repository, "branch", "work")
    assert "cannot be made" in str(house.prepare("work/more").reason)


def test_branch_checked_out_in_the_repository_itself(house: House) -> None:
    reason = str(house.prepare("main").reason)
    assert "`main` is checked out in another worktree, `repository`" in reason
    assert str(house.directory) not in reason


def test_branch_checked_out_in_another_worktree(house: House) -> None:
    other = house.directory / "mine"
    git(house.repository, "worktree", "add", "--quiet", "-b", "work", str(other))
    (other / "precious").write_text("uncommitted")
    assert "checked out in another worktree, `mine`" in str(house.prepare().reason)
    assert (other / "precious").read_text() == "uncommitted"
    assert not house.place().exists()
    git(other, "checkout", "--quiet", "--detach")
    assert house.prepare() == MADE


def test_branch_under_a_rebase_elsewhere(house: House) -> None:
    git(house.repository, "checkout", "--quiet", "-b", "work")
    house.commit(house.repository, "second", "two")
    editor = "sequence.editor=sed -i.bak s/^pick/edit/"
    git(house.repository, "-c", editor, "rebase", "--quiet", "--interactive", "HEAD~1")
    assert "`work` is checked out in another worktree" in str(house.prepare().reason)


@pytest.mark.parametrize(
    ("switch", "now"),
    [(("-b", "other"), "on `other`"), (("--detach",), "on no branch")],
    ids=["branch", "detached"],
)
def test_head_switched_by_hand(house: House, switch: tuple[str, ...], now: str) -> None:
    assert house.prepare() == MADE
    git(house.place(), "checkout", "--quiet", *switch)
    (house.place() / "precious").write_text("uncommitted")
    assert house.prepare().reason == (
        f"The worktree of branch `work` is {now} now. Switch it back to `work`, then resume."
    )
    assert (house.place() / "precious").read_text() == "uncommitted"
    git(house.place(), "checkout", "--quiet", "work")
    assert house.prepare().reason is None
