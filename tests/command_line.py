"""The command line in a process that is used again and again: `python -m tests.command_line`.

Each line of its input is a JSON list of words; each line of its output tells the exit code of
`baton` with these words, and what it printed.
"""

import contextlib
import io
import json
import sys

from bot.cli import main


def answer(words: list[str]) -> str:
    """What these words come to."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = main(words)
    return json.dumps({"code": code, "said": said.getvalue()})


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(f"{answer(json.loads(line))}\n")
        sys.stdout.flush()
