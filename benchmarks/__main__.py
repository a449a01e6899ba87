"""`python -m benchmarks`: measure, print a table and write bench.json.

Databases are made in the folder for temporary files. Where that is no real disk, commits cost
nothing and the figures tell nothing: choose another one with TMPDIR.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks import (
    commands,
    conversations,
    discord,
    growth,
    idle,
    postgres,
    postgres_growth,
    postgres_replicas,
    slack,
    start,
)
from benchmarks.figures import Effort, Figure, Measure

_MEASURES: Mapping[str, Measure] = {
    "commands": commands.measure,
    "conversations": conversations.measure,
    "discord": discord.measure,
    "growth": growth.measure,
    "idle": idle.measure,
    "postgres": postgres.measure,
    "postgres_growth": postgres_growth.measure,
    "postgres_replicas": postgres_replicas.measure,
    "slack": slack.measure,
    "start": start.measure,
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--only", choices=_MEASURES, help="leave the other measures out")
    return parser.parse_args()


def _print(figure: Figure) -> None:
    beside = "" if figure.ratio is None else f"{figure.ratio:8.2f} x {figure.of}"
    value = f"{figure.value:,.0f}" if figure.value >= 100 else f"{figure.value:,.2f}"
    print(f"{figure.name:32}{value:>10} {figure.unit:12}{beside}".rstrip(), flush=True)


def main() -> None:
    """Measure what was asked for."""
    options = _options()
    figures: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory(prefix="baton-bench-") as folder:
        effort = Effort(Path(folder), options.quick)
        for name, measure in _MEASURES.items():
            if options.only in {None, name}:
                for figure in measure(effort):
                    figures[figure.name] = figure
                    _print(figure)
    written = {name: figure.json() for name, figure in figures.items()}
    Path("bench.json").write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
