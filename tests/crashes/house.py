"""A Baton on PostgreSQL whose processes are killed, and what is known of it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.crashes.team import Notes, Team
from tests.engine.house import asked

_TELLS = "echo $BATON_RUN_ID $BATON_EPOCH $BATON_STEP.$BATON_ATTEMPT"
_AGAIN = "for n in $(seq {times}); do sleep {seconds}; {tells} $n >> {file}; done"
_AGAIN_SECONDS = 0.2


@dataclass(frozen=True)
class House:
    """The processes are those of the team; the notes have what their runs tell."""

    url: str
    team: Team
    notes: Notes
    directory: Path
    repository: Path

    def config(
        self, steps: int = 1, seconds: float = 0, host: str = "here", **runner: object
    ) -> Path:
        """The configuration of a host, with so many steps of the workflow `told`.

        Each step tells when it begins. The last one takes so many seconds, and tells all the while.
        """
        settings: dict[str, object] = {
            "host": host,
            "directory": str(self.state(host)),
            "grace_seconds": 1,
            **runner,
        }
        lines = ["[database]", f"url = {json.dumps(self.url)}", "[runner]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        lines += ["[workflows.told]", f"repository = {json.dumps(str(self.repository))}"]
        commands = [f"{_TELLS} >> {self.notes.file}"] * steps
        commands[-1] += "; " + _AGAIN.format(
            times=round(seconds / _AGAIN_SECONDS),
            seconds=_AGAIN_SECONDS,
            tells=_TELLS,
            file=self.notes.file,
        )
        for step, command in enumerate(commands):
            lines += ["[[workflows.told.steps]]", f'name = "{step}"']
            lines += [f"run = {json.dumps(command)}"]
        file = self.directory / f"{host}.toml"
        file.write_text("\n".join(lines))
        return file

    def state(self, host: str = "here") -> Path:
        """Where a host keeps worktrees and logs."""
        return self.directory / host

    def asked(self, question: str) -> list[tuple[Any, ...]]:
        """What the database answers."""
        return asked(self.url, question)
