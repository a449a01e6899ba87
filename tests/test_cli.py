"""The command line as scripts use it: real processes, exit codes, JSON."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def baton(tmp_path: Path) -> Any:
    """Run `baton` in an empty directory."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BATON_")}

    def run(*words: str, said: str | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bot", *words],
            cwd=tmp_path,
            env=clean | {"PYTHONPATH": str(Path(__file__).parent.parent)} | more,
            input=said,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )

    return run


def test_the_demo_through_a_pipe(baton: Any) -> None:
    done = baton("chat", said="/run demo seconds=0\n\nhello\n/resume\n/resume\n")
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith(("> ", "■", "□"))]
    assert [line[:6] for line in said if line.startswith("■")] == ["■□□□  ", "■■□□  ", "■■■■  "]
    assert "failed at step 2 of 4, test: exit code 1" in done.stdout
    assert "waits at step 3 of 4, ship?: Ship it?" in done.stdout
    assert "completed, all 4 steps done" in done.stdout
    assert done.stderr == ""


def test_a_card_that_was_printed_is_not_due_any_more(baton: Any, tmp_path: Path) -> None:
    baton("chat", said="/run demo seconds=0\n")
    with closing(sqlite3.connect(tmp_path / ".baton" / "baton.db")) as database:
        ((version, shown),) = database.execute("SELECT version, shown_version FROM runs")
    assert shown == version


def test_cancel_in_the_middle_through_a_pipe(baton: Any) -> None:
    done = baton("chat", "--wait", "1.5", said="/run demo seconds=100\n/cancel\n")
    assert done.returncode == 0, done.stderr
    assert "Cancelled demo" in done.stdout
    assert "cancelled, worktree free" in done.stdout


def test_outcomes_and_exit_codes(baton: Any) -> None:
    started = baton("run", "demo", "--json", "--as", "ana")
    assert started.returncode == 0
    answer = json.loads(started.stdout)
    assert set(answer) == {"outcome", "reply", "run", "by", "candidates"}
    assert set(answer["run"]) == {
        "id", "workflow", "status", "stopping", "stale", "epoch", "conversation", "branch",
        "worktree", "step", "steps_done", "steps_total", "attempt", "error",
    }  # fmt: skip
    assert answer["outcome"] == "started"
    assert answer["run"]["conversation"] == "cli:ana"
    assert answer["by"]["actor"] == "cli:ana"
    assert "No worker is running" in answer["reply"]
    run_id = answer["run"]["id"]
    for words, code, outcome in [
        (["resume", run_id], 1, "already_running"),
        (["resume", run_id[:4]], 1, "already_running"),
        (["resume"], 3, "nothing_here"),
        (["run", "nope"], 2, "invalid"),
        (["resume", "'; DROP TABLE runs"], 3, "not_found"),
        (["cancel", run_id, "--epoch", "7"], 1, "already_running"),
        (["cancel", run_id, "--delivery", "d1"], 0, "cancelled"),
        (["cancel", run_id, "--delivery", "d1"], 0, "cancelled"),
        (["cancel", run_id, "--delivery", "d2"], 0, "already_cancelled"),
        (["resume", run_id, "--delivery", "d1"], 2, "invalid"),
        (["resume", run_id], 1, "not_resumable"),
        (["release", run_id], 3, "nothing_here"),
    ]:
        done = baton(*words, "--json", "--as", "ben")
        assert (done.returncode, json.loads(done.stdout)["outcome"]) == (code, outcome), words
    runs = json.loads(baton("runs", "--json").stdout)
    assert [run["status"] for run in runs["runs"]] == ["cancelled"]
    events = json.loads(baton("history", run_id, "--json").stdout)["events"]
    assert set(events[0]) == {
        "at", "actor", "door", "verb", "outcome", "from", "to", "epoch",
    }  # fmt: skip
    assert [e["outcome"] for e in events if e["verb"] == "cancel"].count("cancelled") == 1


