"""A repository and a workflow to try Baton with, where nothing is configured yet."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_FAILS_ONCE = (
    'if [ "$BATON_ATTEMPT" = 1 ]; then echo "the test server is down"; exit 1; fi; '
    "sleep 1; echo all tests pass"
)

DEMO_REPOSITORY = ".baton/demo"
DEMO_SETTINGS: Mapping[str, Any] = {
    "workflows": {
        "demo": {
            "repository": DEMO_REPOSITORY,
            "description": "fails once, then asks before it ships",
            "steps": [
                {"name": "build", "run": 'sleep "${BATON_ARG_SECONDS:-2}"; echo built'},
                {"name": "test", "run": _FAILS_ONCE},
                {"name": "ship?", "gate": "Ship it?"},
                {"name": "ship", "run": "sleep 2; echo shipped by run $BATON_RUN_ID"},
            ],
        }
    }
}
_IDENTITY = {
    "GIT_AUTHOR_NAME": "Baton",
    "GIT_AUTHOR_EMAIL": "baton@localhost",
    "GIT_COMMITTER_NAME": "Baton",
    "GIT_COMMITTER_EMAIL": "baton@localhost",
}


def make_repository(path: Path) -> None:
    """Make the demo repository with one commit on main; one that is there is left alone."""
    if (path / ".git").exists():
        return
    path.mkdir(parents=True, exist_ok=True)
    (path / "README").write_text("A repository to try Baton with.\n", encoding="utf-8")
    for words in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "README"],
        ["commit", "--quiet", "--message=Begin"],
    ):
        subprocess.run(["git", *words], cwd=path, env=os.environ | _IDENTITY, check=True)
