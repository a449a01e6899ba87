"""`baton move`: a SQLite installation goes on with PostgreSQL, or stays as it was and says why."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.presence import PresenceFiles
from bot import directions
from bot.cli import main
from store import postgres_tables
from tests.postgres import Postgres

Baton = Callable[..., subprocess.CompletedProcess[str]]
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("BATON_")} | {
    "PYTHONPATH": str(Path(__file__).parent.parent)
}
WORDS = [sys.executable, "-m", "bot"]


@pytest.fixture
def baton(tmp_path: Path) -> Baton:
    """Run `baton` in an empty directory."""

    def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*WORDS, *words],
            cwd=tmp_path,
            env=CLEAN | more,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )

    return run


@contextmanager
def talking(directory: Path, **more: str) -> Iterator[Callable[..., str]]:
    """What `baton` prints with these words; one process for all of them."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.command_line"],
        cwd=directory,
        env=CLEAN | more,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:

        def says(*words: str) -> str:
            assert process.stdin
            assert process.stdout
            process.stdin.write(f"{json.dumps(words)}\n")
            answer = json.loads(process.stdout.readline())
            assert answer["code"] == 0, answer
            return str(answer["said"])

        yield says
        assert process.stdin
        process.stdin.close()


@pytest.fixture
def target(postgres: Postgres) -> Iterator[str]:
    """The address of a database whose tables are empty."""
    url = postgres.up_to_date()
    yield url
    postgres.drop(url)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation in the working directory, for commands in this process."""
    monkeypatch.chdir(tmp_path)
    for name in set(os.environ) - set(CLEAN):
        monkeypatch.delenv(name)
    assert main(["run", "demo", "--as", "ana"]) == 0
    return tmp_path


def dump(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as raw:
        return list(raw.iterdump())


def rows(url: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT count(*) FROM runs").fetchone()
        assert found
        return int(found[0])


# --- it moves --------------------------------------------------------------------------------


def test_an_installation_goes_on_with_postgresql(
    baton: Baton, tmp_path: Path, postgres_url: str
) -> None:
    with talking(tmp_path) as says:
        run_id = json.loads(says("run", "demo", "--json"))["run"]["id"]
        says("cancel", run_id, "--delivery", "d1", "--as", "ana")
        says("token", "create", "ci", "--role", "operator")
        history = says("history", run_id, "--json")
    file = tmp_path / ".baton" / "baton.db"
    before = dump(file)

    done = baton("move", "--to", postgres_url)
    assert done.returncode == 0, done.stderr
    assert f"Set database.url to {postgres_url}" in done.stdout
    assert "Leave runner.directory as it is" in done.stdout
    assert f"{file} is unchanged. Keep it as a backup" in done.stdout
    assert ["runs", "1"] in [line.split() for line in done.stdout.splitlines()]
    assert dump(file) == before

    with talking(tmp_path, BATON_DATABASE__URL=postgres_url) as says:
        assert says("history", run_id, "--json") == history
        again = says("cancel", run_id, "--delivery", "d1", "--as", "ana", "--json")
        assert json.loads(again)["outcome"] == "cancelled"
        assert "ci  operator" in says("token", "list")
        new = json.loads(says("run", "demo", "--json"))["run"]["id"]
        runs = json.loads(says("runs", "--json"))["runs"]
        assert [run["id"] for run in runs] == [new, run_id]


def test_what_waits_is_started_after_the_move(baton: Baton, tmp_path: Path, target: str) -> None:
    waiting = json.loads(baton("run", "demo", "seconds=0", "--json").stdout)["run"]["id"]
    assert baton("move", "--to", target).returncode == 0
    there = {"BATON_DATABASE__URL": target}
    with subprocess.Popen(
        [*WORDS, "worker"], cwd=tmp_path, env=CLEAN | there, stdout=subprocess.DEVNULL
    ) as worker:
        with talking(tmp_path, **there) as says:
            status = ""
            for _ in range(200):
                status = json.loads(says("status", waiting, "--json"))["run"]["status"]
                if status == "failed":
                    break
                time.sleep(0.2)
        worker.send_signal(signal.SIGTERM)
    assert status == "failed"  # as the demo's second step does the first time


def test_another_state_directory_has_to_be_named(
    here: Path, target: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATON_RUNNER__DIRECTORY", str(here / "elsewhere"))
    assert main(["move", "--to", target]) == 0
    state = json.dumps(str((here / ".baton").resolve()))
    assert f"Set runner.directory = {state}:" in capsys.readouterr().out


def test_the_log_tells_of_the_move(here: Path, target: str) -> None:
    from bot import log  # noqa: PLC0415 - only here

    assert main(["move", "--to", target]) == 0
    assert main(["move", "--to", target]) == 1
    log.write_out()
    lines = map(json.loads, (here / ".baton" / "baton.log").read_text().splitlines())
    told = [entry for entry in lines if entry["event"].startswith("baton.move")]
    assert [entry["event"].rpartition("_")[2] for entry in told] == [
        *("started", "completed", "started", "failed")
    ]
    assert told[1]["rows"] > 0
    assert "postgres" not in json.dumps(told)


def test_how_far_it_is_is_said_where_it_takes_long(
    here: Path, target: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.checks._QUIET_SECONDS", 0.0)
    assert main(["move", "--to", target]) == 0
    said = capsys.readouterr()
    assert "runs: copied 1 of 1 rows" in said.err
    assert "runs: comparing 1 rows" in said.err
    assert "copied" not in said.out


# --- it does not -----------------------------------------------------------------------------


def test_a_baton_that_runs_is_named(baton: Baton, tmp_path: Path, target: str) -> None:
    with subprocess.Popen(
        [*WORDS, "worker"], cwd=tmp_path, env=CLEAN, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        assert "Working" in worker.stdout.readline()
        refused = baton("move", "--to", target)
        worker.send_signal(signal.SIGTERM)
    assert refused.returncode == 1
    host = (tmp_path / ".baton" / "worktrees" / "host-id").read_text()
    assert f"process {worker.pid} on {host}" in refused.stderr
    assert "stop every Baton" in refused.stderr
    assert rows(target) == 0
    done = baton("move", "--to", target)
    assert done.returncode == 0, done.stderr


def test_a_process_without_a_worker_is_found_by_its_file(
    here: Path, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    presence = PresenceFiles(here / ".baton" / "presence")
    with presence.hold("a-host:77:abc"):
        assert main(["move", "--to", target]) == 1
    assert "process 77 on a-host" in capsys.readouterr().err
    (here / ".baton" / "presence" / "a-host-78-abc.lock").touch()
    assert main(["move", "--to", target]) == 0


def test_a_second_move_is_refused(
    here: Path, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["move", "--to", target]) == 0
    assert main(["run", "demo", "--as", "ben"]) == 0
    capsys.readouterr()
    assert main(["move", "--to", target]) == 1
    assert "not empty: its table runs has rows" in capsys.readouterr().err
    assert rows(target) == 1


@contextmanager
def server_that_says(code: str, message: str) -> Iterator[str]:
    """The address of something that answers every start of a conversation with one error."""
    fields = f"SFATAL\0VFATAL\0C{code}\0M{message}\0\0".encode()
    answer = b"E" + (len(fields) + 4).to_bytes(4, "big") + fields
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    caller, _ = listening.accept()
                except OSError:
                    return
                with caller:
                    if int.from_bytes(caller.recv(1024)[4:8], "big") == 80877103:
                        caller.sendall(b"N")  # no TLS
                        caller.recv(1024)
                    caller.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"postgresql://baton:sesame@127.0.0.1:{listening.getsockname()[1]}/baton"
        listening.shutdown(socket.SHUT_RDWR)


def test_a_wrong_password_is_said_and_never_shown(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = 'password authentication failed for user "baton"'
    with server_that_says("28P01", words) as url:
        assert main(["move", "--to", url]) == 1
    said = capsys.readouterr().err
    assert "it does not let this Baton in. Nothing was moved" in said
    assert "sesame" not in said


def test_a_server_that_is_down_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert main(["move", "--to", f"postgresql://baton:sesame@127.0.0.1:{port}/baton"]) == 1
    assert "it does not answer. Nothing was moved" in capsys.readouterr().err


def test_a_database_that_is_not_there_is_said(
    here: Path, postgres: Postgres, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["move", "--to", postgres.url("nowhere")]) == 1
    assert "there is no such database" in capsys.readouterr().err


def test_an_old_server_is_said(
    here: Path,
    target: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres_tables, "_OLDEST", 990000)
    assert main(["move", "--to", target]) == 2
    assert capsys.readouterr().err.startswith("--to: Baton needs PostgreSQL 99 or later")


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///other.db",
        "mysql://h/d",
        "nonsense",
        "",
        "postgresql://[",
        "postgresql://h:port/d",
    ],
)
def test_what_is_no_address_is_said(
    here: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["move", "--to", url]) in {1, 2}
    said = capsys.readouterr().err
    assert "Nothing was moved" in said
    assert not (here / "other.db").exists()


def test_where_to_has_to_be_said(baton: Baton) -> None:
    done = baton("move")
    assert done.returncode == 2
    assert "--to" in done.stderr
    assert "Nothing was done" in done.stderr


def test_there_has_to_be_a_file(
    tmp_path: Path,
    target: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["move", "--to", target]) == 2
    assert "there is no database at .baton/baton.db" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("BATON_DATABASE__URL", target)
    assert main(["move", "--to", target]) == 2
    assert "only a SQLite file can be moved" in capsys.readouterr().err


def test_a_busy_file_is_said(
    here: Path,
    target: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("store.sqlite._BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(here / ".baton" / "baton.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert main(["move", "--to", target]) == 1
    assert "other processes kept it locked" in capsys.readouterr().err


# --- words -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://h/d", "postgresql://h/d"),
        ("postgresql://u@h/d?host=/tmp", "postgresql://u@h/d?host=/tmp"),
        ("postgresql://u:secret@h1:1,h2:2/d", "postgresql://u:***@h1:1,h2:2/d"),
        ("postgres://u:sec#ret?@h/d", "postgres://u:***@h/d"),
        ("postgresql://u:sec@ret@h/d", "postgresql://u:***@h/d"),
        ("postgresql://h/d?user=u&password=secret&x=1", "postgresql://h/d?user=u&password=***&x=1"),
        ("postgresql:///d?PASSWORD=secret", "postgresql:///d?PASSWORD=***"),
        ("postgresql://h/d?sslpassword=secret", "postgresql://h/d?sslpassword=***"),
    ],
)
def test_no_password_is_shown(url: str, shown: str) -> None:
    told: list[Any] = [
        directions.moved(url, {"runs": 1}, {}),
        directions.next_steps(url, "f", "s", state_is_set=True),
    ]
    for text in told:
        assert f" {shown}," in text
        assert "secret" not in text


def test_rows_that_were_mended_are_named_a_few_of_many() -> None:
    text = directions.moved("postgresql://h/d", {"runs": 7}, {"runs": [f"r{n}" for n in range(7)]})
    assert "in the table runs each became U+FFFD: 'r0', 'r1', 'r2', 'r3', 'r4' and 2 more." in text