def test_here_works_until_the_run_settles(baton: Any, tmp_path: Path) -> None:
    done = baton("run", "demo", "seconds=0", "--here")
    assert done.returncode == 0, done.stderr
    assert "failed at step 2 of 4, test: exit code 1" in done.stdout
    resumed = json.loads(baton("resume", "--here", "--json").stdout)
    assert resumed["outcome"] == "resumed"
    assert resumed["run"]["status"] == "paused"
    run_id = resumed["run"]["id"]
    assert "all tests pass" in baton("logs", run_id).stdout
    with (tmp_path / ".baton" / "logs" / f"{run_id}.log").open("a") as log:
        log.write("last words")
    for words in ((), ("-f",)):
        assert baton("logs", run_id, *words).stdout.endswith("\nlast words\n")


def test_a_repeat_with_here_tells_of_the_run_as_it_is_now(baton: Any) -> None:
    words = ("run", "demo", "seconds=0", "--here", "--delivery", "d1")
    first = baton(*words, "--json")
    again = baton(*words, "--json")
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert json.loads(again.stdout)["run"]["status"] == "failed"
    lines = baton(*words).stdout.splitlines()
    assert lines[0] == json.loads(first.stdout)["reply"]
    assert lines[1].endswith("failed at step 2 of 4, test: exit code 1")
    baton("cancel")
    later = json.loads(baton(*words, "--json").stdout)
    assert (later["outcome"], later["run"]["status"]) == ("started", "cancelled")
    (run,) = json.loads(baton("runs", "--json").stdout)["runs"]
    assert run["id"] == later["run"]["id"]


def test_access_is_closed_when_local_is_closed(baton: Any) -> None:
    done = baton("run", "demo", "--json", BATON_ACCESS__LOCAL="viewer")
    assert done.returncode == 4
    answer = json.loads(done.stdout)
    assert answer["outcome"] == "denied"
    assert "cli:" in answer["reply"]
    assert baton("runs", BATON_ACCESS__LOCAL="viewer").returncode == 0
    assert baton("runs", BATON_ACCESS__LOCAL="none").returncode == 4


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("[runner]\nconcurency = 2\n", "runner.concurency"),
        ("[runner]\nconcurrency = 'two'\n", "runner.concurrency"),
        ("[access]\nadmins = ['nobody']\n", "access.admins"),
        ("[access\n", "not valid TOML"),
        ("[database]\nurl = 'mysql://x'\n", "database.url"),
        ("[workflows.x]\nrepository = '.'\nsteps = []\n", "workflows.x.steps"),
        ("[[workflows.x.steps]]\nname = 'a'\n", "workflows.x"),
    ],
)
def test_a_wrong_configuration_is_one_sentence(
    baton: Any, tmp_path: Path, written: str, named: str
) -> None:
    (tmp_path / "config.toml").write_text(written)
    done = baton("runs")
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / ".baton" / "baton.db").exists()


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("BATON_RUNNER__CONCURRENCY", "two", "runner.concurrency in BATON_RUNNER__CONCURRENCY: "),
        (
            "BATON_RUNNER__CONCURENCY",
            "2",
            "runner.concurency in BATON_RUNNER__CONCURENCY: there is",
        ),
        ("BATON_FOO__BAR", "2", "foo in BATON_FOO__BAR: there is no such setting"),
        (
            "BATON_RUNNER__LEASE_SECONDS",
            "5",
            "runner in config.toml and BATON_RUNNER__LEASE_SECONDS: lease_seconds must be",
        ),
        (
            "BATON_ACCESS__ADMINS",
            "cli:ana",
            "access.admins in BATON_ACCESS__ADMINS: a list is wanted, written as in JSON: [",
        ),
        ("BATON_SERVER__HOST", "localhost", "server.port in config.toml: "),
    ],
)
def test_a_setting_of_the_environment_is_blamed_on_its_variable(
    baton: Any, tmp_path: Path, variable: str, value: str, told: str
) -> None:
    wrong = "port = 'x'" if "port" in told else "port = 1"
    written = f"[runner]\nheartbeat_seconds = 4\n[server]\n{wrong}\n"
    (tmp_path / "config.toml").write_text(written)
    done = baton("runs", **{variable: value})
    assert done.returncode == 2
    assert done.stderr.startswith(told)


