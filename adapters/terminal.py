"""The terminal conversation: lines in, answers and the runs' cards out."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TextIO

from bot.card import follow_up, headline, settled
from bot.commands import COMMANDS
from bot.conversation import Author, Conversation, Door, Message
from bot.dispatcher import Dispatcher
from bot.notices import plain_talk
from bot.outcome import Answer, Word
from bot.ports import Store, Transaction
from bot.records import Card
from bot.run import Run

_TOUCHING = frozenset({Word.STARTED, Word.RESUMED, Word.CANCELLED})
_RECHECK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Terminal:
    """One person's conversation with Baton at this computer."""

    name: str
    dispatcher: Dispatcher
    store: Store
    clock: Callable[[], float]

    @property
    def conversation(self) -> Conversation:
        """The conversation's key."""
        return Conversation(f"terminal:{self.name}")

    async def say(self, line: str) -> Answer | None:
        """The answer to a typed line; None where there was nothing to answer."""
        actor = f"terminal:{self.name}"
        message = Message(
            text=line,
            conversation=self.conversation,
            author=Author(actor),
            door=Door.TERMINAL,
        )
        return await self.dispatcher.handle(message)

    async def due(self) -> list[Run]:
        """The runs whose cards are behind; they count as shown from now on."""
        cards = await self._behind()
        for card in cards:
            await self.store.write(partial(_shown, card=card))
        return [card.run for card in cards]

    async def show(self, run: Run) -> None:
        """Print the card of a run; it counts as shown."""
        print(self.card(run), flush=True)
        for card in await self._behind():
            if (card.run.id, card.run.version) == (run.id, run.version):
                await self.store.write(partial(_shown, card=card))

    async def _behind(self) -> list[Card]:
        channel = self.conversation.channel
        return await self.store.read(lambda tx: list(tx.cards.due(channel, channel, "")))

    def card(self, run: Run) -> str:
        """The card of a run as text."""
        following = follow_up(run, Door.TERMINAL)
        lines = [headline(run, self.clock()), *([f"      {following}"] if following else [])]
        if run.notice:
            lines.append(f"      {run.notice}")
        return "\n".join(lines)


def _shown(tx: Transaction, card: Card) -> None:
    tx.cards.shown(card, card.run.version)


async def read_pipe(terminal: Terminal, lines: TextIO, wait_seconds: float | None) -> None:
    """Answer each line, and read the next only when the runs it touched have settled."""
    async for line in _lines(lines):
        if not line.strip():
            continue
        print(f"> {line}", flush=True)
        answer = await terminal.say(line)
        print(answer.reply if answer else plain_talk(), flush=True)
        if answer and answer.run_id and answer.word in _TOUCHING:
            await _until_settled(terminal, answer.run_id, wait_seconds)


async def _lines(source: TextIO) -> AsyncIterator[str]:
    while line := await asyncio.to_thread(source.readline):
        yield line.rstrip("\r\n")


async def _until_settled(terminal: Terminal, run_id: str, wait_seconds: float | None) -> None:
    run = await follow(terminal.store, run_id, wait_seconds)
    if run is not None:
        await terminal.show(run)


async def follow(
    store: Store,
    run_id: str,
    wait_seconds: float | None = None,
    show: Callable[[Run], None] = lambda _run: None,
) -> Run | None:
    """Wait until a run settles or stops at a gate, or the time is over; the run as it is then.

    `show` gets the run each time that it may have changed.
    """
    watch = store.watch()
    try:
        async with asyncio.timeout(wait_seconds):
            while True:
                run = await store.read(lambda tx: tx.runs.get(run_id))
                if run is None or settled(run):
                    return run
                show(run)
                await watch.changed(_RECHECK_SECONDS)
    except TimeoutError:
        return await store.read(lambda tx: tx.runs.get(run_id))
    finally:
        watch.close()


@contextmanager
def live(clock: Callable[[], float], *, quiet: bool) -> Iterator[Callable[[Run], None]]:
    """A card edited in place on a terminal; nothing where there is none, or when quiet."""
    if quiet or not sys.stdout.isatty():
        yield lambda _run: None
        return
    # Imported here because only a person at a terminal needs it.
    from rich.live import Live  # noqa: PLC0415 - see above
    from rich.text import Text  # noqa: PLC0415 - see above

    with Live(auto_refresh=False, transient=True) as display:
        yield lambda run: display.update(Text(headline(run, clock())), refresh=True)


async def prompt(terminal: Terminal, greeting: str) -> None:
    """Talk with a person at a terminal until they leave (Ctrl-D)."""
    # Imported here because only a person at a terminal needs them and they are slow to import.
    from prompt_toolkit import PromptSession  # noqa: PLC0415 - see above
    from prompt_toolkit.completion import WordCompleter  # noqa: PLC0415 - see above
    from prompt_toolkit.patch_stdout import patch_stdout  # noqa: PLC0415 - see above

    shelf = Shelf(terminal)
    verbs = WordCompleter([f"/{verb}" for verb in COMMANDS], sentence=True)
    session: PromptSession[str] = PromptSession(
        "baton> ", bottom_toolbar=shelf.text, completer=verbs, refresh_interval=0.5
    )
    print(greeting)
    with patch_stdout():
        showing = asyncio.create_task(shelf.keep())
        try:
            while True:
                answer = await terminal.say(await session.prompt_async())
                if answer is not None:
                    print(answer.reply)
        except (EOFError, KeyboardInterrupt):
            return
        finally:
            showing.cancel()


class Shelf:
    """The cards of the runs under way, edited in place below the prompt."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._open: dict[str, Run] = {}

    def text(self) -> str:
        """What stands below the prompt now."""
        now = self._terminal.clock()
        return "\n".join(headline(run, now) for run in self._open.values())

    async def keep(self) -> None:
        """Keep the cards true, and put each settled one above the prompt for good."""
        watch = self._terminal.store.watch()
        try:
            while True:
                for run in await self._terminal.due():
                    self._put(run)
                await watch.changed(_RECHECK_SECONDS)
        finally:
            watch.close()

    def _put(self, run: Run) -> None:
        if settled(run):
            self._open.pop(run.id, None)
            print(self._terminal.card(run), file=sys.stdout)
        else:
            self._open[run.id] = run
