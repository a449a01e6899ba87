"""`baton` as a program of its own, beside a Discord on this machine."""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_FOREIGN = (
    "BATON_",
    "DISCORD_",
    "SLACK_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "http_proxy",
    "https_proxy",
)


@dataclass(frozen=True)
class Done:
    """What a program said, and how it ended."""

    code: int
    said: str
    complained: str

    @property
    def sentences(self) -> list[str]:
        """What it said, line by line."""
        return self.said.splitlines()


def _environment(more: Mapping[str, str]) -> Mapping[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {**clean, "PYTHONPATH": str(ROOT), **more}


async def _finished(words: tuple[str, ...], where: Path, more: Mapping[str, str]) -> Done:
    where.mkdir(exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        cwd=where,
        env=_environment(more),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await process.communicate()
    assert process.returncode is not None
    return Done(process.returncode, said.decode(), complained.decode())


async def baton(where: Path, *words: str, **more: str) -> Done:
    """Run `baton` in this directory."""
    return await _finished(("-m", "bot", *words), where, more)


async def baton_without(library: str, where: Path, *words: str, **more: str) -> Done:
    """The same where a library is not installed."""
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from bot.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    return await _finished(("-c", code, *words), where, more)
