"""Worktrees taken up and mended: whatever people, crashes and other git commands left."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.branch import prepare
from adapters.branch.wish import Wish
from adapters.worktrees import Worktrees
from bot.supervision import EndingKind
from bot.workshop import Prepared
from tests.adapters.houses import MADE, House, git
from tests.adapters.steps import PATIENCE_SECONDS, Steps

AGAIN = (
    "The worktree had been deleted and was made again from its branch; uncommitted work of earlier "
    "steps is not in it."
)


def test_uncommitted_changes_are_told_and_left(house: House) -> None:
    assert house.prepare() == MADE
    (house.place() / "precious").write_text("new")
    one = "The worktree had 1 uncommitted change; it was left as it is."
    assert house.prepare() == Prepared(reason=None, notice=one)
    (house.place() / "first").write_text("changed")
    two = "The worktree had 2 uncommitted changes; they were left as they are."
    assert house.prepare() == Prepared(reason=None, notice=two)
    assert (house.place() / "precious").read_text() == "new"
    assert (house.place() / "first").read_text() == "changed"


def test_deleted_by_hand_is_made_again_from_its_branch(house: House) -> None:
    assert house.prepare() == MADE
    tip = house.commit(house.place(), "second", "two")
    shutil.rmtree(house.place())
    assert house.prepare() == Prepared(reason=None, notice=AGAIN)
    assert house.stands()
    assert git(house.place(), "rev-parse", "HEAD") == tip


def test_deleted_and_forgotten_by_hand_is_made_again(house: House) -> None:
    assert house.prepare() == MADE
    tip = house.commit(house.place(), "second", "two")
    git(house.repository, "worktree", "remove", str(house.place()))
    assert house.prepare() == MADE
    assert git(house.place(), "rev-parse", "HEAD") == tip


def test_branch_deleted_with_its_worktree_starts_anew(house: House) -> None:
    assert house.prepare() == MADE
    git(house.repository, "worktree", "remove", str(house.place()))
    git(house.repository, "branch", "--delete", "--force", "work")
    assert house.prepare() == MADE
    assert house.stands()


def _files(place: Path) -> None:
    place.mkdir(parents=True)
    (place / "precious").write_text("a stranger's")


def _file(place: Path) -> None:
    place.parent.mkdir(parents=True)
    place.write_text("a stranger's")


def _dangling(place: Path) -> None:
    place.parent.mkdir(parents=True)
    place.symlink_to("nowhere")


def _repository(place: Path) -> None:
    _files(place)
    git(place, "init", "--quiet")


@pytest.mark.parametrize("occupy", [_files, _file, _dangling, _repository])
def test_what_is_in_the_place_is_moved_aside(house: House, occupy: Callable[[Path], None]) -> None:
    occupy(house.place())
    prepared = house.prepare()
    assert prepared.reason is None
    (aside,) = house.asides()
    assert f"kept beside it as `{aside.name}`" in str(prepared.notice)
    assert house.stands()
    if aside.is_symlink():
        assert aside.readlink() == Path("nowhere")
    else:
        kept = aside / "precious" if aside.is_dir() else aside
        assert kept.read_text() == "a stranger's"


def test_what_was_moved_aside_before_is_kept_too(house: House) -> None:
    for text in ("one", "two"):
        _files(house.place())
        (house.place() / "precious").write_text(text)
        assert house.prepare().reason is None
        git(house.repository, "worktree", "remove", str(house.place()))
    assert [(aside / "precious").read_text() for aside in house.asides()] == ["one", "two"]


def test_empty_directory_in_the_place_is_no_trouble(house: House) -> None:
    house.place().mkdir(parents=True)
    assert house.prepare() == MADE
    assert house.stands()


def test_worktree_that_lost_its_git_file_is_moved_aside(house: House) -> None:
    assert house.prepare() == MADE
    (house.place() / "precious").write_text("uncommitted")
    (house.place() / ".git").unlink()
    assert house.prepare().reason is None
    (aside,) = house.asides()
    assert (aside / "precious").read_text() == "uncommitted"
    assert house.stands()


def test_worktree_forgotten_by_git_is_moved_aside(house: House) -> None:
    assert house.prepare() == MADE
    (house.place() / "precious").write_text("uncommitted")
    shutil.rmtree(house.repository / ".git" / "worktrees")
    assert house.prepare().reason is None
    (aside,) = house.asides()
    assert (aside / "precious").read_text() == "uncommitted"
    assert house.stands()


def test_damaged_worktree_that_someone_locked_is_refused(house: House) -> None:
    assert house.prepare() == MADE
    git(house.repository, "worktree", "lock", "--reason", "mine", str(house.place()))
    assert house.prepare() == MADE
    (house.place() / ".git").unlink()
    assert "locked it by hand" in str(house.prepare().reason)
    assert (house.place() / "first").exists()


def test_link_in_the_place_is_moved_aside_and_what_it_leads_to_left_alone(house: House) -> None:
    house.place().parent.mkdir(parents=True)
    house.place().symlink_to(house.repository)
    assert house.prepare().reason is None
    assert house.stands()
    (aside,) = house.asides()
    assert aside.readlink() == house.repository
    assert git(house.repository, "symbolic-ref", "HEAD") == "refs/heads/main"


def test_worktree_of_a_repository_that_was_cloned_anew_is_moved_aside(house: House) -> None:
    assert house.prepare() == MADE
    house.repository.rename(house.directory / "old")
    git(house.directory, "clone", "--quiet", "old", "repository")
    assert "kept beside it" in str(house.prepare().notice)
    assert house.stands()


def test_worktree_inside_its_repository_that_lost_its_git_file(house: House) -> None:
    house.worktrees = Worktrees(house.repository / ".baton", "here")
    assert house.prepare() == MADE
    (house.place() / ".git").unlink()
    assert "kept beside it" in str(house.prepare().notice)
    assert house.stands()


def test_other_worktrees_that_are_away_are_not_forgotten(house: House) -> None:
    disk = house.directory / "disk"
    git(house.repository, "worktree", "add", "--quiet", "-b", "unplugged", str(disk))
    disk.rename(house.directory / "away")
    assert house.prepare() == MADE
    shutil.rmtree(house.place())
    assert house.prepare().notice == AGAIN
    (house.directory / "away").rename(disk)
    assert git(disk, "status", "--porcelain") == ""


def _half_made(house: House) -> Path:
    """Leaves a worktree as a killed `git worktree add` does; what git keeps of it."""
    assert house.prepare() == MADE
    own = Path(git(house.place(), "rev-parse", "--absolute-git-dir"))
    (own / "locked").write_text("initializing")
    return own


DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    "nothing": lambda place, own: None,
    "no files": lambda place, own: (place / "first").unlink(),
    "no git file": lambda place, own: (place / ".git").unlink(),
    "no directory": lambda place, own: shutil.rmtree(place),
    "no HEAD": lambda place, own: (own / "HEAD").unlink(),
    "empty HEAD": lambda place, own: (own / "HEAD").write_text(""),
    "HEAD of nothing": lambda place, own: (own / "HEAD").write_text("0" * 40),
    "no commondir": lambda place, own: (own / "commondir").unlink(),
    "empty index": lambda place, own: (own / "index").write_text(""),
    "locked index": lambda place, own: (own / "index.lock").touch(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_half_made_is_made_again(house: House, damage: Callable[[Path, Path], object]) -> None:
    damage(house.place(), _half_made(house))
    assert house.prepare() == MADE
    assert house.stands()


@pytest.mark.parametrize("content", [None, ""])
def test_half_made_that_git_does_not_list_is_moved_aside(house: House, content: str | None) -> None:
    listed = _half_made(house) / "gitdir"
    listed.unlink()
    if content is not None:
        listed.write_text(content)
    assert house.prepare().reason is None
    assert house.stands()


@pytest.mark.parametrize("branch", ["work", "another"])
def test_link_that_a_killed_git_left_empty_is_mended(house: House, branch: str) -> None:
    (_half_made(house) / "commondir").write_text("")
    with pytest.raises(subprocess.CalledProcessError):
        git(house.repository, "branch")  # nobody's git works in this repository any more
    assert house.prepare(branch) == MADE
    assert house.stands(branch)
    git(house.repository, "branch")


LOCK_DELETED = "A git lock that a killed command had left was deleted."


@pytest.mark.parametrize("name", ["index.lock", "HEAD.lock"])
def test_lock_that_a_killed_step_left_is_deleted(house: House, name: str) -> None:
    assert house.prepare() == MADE
    (Path(git(house.place(), "rev-parse", "--absolute-git-dir")) / name).touch()
    assert house.prepare() == Prepared(reason=None, notice=LOCK_DELETED)
    house.commit(house.place(), "second", "works again")


def test_lock_of_the_branch_that_a_killed_preparation_left_is_deleted(house: House) -> None:
    (house.repository / ".git" / "refs" / "heads" / "work.lock").touch()
    assert house.prepare() == Prepared(reason=None, notice=LOCK_DELETED)
    assert house.stands()


def test_daemon_that_a_hook_leaves_does_not_hold_up_the_preparation(house: House) -> None:
    hook = house.repository / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nsleep 1000 &\necho $! > {house.directory / 'daemon'}\n")
    hook.chmod(0o755)
    try:
        assert house.prepare() == MADE
    finally:
        os.kill(int((house.directory / "daemon").read_text()), signal.SIGKILL)


BUSY_GIT = """#!/bin/sh
case "$*" in *"worktree add"*)
    echo >> {tries}
    if [ $(wc -l < {tries}) -lt 3 ]; then
        echo "fatal: Unable to create '/r/.git/packed-refs.lock': File exists." >&2
        exit 128
    fi
