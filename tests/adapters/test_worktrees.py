"""Worktrees made, taken up and mended: real git, and real kills halfway."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from adapters.worktrees import Worktrees
from bot.ports import Prepared
from bot.run import Worktree
from bot.supervision import EndingKind
from tests.adapters.steps import PATIENCE_SECONDS, Steps, until

MADE = Prepared(reason=None, notice=None)
FILES = 200
ROUNDS = [pytest.param(10, id="short"), pytest.param(30, id="long", marks=pytest.mark.soak)]
AGAIN = (
    "The worktree had been deleted and was made again from its branch; uncommitted work of earlier "
    "steps is not in it."
)


def git(directory: Path, *arguments: str) -> str:
    """What git prints."""
    done = subprocess.run(
        ["git", "-C", str(directory), *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def own_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git without the settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Somebody")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "somebody@example.org")


class House:
    """A repository with one commit on `main`, and Baton's worktrees of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.repository = directory / "repository"
        self.worktrees = Worktrees(directory / "worktrees", "here")
        self.result = directory / "result.json"
        self.said = ""
        self.repository.mkdir()
        git(self.repository, "init", "--quiet", "--initial-branch=main")
        self.commit(self.repository, "first", "one")

    def commit(self, directory: Path, name: str, text: str) -> str:
        (directory / name).write_text(text)
        git(directory, "add", ".")
        git(directory, "commit", "--quiet", f"--message={name}")
        return git(directory, "rev-parse", "HEAD")

    def place(self, branch: str = "work") -> Path:
        return Path(self._place(branch).path)

    def _place(self, branch: str) -> Worktree:
        return self.worktrees.place(str(self.repository), branch)

    def command(self, branch: str = "work", base: str = "main") -> tuple[str, ...]:
        return self.worktrees.preparation(
            repository=str(self.repository),
            base=base,
            branch=branch,
            worktree=self._place(branch),
            result=self.result,
        )

    def prepare(self, branch: str = "work", base: str = "main") -> Prepared:
        """Carries the preparation out; its code must agree with what it says."""
        done = subprocess.run(
            self.command(branch, base), check=False, capture_output=True, timeout=PATIENCE_SECONDS
        )
        self.said = (done.stdout + done.stderr).decode()
        prepared = self.worktrees.result(self.result)
        assert done.returncode == (0 if prepared.reason is None else 1), self.said
        return prepared

    def stands(self, branch: str = "work") -> bool:
        """Whether the worktree is whole, clean, on its branch, and registered once."""
        place = self.place(branch)
        listed = git(self.repository, "worktree", "list", "--porcelain").splitlines()
        return (
            git(place, "symbolic-ref", "HEAD") == f"refs/heads/{branch}"
            and git(place, "status", "--porcelain") == ""
            and listed.count(f"worktree {place}") == 1
            and listed.count(f"branch refs/heads/{branch}") == 1
        )

    def asides(self) -> list[Path]:
        """What was moved out of the way."""
        return sorted((self.directory / "worktrees").glob("*/*.aside-*"))


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path.resolve())


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


@pytest.mark.parametrize(
    "branch", ["feature/ä b".replace(" ", "-"), "a/b/c", "x" * 200, "'; $(id)"]
)
def test_odd_branch_names(house: House, branch: str) -> None:
    if " " in branch:
        assert "cannot be the name of a branch" in str(house.prepare(branch).reason)
    else:
        assert house.prepare(branch) == MADE
        assert house.stands(branch)


@pytest.mark.parametrize("branch", ["", "-b", "HEAD", "a..b", "a~1", "refs/", "@{-1}", "a\nb"])
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


# Mending


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


def test_lock_that_a_killed_command_left_is_deleted(house: House) -> None:
    assert house.prepare() == MADE
    own = Path(git(house.place(), "rev-parse", "--absolute-git-dir"))
    lock = own / "index.lock"
    lock.touch()
    prepared = house.prepare()
    assert prepared.reason is None
    assert prepared.notice == "A git lock that a killed command had left was deleted."
    assert not lock.exists()
    assert house.stands()


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


# Killed anywhere


def _kill_all(process: "subprocess.Popen[bytes]") -> None:
    os.killpg(process.pid, signal.SIGKILL)


def _kill_git(process: "subprocess.Popen[bytes]") -> None:
    """Only git; the preparation finds out."""
    with suppress(psutil.Error):
        for each in psutil.Process(process.pid).children(recursive=True):
            each.kill()


def _cut_short(house: House, branch: str, seconds: float, kill: Callable[..., None]) -> None:
    with subprocess.Popen(
        house.command(branch),
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
        assert house.asides() == []
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
            until(lambda: (house.place() / ".git").exists())
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    git(house.repository, "config", "--unset", "filter.slow.smudge")
    assert house.prepare().reason is None, house.said
    assert house.stands()
    assert house.asides() == []
    assert (house.place() / "slow").read_text() == "content"
