"""The log of a real Baton: names of the contract's form, every start paired, reasons in fields."""

import json
import re
from collections import Counter

from bot.bootstrap import Installation, serving
from store.database import sqlite_file
from tests.conftest import Person

NAME = re.compile(r"[a-z]+\.[a-z_]+_(started|completed|failed|validated|rejected)")


async def test_log_events(installation: Installation) -> None:
    async with serving(installation) as service:
        ana = Person(service)
        run_id = await ana.starts("/run flaky secret=hunter2")
        await ana.sees_status(run_id, "failed")
        await ana.says("/resume nothere")
        await ana.says("/resume")
        await ana.sees_status(run_id, "completed")
        await ana.says(f"/cancel {run_id}")
    written = (sqlite_file(installation.database.url).parent / "baton.log").read_text()
    assert "hunter2" not in written
    events = [json.loads(line) for line in written.splitlines()]
    names = Counter(event["event"] for event in events)
    assert all(NAME.fullmatch(name) for name in names), names
    for name, times in names.items():
        action, _, state = name.rpartition("_")
        if state == "started":
            ended = sum(names[f"{action}_{end}"] for end in ("completed", "failed", "rejected"))
            assert ended == times, name
    rejected = [event for event in events if event["event"] == "command.resume_rejected"]
    assert [event["reason"] for event in rejected] == ["not_found"]
    assert all("duration_ms" in e for e in events if e["event"].endswith("_completed"))