esac
exec {git} "$@"
"""


def test_repository_where_git_is_busy_is_tried_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = house.directory / "tries"
    busy = house.directory / "bin" / "git"
    busy.parent.mkdir()
    busy.write_text(BUSY_GIT.format(tries=tries, git=shutil.which("git")))
    busy.chmod(0o755)
    monkeypatch.setenv("PATH", f"{busy.parent}{os.pathsep}{os.environ['PATH']}")
    assert house.prepare() == MADE
    assert len(tries.read_text()) == 3
    assert house.stands()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("fatal: Unable to create '/r/.git/packed-refs.lock': File exists.", "`packed-refs.lock`"),
        ("fatal: detected dubious ownership in repository at '/r'", "`safe.directory`"),
        ("fatal: 'work' is already used by worktree at '/w'", "`work` is checked out in another"),
        ("fatal: 'work' is already checked out at '/w'", "`work` is checked out in another"),
    ],
)
def test_words_of_git_that_are_understood(words: str, told: str) -> None:
    wish = Wish(repository=Path("/r"), base="main", branch="work", path=Path("/worktrees/work"))
    assert told in str(prepare._refusal(wish, words, last=True))


def test_many_branches_at_once(house: House) -> None:
    results = {f"work-{number}": house.directory / f"result-{number}" for number in range(8)}
    begun = []
    for branch, house.result in results.items():
        begun.append(subprocess.Popen(house.command(branch), stdout=subprocess.DEVNULL))
    for branch, process in zip(results, begun, strict=True):
        process.wait(PATIENCE_SECONDS)
        assert house.worktrees.result(results[branch]) == MADE
        assert house.stands(branch)


def test_result_of_an_attempt_that_was_cut_short(house: House) -> None:
    cut = Prepared(reason="The preparation of the worktree was cut short.", notice=None)
    assert house.worktrees.result(house.result) == cut
    for content in ("", "{", "[]", '"x"', '{"reason": null}'):
        house.result.write_text(content)
        assert house.worktrees.result(house.result) == cut


async def test_under_a_supervisor(house: House) -> None:
    steps = Steps(house.directory / "steps")
    environment = dict(os.environ)
    ending = await steps.end_of(*house.command(), env=environment)
    assert (ending.kind, ending.exit_code) == (EndingKind.EXITED, 0)
    assert house.worktrees.result(house.result) == MADE
    assert house.stands()
