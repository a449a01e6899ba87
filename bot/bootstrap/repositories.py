"""Joins what `baton check` asks of the workflows' repositories; imported only by it."""

from pathlib import Path

from adapters.branch.git import Git, GitError, KilledError
from adapters.branch.worktree import commit_of_base
from adapters.demo import DEMO_REPOSITORY
from bot.workflows import Workflow


def is_demo(repository: str) -> bool:
    """Whether this is the repository that Baton makes itself."""
    return Path(repository) == Path(DEMO_REPOSITORY).resolve()


def has_base(workflow: Workflow) -> bool:
    """Whether git finds in the repository what new branches start from."""
    try:
        return commit_of_base(workflow.base, Git(Path(workflow.repository))) is not None
    except (GitError, KilledError):
        return False