def test_a_newer_database_is_left_alone(baton: Any, tmp_path: Path) -> None:
    import sqlite3  # noqa: PLC0415 - only here

    assert baton("migrate").returncode == 0
    with sqlite3.connect(tmp_path / ".baton" / "baton.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    done = baton("runs")
    # Like a wrong setting it does not mend itself, and so no service is started again.
    assert done.returncode == 2
    assert "newer Baton" in done.stderr
    assert "Traceback" not in done.stderr
    assert baton("worker").returncode == 2
    told = baton("runs", "--json")
    assert told.returncode == 2
    answer = json.loads(told.stdout)
    assert answer["outcome"] == "invalid"
    assert "newer Baton" in answer["reply"]


@pytest.mark.parametrize(
    ("words", "settings", "outcome"),
    [
        (["cancel", "a", "b"], {}, "invalid"),
        (["cancel", "--epoch", "x"], {}, "invalid"),
        (["frobnicate"], {}, "invalid"),
        (["runs"], {"BATON_RUNNER__CONCURRENCY": "two"}, "invalid"),
        (["run", "demo"], {"BATON_DATABASE__URL": "sqlite:///not-a-database"}, "invalid"),
        (["run", "demo"], {"BATON_DATABASE__URL": "postgresql://127.0.0.1:1/x"}, "error"),
        (["run", "demo"], {"BATON_DATABASE__URL": "sqlite:///full/baton.db"}, "error"),
    ],
)
def test_every_failure_is_an_object_where_one_was_asked_for(
    baton: Any, tmp_path: Path, words: list[str], settings: dict[str, str], outcome: str
) -> None:
    (tmp_path / "not-a-database").write_text("neither this\n" * 100)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "worktrees").write_text("in the way\n")
    done = baton(*words, "--json", **settings)
    assert done.returncode == {"invalid": 2, "error": 1}[outcome], done.stderr
    answer = json.loads(done.stdout)
    assert set(answer) == {"outcome", "reply", "run", "by", "candidates"}
    assert answer["outcome"] == outcome
    if outcome == "error":
        reference = answer["reply"].split()[-1].rstrip(".")
        (log,) = tmp_path.glob("*/baton.log")
        assert f'"reference": "{reference}"' in log.read_text()
    else:
        assert done.stderr == ""


def test_a_shared_database_needs_no_directory_made_before(
    baton: Any, tmp_path: Path, postgres_url: str
) -> None:
    done = baton("runs", BATON_DATABASE__URL=postgres_url)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / ".baton").stat().st_mode & 0o077 == 0
    (tmp_path / "file").write_text("in the way\n")
    where = {"BATON_DATABASE__URL": postgres_url, "BATON_RUNNER__DIRECTORY": "file"}
    refused = baton("runs", **where)
    assert refused.returncode == 2
    assert refused.stderr.startswith("runner.directory: file cannot be made (file exists).")


def test_check_names_what_serve_refuses(baton: Any) -> None:
    done = baton("check", BATON_SERVER__HOST="0.0.0.0")  # noqa: S104 - refused
    assert done.returncode == 1
    assert done.stdout.startswith("server.host is 0.0.0.0, which other machines can reach")
    assert "All is well" not in done.stdout


def test_check_names_a_base_from_which_no_run_could_start(
    baton: Any, tmp_path: Path, repository: Path
) -> None:
    flow = f"[workflows.x]\nrepository = '{repository}'\nsteps = [{{name = 'a', run = 'true'}}]\n"
    for base, code in (("nope", 1), ("main", 0), ("HEAD", 0), ("--help", 1)):
        (tmp_path / "config.toml").write_text(f"{flow}base = '{base}'\n")
        done = baton("check")
        assert done.returncode == code, (base, done.stdout)
        assert ("workflows.x.base: git finds no" in done.stdout) == bool(code)


@pytest.mark.parametrize(
    "address",
    [
        *("garbage", "baton.example.com", "ftp://baton.example.com", "https://", "https://a b"),
        *("https://me:secret@baton.example.com", "https://baton.example.com:99999", "https://:80"),
    ],
)
def test_a_public_address_is_one_of_the_web(baton: Any, address: str) -> None:
    for verb in ("check", "serve"):
        done = baton(verb, BATON_SERVER__PUBLIC_URL=address)
        assert done.returncode == 2
        assert "public_url" in done.stderr.lower()
        assert done.stdout == ""


def test_usage_errors_are_one_sentence(baton: Any) -> None:
    for words in (["frobnicate"], ["release"], ["runs", "--frob"], []):
        done = baton(*words)
        assert done.returncode == 2
        assert "Nothing was done" in done.stderr
