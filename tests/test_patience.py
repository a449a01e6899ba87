"""A database that others keep locked: the command line says that it waits, and then what came."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.conftest import lay_down

ROOT = Path(__file__).parent.parent


def test_who_waits_is_told_so(tmp_path: Path) -> None:
    file = lay_down(tmp_path / "baton.db")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        command = subprocess.Popen(
            [sys.executable, "-m", "bot", "run", "demo", "--json"],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
            | {"BATON_DATABASE__URL": f"sqlite:///{file}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert command.stdout is not None
        assert command.stderr is not None
        told = command.stderr.readline()
        other.execute("ROLLBACK")
        said, _ = command.communicate(timeout=30)
    assert told.startswith("Waiting for the database")
    assert json.loads(said)["outcome"] == "started"
